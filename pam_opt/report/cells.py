"""Where a result stands in a study: its method, the width it was merged to, and what training came after that."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

Results = dict[str, Any]
"""What a ``results.json`` holds."""

_NAME = re.compile(r"^(?P<method>[^,]+)(, width (?P<width>[^,]+))?(, (?P<epochs>[^,]+) epochs)?$")


@dataclass(frozen=True)
class Training:
    """What a network went through after the merge.

    Parameters
    ----------
    epochs : of fine-tuning before any pruning
    pruner : name of the pruning method; None = not pruned
    prune_epochs : of fine-tuning in the whole pruning; None = not given as a budget
    """

    epochs: float
    pruner: str | None = None
    prune_epochs: float | None = None


@dataclass(frozen=True)
class Setting:
    """Where a result stands in a study.

    Parameters
    ----------
    method : name of the method
    width : units kept per layer as a fraction of the widest parent's; None = all, or as the study's only width
    training : after the merge
    """

    method: str
    width: float | None
    training: Training


def settings(results: Sequence[Results]) -> dict[Setting, str]:
    """Return setting and name of what every seed has a result of, in the order of the experiment."""
    common = [name for name in results[0]["methods"] if all(name in result["methods"] for result in results)]
    return {setting_of(results[0], name): name for name in common}


def setting_of(result: Results, name: str) -> Setting:
    """Return the setting that a result's ``axes`` say, or its name where results of an earlier version have none."""
    axes = result["methods"][name].get("axes")
    if axes is not None:
        training = Training(axes["fine_tune_epochs"], axes["pruner"], axes["prune_epochs"])
        return Setting(axes["method"], axes["width"], training)
    experiment = result["experiment"]
    only = experiment.get("fine_tune", {}).get("epochs", [0.0])[0]
    return setting(name, Training(only, (experiment.get("prune") or {}).get("method")))


def setting(name: str, only: Training = Training(0.0)) -> Setting:
    """Read the name of a result or of a unit of work; `only` says of the training what the name does not."""
    found = _NAME.match(name)
    if found is None:
        return Setting(name, None, only)
    width, epochs = found["width"], found["epochs"]
    return Setting(
        found["method"],
        None if width in (None, "all") else float(width),
        only if epochs is None else replace(only, epochs=float(epochs)),
    )


def methods_of(where: Sequence[Setting]) -> list[str]:
    """Name the methods, each once."""
    return list(dict.fromkeys(setting.method for setting in where))


def widths_of(where: Sequence[Setting]) -> list[float]:
    """List the widths that are fractions, widest first."""
    return sorted({setting.width for setting in where if setting.width is not None}, reverse=True)


def trainings_of(where: Sequence[Setting]) -> list[Training]:
    """List what was trained after the merge, each once."""
    return list(dict.fromkeys(setting.training for setting in where))


def width_text(width: float | None) -> str:
    """Write a width as a short fraction where it is one."""
    if width is None:
        return "all"
    fraction = Fraction(width).limit_denominator(16)
    return str(fraction) if float(fraction) == width else f"{width:g}"


def epochs_text(epochs: float) -> str:
    """Say how long was trained after the merge."""
    if epochs == 0:
        return "without training"
    return "after one epoch" if epochs == 1 else f"after {epochs:g} epochs"


def training_text(training: Training) -> str:
    """Say how a network was trained after the merge, and pruned."""
    if training.pruner is None:
        return epochs_text(training.epochs)
    tuned = f"{epochs_text(training.epochs)}, then pruned" if training.epochs else "pruned"
    budget = "" if training.prune_epochs is None else f", {count_text(training.prune_epochs)} of training"
    return f"{tuned} by {training.pruner}{budget}"


def training_label(training: Training) -> str:
    """Write what a network went through after the merge as short as tables need it."""
    if training.pruner is None or training.prune_epochs is None:
        return f"{training.epochs:g} epochs"
    tuned = f"{training.epochs:g} epochs, " if training.epochs else ""
    return f"{tuned}{training.pruner} {training.prune_epochs:g} epochs"


def count_text(epochs: float) -> str:
    """Write a number of epochs with its unit."""
    return "1 epoch" if epochs == 1 else f"{epochs:g} epochs"


def accuracies(results: Sequence[Results], name: str) -> list[float]:
    """Return a result's accuracy on the test split for each seed, mean of the tasks, in %; of the parents too."""
    if name == "parents":
        return [100 * statistics.mean(p["accuracy"] for p in result["parents"].values()) for result in results]
    return [100 * statistics.mean(_of_all_tasks(result["methods"][name]).values()) for result in results]


def _of_all_tasks(cell: dict[str, Any]) -> dict[str, float]:
    """Pick the combination of all tasks."""
    return max((combination["accuracy"] for combination in cell["combinations"].values()), key=len)
