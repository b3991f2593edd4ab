"""Figure of a study of several widths: accuracy, and the lead over the control, with intervals over seeds.

Widths fall from left to right, so that lines part where their names stand.
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pam_opt.report.cells import (
    Results,
    Setting,
    Training,
    accuracies,
    methods_of,
    settings,
    training_text,
    trainings_of,
    width_text,
    widths_of,
)
from pam_opt.report.comparisons import CONTROL
from pam_opt.report.intervals import Interval, interval
from pam_opt.report.line_labels import Label, place_labels
from pam_opt.report.style import GREY, PAGE_WIDTH, Look, looks, plain

Curve = Mapping[float, Interval]
"""Width -> mean over seeds."""

_STEP = 0.021  # between the methods of one width, as a part of the axis
_MARGIN = 0.08


def accuracy_against_width(results: Sequence[Results]) -> Figure | None:
    """Draw accuracy against width, a column of panels for each training; None below two widths.

    Above, means with their own intervals and the parents as reference; below, if the study has the control, the
    paired differences to it.
    """
    known = settings(results)
    where = list(known)
    widths, trainings = widths_of(where), trainings_of(where)
    if len(widths) < 2:
        return None
    control = any(setting.method == CONTROL for setting in where)
    methods = [method for method in methods_of(where) if any(s.method == method and s.width for s in where)]
    look = looks(methods)
    figure = Figure(figsize=(max(PAGE_WIDTH, 2.75 * len(trainings) + 1.7), 6.1 if control else 3.6))
    rows = figure.subplots(1 + control, len(trainings), sharex=True, sharey="row", squeeze=False)
    figure.subplots_adjust(left=0.08, right=0.775, top=0.955, bottom=0.115 if control else 0.2, wspace=0.06, hspace=0.1)
    labels: list[tuple[Axes, list[Label]]] = []
    for axes, training in zip(rows[0], trainings, strict=True):
        curves = {method: _accuracy(results, known, method, training) for method in methods}
        ends = _panel(axes, curves, look, widths)
        axes.axhline(_parents(results), color=GREY, linewidth=1.1, dashes=(4, 2), zorder=1)
        axes.set_title(_heading(training), loc="left", fontsize=10, fontweight="bold")
        labels = [(axes, [*ends, Label("parents", 1.0, _parents(results), GREY)])]
    for axes, training in zip(rows[1], trainings, strict=True) if control else ():
        curves = {method: _lead(results, known, method, training) for method in methods if method != CONTROL}
        ends = _panel(axes, curves, look, widths)
        axes.axhline(0.0, zorder=1, **look[CONTROL].line)  # type: ignore[arg-type]
        labels[1:] = [(axes, [*ends, Label(CONTROL, 1.0, 0.0, look[CONTROL].colour)])]
    _words(rows[0][0], "accuracy on test, mean of the tasks (%)", "the mean", results, low=True)
    if control:
        _words(rows[1][0], f"accuracy above {CONTROL!r} (points)", "the paired difference", results, low=False)
    _name_axis(figure, rows[-1], results, known, widths)
    figure.draw_without_rendering()
    for axes, ends in labels:
        place_labels(axes, ends)
    return figure


def _name_axis(
    figure: Figure,
    row: Sequence[Axes],
    results: Sequence[Results],
    known: Mapping[Setting, str],
    widths: Sequence[float],
) -> None:
    """Write the widths below the lowest panels, with their cost where all methods have the same."""
    macs = {
        w: [results[0]["methods"][name]["expected_macs"] for s, name in known.items() if s.width == w] for w in widths
    }
    same = all(max(values) <= 1.01 * min(values) for values in macs.values())
    texts = [width_text(w) + (f"\n{macs[w][0] / 1e6:,.1f}" if same else "") for w in widths]
    for axes in row:
        axes.set_xticks([_places(widths)[width] for width in widths], texts)
    what = "width: units kept per layer / units of one parent's layer" + (
        "; below it E[C] (million MACs)" if same else ""
    )
    middle = (row[0].get_position().x0 + row[-1].get_position().x1) / 2
    figure.text(middle, 0.015, what, ha="center", va="bottom", fontsize=9)


def _places(widths: Sequence[float]) -> dict[float, float]:
    """Place widths on the axis: evenly by their logarithms, widest first."""
    logs = {width: math.log(widths[0] / width) for width in widths}
    return {width: _MARGIN + (1 - 2 * _MARGIN) * log / logs[widths[-1]] for width, log in logs.items()}


def _accuracy(results: Sequence[Results], known: Mapping[Setting, str], method: str, training: Training) -> Curve:
    names = {s.width: name for s, name in known.items() if s.width and (s.method, s.training) == (method, training)}
    return {width: interval(accuracies(results, name)) for width, name in names.items()}


def _lead(results: Sequence[Results], known: Mapping[Setting, str], method: str, training: Training) -> Curve:
    names = {
        width: (known.get(Setting(method, width, training)), known.get(Setting(CONTROL, width, training)))
        for width in widths_of(list(known))
    }
    return {
        width: interval([a - b for a, b in zip(accuracies(results, one), accuracies(results, two), strict=True)])
        for width, (one, two) in names.items()
        if one and two
    }


def _parents(results: Sequence[Results]) -> float:
    return interval(accuracies(results, "parents")).mean


def _panel(axes: Axes, curves: Mapping[str, Curve], look: Mapping[str, Look], widths: Sequence[float]) -> list[Label]:
    """Draw one line a method; the methods of one width stand beside each other, so that intervals do not overlap.

    Returns a label for the end of each line.
    """
    plain(axes)
    places, ends = _places(widths), []
    for number, (method, curve) in enumerate(curves.items()):
        shift = (number - (len(curves) - 1) / 2) * _STEP
        drawn = sorted(curve, reverse=True)
        means = [curve[width].mean for width in drawn]
        at = [places[width] + shift for width in drawn]
        line = look[method].line | {"marker": look[method].marker, "markersize": 4.5, "markeredgecolor": "white"}
        axes.plot(at, means, markeredgewidth=0.5, zorder=3, **line)  # type: ignore[arg-type]
        halves = [curve[width].half or 0.0 for width in drawn]
        axes.errorbar(at, means, halves, fmt="none", ecolor=look[method].colour, elinewidth=0.9, capsize=1.8, zorder=2)
        ends.append(Label(method, at[-1], means[-1], look[method].colour, look[method].marker))
    axes.set_xlim(0.0, 1.0)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    return ends


def _heading(training: Training) -> str:
    text = training_text(training)
    return text[0].upper() + text[1:]


def _words(axes: Axes, label: str, what: str, results: Sequence[Results], *, low: bool) -> None:
    """Name the unit of a row of panels, and say what its bars are."""
    axes.set_ylabel(label, fontsize=9)
    seeds = len(results)
    note = (
        f"bars: 95 % interval\nof {what} over\n{seeds} seeds (Student's t)" if seeds > 1 else "one seed, no intervals"
    )
    place, side = (0.04, "bottom") if low else (0.96, "top")
    axes.text(0.03, place, note, transform=axes.transAxes, fontsize=7.5, color=GREY, va=side)
