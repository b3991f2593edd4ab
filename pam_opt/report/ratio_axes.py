"""Axes of figures over budgets: ratios of costs upwards, budgets side by side."""

import math
from collections.abc import Collection, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from pam_opt.report.style import GREY

_MARGIN = 0.1
_TICKS = (0.05, *(n / 10 for n in range(1, 10)), 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0)
_FINE_TICKS = tuple(n / 20 for n in range(10, 41))
_MOST_TICKS = 8


def ratio_axis(row: Sequence[Axes], values: Sequence[float], strip: float = 0.0) -> float:
    """Make y a logarithmic axis of these ratios, and leave a part of it empty at the top.

    Returns
    -------
    place : the ratio that stands in the lower middle of that part
    """
    low, high = math.log(min(values)), math.log(max(values))
    margin = 0.06 * max(high - low, 0.2)
    low, high = low - margin, high + margin
    top = low + (high - low) / (1 - strip)
    for axes in row:
        axes.set_yscale("log")
        axes.set_ylim(math.exp(low), math.exp(top))
        axes.yaxis.set_major_locator(FixedLocator(_ticks(math.exp(low), math.exp(high))))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(FixedLocator([]))
        axes.yaxis.set_minor_formatter(NullFormatter())
    return math.exp(low + (top - low) * (1 - 0.7 * strip))


def _ticks(low: float, high: float) -> list[float]:
    """Choose round ratios, 1 among them, not too many and not too close."""
    few = sum(low <= tick <= high for tick in _TICKS) < 3
    inside = [tick for tick in (_FINE_TICKS if few else _TICKS) if low <= tick <= high]
    least = math.log(high / low) / _MOST_TICKS
    chosen = [1.0]
    for tick in sorted(inside, key=lambda tick: abs(math.log(tick))):
        if all(abs(math.log(tick / other)) >= least for other in chosen):
            chosen.append(tick)
    return sorted(chosen)


def places_of(budgets: Sequence[float]) -> dict[float, float]:
    """Place budgets on an axis from 0 to 1, evenly."""
    return {b: _MARGIN + (1 - 2 * _MARGIN) * n / max(len(budgets) - 1, 1) for n, b in enumerate(budgets)}


def name_absent(axes: Axes, budgets: Sequence[float], there: Collection[float], words: str = "does not\napply") -> None:
    """Say of budgets that have no result at all that they have none, and why."""
    place = {"ha": "center", "va": "center", "fontsize": 6.5, "color": GREY, "backgroundcolor": "white"}
    for budget in budgets:
        if budget not in there:
            axes.text(places_of(budgets)[budget], 0.5, words, transform=axes.transAxes, **place)


def budget_axis(row: Sequence[Axes], budgets: Sequence[float]) -> None:
    """Make x the axis of budgets."""
    places = places_of(budgets)
    for axes in row:
        axes.set_xlim(0.0, 1.0)
        axes.set_xticks([places[budget] for budget in budgets], [f"{budget:g}" for budget in budgets])
