"""What all tests share: one thread, one seed."""

import os

# Before numpy and torch load: on matrices as small as these, threads only get into each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)
