"""How all figures look: one colour, dash and marker a solver or method, legible in grey and when printed."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

# Okabe and Ito's palette: told apart with every common colour blindness; yellow is too light for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ((), (5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5), (3, 1.2), (8, 2), (6, 1.2, 1.2, 1.2, 1.2, 1.2))
_MARKERS = "osD^vPXhd<>"
GREY = "#6b6b6b"

PAGE_WIDTH = 7.2
"""Inches: the text width of a page."""

_PAGE_LETTERS = 106

LEAST_PERCENT = 0.01
"""Below this, axes of losses are linear."""

MOST_PERCENT = 1000.0
"""Losses above this are drawn here."""


@dataclass(frozen=True)
class Look:
    """Colour, dashes and marker of one line."""

    colour: str
    dashes: tuple[float, ...]
    marker: str

    @property
    def line(self) -> dict[str, object]:
        """Keywords of a line."""
        return {"color": self.colour, "dashes": self.dashes or (None, None), "linewidth": 1.6}


def looks(labels: Sequence[str]) -> dict[str, Look]:
    """Give every solver a look; the greedy ones are always the second colour, so that figures compare."""
    ordered = sorted(labels, key=lambda label: ("greedy" not in label, label))
    numbers = [1, 0, *range(2, len(ordered) + 2)]
    if not any("greedy" in label for label in ordered):
        numbers = list(range(len(ordered)))
    return {label: _look(number) for label, number in zip(ordered, numbers, strict=False)}


def _look(number: int) -> Look:
    dash = number + number // len(COLOURS)  # the second line of a colour has other dashes than the first
    return Look(COLOURS[number % len(COLOURS)], _DASHES[dash % len(_DASHES)], _MARKERS[number % len(_MARKERS)])


def panels(count: int, *, height: float = 2.6, columns: int = 3, share_y: bool = True) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels, at most `columns` a row, in the project's style."""
    columns = 2 if count == 4 else min(count, columns)
    rows = -(-count // columns)
    figure = Figure(figsize=(PAGE_WIDTH, height * rows + 0.55), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr]
    axes = list(figure.subplots(rows, columns, sharey=share_y, squeeze=False).flat)
    for spare in axes[count:]:
        spare.remove()
    for panel in axes[:count]:
        plain(panel)
    return figure, axes[:count]


def plain(axes: Axes) -> None:
    """Take away what carries no data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(which="both", colors=GREY, labelcolor="black", labelsize=8)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.title.set_fontsize(9)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)


def heading(axes: Axes, text: str) -> None:
    """Write a panel's title."""
    axes.set_title(text, loc="left", fontsize=9, fontweight="bold")


def legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend below all panels, each solver once, in as many columns as fit."""
    found: dict[str, object] = {}
    for panel in axes:
        handles, labels = panel.get_legend_handles_labels()
        found.update(zip(labels, handles, strict=True))
    figure.legend(
        list(found.values()),  # type: ignore[arg-type]
        list(found),
        loc="outside lower center",
        ncols=_columns([len(label) for label in found]),
        frameon=False,
        fontsize=8,
        handlelength=3.2,
        columnspacing=1.6,
    )


def _columns(widths: Sequence[int]) -> int:
    """Return the most columns of texts of these lengths, filled from the top, that fit a page."""
    for columns in range(len(widths), 1, -1):
        rows = -(-len(widths) // columns)
        if sum(max(widths[start : start + rows]) + 10 for start in range(0, len(widths), rows)) <= _PAGE_LETTERS:
            return columns
    return 1


def wrapped(text: str) -> str:
    """Break an axis label so that it stays below its panel."""
    return "\n".join(textwrap.wrap(text, 30))


def percent_axis(axes: Axes, top: float) -> None:
    """Make y an axis of losses in percent: logarithmic, linear near zero, so that zero has a place."""
    axes.set_yscale("symlog", linthresh=LEAST_PERCENT, linscale=0.5)
    ticks = [0.0, *(10.0**power for power in range(-2, 4))]
    limit = max(min(top, MOST_PERCENT), 10 * LEAST_PERCENT) * 1.8
    axes.set_yticks([tick for tick in ticks if tick <= limit])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "≥ 1000" if value == MOST_PERCENT else f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(-0.25 * LEAST_PERCENT, limit)


def seconds_axis(axes: Axes, which: str = "x") -> None:
    """Make an axis of times: logarithmic, with short numbers."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low, high = sorted(axis.get_data_interval())
    few = low > 0 and high / low < 30  # then whole decades alone would leave an axis of one number
    short = FuncFormatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
    axis.set_minor_formatter(short if few else NullFormatter())


def size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """Make x an axis of sizes: logarithmic to base two, with the sizes that there are as ticks."""
    if min(sizes) > 0:
        axes.set_xscale("log", base=2)
    shown = sizes if len(sizes) <= 7 else sizes[:: -(-len(sizes) // 6)]
    axes.set_xticks(list(shown), [str(size) for size in shown])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
