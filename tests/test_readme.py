"""The README's Python runs as it stands."""

import re
from pathlib import Path

import numpy as np
import torch

from pam_opt.families import lenet5

README = Path(__file__).parent.parent / "README.md"


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf8"), flags=re.DOTALL)


def test_network_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    targets = {name: torch.randint(0, 6, (16,)) for name in ("low", "high")}
    batches = [(torch.randn(16, 1, 28, 28), targets) for _ in range(2)]
    namespace = {
        "net_low": lenet5((1, 28, 28), 6, widths=(2, 3, 8, 6)),
        "net_high": lenet5((1, 28, 28), 6, widths=(2, 3, 8, 6)),
        "images": batches[0][0],
        "calibration": batches,
        "train": batches,
        "validation": batches,
    }
    exec(python_blocks()[0], namespace)
    assert set(namespace["outputs"]) == {"low"}
    assert namespace["table"].macs[frozenset({"low"})] > 0
    assert (tmp_path / "small.safetensors").exists()


def test_solver_example():
    namespace = {"cost": np.array([[1.0, 9.0], [9.0, 2.0]])}
    exec(python_blocks()[1], namespace)
    assert namespace["solution"].value == 3.0
