"""Prune a multitask network for every combination: score, remove, fine-tune, repeat."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real

from pam_opt.data import checked
from pam_opt.errors import PlanError
from pam_opt.macs import costs, output_positions
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.choose import choose_units
from pam_opt.pruning.scores import METHODS, Score, taylor_scores
from pam_opt.surgery import remove_units
from pam_opt.tasks import CombinationWeights, Task, check_tasks
from pam_opt.training import Batches, TrainOptions, evaluate, train

__all__ = ["METHODS", "PruneStep", "Score", "prune", "taylor_scores"]

_SCORED_BATCHES = 30


@dataclass(frozen=True)
class PruneStep:
    """Describe the network after one step of pruning.

    Parameters
    ----------
    expected_macs : E[C] after the step
    accuracy : task -> metric on the validation data
    within : whether every task is within the allowed drop
    """

    expected_macs: float
    accuracy: Mapping[str, float]
    within: bool


def prune(
    network: MultitaskNetwork,
    train_batches: Batches,
    validation: Batches,
    *,
    tasks: Sequence[Task],
    method: str = "taylor",
    max_drop: float | None = 0.01,
    target_macs: float | None = None,
    combinations: CombinationWeights | None = None,
    reference: Mapping[str, float] | None = None,
    fraction: float = 0.1,
    steps: int = 100,
    warm_up: int = 0,
    patience: int = 2,
    training: TrainOptions | None = None,
    progress: Callable[[PruneStep], None] | None = None,
) -> MultitaskNetwork:
    """Remove units step by step and return the cheapest network that was still good enough.

    Every step scores all units, removes those of the least score per MAC that E[C] loses until `fraction` of
    E[C] is gone, fine-tunes, and evaluates on the validation data. A step that leaves the allowed drop is taken
    back and tried again from the last good network with half the fraction.

    Parameters
    ----------
    network : stays as it is
    train_batches, validation : re-iterable batches (x, {task name: target})
    method : a name in `pam_opt.pruning.METHODS`
    max_drop : a step counts only while every task's metric stays at least ``reference - max_drop``;
        None sets no limit and then `target_macs` is required
    target_macs : stop once E[C] is at most this, or every layer is down to the units that its readers need
    combinations : combination -> weight, for E[C]; default: uniform
    reference : task -> metric that the drop is counted from; default: the given network on `validation`
    fraction : of E[C] removed in each step
    steps : optimiser steps of fine-tuning after each removal
    warm_up : optimiser steps before the first removal
    patience : steps in a row that may be taken back before the pruning ends; also how often the given network
        is fine-tuned for `steps` more if it starts outside the allowed drop
    training : learning rate and optimiser of all fine-tuning
    progress : called after every step

    Returns
    -------
    small : a physically smaller network. If already the first network, after `warm_up`, is outside the allowed
        drop, that network.

    Raises
    ------
    PlanError : an unknown method, no stop rule, numbers out of range
    TaskError, DataError : tasks or batches that do not fit
    """
    tasks = check_tasks(tasks, network.tasks)
    _check(method, max_drop, target_macs, fraction)
    _check_counts(steps=steps, warm_up=warm_up, patience=patience)
    options = training or TrainOptions(learning_rate=1e-3, schedule="constant")
    allowed = _allowed(network, validation, tasks, max_drop, reference)
    run = _Run(train_batches, validation, tasks, METHODS[method], options, steps, patience, allowed, combinations)
    best = copy.deepcopy(network)
    if best.structure.input_shape is None:
        first, _ = next(checked(train_batches, (), what="train"))
        best.structure = replace(best.structure, input_shape=tuple(first.shape[1:]))
    train(best, train_batches, tasks, warm_up, options)
    reached = run.repair(best)
    report = progress or (lambda step: None)
    report(reached)
    failures = 0
    while reached.within and reached.expected_macs > (target_macs or 0.0) and failures <= patience:
        goal = max(reached.expected_macs * (1 - fraction / 2**failures), target_macs or 0.0)
        candidate = run.smaller(best, goal)
        if candidate is None:
            break
        train(candidate, train_batches, tasks, steps, options)
        step = run.look(candidate)
        report(step)
        if step.within:
            best, reached, failures = candidate, step, 0
        else:
            failures += 1
    return best.eval()


@dataclass(frozen=True)
class _Run:
    """What stays the same over all steps."""

    train_batches: Batches
    validation: Batches
    tasks: tuple[Task, ...]
    score: Score
    options: TrainOptions
    steps: int
    patience: int
    allowed: Mapping[str, float]
    combinations: CombinationWeights | None

    def look(self, network: MultitaskNetwork) -> PruneStep:
        expected = costs(network, combinations=self.combinations).expected
        accuracy = evaluate(network, self.validation, self.tasks)
        within = all(accuracy[name] >= least - 1e-12 for name, least in self.allowed.items())
        return PruneStep(expected, accuracy, within)

    def repair(self, network: MultitaskNetwork) -> PruneStep:
        """Fine-tune in place until the drop is allowed, at most `patience` times."""
        step = self.look(network)
        for _ in range(self.patience):
            if step.within or self.steps == 0:
                break
            train(network, self.train_batches, self.tasks, self.steps, self.options)
            step = self.look(network)
        return step

    def smaller(self, network: MultitaskNetwork, goal: float) -> MultitaskNetwork | None:
        """Remove units until E[C] is at most `goal`; None if none may go."""
        scores = self.score(network, self.train_batches, self.tasks, _SCORED_BATCHES)
        structure = network.structure
        probabilities = costs(network, combinations=self.combinations).probabilities
        keep = choose_units(structure, output_positions(structure), probabilities, scores, goal)
        if all(bool(mask.all()) for mask in keep.values()):
            return None
        return remove_units(network, keep)


def _allowed(
    network: MultitaskNetwork,
    validation: Batches,
    tasks: Sequence[Task],
    max_drop: float | None,
    reference: Mapping[str, float] | None,
) -> dict[str, float]:
    """Return the least metric of every task; none without an allowed drop."""
    if max_drop is None:
        return {}
    reference = reference if reference is not None else evaluate(network, validation, tasks)
    missing = sorted(task.name for task in tasks if not _is_number(reference.get(task.name)))
    if missing:
        raise PlanError(f"reference= lacks a number for the tasks {missing}")
    return {task.name: reference[task.name] - max_drop for task in tasks}


def _check(method: str, max_drop: float | None, target_macs: float | None, fraction: float) -> None:
    if method not in METHODS:
        raise PlanError(f"pruning method {method!r} is unknown; choose from {sorted(METHODS)}")
    if max_drop is None and target_macs is None:
        raise PlanError("prune needs max_drop= or target_macs= to know where to stop")
    if max_drop is not None and not (_is_number(max_drop) and max_drop >= 0):
        raise PlanError(f"max_drop {max_drop!r} must be >= 0: it is a difference of the metric, 0.01 is one point")
    if target_macs is not None and not (_is_number(target_macs) and target_macs > 0):
        raise PlanError(f"target_macs {target_macs!r} must be above 0")
    if not (_is_number(fraction) and 0 < fraction < 1):
        raise PlanError(f"fraction {fraction!r} must be between 0 and 1")


def _check_counts(**counts: object) -> None:
    for name, count in counts.items():
        if not isinstance(count, Integral) or count < 0:
            raise PlanError(f"{name} {count!r} must be a whole number >= 0")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
