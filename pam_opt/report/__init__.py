"""Tables, figures and sentences from ``results.json``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pam_opt.atomic import write_text
from pam_opt.errors import StorageError
from pam_opt.report.figures import write_figures
from pam_opt.report.sentences import findings
from pam_opt.report.table import markdown_table, rich_table

__all__ = ["findings", "markdown_table", "read_results", "rich_table", "write_figures", "write_summary"]


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
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise StorageError(f"{str(path)!r} holds no results: {err}") from err
    return results


def write_summary(results: Sequence[dict[str, Any]], out: Path) -> list[Path]:
    """Write ``table.md`` over all seeds and the figures of the first; return the paths."""
    table = out / "table.md"
    write_text(table, markdown_table(results) + "\n" + findings(results) + "\n")
    return [table, *write_figures(results[0], out / "figures")]
