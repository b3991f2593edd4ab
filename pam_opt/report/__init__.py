"""Tables, figures, sentences and a flat file from the ``results.json`` of a study's seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pam_opt.atomic import write_text
from pam_opt.report.budget_tables import combinations_table, matrices_table
from pam_opt.report.budgets import has_budgets
from pam_opt.report.duels import duels_table
from pam_opt.report.figures import write_figures
from pam_opt.report.finished import missing_seeds, read_finished, read_results
from pam_opt.report.flat import write_parquet
from pam_opt.report.published import published_table
from pam_opt.report.sentences import findings
from pam_opt.report.table import markdown_table, not_applicable, seed_ratios_table
from pam_opt.report.terminal import rich_tables
from pam_opt.report.width_tables import comparisons_table, losses_table, widths_table

__all__ = [
    "OUTSIDE",
    "combinations_table",
    "comparisons_table",
    "duels_table",
    "findings",
    "has_budgets",
    "losses_table",
    "markdown_table",
    "matrices_table",
    "missing_seeds",
    "not_applicable",
    "outside",
    "published_table",
    "read_finished",
    "read_results",
    "rich_tables",
    "seed_ratios_table",
    "summary",
    "widths_table",
    "write_figures",
    "write_parquet",
    "write_summary",
]


OUTSIDE = "(!) outside the allowed drop on validation in at least one seed; its cost does not count."


def outside(results: Sequence[dict[str, Any]]) -> bool:
    """Whether any method of any seed ended outside the allowed drop."""
    return any(cell["within_drop"] is False for result in results for cell in result["methods"].values())


def write_summary(results: Sequence[dict[str, Any]], out: Path, against: str | None = None) -> list[Path]:
    """Write ``table.md``, ``results.parquet`` and the figures; return the paths.

    Parameters
    ----------
    against : what the figures relate costs to; see `write_figures`

    Raises
    ------
    ConfigError : the study has no method `against`
    StorageError : something cannot be written
    """
    table = out / "table.md"
    write_text(table, summary(results))
    return [table, write_parquet(results, out / "results.parquet"), *write_figures(results, out / "figures", against)]


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Write all tables over all seeds, and what they show, as Markdown."""
    found = findings(results) + "\n"
    absent = "".join(f"{line}\n" for line in not_applicable(results))
    marks = OUTSIDE + "\n" if outside(results) else ""
    if has_budgets(results):
        return _summary_of_budgets(results, [marks, absent], found)
    if any(cell["within_drop"] is not None for cell in results[0]["methods"].values()):
        parts = [markdown_table(results), absent, marks, found, seed_ratios_table(results)]
    else:
        tables = [widths_table(results), comparisons_table(results), losses_table(results)]
        parts = [markdown_table(results), absent, *tables, found]
    return "\n".join(part for part in parts if part)


def _summary_of_budgets(results: Sequence[dict[str, Any]], notes: Sequence[str], found: str) -> str:
    sections = {
        "E[C] at equal accuracy, by the training that pruning was given": [matrices_table(results), *notes, found],
        "Rivals": [duels_table(results)],
        "Beside the published ratios": [published_table(results)],
        "What heuristics lose of the objective": [losses_table(results)],
        "Every combination": [combinations_table(results)],
    }
    texts = {title: "\n".join(part for part in parts if part) for title, parts in sections.items()}
    return "\n".join(f"## {title}\n\n{text}" for title, text in texts.items() if text)
