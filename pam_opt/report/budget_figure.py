"""Figure of a study of several budgets: E[C] at equal accuracy against the training that pruning was given."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pam_opt.report.budgets import (
    PAIRS,
    PAM,
    Baseline,
    Panels,
    baseline,
    budgets_in,
    methods_in,
    panels,
    relative,
)
from pam_opt.report.cells import Results
from pam_opt.report.intervals import Ratio
from pam_opt.report.line_labels import NAMES_FROM, Label, place_labels
from pam_opt.report.ratio_axes import budget_axis, name_absent, places_of, ratio_axis
from pam_opt.report.rows import Row
from pam_opt.report.style import COLOURS, GREY, PAGE_WIDTH, Look, heading, looks, plain

_STEP = 0.019
"""Between the methods of one budget, as a part of the axis."""
_STRIP = 0.17
"""Part of a panel's height for what is outside the allowed drop."""
_LEFT = 0.61
"""Inches left of the panels."""
_PAM_LOOK = Look(COLOURS[-1], (), "*")

Curve = Mapping[float, Ratio | None]
"""Budget -> E[C] relative to the baseline; None outside the allowed drop."""


def cost_against_budget(results: Sequence[Results], against: str | None = None) -> Figure | None:
    """Draw E[C] relative to a baseline, one panel a pruner; None below two budgets.

    Systems stand above, what differs in its solver alone stands below, with PAM in both for comparison. What is outside
    the allowed drop in a seed has its marks in a strip of their own.
    """
    found, base = panels(results), baseline(results, against)
    budgets, groups = budgets_in(found), _groups(found, base)
    if len(budgets) < 2 or not groups:
        return None
    figure = Figure(figsize=(max(PAGE_WIDTH, 2.75 * len(found) + 1.7), 2.75 * len(groups) + 0.95))
    grid = figure.subplots(len(groups), len(found), sharex=True, sharey="row", squeeze=False)
    _place_panels(figure, len(found))
    for row, methods in zip(grid, groups, strict=True):
        _row_of_panels(row, found, methods, base, budgets)
    for axes, panel in zip(grid[0], found, strict=True):
        heading(axes, panel.title)
    for row in grid:
        for axes, by in zip(row, found.values(), strict=True):
            name_absent(axes, budgets, by)
            name_absent(axes, budgets, set(budgets) - _without_base(by, base), f"{base.text}\noutside")
    budget_axis(grid[-1], budgets)
    _words(figure, len(results), base, len(groups))
    return figure


def _place_panels(figure: Figure, columns: int) -> None:
    """Leave room for the names of the lines, which stand at a part of a panel's width behind the last one."""
    width, height, gap, names = figure.get_figwidth(), figure.get_figheight(), 0.06, 1.45
    one = (width - _LEFT - names) / (columns + gap * (columns - 1) + NAMES_FROM - 1)
    right = (_LEFT + one * (columns + gap * (columns - 1))) / width
    figure.subplots_adjust(_LEFT / width, 0.87 / height, right, 1 - 0.28 / height, wspace=gap, hspace=0.08)


def _groups(found: Panels, base: Baseline) -> list[list[str]]:
    """Split the methods into systems, and those that differ in their solver alone."""
    solvers = {name for pair in PAIRS for name in pair if not name.startswith(PAM)}
    names = [name for name in methods_in(found) if name != base.name]
    below = [name for name in names if name in solvers]
    above = [name for name in names if name not in solvers]
    if below and above and PAM in above:
        below.append(PAM)
    return [group for group in (above, below) if group]


