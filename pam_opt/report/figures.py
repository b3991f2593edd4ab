"""Figures of a study: against budget and width over all seeds; of the first seed MACs, groups and pruning steps."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from pam_opt.atomic import write_atomic
from pam_opt.errors import StorageError
from pam_opt.report.budget_figure import cost_against_budget
from pam_opt.report.budgets import has_budgets
from pam_opt.report.cells import Results, settings, widths_of
from pam_opt.report.solver_figure import solver_against_budget
from pam_opt.report.style import COLOURS, looks, plain
from pam_opt.report.width_figure import accuracy_against_width

FORMATS = ("png", "pdf")


def write_figures(results: Sequence[Results], folder: Path, against: str | None = None) -> list[Path]:
    """Draw all figures that the results have data for, as PNG and PDF; return their paths.

    Costs of a study of several budgets are related to `against`; see `pam_opt.report.budgets.baseline`.

    Raises
    ------
    ConfigError : the study has no such method
    StorageError : a figure cannot be written
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StorageError(f"folder of figures {str(folder)!r} cannot be used: {err.strerror}") from err
    figures = _of_budgets(results, against) if has_budgets(results) else _of_methods(results)
    drawn = {name: figure for name, draw in figures.items() if (figure := draw()) is not None}
    return [_save(figure, folder / f"{name}.{suffix}") for name, figure in drawn.items() for suffix in FORMATS]


_Figures = dict[str, Callable[[], Figure | None]]
"""Name of the file to its drawing."""


def _of_budgets(results: Sequence[Results], against: str | None) -> _Figures:
    return {
        "cost_against_budget": lambda: cost_against_budget(results, against),
        "solver_against_budget": lambda: solver_against_budget(results),
    }


def _of_methods(results: Sequence[Results]) -> _Figures:
    return {
        "accuracy_against_width": lambda: accuracy_against_width(results),
        "macs_per_combination": lambda: macs_per_combination(results[0]),
        "groups_per_layer": lambda: groups_per_layer(results[0]),
        "accuracy_while_pruning": lambda: accuracy_while_pruning(results[0]),
    }


def _save(figure: Figure, path: Path) -> Path:
    """Write a figure; the same figure gives the same file."""
    suffix = path.suffix.removeprefix(".")
    metadata = {"CreationDate": None} if suffix == "pdf" else {}

    def write(temporary: Path) -> None:
        with rc_context({"pdf.fonttype": 42}):
            figure.savefig(temporary, format=suffix, dpi=200, metadata=metadata)

    write_atomic(path, write)
    return path


def macs_per_combination(results: Results) -> Figure | None:
    """Draw one group of bars for each combination, one bar for each method; None with several widths, too many bars."""
    if len(widths_of(list(settings([results])))) > 1:
        return None
    methods = results["methods"]
    combinations = list(next(iter(methods.values()))["combinations"])
    figure, axes = _figure(max(6.0, 0.16 * len(combinations) * len(methods) + 3), 3.6)
    width = 0.8 / len(methods)
    for number, (name, cell) in enumerate(methods.items()):
        places = [index + (number - (len(methods) - 1) / 2) * width for index in range(len(combinations))]
        heights = [cell["combinations"][key]["macs"] / 1e3 for key in combinations]
        axes.bar(places, heights, 0.92 * width, color=COLOURS[number % len(COLOURS)], label=name)
    axes.set_xticks(range(len(combinations)), combinations)
    axes.set_xlabel("combination of tasks that is run")
    axes.set_ylabel("cost of one sample (kMAC)")
    axes.set_title("What every combination of tasks costs", loc="left")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def groups_per_layer(results: Results) -> Figure | None:
    """Draw how the layers of merged networks are split into groups, a panel for each of the last three methods."""
    merged = {name: cell for name, cell in results["methods"].items() if not name.startswith("separate")}
    if not merged:
        return None
    shown = dict(list(merged.items())[-3:])
    figure = Figure(figsize=(3.0 * len(shown) + 1.6, 3.8), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    groups = sorted(
        {group for cell in shown.values() for layer in cell["layers"][:-1] for group in layer["groups"]},
        key=lambda group: (-group.count("+"), group),
    )
    for axes, (name, cell) in zip(panels, shown.items(), strict=True):
        _stack(axes, cell["layers"][:-1], groups)
        axes.set_title(name, loc="left", fontsize=10)
    panels[0].set_ylabel("units in the layer")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="serves", frameon=False, fontsize=8, loc="outside right upper")
    figure.suptitle("Which tasks the units of each layer serve, after pruning", x=0.01, ha="left")
    return figure


def accuracy_while_pruning(results: Results) -> Figure | None:
    """Draw mean validation accuracy against E[C], step by step; large marks are the networks that were kept.

    Lines join the steps within the allowed drop; small crosses are steps that were taken back.
    """
    cells = {name: cell for name, cell in results["methods"].items() if len(cell["history"]) == 1}
    if not cells:
        return None
    figure, axes = _figure(7.4, 4.0)
    look = looks(list(results["methods"]))
    for name, cell in cells.items():
        (history,) = cell["history"]
        colour, marker = look[name].colour, look[name].marker
        back = [_point(step) for step in history if not step["within"]]
        kept = [_point(step) for step in history if step["within"]]
        axes.plot(*_columns(back), linestyle="", marker="x", markersize=4, color=colour, alpha=0.45)
        axes.plot(*_columns(kept), color=colour, marker=marker, markersize=3, linewidth=1.3, label=name)
        axes.plot(*_columns(kept[-1:]), linestyle="", marker=marker, color=colour, markersize=9)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("expected cost of one sample, E[C] (kMAC)")
    axes.set_ylabel("accuracy on validation, mean of tasks (%)")
    axes.set_title("Accuracy while pruning: large marks were kept, crosses taken back", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _point(step: dict) -> tuple[float, float]:
    return step["expected_macs"] / 1e3, 100 * statistics.mean(step["accuracy"].values())


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _stack(axes: Axes, layers: list[dict], groups: list[str]) -> None:
    bottom = [0] * len(layers)
    for number, group in enumerate(groups):
        heights = [layer["groups"].get(group, 0) for layer in layers]
        axes.bar(range(len(layers)), heights, 0.75, bottom=bottom, color=COLOURS[number % len(COLOURS)], label=group)
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    plain(axes)
    axes.grid(axis="x", visible=False)
    axes.set_xticks(range(len(layers)), [layer["name"] for layer in layers], rotation=40, ha="right", fontsize=8)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    plain(axes)
    axes.grid(axis="x", visible=False)
    return figure, axes
