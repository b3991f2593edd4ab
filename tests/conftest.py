"""What all tests share: one thread, one seed."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)
