"""What all tests share: one thread, one seed."""

import os
import sys

# Before numpy and torch load: on matrices as small as these, threads only get into each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


@pytest.fixture
def command(monkeypatch, capsys):
    """Run ``pam-opt`` in this process: arguments in, (exit code, standard output, standard error) out."""
    monkeypatch.setenv("COLUMNS", "250")

    from pam_opt import cli

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pam-opt", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run
