"""The units of work of a study, one a method and width: their names and files."""

from pathlib import Path

from pam_opt.study.config import StudyConfig
from pam_opt.study.methods import METHODS


def unit_name(method: str, width: float | None, config: StudyConfig) -> str:
    """Name a unit of work."""
    return method if len(config.merge.widths) == 1 else f"{method}, width {width if width else 'all'}"


def cell_name(unit: str, epochs: float, config: StudyConfig) -> str:
    """Name a result: a unit of work at one number of epochs."""
    return unit if len(config.fine_tune.epochs) == 1 else f"{unit}, {epochs:g} epochs"


def network_path(folder: Path, cell: str, task: str | None) -> Path:
    """Return where a result's network lies; `task` where each task has a network of its own."""
    return folder / "networks" / (f"{cell}.safetensors" if task is None else f"{cell}-{task}.safetensors")


def plan_path(folder: Path, unit: str) -> Path:
    """Return where a unit's plan lies."""
    return folder / "plans" / f"{unit}.json"


def record_path(folder: Path, unit: str) -> Path:
    """Return where the record lies that says that a unit is finished."""
    return folder / "methods" / f"{unit}.json"


def files_beside_record(folder: Path, method: str, unit: str, config: StudyConfig) -> list[Path]:
    """List the plan and the networks of a finished unit."""
    apart = METHODS[method].problem is None
    tasks = [task.name for task in config.tasks] if apart else [None]
    cells = [cell_name(unit, epochs, config) for epochs in config.fine_tune.epochs]
    networks = [network_path(folder, cell, task) for cell in cells for task in tasks]
    return networks if apart else [plan_path(folder, unit), *networks]
