"""The README's Python runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import pam_opt as pam
from pam_opt.families import lenet5
from pam_opt.report import (
    comparisons_table,
    findings,
    losses_table,
    markdown_table,
    matrices_table,
    published_table,
    read_results,
    summary,
    widths_table,
)

README = Path(__file__).parent.parent / "README.md"
RESULTS = README.parent / "benchmarks" / "results"


def python_block(word: str) -> str:
    """Return the one example that has a word."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf8"), flags=re.DOTALL)
    (found,) = [block for block in blocks if word in block]
    return found


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
    exec(python_block("small.safetensors"), namespace)
    assert set(namespace["outputs"]) == {"low"}
    assert namespace["table"].macs[frozenset({"low"})] > 0
    assert (tmp_path / "small.safetensors").exists()


def test_example_of_the_compared_systems():
    torch.manual_seed(0)
    digits = [torch.randint(0, 10, (64,)) for _ in range(2)]
    tasks = [pam.Task("low", classes=range(5)), pam.Task("high", classes=range(5, 10))]
    images = 5 * torch.randn(10, 1, 28, 28)  # one for each digit, so that random networks tell much about it
    batches = [(images[labels], {task.name: task.target(labels) for task in tasks}) for labels in digits]
    namespace = {
        "parents": {task.name: lenet5((1, 28, 28), 6, widths=(3, 4, 8, 6)) for task in tasks},
        "tasks": tasks,
        "calibration": batches,
        "train": batches,
        "validation": batches,
    }
    exec(python_block("zip_networks"), namespace)
    assert set(namespace["mtz"].tasks) == {"low", "high"}
    assert pam.costs(namespace["small"]).expected <= pam.costs(namespace["side"]).expected
    for name in ("pam", "exact", "both"):
        assert len(namespace[name].layers) == 4


def test_example_of_residual_networks():
    torch.manual_seed(0)
    tasks = [pam.Task("low", classes=range(5)), pam.Task("high", classes=range(5, 10))]
    targets = torch.randint(0, 6, (16,))
    batches = [(torch.randn(16, 3, 32, 32), {"low": targets, "high": targets})]
    namespace = {"pam_opt": pam, "tasks": tasks, "images": batches}
    exec(python_block("resnet20"), namespace)
    x = torch.randn(2, 3, 32, 32)
    for task, output in namespace["network"].eval()(x).items():
        torch.testing.assert_close(namespace["fast"](x, tasks=[task])[task], output, atol=1e-3, rtol=1e-3)


def test_the_table_of_mtz_is_that_of_the_results():
    assert (RESULTS / "mtz_lenet300" / "table.md").read_text(encoding="utf8") in README.read_text(encoding="utf8")


def test_solver_example():
    namespace = {"cost": np.array([[1.0, 9.0], [9.0, 2.0]])}
    exec(python_block("import Pairing"), namespace)
    assert namespace["solution"].value == 3.0


def results_of(study: str) -> list[dict]:
    found = [read_results(path) for path in sorted((RESULTS / study).glob("seed-*.json"))]
    assert len(found) == 3
    return found


@pytest.mark.parametrize(
    ("study", "tables"),
    [
        ("mnist_lenet5_merged", [markdown_table, comparisons_table, findings]),
        ("cifar10_small_vgg", [widths_table, comparisons_table, findings]),
        ("cifar10_widths", [widths_table, comparisons_table, losses_table, findings]),
        ("pam_lenet5", [findings, published_table]),
        ("pam_lenet5_refit", [matrices_table, findings]),
        ("pam_cifar10", [matrices_table, findings]),
    ],
)
def test_what_the_readme_says_is_what_the_results_say(study, tables):
    results, text = results_of(study), README.read_text(encoding="utf8")
    for write in tables:
        assert write(results)
        assert write(results) in text
    assert (RESULTS / study / "table.md").read_text(encoding="utf8") == summary(results)


def test_figures_of_the_readme_are_there():
    for path in re.findall(r"!\[[^]]+\]\(([^)]+)\)", README.read_text(encoding="utf8")):
        assert (README.parent / path).is_file(), path


def test_commands_of_the_readme_name_studies_that_are_there():
    for path in re.findall(r"pam-opt (?:run|bench) (benchmarks/\S+\.yaml)", README.read_text(encoding="utf8")):
        assert (README.parent / path).is_file(), path


def test_advice_on_solvers_is_that_of_the_kept_report():
    kept = (README.parent / "benchmarks/results/quick/conclusion.md").read_text(encoding="utf8").splitlines()
    quoted = re.findall(r"^> (?!Error)(.*)$", README.read_text(encoding="utf8"), flags=re.MULTILINE)
    assert len(quoted) == 3
    assert set(quoted) <= set(kept)
