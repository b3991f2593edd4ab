"""Tables, figures and sentences from ``results.json``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pam_opt.atomic import write_text
from pam_opt.errors import StorageError
from pam_opt.report.figures import write_figures
from pam_opt.report.sentences import findings
from pam_opt.report.table import markdown_table, not_applicable, rich_table, seed_ratios_table
from pam_opt.report.width_tables import comparisons_table, losses_table, widths_table

__all__ = [
    "OUTSIDE",
    "comparisons_table",
    "findings",
    "losses_table",
    "markdown_table",
    "not_applicable",
    "outside",
    "read_results",
    "rich_table",
    "seed_ratios_table",
    "summary",
    "widths_table",
    "write_figures",
    "write_summary",
]


def read_results(path: Path) -> dict[str, Any]:
    """Read a ``results.json``.

    Raises
    ------
    StorageError : not readable, or of another schema
    """
    try:
        results = json.loads(path.read_text(encoding="utf8"))
        if results["schema"] != 1:
            raise ValueError(f"schema {results['schema']}, this version reads 1")
        if not results["methods"] or not all(cell["combinations"] for cell in results["methods"].values()):
            raise ValueError("it has no methods")
        if not all(isinstance(reason, str) for reason in results.get("does_not_apply", {}).values()):
            raise ValueError("a method that does not apply has no reason")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as err:
        raise StorageError(f"{str(path)!r} holds no results: {err}") from err
    return results


OUTSIDE = "(!) outside the allowed drop on validation in at least one seed; its cost does not count."


def outside(results: Sequence[dict[str, Any]]) -> bool:
    """Whether any method of any seed ended outside the allowed drop."""
    return any(cell["within_drop"] is False for result in results for cell in result["methods"].values())


def write_summary(results: Sequence[dict[str, Any]], out: Path) -> list[Path]:
    """Write ``table.md`` and the figures; return the paths."""
    table = out / "table.md"
    write_text(table, summary(results))
    return [table, *write_figures(results, out / "figures")]


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Write all tables over all seeds, and what they show, as Markdown."""
    found = findings(results) + "\n"
    if any(cell["within_drop"] is not None for cell in results[0]["methods"].values()):
        parts = [OUTSIDE + "\n" if outside(results) else "", found, seed_ratios_table(results)]
    else:
        parts = [widths_table(results), comparisons_table(results), losses_table(results), found]
    absent = "".join(f"{line}\n" for line in not_applicable(results))
    return "\n".join(part for part in [markdown_table(results), absent, *parts] if part)
