"""Plan by grouping: which tasks every unit serves, layer by layer, at least predicted loss within a budget of units.

No units merge here: a `Grouping` problem per layer decides for every unit of every parent whether it stays exclusive
to its task, serves others too, or goes. What it costs that unit u does not serve task t is half the importance

    q_t(u) = E[(g dLoss_t/dg)^2] at gate g = 1                        for the task of u's own parent
    q_t(u) = max over units v of t's parent of q_t(v) max(rho_uv, 0)^2   for any other task

which is the loss that dropping it adds to second order, with the squared gradient in place of the curvature. The second
line is what the statistics say about use by another task: u can do for t what the unit that it follows best does.

Being linear, this sees neither redundancy nor readers. Two units that could stand for each other are both worth their
full price to both tasks, where `representatives` and `pairing` would keep one; and a shared unit that loses its
inputs from exclusive units costs nothing. So plans of it are the base for budgets of information, which say what the
units of a group tell together, rather than rivals of the problems that merge. To add such a budget, add it in
`layer_budgets`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.macs import run_probability
from pam_opt.measuring import LayerStatistics
from pam_opt.planning.clusters import Clusters
from pam_opt.planning.controls import LayersAndRecords
from pam_opt.planning.lattice import Reading
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan
from pam_opt.structure import canonical
from pam_opt.tasks import Group, combination_key, combinations
from pam_opt_solvers import Grouping, Solution, solve
from pam_opt_solvers.problems.budgets import BudgetTable

MOST_TASKS = 4
"""Most tasks for which all their subsets are groups; for more, each task's own, the one of all tasks, and none."""

_BISECTIONS = 24


def plan_grouping(request: Request) -> LayersAndRecords:
    """Decide the group of every unit, layer by layer.

    Within `width`: least predicted loss. With `loss_budget`: every unit pays a price for its MACs in E[C], and the
    highest price is taken at which the predicted loss of all layers keeps the budget; `width` may limit that further.
    Without either, `width` is 1.0. Every task keeps its most important unit in every layer.

    Raises
    ------
    PlanError : a `share`, since the sharing is what is decided; a loss budget that the width rules out
    """
    if request.asks_for_share:
        raise PlanError("problem='grouping' decides itself what is shared: share= does not apply; leave it out")
    if request.loss_budget is None:
        given = request if request.width is not None else replace(request, width=1.0)
        return _group(given, price=0.0)
    return _within_budget(request, request.loss_budget)


def groups_of(tasks: tuple[str, ...]) -> list[Group]:
    """List the groups that a unit may be in, large ones first, the empty one (dropped) last.

    Ties of a solver are broken towards the first, so that what costs nothing is shared.
    """
    if len(tasks) <= MOST_TASKS:
        return [*canonical(combinations(tasks)), frozenset()]
    return [*canonical([frozenset(tasks), *(frozenset({task}) for task in tasks)]), frozenset()]


def predicted_losses(layer: LayerStatistics, tasks: tuple[str, ...]) -> np.ndarray:
    """Return (K, N) float64, what it adds to each task's loss that it loses each unit, parent after parent.

    Half the importance q_t(u) of the module's docstring.
    """
    rows = [np.concatenate([_use(layer, task, other) for other in tasks]) for task in tasks]
    return 0.5 * np.stack(rows)


def layer_budgets(request: Request, index: int, groups: list[Group], demanded: Sequence[Group] = ()) -> BudgetTable:
    """Build the budgets of a layer: with `width`, how many of its units are computed on the average.

    ``sum_u pi(g_u) <= width x units of the widest parent``, pi(g) the probability that a group runs. In E[C] every
    unit of a layer costs the same as long as it reads the same number of units, so that this is the layer's part of
    E[C] in units, exact where all groups read alike and too high for groups that may read less. If that is less than
    one exclusive unit for each task and one of every group that is `demanded`, it is raised to that.
    """
    count = sum(request.units(index))
    table = BudgetTable.empty(count, len(groups))
    kept = request.kept(index)
    if kept is not None:
        rates = np.array([[run_probability(group, request.probabilities) for group in groups]])
        needed = [*(frozenset({task}) for task in request.tasks), *demanded]
        least = sum(run_probability(group, request.probabilities) for group in needed)
        name = f"computed units of {request.statistics.layers[index].name}"
        table = table.extended(BudgetTable(np.ones((1, count)), rates, np.array([max(kept, least)]), (name,)))
    return table


