"""Tables of studies of several budgets: methods against budgets, and every combination's accuracy and cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pam_opt.report.budgets import PAM, Baseline, Panel, Panels, baseline, budgets_in, methods_in, panels, relative
from pam_opt.report.cells import Results, count_text
from pam_opt.report.intervals import Ratio
from pam_opt.report.rows import Row, parents_row
from pam_opt.report.table import as_markdown, kilo, spread


@dataclass(frozen=True)
class Matrix:
    """E[C] of every method at every budget, relative to what `against` names: a table of one pruner, header first."""

    panel: Panel
    against: str
    lines: list[list[str]]


def matrices(
    results: Sequence[Results], against: str | None = None, write: Callable[[Ratio], str] = str
) -> list[Matrix]:
    """Write a matrix for every pruner, each ratio as `write` does."""
    found, base = panels(results), baseline(results, against)
    return [Matrix(panel, base.name, _matrix(found, panel, base, write)) for panel in found]


def _matrix(found: Panels, panel: Panel, base: Baseline, write: Callable[[Ratio], str]) -> list[list[str]]:
    budgets = {budget: found[panel].get(budget, {}) for budget in budgets_in(found)}
    header = [f"{panel.title}: E[C] / {base.name}", *(count_text(budget) for budget in budgets)]
    names = [name for name in methods_in({panel: found[panel]}) if name != base.name]
    return [header, *([name, *(_cell(rows, name, base, write) for rows in budgets.values())] for name in names)]


def _cell(methods: dict[str, Row], name: str, base: Baseline, write: Callable[[Ratio], str]) -> str:
    row, other = methods.get(name), base.row(methods)
    if row is None or other is None:
        return "-"
    found = relative(row, other)
    if found is None:
        return "(!) outside" if not row.counts else f"- ({base.name} outside)"
    return write(found)


def matrices_table(results: Sequence[Results]) -> str:
    """Write the matrices as Markdown, relative to the baseline, and to PAM where the study has it."""
    has_pam = PAM in methods_in(panels(results))
    made = [*matrices(results), *(matrices(results, PAM) if has_pam else [])]
    return "\n".join(as_markdown(matrix.lines) for matrix in made)


def combinations_table(results: Sequence[Results]) -> str:
    """Write accuracy and MACs of every combination, a Markdown table for each pruner and budget.

    Accuracy is the task's metric, and plain accuracy beside it where that differs; of several tasks it is their mean.
    """
    parents = parents_row(results)
    texts = []
    for panel, budgets in panels(results).items():
        for budget, methods in budgets.items():
            table = [parents, *methods.values()]
            lines = _combinations(table, f"{panel.title}, {count_text(budget)}")
            texts.append(as_markdown(lines))
    return "\n".join(texts)


def _combinations(table: Sequence[Row], title: str) -> list[list[str]]:
    keys = list(table[-1].macs)
    measured = [key for key in keys if "+" not in key or key == keys[-1]]
    plain = all(row.plain for row in table) and any(row.plain != row.accuracy for row in table)
    header = [title, *(f"{key} %" for key in measured), *(f"{key} plain %" for key in measured if plain)]
    header += [*(f"{key} kMAC" for key in keys), "E[C] kMAC", "/ separate"]
    return [header, *(_combination_cells(row, keys, measured, plain) for row in table)]


def _combination_cells(row: Row, keys: Sequence[str], measured: Sequence[str], plain: bool) -> list[str]:
    cells = [spread(row.percent(key), 1) for key in measured]
    cells += [spread(row.percent(key, plain=True), 1) for key in measured if plain]
    cells += [kilo(row.macs[key]) for key in keys]
    mark = "" if row.counts else " (!)"
    return [row.setting.method + mark, *cells, kilo(row.expected), spread(row.ratios, 2) if row.ratios else ""]
