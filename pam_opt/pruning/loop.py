"""Prune a multitask network for every combination: score, remove, fine-tune, repeat."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import torch
from torch import Tensor

from pam_opt.cost_models import CostModel, ExpectedCost, ExpectedMacs, check_cost_model, expected_cost
from pam_opt.data import checked
from pam_opt.errors import PlanError
from pam_opt.gradients import Place
from pam_opt.latency import Profile
from pam_opt.macs import costs
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.choose import choose_units, may_go
from pam_opt.pruning.compensation import compensate
from pam_opt.pruning.methods import METHODS
from pam_opt.pruning.pruner import Pruner
from pam_opt.pruning.schedule import Schedule
from pam_opt.structure import Structure
from pam_opt.tasks import CombinationWeights, Task, check_tasks, combination_key, distribution
from pam_opt.training import Batches, TrainOptions, evaluate

RECOVERY = 1.5
"""By how much a fraction that was halved grows again with each removal that holds, under a given number of removals.

With that about three removals in five hold in the long run, since 1.5^0.63 = 2^0.37.
"""


@dataclass(frozen=True)
class PruneStep:
    """Describe the network after one step of pruning.

    Parameters
    ----------
    expected_macs : E[C] after the step
    accuracy : task -> metric on the validation data
    within : whether every task is within the allowed drop
    ended : of the last step, which is the network that is returned: why the pruning ended there
    note : what stood in the way of the removal, such as a layer whose gates all closed
    expected_seconds : predicted after the step, with ``cost_model="latency"``
    """

    expected_macs: float
    accuracy: Mapping[str, float]
    within: bool
    ended: str = ""
    note: str = ""
    expected_seconds: float | None = None

    @property
    def expected(self) -> float:
        """What the network costs by the cost model that it is pruned by."""
        return self.expected_macs if self.expected_seconds is None else self.expected_seconds


def prune(
    network: MultitaskNetwork,
    train_batches: Batches,
    validation: Batches,
    *,
    tasks: Sequence[Task],
    method: str | Pruner = "taylor",
    schedule: Schedule | None = None,
    combinations: CombinationWeights | None = None,
    reference: Mapping[str, float] | None = None,
    training: TrainOptions | Sequence[TrainOptions] | None = None,
    refit: Batches | None = None,
    progress: Callable[[PruneStep], None] | None = None,
    cost_model: CostModel = "macs",
    profile: Profile | None = None,
) -> MultitaskNetwork:
    """Remove units step by step and return the cheapest network that was still good enough.

    Parameters
    ----------
    network : stays as it is
    train_batches, validation : re-iterable batches (x, {task name: target})
    tasks : their metrics on `validation` decide what is good enough
    method : a name in `pam_opt.pruning.METHODS`, or a new pruner with options of its own
    schedule : how much goes at a time, how long is trained in between, and where it stops; default: `Schedule()`
    combinations : combination -> weight, for E[C]; default: uniform
    reference : task -> metric that the drop is counted from; default: the given network on `validation`
    training : learning rate and optimiser of all fine-tuning; or of the warm-up, the first removal, the second
        and so on, the last for all that follow
    refit : calibration batches, some hundred samples or more: every removal is made up for on them by least squares
        before the fine-tuning, see `pam_opt.pruning.compensation`; None does not
    progress : called after every step, and at the end once more with the step that is returned and why it ended
    cost_model : ``macs``, or ``latency``: units go by score per second that their loss saves of a batch, by the
        profile, and `Schedule.target_seconds` takes the place of `target_macs`
    profile : of ``latency``: the times of the network's layers, from `pam_opt.latency.measure_profile`

    Returns
    -------
    small : a physically smaller network. If already the first network, after the warm-up, is outside the allowed
        drop, that network.

    Raises
    ------
    PlanError : an unknown method, a schedule that it or the cost model cannot work with, a reference that lacks a task
    ConfigError : a layer that the profile has no times of
    TaskError, DataError : tasks or batches that do not fit
    """
    tasks = check_tasks(tasks, network.tasks)
    pruner, schedule = _pruner(method), schedule or Schedule()
    pruner.check(schedule)
    check_cost_model(cost_model, profile)
    _check_target(schedule, cost_model)
    options = _options(training)
    allowed = _allowed(network, validation, tasks, schedule.max_drop, reference)
    start = _with_input_shape(copy.deepcopy(network), train_batches)
    cost = expected_cost(start.structure, distribution(start.tasks, combinations), cost_model, profile)
    run = _Run(pruner, train_batches, validation, tasks, options, schedule, allowed, cost, combinations, refit)
    report = progress or (lambda step: None)
    best, reached = run.prune(start, report)
    report(reached)
    return pruner.finish(best).eval()


@dataclass(frozen=True)
class _Run:
    """What stays the same over all steps."""

    pruner: Pruner
    train_batches: Batches
    validation: Batches
    tasks: tuple[Task, ...]
    options: Sequence[TrainOptions]
    schedule: Schedule
    allowed: Mapping[str, float]
    cost: ExpectedCost
    combinations: CombinationWeights | None
    calibration: Batches | None

    def prune(
        self, network: MultitaskNetwork, report: Callable[[PruneStep], None]
    ) -> tuple[MultitaskNetwork, PruneStep]:
        """Return the best network, still as the pruner has it, and its step, which says why it ended."""
        schedule = self.schedule
        best = self.pruner.start(network)
        self.train(best, schedule.warm_up, 0)
        reached = self.look(best)
        report(reached)
        tries = failures = 0
        part = 1.0  # of the schedule's fraction
        held: list[tuple[Place, int]] = []
        while not (ended := self.ended(reached, tries, failures)):
            tries += 1
            if not reached.within:
                self.train(best, schedule.steps, tries)
                reached = self.look(best)
                report(reached)
                failures = 0 if reached.within else failures + 1
                continue
            gone, note = self.choose(best, reached.expected, part * schedule.fraction, held)
            if not gone and schedule.by != "rule":
                ended = "no unit may go any more: " + (
                    "none of them alone stays within the allowed drop"
                    if held
                    else "every layer is down to the units that its readers need"
                )
                break
            candidate = self.without(best, gone)
            self.train(candidate, schedule.steps, tries)
            step = replace(self.look(candidate), note=note)
            report(step)
            if step.within:
                best, reached, failures, held = candidate, step, 0, []
                part = 1.0 if schedule.removals is None else min(1.0, RECOVERY * part)
            else:
                failures, part = failures + 1, part / 2
                # A single unit that could not go would be the least again: others are tried before it.
                held += gone if len(gone) == 1 else []
        missed = schedule.target is not None and reached.expected > schedule.target
        return best, replace(reached, ended=f"{ended}; short of the target" if missed else ended)

    def ended(self, reached: PruneStep, tries: int, failures: int) -> str:
        """Say why the pruning is over; empty while it is not."""
        schedule, patience = self.schedule, self.schedule.patience
        if schedule.removals is not None:
            patience = schedule.removals
        if not reached.within and (schedule.steps == 0 or failures >= patience):
            return "the network does not come within the allowed drop"
        if reached.within and schedule.target is not None and reached.expected <= schedule.target:
            return "the target is reached"
        if schedule.removals is not None:
            return f"all {schedule.removals} removals are tried" if tries >= schedule.removals else ""
        return f"{failures} removals in a row left the allowed drop" if failures > schedule.patience else ""

    def train(self, network: MultitaskNetwork, steps: int, tries: int) -> None:
        options = self.options[min(tries, len(self.options) - 1)]
        self.pruner.train(network, self.train_batches, self.tasks, steps, options)

    def look(self, network: MultitaskNetwork) -> PruneStep:
        expected = costs(network, combinations=self.combinations).expected
        seconds = None if isinstance(self.cost, ExpectedMacs) else self.cost.expected(network.structure)
        accuracy = evaluate(network, self.validation, self.tasks)
        within = all(accuracy[name] >= least - 1e-12 for name, least in self.allowed.items())
        return PruneStep(expected, accuracy, within, expected_seconds=seconds)

    def choose(
        self, network: MultitaskNetwork, expected: float, fraction: float, held: Sequence[tuple[Place, int]]
    ) -> tuple[list[tuple[Place, int]], str]:
        """Choose the units of a fraction, but none that is held; say what had to stay though it is closed."""
        schedule = self.schedule
        found = may_go(network.structure, self.pruner.scores(network, self.train_batches, self.tasks))
        every = schedule.groups == "all"
        scores = {place: score.clone() for place, score in found.items() if every or len(place[1]) > 1}
        for place, unit in held:
            scores[place][unit] = math.inf
        structure = network.structure
        goal, most = max(expected * (1 - fraction), schedule.target or 0.0), None
        if schedule.by == "units":
            goal, most = schedule.target or 0.0, max(1, round(fraction * sum(map(len, scores.values()))))
        elif schedule.by == "rule":
            goal, most = 0.0, 0
        closed, per_cost = self.pruner.closed(network), self.pruner.per_cost and schedule.by == "macs"
        keep = choose_units(structure, self.cost, scores, goal, most, per_cost=per_cost, closed=closed)
        gone = [(place, unit) for place, mask in keep.items() for unit in (~mask).nonzero().flatten().tolist()]
        return gone, _stuck(structure, keep, closed)

    def without(self, network: MultitaskNetwork, gone: Sequence[tuple[Place, int]]) -> MultitaskNetwork:
        """Remove units, and make up for them where calibration batches were given."""
        keep: dict[Place, Tensor] = {}
        for place, unit in gone:
            index, group = place
            keep.setdefault(place, torch.ones(network.structure.widths[index][group], dtype=torch.bool))[unit] = False
        smaller = self.pruner.remove(network, keep)
        if self.calibration is not None and gone:
            compensate(smaller, network, keep, self.calibration)
        return smaller


def _stuck(structure: Structure, keep: Mapping[Place, Tensor], closed: Mapping[Place, Tensor]) -> str:
    """Say where closed units had to stay."""
    stuck = [
        f"layer {structure.layers[index].name!r}, group {combination_key(group)!r}"
        for (index, group), mask in keep.items()
        if (index, group) in closed and bool((mask & closed[index, group]).any())
    ]
    return f"all gates are closed, but units had to stay for their readers: {'; '.join(stuck)}" if stuck else ""


def _pruner(method: str | Pruner) -> Pruner:
    if isinstance(method, Pruner):
        return method
    if method not in METHODS:
        raise PlanError(f"pruning method {method!r} is unknown; choose from {sorted(METHODS)}")
    return METHODS[method]()


def _check_target(schedule: Schedule, cost_model: CostModel) -> None:
    """Refuse a target of the other cost."""
    right, wrong = "target_macs", schedule.target_seconds
    if cost_model == "latency":
        right, wrong = "target_seconds", schedule.target_macs
    if wrong is not None:
        raise PlanError(f"cost_model={cost_model!r} goes down to {right}=; give that, or the other cost model")


def _options(training: TrainOptions | Sequence[TrainOptions] | None) -> tuple[TrainOptions, ...]:
    if training is None:
        return (TrainOptions(learning_rate=1e-3, schedule="constant"),)
    options = (training,) if isinstance(training, TrainOptions) else tuple(training)
    if not options:
        raise PlanError("training= is empty; give TrainOptions for the warm-up, or leave it out")
    return options


def _with_input_shape(network: MultitaskNetwork, batches: Batches) -> MultitaskNetwork:
    if network.structure.input_shape is None:
        first, _ = next(checked(batches, (), what="train"))
        network.structure = replace(network.structure, input_shape=tuple(first.shape[1:]))
    return network


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


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
