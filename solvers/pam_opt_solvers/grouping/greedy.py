"""The greedy regrouping of PAM for any groups and budgets.

PAM [1] grows for each task j a set ``S_j`` of units, each time by the one that gives the least joint information
``I(S_j + u; Y_j)``, until that would pass alpha. Units in all sets are dropped, units in all but that of task i are
exclusive to i, and the rest is shared.

Here every *budget* grows such a set, by its own weights or set function, until its limit; a unit may go into a group
only if it is in the set of every budget that counts the group, so that all budgets are kept whatever else is
chosen. Of those groups it takes the one with the fewest tasks, the cheapest of equals. With one budget for each task,
counting the groups that do not serve it, and the groups of PAM (none, each alone, all), that is PAM's rule.

[1] X. He, D. Gao, Z. Zhou, Y. Tong, L. Thiele, "Pruning-Aware Merging for Efficient Multitask Inference", KDD 2021,
    arXiv:1905.09676.
"""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.solver import Solver

Flags = NDArray[np.bool_]


class Greedy(Solver[Flags]):
    """Grow a set of little information for every budget, and drop or separate what is in enough of them."""

    name = "greedy"
    takes = frozenset({"grouping"})
    exact = False
    features = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})
    description = "heuristic in the shape of PAM's regrouping; the baseline"
    settings = MappingProxyType({"choice": ("fewest_tasks", "least_cost")})

    def _build(self, problem: Grouping, options: Options) -> Flags:
        """Return (n, G) the groups that each unit may take."""
        open_ = problem.permitted.copy()
        table = problem.linear
        for b in range(len(table)):
            open_ &= linear_set(table, b)[:, None] | (table.rates[b] == 0)[None, :]
        for budget in problem.joint:
            open_ &= joint_set(budget)[:, None] | ~budget.groups[None, :]
        return open_

    def _run(self, model: Flags, problem: Grouping, options: Options) -> Outcome:
        stuck = ~model.any(axis=1)
        if stuck.any():
            count, first = int(stuck.sum()), int(stuck.argmax())
            return Outcome(Status.NO_DECISION, note=f"no set opens a group to {count} units, unit {first} first")
        costs = np.where(model, problem.cost, np.inf)
        if options.settings.get("choice", "fewest_tasks") == "fewest_tasks":
            tasks = np.where(model, problem.groups.sum(axis=1)[None, :], problem.groups.shape[1] + 1)
            costs = np.where(tasks == tasks.min(axis=1, keepdims=True), costs, np.inf)
        return Outcome(Status.FEASIBLE, costs.argmin(axis=1))

    def worst_seconds(self, problem: Grouping) -> float:
        """Return a generous time; joint budgets may need any."""
        return np.inf if problem.joint else 1e-6 * problem.cost.size * (1 + len(problem.linear)) + 0.1


def linear_set(table: BudgetTable, budget: int) -> Flags:
    """Return (n,) the units of least weight that keep a budget together, wherever it counts them."""
    weights = table.weights[budget] * table.rates[budget].max(initial=0.0)
    order = np.argsort(weights, kind="stable")
    chosen = np.zeros(len(weights), bool)
    chosen[order[np.cumsum(weights[order]) <= table.limits[budget]]] = True
    return chosen


def joint_set(budget: JointBudget) -> Flags:
    """Return (n,) the units of a set grown by the unit that adds least, as long as it keeps the budget."""
    growth = budget.function.grow()
    chosen = np.zeros(budget.function.size, bool)
    while not chosen.all():
        values = np.where(chosen, np.inf, growth.candidates())
        unit = int(values.argmin())
        if values[unit] > budget.limit:
            break
        growth.add(unit)
        chosen[unit] = True
    return chosen
