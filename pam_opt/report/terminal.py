"""Tables of results for a terminal."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from pam_opt.report.budget_tables import matrices
from pam_opt.report.budgets import has_budgets
from pam_opt.report.cells import Results
from pam_opt.report.intervals import Ratio
from pam_opt.report.table import result_cells


def rich_tables(
    results: Sequence[Results], title: str, *, against: str | None = None, ascii_only: bool = False
) -> list[Table]:
    """Draw tables for a terminal: all results in one, or for each pruner a table of methods and budgets.

    The latter has means only; a star says that the 95 % interval leaves out 1.

    Parameters
    ----------
    title : above the first table
    against : what costs of a study of several budgets are related to; see `pam_opt.report.budgets.baseline`
    ascii_only : for a terminal that cannot write ±
    """
    budgets = has_budgets(results)
    drawn = [matrix.lines for matrix in matrices(results, against, _brief)] if budgets else [result_cells(results)]
    titles = [title, *[None] * (len(drawn) - 1)]
    return [_table(lines, text, ascii_only) for lines, text in zip(drawn, titles, strict=True)]


def _brief(ratio: Ratio) -> str:
    """Write a ratio in few columns: starred where its interval leaves out 1."""
    return f"{ratio.mean:.2f}{'*' if ratio.side else ' '}"


def _table(lines: Sequence[Sequence[str]], title: str | None, ascii_only: bool) -> Table:
    header, *rest = [[cell.replace("±", "+/-") if ascii_only else cell for cell in line] for line in lines]
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False, box=box.SIMPLE_HEAD)
    table.padding, table.show_edge = (0, 0, 0, 0), False
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=number == 0, overflow="fold")
    for line in rest:
        table.add_row(*line)
    return table
