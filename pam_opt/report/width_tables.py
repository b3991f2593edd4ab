"""Tables of studies of accuracy: methods against widths, their paired differences, and what heuristics lose."""

import statistics
from collections.abc import Sequence

from pam_opt.report.cells import (
    Results,
    Setting,
    accuracies,
    methods_of,
    settings,
    training_label,
    trainings_of,
    width_text,
    widths_of,
)
from pam_opt.report.comparisons import HeuristicLoss, comparisons, heuristic_losses
from pam_opt.report.table import as_markdown, spread


def widths_table(results: Sequence[Results]) -> str:
    """Write accuracy, mean of the tasks, of every method at every width, as Markdown; empty below two widths."""
    known = settings(results)
    where = list(known)
    widths = widths_of(where)
    if len(widths) < 2:
        return ""
    lines = [["%, mean of the tasks", *(f"width {width_text(width)}" for width in widths)]]
    lines.append(["parents", *[spread(accuracies(results, "parents"), 1)] * len(widths)])
    for training in trainings_of(where):
        for method in methods_of(where):
            names = [known.get(Setting(method, width, training)) for width in widths]
            cells = [spread(accuracies(results, name), 1) if name else "" for name in names]
            lines.append([f"{method}, {training_label(training)}", *cells])
    return as_markdown(lines)


def comparisons_table(results: Sequence[Results]) -> str:
    """Write the paired differences with their intervals as Markdown; empty for one seed, which has no intervals."""
    made = comparisons(results)
    if not made or len(results) == 1:
        return ""
    widths = list(dict.fromkeys(width for comparison in made for width in comparison.differences))
    several = len(widths) > 1
    header = ["points", *(f"width {width_text(width)}" for width in widths), "all widths"] if several else ["points"]
    lines = [header if several else [*header, "difference"]]
    for comparison in made:
        cells = [str(comparison.differences.get(width, "")) for width in widths]
        name = f"{comparison.first} - {comparison.second}, {training_label(comparison.training)}"
        lines.append([name, *cells, *([str(comparison.overall)] if several else [])])
    return as_markdown(lines)


def losses_table(results: Sequence[Results]) -> str:
    """Write what heuristics lose of the objective, in %: of the sum over layers, and at most in a layer."""
    made = heuristic_losses(results)
    if not made:
        return ""
    widths = list(dict.fromkeys(loss.width for loss in made))
    lines = [["% above the optimum", *(f"width {width_text(width)}" for width in widths)]]
    for heuristic in dict.fromkeys(loss.heuristic for loss in made):
        found = {loss.width: loss for loss in made if loss.heuristic == heuristic}
        lines.append([heuristic, *(_cell(found.get(width)) for width in widths)])
    return as_markdown(lines)


def _cell(loss: HeuristicLoss | None) -> str:
    if loss is None:
        return ""
    return f"{100 * statistics.mean(loss.totals):.2f} (a layer: up to {100 * max(loss.layers):.2f})"
