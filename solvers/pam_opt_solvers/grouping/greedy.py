"""The greedy regrouping of PAM for any groups and budgets.

PAM [1] grows for each task j a set ``S_j`` of units, each time by the one that gives the least joint information
``I(S_j + u; Y_j)``, until that would pass alpha. Units in all sets are dropped, units in all but that of task i are
exclusive to i, and the rest is shared.

Here every *budget* grows such a set, by its own weights or set function, until its limit. A set that lacks a unit
closes the groups that its budget counts to the unit. Of the groups that are open (else of those that fewest sets
close) a unit takes the one with the fewest tasks, the cheapest of equals. With one budget for each task, counting the
groups that do not serve it, and the groups of PAM (none, each alone, all), that is PAM's rule, and open groups
keep every budget whatever else is chosen. Budgets that leave a unit without an open group (of MACs, say, which count
shared groups too) may be broken then: single moves repair that, least cost per excess removed first.

[1] X. He, D. Gao, Z. Zhou, Y. Tong, L. Thiele, "Pruning-Aware Merging for Efficient Multitask Inference", KDD 2021,
    arXiv:1905.09676.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping.joint_repair import make_valid
from pam_opt_solvers.grouping.normal import Normal
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

CHOICES: dict[str, Callable[[Grouping], NDArray[Any]]] = {
    "fewest_tasks": lambda problem: np.broadcast_to(problem.groups.sum(axis=1), problem.shape),
    "least_cost": lambda problem: problem.cost,
}
"""What decides among open groups, before the cost."""


class Greedy(Solver[Counts]):
    """Grow a set of little information for every budget, and drop or separate what is in enough of them."""

    name = "greedy"
    takes = frozenset({"grouping"})
    exact = False
    features = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})
    description = "heuristic in the shape of PAM's regrouping; the baseline"
    settings = MappingProxyType({"choice": ("fewest_tasks", "least_cost")})
    stops_itself = True

    def _build(self, problem: Grouping, options: Options) -> Counts:
        """Return (n, G) how many sets close a group to a unit."""
        table = problem.linear
        closing = np.zeros(problem.shape, np.int64)
        for budget in range(len(table)):
            closing += ~linear_set(table, budget)[:, None] & (table.rates[budget] > 0)
        for budget in problem.joint:
            closing += ~joint_set(budget)[:, None] & budget.groups
        return closing

    def _run(self, model: Counts, problem: Grouping, options: Options) -> Outcome:
        closing = np.where(problem.permitted, model, model.max() + 1)
        rule = CHOICES[options.settings.get("choice", "fewest_tasks")]
        keys = (problem.cost, rule(problem), closing)
        decision = _least(keys)
        if not problem.violations(decision):
            return Outcome(Status.FEASIBLE, decision)
        search = Search(problem, options.time_limit)
        state = make_valid(Normal.of(problem), decision, search)
        if state is None:
            status = Status.TIME_LIMIT_EMPTY if search.out_of_time else Status.NO_DECISION
            return Outcome(
                status, note="the sets leave units without an open group, and single moves do not repair that"
            )
        return Outcome(Status.FEASIBLE, state.decision, note="repaired: the sets leave units without an open group")

    def worst_seconds(self, problem: Grouping) -> float:
        """Return a generous time for sets and repair; joint budgets may need any."""
        return np.inf if problem.joint else 1e-5 * problem.cost.size * (1 + len(problem.linear)) + 0.1


def _least(keys: tuple[NDArray[Any], ...]) -> NDArray[np.int64]:
    """Return (n,) the column that is least by the last of the keys (n, G), ties by the one before it, and so on."""
    open_ = np.ones(keys[0].shape, bool)
    for key in reversed(keys):
        least = np.where(open_, key, np.inf).min(axis=1, keepdims=True)
        open_ &= key <= least
    return open_.argmax(axis=1)


def linear_set(table: BudgetTable, budget: int) -> Flags:
    """Return (n,) the units of least weight that keep a budget together, wherever it counts them."""
    weights = table.weights[budget] * table.rates[budget].max(initial=0.0)
    order = np.argsort(weights, kind="stable")
    chosen = np.zeros(len(weights), bool)
    chosen[order[np.cumsum(weights[order]) <= table.limits[budget]]] = True
    return chosen


def joint_set(budget: JointBudget) -> Flags:
    """Return (n,) the units of a set grown by the unit that adds least, as long as it keeps the budget."""
    return budget.function.least_set(budget.limit, np.ones(budget.function.size, bool))