def _row_of_panels(
    row: Sequence[Axes], found: Panels, methods: Sequence[str], base: Baseline, budgets: Sequence[float]
) -> None:
    """Draw the panels of some methods, and name their lines at the right."""
    look = looks([name for name in methods if name != PAM]) | {PAM: _PAM_LOOK}
    drawn = [{name: _curve(by, name, base) for name in methods} for by in found.values()]
    points = [point for curves in drawn for curve in curves.values() for point in curve.values()]
    strip = _STRIP if None in points else 0.0
    top = ratio_axis(row, [1.0, *(value for point in points if point for value in point.values)], strip)
    ends: list[Label] = []
    for axes, curves in zip(row, drawn, strict=True):
        plain(axes)
        axes.grid(axis="x", visible=False)
        axes.set_xlim(0.0, 1.0)
        if strip:
            _name_strip(axes)
        axes.axhline(1.0, color=GREY, linewidth=1.1, dashes=(4, 2), zorder=1)
        ends = _panel(axes, curves, look, budgets, top)
    row[0].set_ylabel(f"E[C] / E[C] of {base.text}", fontsize=9)
    place_labels(row[-1], [*ends, Label(base.name, 1.0, 1.0, GREY)])


def _without_base(by: Mapping[float, Mapping[str, Row]], base: Baseline) -> set[float]:
    """Find the budgets under which there is nothing to compare with: the baseline is outside the drop."""
    return {budget for budget, methods in by.items() if (row := base.row(methods)) and not row.counts}


def _curve(by: Mapping[float, Mapping[str, Row]], name: str, base: Baseline) -> Curve:
    """Relate a method to the baseline under every budget that has both."""
    usable = {budget: base.row(methods) for budget, methods in by.items() if name in methods}
    return {budget: relative(by[budget][name], other) for budget, other in usable.items() if other and other.counts}


def _name_strip(axes: Axes) -> None:
    inside = axes.transAxes
    axes.fill_between([0, 1], [1 - _STRIP] * 2, [1, 1], transform=inside, color="#f1f1f1", linewidth=0, zorder=0.5)
    axes.text(0.02, 0.985, "outside the allowed drop", transform=inside, fontsize=7, color=GREY, va="top")


def _panel(
    axes: Axes, curves: Mapping[str, Curve], look: Mapping[str, Look], budgets: Sequence[float], top: float
) -> list[Label]:
    """Draw one line a method, broken where it is outside the drop; return a label for the end of each line."""
    places, ends = places_of(budgets), []
    for number, (name, curve) in enumerate(curves.items()):
        if not curve:
            continue
        shift = (number - (len(curves) - 1) / 2) * _STEP
        at = {budget: places[budget] + shift for budget in curve}
        mark = {"marker": look[name].marker, "markersize": 7.0 if look[name].marker == "*" else 4.8}
        known = [curve.get(budget) for budget in budgets]
        means = [value.mean if value else math.nan for value in known]
        line = look[name].line | mark | {"markeredgecolor": "white", "markeredgewidth": 0.5}
        axes.plot([places[budget] + shift for budget in budgets], means, zorder=3, **line)  # type: ignore[arg-type]
        seeds = [(at[budget], seed) for budget, value in curve.items() if value for seed in value.values]
        axes.scatter([x for x, _ in seeds], [y for _, y in seeds], s=5, c=look[name].colour, alpha=0.45, lw=0, zorder=2)
        out = [at[budget] for budget, value in curve.items() if value is None]
        hollow = {"linestyle": "", "color": look[name].colour, "markerfacecolor": "white", "markersize": 4.5}
        axes.plot(out, [top] * len(out), marker=look[name].marker, zorder=4, **hollow)  # type: ignore[arg-type]
        last, value = list(curve.items())[-1]
        ends.append(Label(name, at[last], value.mean if value else top, look[name].colour, look[name].marker))
    return ends


def _words(figure: Figure, seeds: int, base: Baseline, rows: int) -> None:
    """Name the x axis, and say what marks are."""
    inch = 1 / figure.get_figheight()
    marks = f"marks: geometric mean of {seeds} seeds, dots: seeds" if seeds > 1 else "marks: one seed"
    note = f"{marks}; only networks within the allowed drop of accuracy, in all seeds\n"
    note += f"Below 1: cheaper than {base.text}"
    if rows > 1:
        note += ". Upper panels: whole systems; lower ones: choice of units and its solver"
    middle = (_LEFT / figure.get_figwidth() + figure.subplotpars.right) / 2
    figure.text(middle, 0.43 * inch, "training while pruning (epochs)", ha="center", fontsize=9)
    figure.text(_LEFT / figure.get_figwidth(), 0.07 * inch, note, fontsize=7.5, color=GREY)
