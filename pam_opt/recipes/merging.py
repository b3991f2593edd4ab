"""From a recipe to a merged network, beside its parents: what they cost and how well they do."""

import time
from dataclasses import dataclass

import torch
from torch import nn

from pam_opt.data import Dataset
from pam_opt.data import load as load_data
from pam_opt.errors import PamOptError, TaskError
from pam_opt.merging import merge, single
from pam_opt.named_modules import build_module
from pam_opt.network import MultitaskNetwork
from pam_opt.planning import plan
from pam_opt.plans import Plan
from pam_opt.recipes.checkpoints import load_checkpoint
from pam_opt.recipes.config import ParentConfig, Recipe
from pam_opt.study.parents import draw_samples, split_batches
from pam_opt.study.progress import Progress
from pam_opt.study.system import System
from pam_opt.tasks import Task


@dataclass(frozen=True)
class Merged:
    """A merged network and what it came from.

    Parameters
    ----------
    network, plan : the result
    parents : each parent by itself, the reference of its costs
    before, after : task -> metric on the test split, of the parents and of the merged network
    seconds : of measuring, solving and merging
    """

    network: MultitaskNetwork
    plan: Plan
    parents: System
    before: dict[str, float]
    after: dict[str, float]
    seconds: dict[str, float]

    @property
    def system(self) -> System:
        """The merged network with the questions of a `System`."""
        return System((self.network,))


def merge_by_recipe(recipe: Recipe, progress: Progress | None = None) -> Merged:
    """Read parents and data, plan, merge and evaluate.

    Raises
    ------
    ConfigError, StorageError : a network that cannot be built, a checkpoint that does not fit it
    DataError : data that cannot be read or do not fit the tasks
    TaskError : a head that does not fit its task's classes
    UnsupportedModel : a parent that cannot be traced; the first difference between two parents
    PlanError, SolverNotFound, SolverUnsuitable, SolverFailed : see `pam_opt.plan` and `pam_opt.merge`
    """
    progress = progress or Progress()
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    tasks = recipe.build_tasks()
    with progress.stage("read data"):
        dataset = _read_data(recipe)
    with progress.stage("read parents"):
        modules = {parent.name: _read_parent(parent, dataset, recipe.seed) for parent in recipe.tasks}
        parents = _trace_parents(modules, tasks, dataset.input_shape)
    calibration = draw_samples(dataset, tasks, recipe.calibration, recipe.seed)
    with progress.stage("measure and plan"):
        made = _plan(recipe, modules, tasks, calibration)
    started = time.perf_counter()
    with progress.stage("merge") as update:
        options = recipe.weights.model_dump(exclude={"method"})
        network = merge(
            modules,
            made,
            weights=recipe.weights.method,
            calibration=calibration,
            seed=recipe.seed,
            progress=update,
            **options,
        )
    seconds = {**made.seconds, "merge": time.perf_counter() - started}
    with progress.stage("evaluate"):
        test = split_batches(dataset, "test", tasks)
        before, after = (system.accuracy(test, tasks) for system in (parents, System((network,))))
    return Merged(network, made, parents, before, after, seconds)


def _read_data(recipe: Recipe) -> Dataset:
    config = recipe.data
    dataset = load_data(
        config.source, validation=0.0, seed=recipe.seed, image_size=config.image_size, limit=config.limit
    )
    if config.mean is None or config.std is None:
        return dataset
    return dataset.renormalised(config.mean, config.std)


def _read_parent(parent: ParentConfig, dataset: Dataset, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    try:
        module = build_module(parent.network, dataset.input_shape, parent.task().outputs, parent.options)
        load_checkpoint(module, parent.checkpoint, parent.entry)
    except PamOptError as err:
        raise type(err)(f"task {parent.name!r}: {err}") from err
    return module


def _trace_parents(modules: dict[str, nn.Module], tasks: tuple[Task, ...], input_shape: tuple[int, ...]) -> System:
    """Convert each parent into a network of its own and hold its head against its task."""
    networks = tuple(single(modules[task.name], task, input_shape) for task in tasks)
    for task, network in zip(tasks, networks, strict=True):
        outputs = network.structure.widths[-1][frozenset({task.name})]
        if task.classes is not None and outputs != task.outputs:
            raise TaskError(
                f"task {task.name!r} has {len(task.classes)} classes and 'other', {task.outputs} outputs, but its "
                f"network has {outputs}; correct the classes, or say by mapping: which output each label means"
            )
    return System(networks)


def _plan(recipe: Recipe, modules: dict[str, nn.Module], tasks: tuple[Task, ...], calibration: list) -> Plan:
    options = recipe.plan.model_dump(exclude={"information"})
    information = recipe.plan.information
    return plan(
        modules,
        calibration,
        tasks=tasks,
        combinations=recipe.combinations,
        information=None if information is None else information.options(),
        seed=recipe.seed,
        threads=recipe.threads or 1,
        **options,
    )
