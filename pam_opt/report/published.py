"""What PAM's authors report for LeNet-5, beside what a study of the same methods comes to."""

from collections.abc import Sequence
from dataclasses import dataclass

from pam_opt.report.budgets import PAM, panels
from pam_opt.report.cells import Results, count_text
from pam_opt.report.intervals import ratio
from pam_opt.report.rows import SEPARATE, Row
from pam_opt.report.table import as_markdown

SHARED = "all-shared"
"""PAM's baseline 2; `SEPARATE` is its baseline 1."""


@dataclass(frozen=True)
class Published:
    """Ratios of MFLOPs for {A}, {B} and {A,B}; - where there is none.

    Parameters
    ----------
    name : the authors' name of the pruning method
    ratios : baseline -> its cost relative to PAM's
    """

    name: str
    ratios: dict[str, tuple[str, str, str]]


PUBLISHED = {
    "vib": Published("P1", {SHARED: ("1.85", "2.01", "1.08"), SEPARATE: ("0.995", "1.08", "1.16")}),
    "taylor-pam": Published("P2", {SHARED: ("1.67", "-", "1.18"), SEPARATE: ("1.00", "-", "1.41")}),
}
"""LeNet-5, FashionMNIST, two tasks of five labels [1]; P2 {A,B} is derived from constants in the authors' code.

References
----------
.. [1] X. He, D. Gao, Z. Zhou, Y. Tong, L. Thiele, Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021,
   arXiv:1905.09676
"""

NOTE = (
    "Ratios of MACs: geometric mean over seeds (95 % interval). Published: of MFLOPs, LeNet-5 on FashionMNIST, two "
    "tasks of five labels, where PAM is up to 0.7 points less accurate than its baselines; other data and other "
    "budgets of training, so equal ratios are not to be expected."
)
_LABELS = {SHARED: "B2 / PAM", SEPARATE: "B1 / PAM"}


def published_table(results: Sequence[Results]) -> str:
    """Write the baselines' costs relative to PAM's beside the published ones, as Markdown.

    Empty unless the study has two tasks, ``pam`` and one of its baselines, and a pruner that the authors used.
    """
    tasks = [task["name"] for task in results[0]["experiment"].get("tasks", ())]
    if len(tasks) != 2:
        return ""
    keys = [*tasks, "+".join(sorted(tasks))]
    lines = [line for name in PUBLISHED for line in _lines(results, name, keys)]
    header = ["baseline / PAM", *(f"{key} {{{name}}}" for key, name in zip(keys, ("A", "B", "A,B"), strict=True))]
    return f"{as_markdown([header, *lines])}\n{NOTE}\n" if lines else ""


def _lines(results: Sequence[Results], pruner: str, keys: Sequence[str]) -> list[list[str]]:
    lines = []
    for reference, published in PUBLISHED[pruner].ratios.items():
        ours = [
            [f"{reference} / {PAM}, {panel.title} {count_text(budget)}", *_cells(methods, reference, keys)]
            for panel, budgets in panels(results).items()
            if panel.pruner == pruner
            for budget, methods in budgets.items()
            if {PAM, reference} <= methods.keys()
        ]
        if ours:
            label = f"published on FashionMNIST: {_LABELS[reference]}, {PUBLISHED[pruner].name}"
            lines += [*ours, [label, *published]]
    return lines


def _cells(methods: dict[str, Row], reference: str, keys: Sequence[str]) -> list[str]:
    one, two = methods[reference], methods[PAM]
    if not (one.counts and two.counts):
        return [f"- ({' and '.join(row.setting.method for row in (one, two) if not row.counts)} outside)"] * len(keys)
    return [str(ratio(one.macs[key], two.macs[key])) for key in keys]