def layer_problem(request: Request, index: int, price: float, before: Reading | None) -> Grouping:
    """Build the problem of one layer.

    Parameters
    ----------
    price : loss that one MAC in E[C] is worth
    before : what the layer's units can read; None for the first layer, which reads the input
    """
    groups = groups_of(request.tasks)
    served = np.array([[task in group for task in request.tasks] for group in groups])
    losses = predicted_losses(request.statistics.layers[index], request.tasks)
    running = np.array([run_probability(group, request.probabilities) for group in groups])
    cost = losses.T @ ~served.T + price * np.outer(_unit_macs(request, index), running)
    if before is not None:
        cost[:, [bool(group) and not before.allows(group) for group in groups]] = np.inf
    for column, unit in enumerate(_indispensable(request, index)):
        cost[unit, ~served[:, column]] = np.inf
    demanded = before.demanded() if before is not None else []
    _offer(cost, groups, demanded)
    return Grouping(served, cost, layer_budgets(request, index, groups, demanded))


def _offer(cost: np.ndarray, groups: Sequence[Group], demanded: Sequence[Group]) -> None:
    """Bind the unit that costs least to every group that layers of spaces planned before can only read here."""
    for wanted in demanded:
        holds = np.array([wanted <= group for group in groups])
        best = cost[:, holds].min(axis=1)
        if np.isfinite(best).any():
            cost[int(best.argmin()), ~holds] = np.inf


def _use(layer: LayerStatistics, task: str, other: str) -> np.ndarray:
    """Return the importance for `task` of the units of `other`'s parent.

    Of what several layers write, how well a unit follows another is the mean over these layers.
    """
    importance = layer.units[task].importance
    if task == other:
        return importance
    follows = np.zeros((len(layer.units[other].importance), len(importance)))
    for writer in layer.writers:
        follows += _follows(writer, task, other)
    return (follows / len(layer.writers) * importance[None, :]).max(axis=1, initial=0.0)


def _follows(layer: LayerStatistics, task: str, other: str) -> np.ndarray:
    """Return ``max(rho, 0)^2`` between the units of `other`'s parent and those of `task`'s, (units, units)."""
    scale = [np.sqrt(layer.units[name].variance) for name in (other, task)]
    inverse = [np.divide(1.0, s, out=np.zeros_like(s), where=s > 0) for s in scale]
    correlation = layer.cross(other, task) * inverse[0][:, None] * inverse[1][None, :]
    return np.square(np.clip(correlation, 0.0, 1.0))


def _unit_macs(request: Request, index: int) -> np.ndarray:
    """Return (N,) the MACs of every unit in its parent: its own, and those of its readers on it."""
    rates = [request.unit_macs[task][index] for task in request.tasks]
    return np.repeat(rates, request.units(index))


def _indispensable(request: Request, index: int) -> list[int]:
    """Return for every task the index of its parent's most important unit, without which it could not run."""
    starts = np.cumsum([0, *request.units(index)[:-1]])
    units = request.statistics.layers[index].units
    return [int(start + units[task].importance.argmax()) for start, task in zip(starts, request.tasks, strict=True)]


@dataclass(frozen=True, eq=False)
class _Grouped:
    """What was decided for one layer."""

    plan: LayerPlan
    record: dict[str, Any]


