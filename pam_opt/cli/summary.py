"""What ``pam-opt run`` and ``pam-opt report`` print of a study, and the files they write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pam_opt.cli.console import OUTPUT
from pam_opt.report import OUTSIDE, findings, has_budgets, not_applicable, outside, rich_tables, write_summary


def write_and_print(results: Sequence[dict[str, Any]], out: Path, against: str | None = None) -> list[Path]:
    """Write tables and figures into `out`, print what they show, and return the paths of what was written."""
    written = write_summary(results, out, against)
    for table in rich_tables(results, _title(results), against=against, ascii_only=OUTPUT.options.ascii_only):
        OUTPUT.print()
        OUTPUT.print(table)
    if has_budgets(results):
        OUTPUT.print("* its 95 % interval leaves out 1; the intervals are in table.md", highlight=False)
    if outside(results):
        OUTPUT.print(OUTSIDE)
    for line in not_applicable(results):
        OUTPUT.print(line, markup=False, soft_wrap=True, highlight=False)
    OUTPUT.print(findings(results), markup=False, soft_wrap=True, highlight=False)
    return written


def _title(results: Sequence[dict[str, Any]]) -> str:
    experiment = results[0]["experiment"]
    prune = experiment.get("prune")
    what = "E[C]" if has_budgets(results) else "accuracy on the test split"
    return f"{experiment['name']}: {what}{_limit(prune)} ({_seeds(results)})"


def _limit(prune: dict[str, Any] | None) -> str:
    """Say how far was pruned."""
    if prune is None:
        return ""
    if prune.get("max_drop") is not None:
        of = " of plain accuracy" if prune.get("limit") == "plain" else ""
        return f", pruned to a drop of at most {100 * prune['max_drop']:g} points{of}"
    return f", pruned to {prune['target_macs']:,.0f} MACs"


def _seeds(results: Sequence[dict[str, Any]]) -> str:
    if len(results) == 1:
        return f"seed {results[0]['experiment']['seed']}"
    spread = "geometric mean" if has_budgets(results) else "mean ± standard deviation"
    return f"{len(results)} seeds, {spread}"
