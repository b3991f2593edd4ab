"""``plan``: from parents and calibration data to a `Plan`.

To add a planner: write a file with a function (Request) -> (layer plans, records), and enter it in `PLANNERS`. It makes
one layer plan for each of the structure's spaces; what is kept per task is exclusive whatever it says.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from torch import nn

from pam_opt.cost_models import CostModel, check_cost_model
from pam_opt.errors import PlanError
from pam_opt.information.options import Information
from pam_opt.latency import Profile
from pam_opt.measuring import Statistics
from pam_opt.pair_costs import COSTS
from pam_opt.parents import convert_parents
from pam_opt.planning.chains import refuse_branches
from pam_opt.planning.controls import CONTROLS, LayersAndRecords
from pam_opt.planning.exact_grouping import plan_exact_grouping
from pam_opt.planning.frontier import frontier
from pam_opt.planning.grouping import plan_grouping
from pam_opt.planning.joint import plan_joint
from pam_opt.planning.lattice import refuse_unreadable_writers
from pam_opt.planning.mtz import plan_mtz
from pam_opt.planning.multi import plan_multi, plan_multi_within
from pam_opt.planning.network import plan_network
from pam_opt.planning.paired_grouping import plan_paired_grouping
from pam_opt.planning.pairing import plan_pairing
from pam_opt.planning.pam import plan_pam
from pam_opt.planning.preparing import prepare
from pam_opt.planning.representatives import plan_columns, plan_representatives
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, Plan
from pam_opt.records import kept_record
from pam_opt.structure import Structure
from pam_opt.tasks import CombinationWeights, Task, check_tasks
from pam_opt.training import Batches

__all__ = ["NEED_WITHIN", "PLANNERS", "frontier", "plan"]

PLANNERS: dict[str, Callable[[Request], LayersAndRecords]] = {
    "pairing": plan_pairing,
    "representatives": plan_representatives,
    "columns": plan_columns,
    "network": plan_network,
    "multi": plan_multi,
    "multi-within": plan_multi_within,
    "joint": plan_joint,
    "grouping": plan_grouping,
    "mtz": plan_mtz,
    "paired-grouping": plan_paired_grouping,
    **CONTROLS,
}

REGROUPERS: dict[str, Callable[[Request], LayersAndRecords]] = {"pam": plan_pam}
"""Solver of ``grouping`` -> planner by information, where that is not a solver of the optimisation problem."""

NEED_NO_STATISTICS = frozenset({plan_exact_grouping, *REGROUPERS.values()})
"""Planners that read responses only."""

NEED_INFORMATION = frozenset({"paired-grouping"})
"""Problems that need `Information` whatever the solver."""

NEED_WITHIN = frozenset({"representatives", "columns", "multi-within"})
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
    problem: str | None = None,
    loss_budget: float | None = None,
    macs_budget: float | None = None,
    width: float | None = None,
    information: Information | None = None,
    statistics: Statistics | None = None,
    time_limit: float | None = None,
    seed: int = 0,
    threads: int = 1,
    cost_model: CostModel = "macs",
    profile: Profile | None = None,
) -> Plan:
    """Decide, layer by layer, which units of the parents become one and whom they serve.

    Parameters
    ----------
    parents : task name -> trained module of supported operations, see `pam_opt.tracing.SUPPORTED`. Layers that write
        the same units, such as the branches of a residual sum, are decided together. Units of layers that cannot be
        regrouped stay with their task, and a record says why
    calibration : re-iterable batches (x, {task name: target}); not needed with `statistics`, except for `information`
        and by ``mtz``
    tasks : one `Task` for each parent
    cost : what merging two units costs: a name in `pam_opt.pair_costs.COSTS`; for ``pairing``, default ``fisher``,
        and ``joint``, default ``weights``
    solver : a name from ``pam-opt solvers``, or ``auto``; for ``network`` one of ``network_plan``, for ``multi`` one
        of ``multi_pairing``; for ``grouping`` also ``pam``, PAM's greedy regrouping by `information`
    share : fraction of the possible pairs that merge, for all layers or per layer name; of ``representatives``
        and ``columns`` the fraction of the units kept for a task that all tasks share, of ``multi`` the fraction of
        the clusters, of ``network`` without a budget the plan that it improves on
    combinations : combination -> weight, how often each is run; default: uniform over all 2^K - 1.
        It weighs MACs against the predicted loss where there is a budget, and in ``network``
    problem : ``pairing``, layer by layer and parent after parent; ``network``, how much every layer of two parents
        shares, all layers at once; ``multi``, clusters over all parents at once, and ``multi-within``, within
        either of two parents too; ``joint``, which pairs all units of all layers of two parents at once;
        ``representatives`` or ``columns``, which keep `width` of the units and read the others from these, one from
        one or each from all together; ``grouping``, which decides the group of every unit; ``paired-grouping``, which
        pairs shared units as well and needs `information`; ``mtz``, which pairs by the
        functional difference on inputs that are merged already, see `pam_opt.zip_networks`; or a control without a
        solver: ``exclusive``, ``all-shared``, ``select``, to which cost, solver, share and loss_budget do not apply.
        Default: ``network`` for two tasks and chains of layers with a `macs_budget`, or with a `loss_budget` and
        neither a solver named nor a width given, and its record says so; otherwise ``pairing``. Chains only:
        ``network``, ``mtz`` and ``paired-grouping`` in one step
    loss_budget : for ``network`` the predicted loss that a plan may add, met up to 1e-6 of it; for ``pairing``,
        instead of `share`, what all pairs together may add (``cost="fisher"``); for ``grouping`` the predicted loss
        of all that units no longer serve
    macs_budget : for ``network``: the E[C] of the merged network, met up to 1e-6 of it, within which the predicted
        loss is least
    width : keep only so many units per layer, as a fraction of the widest parent's. Of ``pairing``, ``multi`` and the
        controls the least important go; of ``representatives`` and ``columns`` these are the units that a task
        reads, with share 1 all units, and the default is 1.0; of ``grouping`` it is the mean number of units that
        are computed, see `pam_opt.planning.grouping`. Not for ``network``, ``mtz`` and ``multi-within``
    information : for ``grouping`` and ``paired-grouping``: how the information of units on tasks is estimated, and how
        much of it is little; groups then follow from that, by PAM's greedy rule (``solver="pam"``) or at least cost
    statistics : of an earlier `measure` of these parents, with ``within=True`` for ``representatives``, ``columns`` and
        ``multi-within``
    cost_model : what a merged pair saves, and so what a `loss_budget` is spent on by ``pairing``: ``macs``, or
        ``latency``, the seconds of a batch that a profile predicts
    profile : of ``latency``: the times of the parents' layers, from `pam_opt.latency.measure_profile`
    time_limit : seconds for each problem handed to a solver; 60 where none is given for ``grouping`` by `information`,
        and for ``multi`` in layers of more than 32 units

    Raises
    ------
    PlanError : options out of range or that do not go together; a layer that would share what it cannot read; a budget
        that no plan meets
    ConfigError : a layer that the profile has no times of
    UnsupportedModel, DataError, TaskError : see `pam_opt.measure`
    SolverNotFound, SolverUnsuitable, SolverFailed : see `pam_opt_solvers.solve`
    """
    tasks = check_tasks(tasks, parents)
    chosen = ""
    if problem is None:
        network = _network_is_default(len(tasks), solver, loss_budget, macs_budget, width)
        network = network and _takes_network({task.name: parents[task.name] for task in tasks}, macs_budget)
        problem = "network" if network else "pairing"
        chosen = "problem: network, the default for two tasks with a budget" if network else ""
    if problem not in PLANNERS:
        raise PlanError(f"problem={problem!r} is unknown; choose from {sorted(PLANNERS)}")
    cost = DEFAULT_COSTS.get(problem, "fisher") if cost is None else cost
    _check_budgets(loss_budget, macs_budget, cost, problem)
    _check_cost_model(cost_model, profile, loss_budget, problem)
    _check_fraction("width", width)
    if cost not in COSTS:
        raise PlanError(f"cost={cost!r} is unknown; choose from {sorted(COSTS)}")
    planner = _planner(problem, solver, information)
    given = prepare(
        parents,
        calibration,
        tasks,
        combinations,
        statistics,
        within=problem in NEED_WITHIN,
        information=information,
        measured=planner not in NEED_NO_STATISTICS,
    )
    request = replace(
        given,
        shares=_shares(share, given.structure),
        cost=cost,
        solver=solver,
        loss_budget=loss_budget,
        macs_budget=macs_budget,
        width=width,
        time_limit=time_limit,
        seed=seed,
        threads=threads,
        cost_model=cost_model,
        profile=profile,
        chosen=chosen,
    )
    started = time.perf_counter()
    layers, records = _with_kept(request, *planner(request))
    if not request.structure.is_chain:
        refuse_unreadable_writers(request.structure, request.tasks, layers)
    seconds = {"measure": request.statistics.seconds, "solve": time.perf_counter() - started}
    return Plan(request.tasks, tuple(layers), request.statistics.input_shape, tuple(records), seconds)


def _planner(problem: str, solver: str, information: Information | None) -> Callable[[Request], LayersAndRecords]:
    """Return what plans the problem; with information, its solver does."""
    regroups = problem == "grouping" and (solver in REGROUPERS or information is not None)
    needed = regroups or problem in NEED_INFORMATION
    if needed and information is None:
        raise PlanError(
            f"problem={problem!r} with solver={solver!r} regroups by information; say how much of it is little: "
            "information=Information(alpha=...) or Information(part=...)"
        )
    if information is not None and not needed:
        raise PlanError(
            f"information= is for problem='grouping' and {sorted(NEED_INFORMATION)}, not for problem={problem!r}; "
            "leave it out or change that"
        )
    return REGROUPERS.get(solver, plan_exact_grouping) if regroups else PLANNERS[problem]


def _network_is_default(
    n_tasks: int, solver: str, loss_budget: float | None, macs_budget: float | None, width: float | None
) -> bool:
    """Whether a plan for which no problem is named is one of the whole network.

    A named solver or a width says how layers are paired, as was always so with a loss budget.
    """
    budgeted = loss_budget is not None and solver == "auto" and width is None
    return n_tasks == 2 and (budgeted or macs_budget is not None)


def _takes_network(parents: Mapping[str, nn.Module], macs_budget: float | None) -> bool:
    """Whether the parents are chains, as the problem of the whole network needs; a budget of MACs insists on it."""
    structure = next(iter(convert_parents(parents).values())).structure
    if macs_budget is not None:
        refuse_branches(structure, "macs_budget=")
    return structure.is_chain


def _with_kept(request: Request, layers: Sequence[LayerPlan], records: Sequence[dict[str, Any]]) -> LayersAndRecords:
    """Leave the units of spaces that are kept per task as the parents have them, and write that down."""
    kept = {i: why for i in range(len(layers)) if (why := request.kept_per_task(i))}
    names = {request.layer(index).name for index in kept}
    others = [record for record in records if record["layer"] not in names]
    settled = [request.exclusive(index) if index in kept else layer for index, layer in enumerate(layers)]
    return settled, [*others, *(kept_record(request.layer(index).name, why) for index, why in kept.items())]


def _shares(share: float | Mapping[str, float], structure: Structure) -> dict[str, float]:
    """Return the share of every space; 0 where units are kept per task."""
    spaces = {structure.layers[space].name: structure.shareable[space] for space in structure.spaces}
    names = list(spaces)
    if not isinstance(share, Mapping):
        share = dict.fromkeys(names, share)
    unknown = sorted(set(share) - set(names))
    if unknown:
        raise PlanError(f"share= names the layers {unknown}; the layers are {names}")
    shares = {name: share.get(name, 1.0) for name in names}
    for name, value in shares.items():
        if not isinstance(value, Real) or not 0.0 <= value <= 1.0:
            raise PlanError(f"share {value!r} of layer {name!r} is outside [0, 1]")
    return {name: value if spaces[name] else 0.0 for name, value in shares.items()}


def _check_budgets(loss_budget: float | None, macs_budget: float | None, cost: str, problem: str) -> None:
    if loss_budget is not None and macs_budget is not None:
        raise PlanError("give one of loss_budget= and macs_budget=; a plan keeps one and makes the most of the other")
    if macs_budget is not None and problem != "network":
        raise PlanError(
            f"macs_budget= is for problem='network' and two tasks, not {problem!r}; give a share or a width"
        )
    if loss_budget is not None and cost != "fisher":
        raise PlanError(f"loss_budget= is in units of the loss and needs cost='fisher', not {cost!r}")
    for name, budget, what in (("loss_budget", loss_budget, "loss"), ("macs_budget", macs_budget, "MACs")):
        if budget is not None and (not isinstance(budget, Real) or math.isnan(budget) or budget < 0):
            raise PlanError(f"{name} {budget!r} is no amount of {what}; it must be >= 0")


def _check_cost_model(cost_model: CostModel, profile: Profile | None, loss_budget: float | None, problem: str) -> None:
    """Refuse a cost model that is unknown, lacks its profile, or has nothing to decide."""
    check_cost_model(cost_model, profile)
    if cost_model != "macs" and (problem != "pairing" or loss_budget is None):
        raise PlanError(
            f"cost_model={cost_model!r} says what a loss_budget= of problem='pairing' is spent on; here the problem is "
            f"{problem!r} and the budget {loss_budget!r}: name both, or leave the cost model out"
        )


def _check_fraction(name: str, value: float | None) -> None:
    if value is not None and not (isinstance(value, Real) and 0.0 < value < math.inf):
        raise PlanError(f"{name} {value!r} must be above 0")
