"""Figures of a benchmark, one function each; those that a board has no data for return None."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from pam_opt.report.bench.board import TARGET, Board, Entry, mean_seconds, profile
from pam_opt.report.style import (
    MOST_PERCENT,
    Look,
    heading,
    legend,
    panels,
    percent_axis,
    seconds_axis,
    size_axis,
    wrapped,
)

Looks = Mapping[str, Look]

LOSS = "loss against the best known value (%)"
AT_BEST = "at the best known value: "


def performance_profile(board: Board, looks: Looks) -> Figure | None:
    """Draw on how many instances each solver is within a multiple of the fastest one's time."""
    curves = {label: profile(board, label) for label in board.labels}
    right = 2.0 * max((ratio for ratios, _ in curves.values() for ratio in ratios), default=1.0)
    if all(not ratios for ratios, _ in curves.values()):
        return None
    figure, (axes,) = panels(1, height=3.2)
    for label, (ratios, parts) in curves.items():
        heights = [0.0, *(100 * part for part in parts)]
        places = [1.0, *ratios, right]
        look = looks[label]
        axes.step(places, [*heights, heights[-1]], where="post", label=label, **look.line)  # type: ignore[arg-type]
        axes.plot(right, heights[-1], look.marker, color=look.colour, markersize=5, clip_on=False, zorder=5)
    axes.set_xscale("log", base=2 if right <= 300 else 10)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(1, right)
    axes.set_ylim(-2, 102)
    axes.set_xlabel(f"time to within {100 * TARGET:g} % of the best known value (multiple of the fastest solver's)")
    axes.set_ylabel("instances (%)")
    legend(figure, [axes])
    return figure


def quality_and_time(board: Board, looks: Looks) -> Figure | None:
    """Draw median loss against mean time, a point for each size, larger ones for larger sizes."""
    figure, (axes,) = panels(1, height=3.4)
    top, drawn = 0.0, False
    for label in board.labels:
        points = [point for size in board.sizes if (point := _quality(board, label, size))]
        if not points:
            continue
        drawn, top = True, max(top, *(loss for _, loss, _ in points))
        look = looks[label]
        times, losses = [time for time, _, _ in points], [loss for _, loss, _ in points]
        axes.plot(times, losses, alpha=0.7, **look.line)  # type: ignore[arg-type]
        areas = [22 + 26 * board.sizes.index(size) for _, _, size in points]
        axes.scatter(
            times, losses, s=areas, c=look.colour, marker=look.marker, edgecolors="white", linewidths=0.7, zorder=4
        )
        axes.plot([], [], marker=look.marker, markersize=5, label=label, **look.line)  # type: ignore[arg-type]
    if not drawn:
        return None
    percent_axis(axes, top)
    seconds_axis(axes)
    sizes = ", ".join(map(str, board.sizes))
    axes.set_xlabel(f"time, shifted geometric mean (s); marks grow with the size: {sizes} {board.unit}")
    axes.set_ylabel(f"median {LOSS}")
    legend(figure, [axes])
    return figure


def gap_over_time(board: Board, looks: Looks) -> Figure | None:
    """Draw how far decision and bound are from the best known value at every moment, at the largest size."""
    size = board.sizes[-1]
    figure, axes = panels(2, height=3.0, columns=2)
    titles = "decision, from above", "lower bound, from below"
    moments: list[float] = []
    for label in board.labels:
        entries = [entry for entry in _of_size(board, label, size) if math.isfinite(entry.best)]
        for which, panel in enumerate(axes, start=1):
            path = _median_path(entries, which)
            if path is not None and any(height < 100 for height in path[1]):
                panel.step(*path, where="post", label=label, **looks[label].line)  # type: ignore[arg-type]
                panel.plot(path[0][-1], path[1][-1], looks[label].marker, color=looks[label].colour, markersize=5)
                moments += path[0]
    if not moments:
        return None
    for panel, title in zip(axes, titles, strict=True):
        heading(panel, title)
        percent_axis(panel, 100.0)
        seconds_axis(panel)
        panel.set_xlim(min(moments) / 1.5, max(moments) * 1.5)
        panel.set_xlabel("time since the call (s)")
    axes[0].set_ylabel(f"median distance from the best\nknown value (%), {size} {board.unit}")
    legend(figure, axes)
    return figure


def value_by_size(board: Board, looks: Looks) -> Figure | None:
    """Draw losses against size, a panel for each family; bands from the least to the greatest."""
    if len(board.sizes) < 2:
        return None
    return _losses(board, looks, lambda entry: float(entry.record.size), lambda entries: entries[0].record.unit, True)


def value_by_severity(board: Board, looks: Looks) -> Figure | None:
    """Draw losses against severity, a panel for each family; bands from the least to the greatest."""
    return _losses(board, looks, lambda entry: entry.record.severity, lambda entries: entries[0].record.dial, False)


def time_by_size(board: Board, looks: Looks) -> Figure | None:
    """Draw mean times against size; crosses where a solver found nothing on some instances."""
    if len(board.sizes) < 2:
        return None
    figure, (axes,) = panels(1, height=3.2)
    for label in board.labels:
        groups = {size: _of_size(board, label, size) for size in board.sizes}
        times = {size: mean_seconds(entries) for size, entries in groups.items() if entries}
        look = looks[label]
        axes.plot(list(times), list(times.values()), marker=look.marker, markersize=5, label=label, **look.line)  # type: ignore[arg-type]
        failed = [size for size, entries in groups.items() if not all(entry.decided for entry in entries)]
        axes.plot(failed, [times[size] for size in failed], "x", color="black", markersize=8, zorder=6)
    axes.plot([], [], "x", color="black", markersize=6, label="found nothing on some instances")
    size_axis(axes, board.sizes)
    seconds_axis(axes, "y")
    axes.set_xlabel(f"size ({board.unit})")
    axes.set_ylabel("time, shifted geometric mean (s)")
    legend(figure, [axes])
    return figure


