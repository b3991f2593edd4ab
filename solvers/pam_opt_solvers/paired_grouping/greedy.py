"""Regrouping first, pairs afterwards: PAM's greedy groups, and the cheapest pairs within the shared one.

Every budget grows a set as in `pam_opt_solvers.grouping.greedy`, and every unit takes the open group with the fewest
tasks. Then the units in the group of all tasks are paired, wherever a pair costs less than both alone. What the pairs
would have made of the other groups is not asked: the baseline of the problem in one.
"""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping.greedy import Greedy as Regrouping
from pam_opt_solvers.matching import matched
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.problems.paired_grouping import PairedGrouping
from pam_opt_solvers.solver import Solver


class Greedy(Solver[Grouping]):
    """Regroup greedily as PAM does, then merge the cheapest pairs of the shared group."""

    name = "greedy"
    takes = frozenset({"paired_grouping"})
    exact = False
    features = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})
    description = "heuristic: PAM's greedy regrouping, then the cheapest pairs within the shared group; the baseline"
    stops_itself = True

    def _build(self, problem: PairedGrouping, options: Options) -> Grouping:
        """Return the regrouping without pairs."""
        table = problem.linear
        joint = tuple(JointBudget(b.groups[:-1], b.function, b.limit, b.name) for b in problem.joint)
        linear = BudgetTable(table.weights, table.rates[:, :-1], table.limits, table.names)
        return Grouping(problem.groups, problem.alone, linear, joint)

    def _run(self, model: Grouping, problem: PairedGrouping, options: Options) -> Outcome:
        settled = model.settled()
        if settled is not None and settled.decision is None:
            return Outcome(Status.NO_DECISION, note=f"without pairs: {settled.note}")
        # Not what is settled: the cheapest groups may keep all budgets and still be none that regrouping would choose.
        outcome = Regrouping().compute(model, options)
        if outcome.decision is None:
            return Outcome(outcome.status, note=f"without pairs: {outcome.note}")
        decision = problem.decision_of(outcome.decision, _pairs(problem, outcome.decision))
        if problem.violations(decision):
            decision = outcome.decision
        return Outcome(Status.FEASIBLE, decision, note=outcome.note)


def _pairs(problem: PairedGrouping, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return as (k, 2) the cheapest pairs of units in the group of all tasks."""
    rows = problem.pair_cost.shape[0]
    everything = np.flatnonzero(problem.groups.all(axis=1))
    shared = np.flatnonzero(np.isin(groups, everything))
    first, second = shared[shared < rows], shared[shared >= rows] - rows
    paid = problem.alone[np.arange(problem.n_units), groups]
    weights = np.where(problem.permitted_pairs, problem.pair_cost, np.inf)[np.ix_(first, second)]
    weights = weights - paid[first, None] - paid[None, rows + second]
    found = np.column_stack(matched(np.minimum(weights, 0.0)))
    found = found[weights[found[:, 0], found[:, 1]] < 0]
    return np.column_stack([first[found[:, 0]], second[found[:, 1]]])
