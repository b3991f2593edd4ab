"""Figure of a study of several budgets: when the solver matters."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pam_opt.report.budgets import budgets_in, panels
from pam_opt.report.cells import Results
from pam_opt.report.duels import Duel, duels
from pam_opt.report.intervals import Ratio
from pam_opt.report.ratio_axes import budget_axis, name_absent, places_of, ratio_axis
from pam_opt.report.style import COLOURS, GREY, PAGE_WIDTH, heading, plain

_CHEAPER, _DEARER = COLOURS[0], COLOURS[1]
_HEIGHT = 1.25
_LEFT = 1.98
"""Inches left of the panels."""
_MOST_AROUND = 1.5
"""Intervals that reach further beyond all seeds than this factor run out of their panel."""


def solver_against_budget(results: Sequence[Results]) -> Figure | None:
    """Draw E[C] of one method relative to its rival, a row of panels for each pair and a column for each pruner.

    Intervals are those of the paired ratios; None below two budgets or without a pair.
    """
    met = duels(results)
    pairs = list(dict.fromkeys((duel.first, duel.second) for duel in met))
    budgets = budgets_in(panels(results))
    if len(budgets) < 2 or not pairs:
        return None
    columns = list(panels(results))
    figure = Figure(figsize=(max(PAGE_WIDTH, 2.4 * len(columns) + 2.1), _HEIGHT * len(pairs) + 1.15))
    inch = 1 / figure.get_figheight()
    grid = figure.subplots(len(pairs), len(columns), sharex=True, sharey="row", squeeze=False)
    figure.subplots_adjust(_LEFT / figure.get_figwidth(), 0.87 * inch, 0.985, 1 - 0.28 * inch, wspace=0.06, hspace=0.16)
    for row, pair in zip(grid, pairs, strict=True):
        group = {duel.panel: duel for duel in met if (duel.first, duel.second) == pair}
        _row(row, [group.get(panel) for panel in columns], pair, budgets)
    for axes, panel in zip(grid[0], columns, strict=True):
        heading(axes, panel.title)
    budget_axis(grid[-1], budgets)
    _words(figure, len(results))
    return figure


def _row(row: Sequence[Axes], group: Sequence[Duel | None], pair: tuple[str, str], budgets: Sequence[float]) -> None:
    """Draw what became of one pair of rivals, a panel each."""
    ratio_axis(row, [1.0, *_heights([value for duel in group if duel for value in duel.ratios.values() if value])])
    for axes, duel in zip(row, group, strict=True):
        plain(axes)
        axes.grid(axis="x", visible=False)
        axes.axhline(1.0, color=GREY, linewidth=1.1, dashes=(4, 2), zorder=1)
        if duel:
            _panel(axes, duel.ratios, budgets)
            _say_why(axes, duel, budgets)
        name_absent(axes, budgets, duel.ratios if duel else ())
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "center", "fontsize": 8}
    row[0].annotate(f"{pair[0]}\n/ {pair[1]}", (0.0, 0.5), (-27, 0), **place)


def _heights(ratios: Sequence[Ratio]) -> list[float]:
    """List what a panel shows: all seeds, and of wider intervals as much as lies near them."""
    seeds = [seed for ratio in ratios for seed in ratio.values]
    ends = [end for ratio in ratios for end in (ratio.low, ratio.high) if end is not None]
    return [*seeds, *(min(max(end, min(seeds) / _MOST_AROUND), max(seeds) * _MOST_AROUND) for end in ends)]


def _panel(axes: Axes, values: Mapping[float, Ratio | None], budgets: Sequence[float]) -> None:
    """Draw means with their intervals: filled and coloured where that is decided, otherwise hollow."""
    for budget, value in values.items():
        if value is None:
            continue
        x = places_of(budgets)[budget]
        colour = (GREY, _DEARER, _CHEAPER)[value.side]
        if value.low is not None and value.high is not None:
            axes.plot([x, x], [value.low, value.high], color=colour, linewidth=1.4, zorder=2)
        axes.scatter([x + 0.035] * len(value.values), value.values, s=6, c=colour, alpha=0.5, lw=0, zorder=2)
        face = colour if value.side else "white"
        axes.plot(x, value.mean, "o", color=colour, markerfacecolor=face, markersize=5.5, zorder=3)


def _say_why(axes: Axes, duel: Duel, budgets: Sequence[float]) -> None:
    """Name whose network is outside the allowed drop where nothing can be compared."""
    place = {"ha": "center", "va": "center", "fontsize": 6.5, "color": GREY, "backgroundcolor": "white"}
    for budget in (budget for budget, value in duel.ratios.items() if value is None):
        outside = [name for name in (duel.first, duel.second) if name not in duel.inside[budget]]
        text = "both\noutside" if len(outside) == 2 else f"{outside[0]}\noutside"
        axes.text(places_of(budgets)[budget], 0.5, text, transform=axes.transAxes, **place)


def _words(figure: Figure, seeds: int) -> None:
    inch = 1 / figure.get_figheight()
    marks = f"bars: 95 % interval of the paired ratio over {seeds} seeds (Student's t on logarithms), dots: seeds"
    note = f"{marks}\nfilled: the interval leaves out 1 (blue: cheaper, red: dearer); hollow: undecided"
    middle = (_LEFT / figure.get_figwidth() + figure.subplotpars.right) / 2
    figure.text(middle, 0.43 * inch, "training while pruning (epochs)", ha="center", fontsize=9)
    figure.text(0.03, 0.07 * inch, note if seeds > 1 else "one seed: nothing is decided", fontsize=7.5, color=GREY)
    figure.text(0.03, 1 - 0.2 * inch, "E[C] of one / of the other", fontsize=9)
