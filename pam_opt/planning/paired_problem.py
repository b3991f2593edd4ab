"""Regrouping and pairing of one layer of two parents as a single problem, a `PairedGrouping`.

Every unit merges with one of the other parent, serves both tasks alone, serves one task, or goes. A unit costs half its
importance where its parent's task loses it (the loss that this adds to second order), and a pair what its merging is
predicted to add to the loss; both are in units of the loss. The other task loses nothing with a unit that it never
read: what that unit would tell about it is what the budgets are for. For each task they limit, in nats, what all units
that do not serve it tell about it together.

The units that are computed on the average, ``sum pi(g)``, with pi(g) the probability that a group runs, are limited by
one more budget, so that a pair (pi = 1) takes less room than its units exclusive to their tasks (2/3 each where all
combinations are as likely), and those less than two units shared alone.
"""

from collections.abc import Sequence

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.information.responses import Collected, Responses
from pam_opt.information.unit_sets import UnitInformation
from pam_opt.macs import run_probability
from pam_opt.planning.clusters import unit_costs
from pam_opt.planning.grouping import groups_of, indispensable
from pam_opt.planning.incoming import incoming_weights
from pam_opt.planning.pam import estimators_of, thresholds
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan
from pam_opt.tasks import Group
from pam_opt_solvers import PairedGrouping, solve
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget


def paired_problem(
    request: Request, index: int, before: Sequence[LayerPlan], informed: Responses | None
) -> PairedGrouping:
    """Build the problem of one layer; its groups are those of `groups_of`.

    Parameters
    ----------
    before : the plans of the layers before
    informed : the layer's responses; None for a layer that is not regrouped: all its units serve all tasks
    """
    groups = groups_of(request.tasks)
    served = np.array([[task in group for task in request.tasks] for group in groups])
    one, two = request.tasks
    cost = unit_costs(
        request.cost, request.statistics.layers[index], request.tasks, one, two, incoming_weights(request, before)
    )
    alone = _losses(request, index, served)
    alone[:, _closed(groups, before, regrouped=informed is not None)] = np.inf
    return PairedGrouping(served, alone, cost, joint=_budgets(request, informed, served))


def within_computed(request: Request, index: int, problem: PairedGrouping) -> PairedGrouping:
    """Limit the computed units to those of `width`, or to those of regrouping first and pairing afterwards.

    One unit for every task is allowed in any case.
    """
    rates = np.array([run_probability(group, request.probabilities) for group in groups_of(request.tasks)])
    kept = request.kept(index)
    limit = _of_two_steps(problem, rates) if kept is None else float(kept)
    least = sum(run_probability(frozenset({task}), request.probabilities) for task in request.tasks)
    row = np.append(rates, run_probability(request.everything, request.probabilities) / 2)[None, :]
    name = f"computed units of {request.statistics.layers[index].name}"
    table = BudgetTable(np.ones((1, problem.n_units)), row, np.array([max(limit, least)]), (name,))
    return problem.with_budgets(table, problem.joint)


def _of_two_steps(problem: PairedGrouping, rates: np.ndarray) -> float:
    """Return the computed units after PAM's greedy regrouping with all pairs of the shared group.

    Raises
    ------
    PlanError : that leaves a unit without a group
    """
    solution = solve(problem, "greedy")
    if solution.decision is None:
        raise PlanError(f"regrouping alone leads nowhere here: {solution.run.note}; give a width= to plan without it")
    columns, rows, (everything,) = (
        problem.columns(solution.decision),
        problem.pair_cost.shape[0],
        np.flatnonzero(problem.groups.all(axis=1)),
    )
    counts = np.bincount(columns, minlength=len(rates) + 1)[:-1].astype(float)
    shared = columns == everything
    counts[everything] = max(shared[:rows].sum(), shared[rows:].sum())
    return float(counts @ rates)


def _losses(request: Request, index: int, served: np.ndarray) -> np.ndarray:
    """Return (N, G) what it adds to the loss of its parent's task that a unit alone does not serve it.

    Every parent's most important unit must serve its task, which could not run else.
    """
    units = request.statistics.layers[index].units
    alone = np.concatenate(
        [np.outer(units[task].importance / 2, ~served[:, k]) for k, task in enumerate(request.tasks)]
    )
    for column, unit in enumerate(indispensable(request, index)):
        alone[unit, ~served[:, column]] = np.inf
    return alone


def _closed(groups: Sequence[Group], before: Sequence[LayerPlan], *, regrouped: bool) -> list[bool]:
    """Return of every group whether no unit may be in it: it could read nothing, or the layer shares all units."""
    sources = set(before[-1].groups) if before else set(groups)
    return [
        (not regrouped and group != groups[0]) or (bool(group) and not any(group <= source for source in sources))
        for group in groups
    ]


def _budgets(request: Request, informed: Responses | None, served: np.ndarray) -> tuple[JointBudget, ...]:
    """Limit for each task what the units that do not serve it tell about it; a pair serves both."""
    if informed is None:
        return ()
    assert isinstance(request.responses, Collected)
    assert request.information is not None
    estimators = estimators_of(request.information, informed, request.responses.labels)
    limits = thresholds(request.information, informed, estimators)
    return tuple(
        JointBudget(
            np.append(~served[:, column], False),
            UnitInformation(estimators[task], request.information.scan),
            limits[task],
            f"information on {task}",
        )
        for column, task in enumerate(request.tasks)
    )
