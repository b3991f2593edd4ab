"""What the name of a result says: its method, the width it was merged to, and how long it was trained after that."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Results = dict[str, Any]
"""What a ``results.json`` holds."""

_NAME = re.compile(r"^(?P<method>[^,]+)(, width (?P<width>[^,]+))?(, (?P<epochs>[^,]+) epochs)?$")


@dataclass(frozen=True)
class Setting:
    """Where a result stands in a study.

    Parameters
    ----------
    method : name of the method
    width : units kept per layer as a fraction of the widest parent's; None = all, or as the study's only width
    epochs : of fine-tuning after the merge
    """

    method: str
    width: float | None
    epochs: float


def settings(results: Sequence[Results]) -> dict[Setting, str]:
    """Return setting and name of what every seed has a result of, in the order of the experiment."""
    only = results[0]["experiment"].get("fine_tune", {}).get("epochs", [0.0])[0]
    common = [name for name in results[0]["methods"] if all(name in result["methods"] for result in results)]
    return {setting(name, only): name for name in common}


def setting(name: str, only_epochs: float = 0.0) -> Setting:
    """Read a result's name; `only_epochs` where it names none."""
    found = _NAME.match(name)
    if found is None:
        return Setting(name, None, only_epochs)
    width, epochs = found["width"], found["epochs"]
    return Setting(
        found["method"],
        None if width in (None, "all") else float(width),
        only_epochs if epochs is None else float(epochs),
    )


def methods_of(where: Sequence[Setting]) -> list[str]:
    """Name the methods, each once."""
    return list(dict.fromkeys(setting.method for setting in where))


def widths_of(where: Sequence[Setting]) -> list[float]:
    """List the widths that are fractions, widest first."""
    return sorted({setting.width for setting in where if setting.width is not None}, reverse=True)


def epochs_of(where: Sequence[Setting]) -> list[float]:
    """List the numbers of epochs, each once."""
    return list(dict.fromkeys(setting.epochs for setting in where))


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


def accuracies(results: Sequence[Results], name: str) -> list[float]:
    """Return a result's accuracy on the test split for each seed, mean of the tasks, in %; of the parents too."""
    if name == "parents":
        return [100 * statistics.mean(p["accuracy"] for p in result["parents"].values()) for result in results]
    return [100 * statistics.mean(_of_all_tasks(result["methods"][name]).values()) for result in results]


def _of_all_tasks(cell: dict[str, Any]) -> dict[str, float]:
    """Pick the combination of all tasks."""
    return max((combination["accuracy"] for combination in cell["combinations"].values()), key=len)
