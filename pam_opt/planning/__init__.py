"""``plan``: from parents and calibration data to a `Plan`.

To add a planner: write a file with a function (Request) -> (layer plans, records), and enter it in `PLANNERS`.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from numbers import Real

from torch import nn

from pam_opt.errors import PlanError
from pam_opt.measuring import Statistics, measure
from pam_opt.network import MultitaskNetwork
from pam_opt.pair_costs import COSTS
from pam_opt.parents import convert_parents
from pam_opt.planning.controls import CONTROLS, LayersAndRecords
from pam_opt.planning.grouping import plan_grouping
from pam_opt.planning.joint import plan_joint
from pam_opt.planning.pairing import plan_pairing
from pam_opt.planning.representatives import plan_columns, plan_representatives
from pam_opt.planning.request import Request
from pam_opt.plans import Plan
from pam_opt.tasks import CombinationWeights, Task, check_tasks, distribution
from pam_opt.training import Batches

PLANNERS: dict[str, Callable[[Request], LayersAndRecords]] = {
    "pairing": plan_pairing,
    "representatives": plan_representatives,
    "columns": plan_columns,
    "joint": plan_joint,
    "grouping": plan_grouping,
    **CONTROLS,
}

NEED_WITHIN = frozenset({"representatives", "columns"})
"""Problems that need the covariance within each parent: `measure` with ``within=True``."""

DEFAULT_COSTS = {"joint": "weights"}
"""Problem -> its cost where none is asked for; ``fisher`` for every other."""


def plan(
    parents: Mapping[str, nn.Module],
    calibration: Batches | None = None,
    *,
    tasks: Sequence[Task],
    cost: str | None = None,
    solver: str = "auto",
    share: float | Mapping[str, float] = 1.0,
    combinations: CombinationWeights | None = None,
    problem: str = "pairing",
    loss_budget: float | None = None,
    width: float | None = None,
    statistics: Statistics | None = None,
    time_limit: float | None = None,
    seed: int = 0,
    threads: int = 1,
) -> Plan:
    """Decide, layer by layer, which units of the parents become one and whom they serve.

    Parameters
    ----------
    parents : task name -> trained module; a chain of supported operations, see `pam_opt.tracing.SUPPORTED`
    calibration : re-iterable batches (x, {task name: target}); not needed with `statistics`
    tasks : one `Task` for each parent
    cost : what merging two units costs: a name in `pam_opt.pair_costs.COSTS`; for ``pairing``, default ``fisher``,
        and ``joint``, default ``weights``
    solver : a name from ``pam-opt solvers``, or ``auto``
    share : fraction of the possible pairs that merge, for all layers or per layer name; of ``representatives``
        and ``columns`` the fraction of the units kept for a task that all tasks share
    combinations : combination -> weight, how often each is run; default: uniform over all 2^K - 1.
        It weighs MACs against the predicted loss where `loss_budget` is given
    problem : ``pairing``; ``representatives`` or ``columns``, which keep `width` of the units and read the others
        from these, one from one or each from all together; ``joint``, which pairs all units of all layers at once;
        ``grouping``, which decides the group of every unit; or a control without a solver: ``exclusive``,
        ``all-shared``, ``select``, to which cost, solver, share and loss_budget do not apply
    loss_budget : for ``pairing``, instead of `share`: the predicted loss that all pairs together may add
        (``cost="fisher"``); for ``grouping`` the predicted loss of all that units no longer serve
    width : keep only so many units per layer, as a fraction of the widest parent's. Of ``pairing`` and the
        controls the least important go; of ``representatives`` and ``columns`` these are the units that a task
        reads, with share 1 all units, and the default is 1.0; of ``grouping`` it is the mean number of units that
        are computed, see `pam_opt.planning.grouping`
    statistics : of an earlier `measure` of these parents, with ``within=True`` for ``representatives`` and ``columns``
    time_limit : seconds for each problem handed to a solver

    Raises
    ------
    PlanError : options out of range; a layer that would share what it cannot read
    UnsupportedModel, DataError, TaskError : see `pam_opt.measure`
    SolverNotFound, SolverUnsuitable, SolverFailed : see `pam_opt_solvers.solve`
    """
    tasks = check_tasks(tasks, parents)
    if problem not in PLANNERS:
        raise PlanError(f"problem={problem!r} is unknown; choose from {sorted(PLANNERS)}")
    cost = DEFAULT_COSTS.get(problem, "fisher") if cost is None else cost
    if cost not in COSTS:
        raise PlanError(f"cost={cost!r} is unknown; choose from {sorted(COSTS)}")
    _check_loss_budget(loss_budget, cost)
    _check_fraction("width", width)
    probabilities = distribution((task.name for task in tasks), combinations)
    ordered = {task.name: parents[task.name] for task in tasks}
    converted = convert_parents(ordered)
    shares = _shares(share, next(iter(converted.values())))
    if statistics is None:
        if calibration is None:
            raise PlanError("plan needs calibration batches, or statistics= of an earlier measure()")
        statistics = measure(ordered, calibration, tasks=tasks, within=problem in NEED_WITHIN)
    _check_statistics(statistics, converted)
    request = Request(
        converted,
        statistics,
        probabilities,
        cost,
        solver,
        shares,
        loss_budget,
        width,
        time_limit,
        seed,
        threads,
    )
    started = time.perf_counter()
    layers, records = PLANNERS[problem](request)
    seconds = {"measure": statistics.seconds, "solve": time.perf_counter() - started}
    return Plan(request.tasks, tuple(layers), statistics.input_shape, tuple(records), seconds)


def _shares(share: float | Mapping[str, float], parent: MultitaskNetwork) -> dict[str, float]:
    names = [layer.name for layer in parent.structure.layers[:-1]]
    if not isinstance(share, Mapping):
        share = dict.fromkeys(names, share)
    unknown = sorted(set(share) - set(names))
    if unknown:
        raise PlanError(f"share= names the layers {unknown}; the layers are {names}")
    shares = {name: share.get(name, 1.0) for name in names}
    for name, value in shares.items():
        if not isinstance(value, Real) or not 0.0 <= value <= 1.0:
            raise PlanError(f"share {value!r} of layer {name!r} is outside [0, 1]")
    return shares


def _check_loss_budget(budget: float | None, cost: str) -> None:
    if budget is None:
        return
    if cost != "fisher":
        raise PlanError(f"loss_budget= is in units of the loss and needs cost='fisher', not {cost!r}")
    if math.isnan(budget) or budget < 0:
        raise PlanError(f"loss_budget {budget} is no amount of loss; it must be >= 0")


def _check_fraction(name: str, value: float | None) -> None:
    if value is not None and not (isinstance(value, Real) and 0.0 < value < math.inf):
        raise PlanError(f"{name} {value!r} must be above 0")


def _check_statistics(statistics: Statistics, parents: Mapping[str, MultitaskNetwork]) -> None:
    """Refuse statistics of other parents: other tasks, depth or widths; those of further parents may be there."""
    measured = [
        {task: len(layer.units[task].mean) for task in parents if task in layer.units} for layer in statistics.layers
    ]
    depth = len(next(iter(parents.values())).structure.layers) - 1
    given = [
        {task: sum(parent.structure.widths[index].values()) for task, parent in parents.items()}
        for index in range(depth)
    ]
    if measured != given:
        raise PlanError(
            f"statistics= are of other parents: units per layer {measured}, the parents have {given}; measure these"
        )
