"""The units of work of a study: a method at one width is planned and merged once, and each way on is a result."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pam_opt.study.config import StudyConfig
from pam_opt.study.methods import METHODS


@dataclass(frozen=True)
class Cell:
    """Say what one result is of.

    Parameters
    ----------
    method : name of the method
    width : units kept per layer as a fraction of the widest parent's; None = all
    fine_tune_epochs : of training after the merge and before any pruning
    pruner : name of the pruning method; None without pruning
    prune_epochs : of training that the pruning may spend in all; None where the study gives steps instead
    """

    method: str
    width: float | None
    fine_tune_epochs: float
    pruner: str | None
    prune_epochs: float | None

    def axes(self) -> dict[str, Any]:
        """Return the cell as plain data."""
        return asdict(self)

    def unit(self, config: StudyConfig) -> str:
        """Name the plan and merge that the result starts from: what differs between those of the study."""
        width = f"width {self.width if self.width else 'all'}"
        return self.method if len(config.merge.widths) == 1 else f"{self.method}, {width}"

    def name(self, config: StudyConfig) -> str:
        """Name the result: what differs between those of the study."""
        parts = [self.unit(config)]
        if len(config.fine_tune.epochs) > 1:
            parts.append(f"{self.fine_tune_epochs:g} epochs")
        if config.prune and len(config.prune.methods) > 1:
            parts.append(f"{self.pruner}")
        if config.prune and len(config.prune.budgets) > 1:
            parts.append(f"budget {self.prune_epochs:g}")
        return ", ".join(parts)


def cells(config: StudyConfig) -> list[list[Cell]]:
    """List the results of a study, those of one plan and merge together."""
    prunings: list[tuple[str | None, float | None]] = [(None, None)]
    if config.prune:
        prunings = [(method, budget) for method in config.prune.methods for budget in config.prune.budgets]
    return [
        [
            Cell(method, width, epochs, pruner, budget)
            for epochs in config.fine_tune.epochs
            for pruner, budget in prunings
        ]
        for width in config.merge.widths
        for method in config.methods
    ]


def network_path(folder: Path, cell: str, task: str | None) -> Path:
    """Return where a result's network lies; `task` where each task has a network of its own."""
    return folder / "networks" / (f"{cell}.safetensors" if task is None else f"{cell}-{task}.safetensors")


def plan_path(folder: Path, unit: str) -> Path:
    """Return where a unit's plan lies."""
    return folder / "plans" / f"{unit}.json"


def record_path(folder: Path, name: str) -> Path:
    """Return where the record lies that says that a result is finished, or why a unit does not apply."""
    return folder / "methods" / f"{name}.json"


def files_beside_record(folder: Path, cell: Cell, config: StudyConfig) -> list[Path]:
    """List the plan and the networks of a finished result."""
    apart = METHODS[cell.method].problem is None
    tasks = [task.name for task in config.tasks] if apart else [None]
    networks = [network_path(folder, cell.name(config), task) for task in tasks]
    return networks if apart else [plan_path(folder, cell.unit(config)), *networks]
