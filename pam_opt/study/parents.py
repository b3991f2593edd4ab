"""The parents of a study: trained once for each task and seed, then read back."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pam_opt.data import Batches, Dataset
from pam_opt.errors import ConfigError, StorageError
from pam_opt.families import FAMILIES
from pam_opt.storage import load_tensors, save_tensors
from pam_opt.study.config import StudyConfig
from pam_opt.study.folder import make_folder, read_record, write_record
from pam_opt.study.progress import Progress
from pam_opt.tasks import Task
from pam_opt.training import SingleTask, evaluate, train


@dataclass(frozen=True)
class Parent:
    """A trained parent with its metric on the validation and the test split, and plain accuracy beside it."""

    module: nn.Module
    validation: float
    accuracy: float
    plain_validation: float
    plain: float


def train_parents(
    config: StudyConfig, dataset: Dataset, seed: int, folder: Path, progress: Progress
) -> dict[str, Parent]:
    """Train the parents that `folder` does not hold yet, and read the others."""
    make_folder(folder)
    parents = {}
    for number, task in enumerate(config.build_tasks()):
        torch.manual_seed(1000 * seed + number)
        module = build_family(config, dataset, task)
        path, record = _files(folder, task)
        if not record.exists():
            _train(module, config, dataset, task, seed, path, record, progress)
        parents[task.name] = _read(module, path, record)
    return parents


def read_parents(config: StudyConfig, dataset: Dataset, folder: Path) -> dict[str, Parent]:
    """Read the parents that `train_parents` left in `folder`.

    Raises
    ------
    ConfigError : one of them is not trained yet
    StorageError : one of them cannot be read
    """
    tasks = config.build_tasks()
    missing = [task.name for task in tasks if not _files(folder, task)[1].exists()]
    if missing:
        raise ConfigError(
            f"{str(folder)!r} holds no trained parent of {', '.join(missing)}; run the study with --resume first"
        )
    return {task.name: _read(build_family(config, dataset, task), *_files(folder, task)) for task in tasks}


def _files(folder: Path, task: Task) -> tuple[Path, Path]:
    """Return where a parent's weights and its record lie."""
    return folder / f"{task.name}.safetensors", folder / f"{task.name}.json"


def build_family(config: StudyConfig, dataset: Dataset, task: Task) -> nn.Module:
    """Build an untrained parent.

    Raises
    ------
    ConfigError : options that the family does not take, or that do not fit the data
    """
    family = config.family
    try:
        return FAMILIES[family.name](dataset.input_shape, task.outputs, **family.options)
    except (TypeError, ValueError) as err:
        raise ConfigError(f"family {family.name!r} with {family.options} on {dataset.input_shape}: {err}") from err


def _train(
    module: nn.Module,
    config: StudyConfig,
    dataset: Dataset,
    task: Task,
    seed: int,
    path: Path,
    record: Path,
    progress: Progress,
) -> None:
    settings = config.parents
    batches = split_batches(dataset, "train", (task,), settings.batch_size, seed, settings.augment)
    started = time.perf_counter()
    network = SingleTask(module, task.name)
    with progress.stage(f"seed {seed}: train parent {task.name}") as update:
        train(network, batches, [task], settings.epochs * len(batches), settings.options(), progress=update)
    seconds = time.perf_counter() - started

    def score(split: str, by: Task) -> float:
        return evaluate(network, split_batches(dataset, split, (task,)), [by])[task.name]

    save_tensors(module.state_dict(), path)
    scores = {
        "validation": score("validation", task),
        "accuracy": score("test", task),
        "plain_validation": score("validation", task.plain()),
        "plain": score("test", task.plain()),
    }
    write_record(record, {**scores, "seconds": seconds})


def _read(module: nn.Module, path: Path, record: Path) -> Parent:
    tensors, _ = load_tensors(path)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as err:
        raise StorageError(f"{str(path)!r} does not fit the family: {err}; remove it and its record") from err
    scores = ("validation", "accuracy", "plain_validation", "plain")
    known = read_record(record, **dict.fromkeys(scores, (int, float)))
    return Parent(module.eval(), **{name: known[name] for name in scores})


def split_batches(
    dataset: Dataset,
    split: str,
    tasks: tuple[Task, ...],
    batch_size: int = 500,
    seed: int = 0,
    augment: str | None = None,
) -> Batches:
    """Make batches of a split with the tasks' targets; training batches are shuffled."""
    data = getattr(dataset, split)
    targets = {task.name: task.target(data.labels) for task in tasks}
    return Batches(data, targets, batch_size, seed=seed, shuffle=split == "train", augment=augment)


def draw_calibration(config: StudyConfig, dataset: Dataset, seed: int) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Draw the calibration samples of a seed."""
    return draw_samples(dataset, config.build_tasks(), config.merge.calibration, seed)


def draw_samples(
    dataset: Dataset, tasks: tuple[Task, ...], wanted: int, seed: int
) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Draw at most so many samples from the training split, without augmentation, in batches of 200."""
    chosen = []
    for x, targets in split_batches(dataset, "train", tasks, 200, seed):
        chosen.append((x[:wanted], {name: target[:wanted] for name, target in targets.items()}))
        wanted -= len(x)
        if wanted <= 0:
            break
    return chosen