FIGURES: dict[str, tuple[str, Callable[[Board, Looks], Figure | None]]] = {
    "quality_and_time": (
        "Quality against time. Each mark is one solver at one size: how long it takes and what its decisions lose "
        "against the best that any solver found. Down and left is better.",
        quality_and_time,
    ),
    "performance_profile": (
        "Performance profile (Dolan and Moré 2002): on how many instances a solver holds a decision within 0.1 % of "
        "the best known value in at most that multiple of the fastest solver's time. Left end: how often it is "
        "the fastest; right end: how often it gets there at all.",
        performance_profile,
    ),
    "gap_over_time": (
        "Decision and bound over time at the largest size, median over instances; before its first decision or bound "
        "a solver counts as 100 %. Where both meet zero, the optimum is found and proved.",
        gap_over_time,
    ),
    "value_by_size": (
        "Loss against size: medians, with bands from the best to the worst instance.",
        value_by_size,
    ),
    "value_by_severity": (
        "Loss against severity, the dial of each family: medians over sizes and seeds, with bands from the best to the "
        "worst instance.",
        value_by_severity,
    ),
    "time_by_size": (
        "Time against size. A run that was ended counts with its whole limit.",
        time_by_size,
    ),
}
"""Name to caption and drawing."""


def _quality(board: Board, label: str, size: int) -> tuple[float, float, int] | None:
    entries = [entry for entry in _of_size(board, label, size) if entry.decided]
    if not entries:
        return None
    return max(mean_seconds(entries), 1e-5), _percent(statistics.median(entry.loss for entry in entries)), size


def _percent(loss: float) -> float:
    return min(100 * loss, MOST_PERCENT)


def _of_size(board: Board, label: str, size: int) -> list[Entry]:
    return [entry for entry in board.of(label) if board.size_class(entry.record.size) == size]


def _median_path(entries: Sequence[Entry], which: int) -> tuple[list[float], list[float]] | None:
    """Return times and median distances in percent of the value (1) or the bound (2) at each."""
    paths = [[(max(point[0], 1e-5), _capped(entry, point[which])) for point in entry.points] for entry in entries]
    moments = sorted({moment for path in paths for moment, _ in path})
    if not moments:
        return None
    heights = [statistics.median(_held(path, moment) for path in paths) for moment in moments]
    return [moments[0], *moments], [100.0, *heights]


def _capped(entry: Entry, value: float) -> float:
    return 100 * min(1.0, entry.distance(value)) if math.isfinite(value) else 100.0


def _held(path: Iterable[tuple[float, float]], moment: float) -> float:
    return next((height for second, height in reversed([*path]) if second <= moment), 100.0)


def _losses(
    board: Board,
    looks: Looks,
    place: Callable[[Entry], float],
    axis: Callable[[list[Entry]], str],
    is_size: bool,
) -> Figure | None:
    groups = {
        name: [entry for entry in board.entries if entry.record.family == name and math.isfinite(place(entry))]
        for name in board.families
    }
    groups = {
        name: found
        for name, found in groups.items()
        if len({place(entry) for entry in found if entry.decided}) > 1  # a panel without a curve says nothing
    }
    if not groups:
        return None
    figure, axes = panels(len(groups), height=2.3)
    best = [label for label in board.labels if all(entry.reached for entry in board.of(label))]
    top = 0.0
    for panel, (name, entries) in zip(axes, groups.items(), strict=True):
        top = max(top, _draw_losses(panel, entries, [x for x in board.labels if x not in best], looks, place))
        if best:
            ends = [min(map(place, entries)), max(map(place, entries))]
            panel.plot(ends, [0, 0], color="black", linewidth=2.2, zorder=1.5, label=AT_BEST + ", ".join(best))
        heading(panel, name)
        panel.set_xlabel(wrapped(axis(entries)), fontsize=8)
        if is_size:
            size_axis(panel, sorted({entry.record.size for entry in entries}))
        else:
            panel.set_xticks(sorted({place(entry) for entry in entries}))
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for panel in axes:
        percent_axis(panel, top)
        if panel.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            panel.set_ylabel(wrapped(LOSS))
    legend(figure, axes)
    return figure


def _draw_losses(
    axes: Axes, entries: list[Entry], labels: Sequence[str], looks: Looks, place: Callable[[Entry], float]
) -> float:
    """Draw medians and bands of the solvers that do not always reach the best; return the greatest loss."""
    top = 0.0
    for label in labels:
        found: dict[float, list[float]] = {}
        for entry in entries:
            if entry.record.label == label and entry.decided:
                found.setdefault(place(entry), []).append(min(100 * entry.loss, MOST_PERCENT))
        if not found:
            continue
        places, look = sorted(found), looks[label]
        medians = [statistics.median(found[x]) for x in places]
        axes.fill_between(
            places,
            [min(found[x]) for x in places],
            [max(found[x]) for x in places],
            color=look.colour,
            alpha=0.13,
            lw=0,
        )
        axes.plot(places, medians, marker=look.marker, markersize=4.5, label=label, **look.line)  # type: ignore[arg-type]
        top = max(top, *(max(losses) for losses in found.values()))
    return top
