"""When the solver matters: rivals that differ in it alone, under every budget of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pam_opt.report.budgets import PAIRS, Panel, Panels, budgets_in, methods_in, panels, relative
from pam_opt.report.cells import Results, count_text
from pam_opt.report.intervals import Ratio
from pam_opt.report.rows import Row
from pam_opt.report.table import as_markdown


@dataclass(frozen=True)
class Duel:
    """E[C] of one method relative to that of another, on the same seeds.

    Parameters
    ----------
    first, second : names of the methods
    panel : where they meet
    ratios : budget -> ratio; None unless both are within the allowed drop in all seeds
    inside : budget -> names of those that are
    """

    first: str
    second: str
    panel: Panel
    ratios: dict[float, Ratio | None]
    inside: dict[float, tuple[str, ...]]

    def verdict(self, budget: float) -> str:
        """Say how it ended under one budget; one seed decides nothing."""
        found = self.ratios[budget]
        if found is None:
            names = self.inside[budget]
            return f"only {names[0]!r} is within the drop" if names else "neither is within the drop"
        if found.low is None:
            return f"{found} times as dear"
        return ("undecided", "dearer", "cheaper")[found.side]

    def cell(self, budget: float) -> str:
        """Write ratio and verdict for a table."""
        found = self.ratios.get(budget)
        if found is None:
            return f"- ({self.verdict(budget)})" if budget in self.ratios else "-"
        return str(found) if found.low is None else f"{found} {self.verdict(budget)}"


def pairs_of(found: Panels) -> list[tuple[str, str]]:
    """List the pairs of rivals that a study has."""
    return [pair for pair in PAIRS if {*pair} <= {*methods_in(found)}]


def duels(results: Sequence[Results]) -> list[Duel]:
    """Let all rivals meet under every budget that has both."""
    found = panels(results)
    made = [_duel(pair, panel, by) for pair in pairs_of(found) for panel, by in found.items()]
    return [duel for duel in made if duel.ratios]


def _duel(pair: tuple[str, str], panel: Panel, by: Mapping[float, Mapping[str, Row]]) -> Duel:
    both = {budget: [methods[name] for name in pair] for budget, methods in by.items() if {*pair} <= methods.keys()}
    ratios = {budget: relative(*rows) for budget, rows in both.items()}
    inside = {budget: tuple(row.setting.method for row in rows if row.counts) for budget, rows in both.items()}
    return Duel(*pair, panel, ratios, inside)


def duels_table(results: Sequence[Results]) -> str:
    """Write every duel as a line of a Markdown table; empty without rivals."""
    made, budgets = duels(results), budgets_in(panels(results))
    if not made:
        return ""
    header = ["E[C], first / second", *(count_text(budget) for budget in budgets)]
    lines = [[f"{d.first} / {d.second}, {d.panel.title}", *(d.cell(budget) for budget in budgets)] for d in made]
    return as_markdown([header, *lines])


def duel_sentences(results: Sequence[Results]) -> list[str]:
    """Say of every pair of rivals under which budgets one is cheaper, a sentence each."""
    found: dict[tuple[str, str], list[Duel]] = {}
    for duel in duels(results):
        found.setdefault((duel.first, duel.second), []).append(duel)
    return [
        f"{first!r} against {second!r}: {'; '.join(f'{duel.panel.title}: {_course(duel)}' for duel in group)}."
        for (first, second), group in found.items()
    ]


def _course(duel: Duel) -> str:
    """Put the budgets of the same verdict together."""
    verdicts: dict[str, list[float]] = {}
    for budget in duel.ratios:
        verdicts.setdefault(duel.verdict(budget), []).append(budget)
    return ", ".join(f"{verdict} at {_counted(budgets)}" for verdict, budgets in verdicts.items())


def _counted(budgets: Sequence[float]) -> str:
    if len(budgets) == 1:
        return count_text(budgets[0])
    return f"{', '.join(f'{budget:g}' for budget in budgets[:-1])} and {budgets[-1]:g} epochs"
