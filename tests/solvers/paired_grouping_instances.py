"""Small random paired groupings, with and without budgets, and their optima by trying everything."""

import itertools
import math

import numpy as np
from grouping_instances import costs, information

from pam_opt_solvers import PairedGrouping
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.grouping import subsets

INF = np.inf
PAIR = subsets(2)
ALONE = np.array([[4.0, 1.0, 9.0, 2.0], [1.0, 2.0, 9.0, 3.0], [5.0, 9.0, 1.0, 2.0]])
"""Two units of the first parent and one of the second: dropped, exclusive to either task, shared."""

PAIRS = np.array([[1.5], [3.0]])
KEPT = BudgetTable(np.ones((1, 3)), np.array([[0.0, 1.0, 1.0, 1.5, 0.75]]), np.array([1.5]), ("computed",))
"""A unit alone and a pair may be computed, but not two units alone."""

FEASIBLE = {
    "the first merges": (PairedGrouping(PAIR, ALONE, PAIRS), 2.5),
    "one is computed": (PairedGrouping(PAIR, ALONE, PAIRS + 10.0, KEPT), 6.0),
    "a pair is computed": (PairedGrouping(PAIR, ALONE, PAIRS, KEPT), 2.5),
    "no pair is worth it": (PairedGrouping(PAIR, ALONE, PAIRS + 1.0), 3.0),
    "nothing": (PairedGrouping(PAIR, np.zeros((0, 4)), np.zeros((0, 0))), 0.0),
    "one": (PairedGrouping(PAIR, np.array([[3.0, 2.0, INF, 5.0]]), np.zeros((1, 0))), 2.0),
    "one of the second": (PairedGrouping(PAIR, np.array([[3.0, 2.0, INF, 5.0]]), np.zeros((0, 1))), 2.0),
    "no groups": (PairedGrouping(np.zeros((0, 2), bool), np.zeros((4, 0)), np.array([[1.0, 2.0], [5.0, 4.0]])), 5.0),
    "ties": (PairedGrouping(PAIR, np.ones((4, 4)), np.ones((2, 2))), 2.0),
    "forbidden": (PairedGrouping(PAIR, np.where(ALONE == 1, INF, ALONE), PAIRS), 3.5),
    "one must merge": (PairedGrouping(PAIR, np.array([[INF] * 4, [1.0] * 4, [1.0] * 4]), np.array([[7.0], [0]])), 8.0),
    "tiny": (PairedGrouping(PAIR, ALONE * 1e-300, PAIRS * 1e-300), 2.5e-300),
    "huge": (PairedGrouping(PAIR, ALONE * 1e299, PAIRS * 1e299), 2.5e299),
}
"""Name to problem and optimal value."""

INFEASIBLE = {
    "no choice": PairedGrouping(PAIR, np.full((2, 4), INF), np.array([[INF]])),
    "two for one": PairedGrouping(np.zeros((0, 2), bool), np.zeros((3, 0)), np.ones((2, 1))),
    "negative limit": PairedGrouping(
        PAIR, ALONE, PAIRS, BudgetTable(np.ones((1, 3)), np.ones((1, 5)), np.array([-1.0]))
    ),
    "room for two of three": PairedGrouping(
        PAIR, ALONE, PAIRS, BudgetTable(np.ones((1, 3)), np.ones((1, 5)), np.array([2.0]))
    ),
}
"""Name to problem without any decision."""


def tiny(seed, *, joint=False, most=3):
    """Return a paired grouping of up to two times `most` units, often with tight or infeasible budgets."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, most + 1, 2)
    units, groups = int(sizes.sum()), subsets(int(rng.integers(1, 3)))
    if rng.random() < 0.3:
        groups = groups[np.sort(rng.choice(len(groups), int(rng.integers(1, len(groups) + 1)), replace=False))]
    drawn = costs(rng, units * len(groups) + int(sizes.prod()), 1)[:, 0]
    alone, pair_cost = np.split(drawn, [units * len(groups)])
    count = int(rng.integers(0, 3))
    weights = rng.integers(0, 5, (count, units)).astype(float) if rng.random() < 0.5 else rng.random((count, units))
    part = 1.0 if rng.random() < 0.7 else rng.random()
    rates = np.where(rng.random((count, len(groups) + 1)) < 0.5, part, 0.0)
    table = BudgetTable(weights, rates, weights.sum(axis=1) * rng.random(count) * rng.choice([0.5, 1.0]))
    budgets = _joint(rng, units, len(groups)) if joint and units else ()
    return PairedGrouping(groups, alone.reshape(units, len(groups)), 2 * pair_cost.reshape(sizes), table, budgets)


def _joint(rng, units, groups):
    found = []
    for index in range(int(rng.integers(1, 3))):
        function = information(rng, units, int(rng.integers(1, 4)))
        flags = np.append(rng.random(groups) < 0.5, False)
        limit = function.value(np.arange(units)) * rng.random()
        found.append(JointBudget(flags, function, limit, f"joint {index}"))
    return tuple(found)


def best_value(problem):
    """Return the optimum by trying every decision; inf = there is none."""
    best = math.inf
    for pairs in matchings(*problem.pair_cost.shape):
        single = np.setdiff1d(np.arange(problem.n_units), [*pairs[:, 0], *(pairs[:, 1] + problem.pair_cost.shape[0])])
        for groups in itertools.product(range(problem.n_groups), repeat=len(single)):
            alone = np.zeros(problem.n_units, np.int64)
            alone[single] = groups
            decision = problem.decision_of(alone, pairs)
            value = math.fsum(problem.terms(decision))
            if value < best and not problem.violations(decision):
                best = value
    return best


def matchings(rows, columns):
    """Yield every set of pairs of a complete bipartite graph, (k, 2)."""
    for count in range(min(rows, columns) + 1):
        for first in itertools.combinations(range(rows), count):
            for second in itertools.permutations(range(columns), count):
                yield np.array(list(zip(first, second, strict=True)), np.int64).reshape(-1, 2)
