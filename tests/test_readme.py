"""The README's Python runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pam_opt.families import lenet5
from pam_opt.report import findings, markdown_table, read_results
from pam_opt.report.table import seed_ratios_table

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


@pytest.mark.parametrize("study", ["mnist_lenet5", "mnist_lenet5_merged", "cifar10_small_vgg"])
def test_tables_are_those_of_the_results(study):
    results = [
        read_results(path) for path in sorted((README.parent / "benchmarks/results" / study).glob("seed-*.json"))
    ]
    text = README.read_text(encoding="utf8")
    assert len(results) == 3
    assert markdown_table(results) in text
    assert findings(results) in text
    assert seed_ratios_table(results) in text
