"""Names at the ends of lines, instead of a legend: moved apart where they would collide."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

_FONT_SIZE = 8.0

NAMES_FROM = 1.115
"""Where names begin, in widths of the panel."""


@dataclass(frozen=True)
class Label:
    """A name for the line that ends at (x, y), x as a part of the axis; with the line's marker where it has one."""

    text: str
    x: float
    y: float
    colour: str
    marker: str | None = None


def place_labels(axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels to the right of the panel, each with a thin line to the end of its own; limits must be final."""
    ordered = sorted(labels, key=lambda label: label.y)
    height = axes.get_window_extent().height / axes.figure.dpi * 72  # points
    to_parts = axes.transData + axes.transAxes.inverted()
    ends = [float(to_parts.transform((0.0, label.y))[1]) for label in ordered]
    places = spread_apart(ends, 1.35 * _FONT_SIZE / height)
    for label, end, place in zip(ordered, ends, places, strict=True):
        thin = {"color": label.colour, "linewidth": 0.6, "clip_on": False, "transform": axes.transAxes}
        axes.plot([label.x, 1.03, 1.06], [end, place, place], **thin)
        if label.marker:
            axes.plot(1.085, place, marker=label.marker, markersize=4.5, **thin)
        axes.text(NAMES_FROM, place, label.text, fontsize=_FONT_SIZE, va="center_baseline", transform=axes.transAxes)


def spread_apart(places: Sequence[float], least: float) -> list[float]:
    """Move sorted places as little as needed for a distance of `least` between neighbours (least squares).

    Places that touch form blocks around their mean: pool adjacent violators.
    """
    blocks: list[tuple[float, int]] = []  # (mean of place - rank * least, count)
    for rank, place in enumerate(places):
        block = (place - rank * least, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, count = blocks.pop()
            block = ((mean * count + block[0] * block[1]) / (count + block[1]), count + block[1])
        blocks.append(block)
    shifted = [mean for mean, count in blocks for _ in range(count)]
    return [mean + rank * least for rank, mean in enumerate(shifted)]