def _group(request: Request, price: float) -> LayersAndRecords:
    layers: list[LayerPlan] = []
    records: list[dict[str, Any]] = []
    for index in range(len(request.statistics.layers)):
        if request.kept_per_task(index):
            layers.append(request.exclusive(index))
            continue
        reading = Reading.behind(request.structure, request.tasks, layers)
        found = _group_layer(request, index, price, reading)
        layers.append(found.plan)
        records.append(found.record)
    return layers, records


def _group_layer(request: Request, index: int, price: float, before: Reading) -> _Grouped:
    layer = request.statistics.layers[index]
    problem = layer_problem(request, index, price, before)
    solution = solve(problem, request.solver, time_limit=request.time_limit, seed=request.seed, threads=request.threads)
    if solution.decision is None:
        raise PlanError(
            f"layer {layer.name!r}: solver {solution.run.solver!r} found no groups: {solution.status.value} "
            f"{solution.run.note}".rstrip()
        )
    every = groups_of(request.tasks)
    groups = [every[choice] for choice in solution.decision]
    kept = np.flatnonzero([bool(group) for group in groups])
    pools = [Clusters.of_parent(layer, request.tasks, task).members for task in request.tasks]
    members = np.concatenate(pools)[kept]
    plan = Clusters(layer, request.tasks, members).plan([groups[unit] for unit in kept])
    # What the layer before kept for nobody restricts this one, whose bound then holds only behind that layer.
    limited = bool(before.demanded()) or not all(before.allows(group) for group in every)
    return _Grouped(plan, _record(request, index, solution, groups, limited))


def _record(request: Request, index: int, solution: Solution, groups: list[Group], limited: bool) -> dict[str, Any]:
    """Write down what ran as plain data."""
    layer = request.statistics.layers[index]
    losses = predicted_losses(layer, request.tasks)
    lost = np.array([[task not in group for group in groups] for task in request.tasks])
    return {
        "layer": layer.name,
        "solver": solution.run.solver,
        "backend": f"{solution.run.backend} {solution.run.version}".strip(),
        "note": solution.run.note,
        "status": solution.status.name,
        "value": solution.value,
        "bound": solution.bound,
        "gap": solution.gap,
        "stepwise": limited,
        "predicted_loss": float(losses[lost].sum()),
        "computed_units": sum(run_probability(group, request.probabilities) for group in groups),
        "units": {combination_key(group): groups.count(group) for group in dict.fromkeys(groups) if group},
        "seconds": solution.build_seconds + solution.solve_seconds,
    }


def _within_budget(request: Request, budget: float) -> LayersAndRecords:
    """Find the highest price of a MAC at which the predicted loss of all layers keeps the budget."""
    best = _group(request, price=0.0)
    if _predicted_loss(best) > budget:
        raise PlanError(
            f"loss_budget {budget:g} cannot be kept within width {request.width}: at least {_predicted_loss(best):.3g} "
            "of loss is predicted; allow more of either"
        )
    low, high = 0.0, _highest_price(request)
    for _ in range(_BISECTIONS):
        middle = high / 2**12 if low == 0.0 else float(np.sqrt(low * high))
        found = _group(request, middle)
        if _predicted_loss(found) <= budget:
            low, best = middle, found
        else:
            high = middle
    return best


def _predicted_loss(found: LayersAndRecords) -> float:
    return sum(record["predicted_loss"] for record in found[1])


def _highest_price(request: Request) -> float:
    """Return a price at which every unit goes that may go."""
    rates = [run_probability(frozenset({task}), request.probabilities) for task in request.tasks]
    least = min((rate for rate in rates if rate > 0), default=1.0)
    highest = 0.0
    for index, layer in enumerate(request.statistics.layers):
        dearest = predicted_losses(layer, request.tasks).sum(axis=0).max(initial=0.0)
        highest = max(highest, float(dearest / (least * _unit_macs(request, index).min())))
    return 2 * highest + 1e-300
