"""Small random groupings, with and without joint budgets, and their optima by trying everything."""

import itertools
import math

import numpy as np

from pam_opt_solvers import Grouping
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.gaussian_information import GaussianInformation
from pam_opt_solvers.problems.grouping import subsets

INF = np.inf
PAIR = subsets(2)
COST = np.array([[0.0, 2.0, 3.0, 4.0], [0.0, 1.0, 1.0, 2.0], [5.0, 1.0, 4.0, 4.0]])
LOSS = BudgetTable(np.array([[1.0, 1.0, 1.0]]), np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([1.0]), ("lost",))
"""One unit may be dropped: of the two that would be for free, the one that is dearer to keep."""


def no_room() -> BudgetTable:
    """Return budgets of eight units of which two exclude each other: every group costs one, each has room for three."""
    rates = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    return BudgetTable(np.ones((3, 8)), rates, np.array([3.0, 3.0, 6.0]), ("dropped", "kept", "idle"))


FEASIBLE = {
    "one may be dropped": (Grouping(PAIR, COST, LOSS), 2.0),
    "no budget": (Grouping(PAIR, COST), 1.0),
    "nothing": (Grouping(PAIR, np.zeros((0, 4))), 0.0),
    "no groups, no units": (Grouping(np.zeros((0, 2)), np.zeros((0, 0))), 0.0),
    "one": (Grouping(PAIR, np.array([[3.0, 2.0, INF, 5.0]])), 2.0),
    "one group": (Grouping(np.zeros((1, 0)), np.array([[7.0]])), 7.0),
    "ties": (Grouping(PAIR, np.ones((4, 4))), 4.0),
    "ties and a budget": (Grouping(PAIR, np.ones((3, 4)), LOSS), 3.0),
    "forbidden": (Grouping(PAIR, np.where(COST == 2, INF, COST), LOSS), 2.0),
    "forbidden to the dearer": (Grouping(PAIR, np.where(COST == 1, INF, COST), LOSS), 6.0),
    "tiny": (Grouping(PAIR, COST * 1e-300, LOSS), 2e-300),
    "huge": (Grouping(PAIR, COST * 1e299, LOSS), 2e299),
}
"""Name to problem and optimal value."""

INFEASIBLE = {
    "no group to be in": Grouping(np.zeros((0, 2)), np.zeros((2, 0))),
    "all forbidden": Grouping(PAIR, np.array([[INF, INF, INF, INF]])),
    "negative limit": Grouping(PAIR, COST, BudgetTable(np.ones((1, 3)), np.ones((1, 4)), np.array([-1.0]))),
    "limit below one unit": Grouping(PAIR, COST, BudgetTable(np.ones((1, 3)), np.ones((1, 4)), np.array([0.5]))),
    "two budgets exclude each other": Grouping(PAIR, np.arange(32.0).reshape(8, 4), no_room()),
}
"""Name to problem without any decision."""


def information(rng, units, classes=2):
    """Return the Gaussian information of units whose means and covariances differ between classes."""
    probabilities = rng.dirichlet(np.full(classes, 3.0))
    factors = rng.normal(size=(classes, units, max(1, units // 2)))
    within = factors @ factors.transpose(0, 2, 1) / units
    means = rng.normal(size=(classes, units)) * rng.random(units)
    offsets = means - probabilities @ means
    overall = np.tensordot(probabilities, within, 1) + (offsets * probabilities[:, None]).T @ offsets
    return GaussianInformation(overall, within, probabilities, float(rng.choice([0.1, 1.0])))


def costs(rng, units, groups):
    """Return costs of a random kind: small integers with ties, normal, of any size, lognormal; some forbidden."""
    shape = (units, groups)
    kinds = (
        lambda: rng.integers(-3, 4, shape).astype(float),
        lambda: rng.normal(size=shape),
        lambda: rng.random(shape) * 10.0 ** rng.integers(-3, 4),
        lambda: np.exp(rng.normal(0.0, 3.0, shape)),
    )
    cost = kinds[rng.integers(len(kinds))]()
    cost[rng.random(shape) < rng.choice([0.0, 0.2])] = np.inf
    return cost


def tiny(seed, *, joint=False):
    """Return a grouping of one to five units, often with tight or infeasible budgets."""
    rng = np.random.default_rng(seed)
    units, groups = int(rng.integers(1, 6)), subsets(int(rng.integers(1, 3)))
    if rng.random() < 0.3:
        groups = groups[np.sort(rng.choice(len(groups), int(rng.integers(1, len(groups) + 1)), replace=False))]
    cost = costs(rng, units, len(groups))
    budgets = int(rng.integers(0 if joint else 1, 4))
    whole = rng.random() < 0.5
    weights = rng.integers(0, 5, (budgets, units)).astype(float) if whole else rng.random((budgets, units))
    rates = (rng.random((budgets, len(groups))) < 0.5) * (1.0 if rng.random() < 0.7 else rng.random())
    limits = weights.sum(axis=1) * rng.random(budgets) * rng.choice([0.5, 1.0])
    table = BudgetTable(weights, rates, limits)
    return Grouping(groups, cost, table, _joint(rng, units, len(groups)) if joint else ())


def _joint(rng, units, groups):
    found = []
    for index in range(int(rng.integers(1, 3))):
        function = information(rng, units, int(rng.integers(1, 4)))
        limit = function.value(np.arange(units)) * rng.random()
        found.append(JointBudget(rng.random(groups) < 0.5, function, limit, f"joint {index}"))
    return tuple(found)


def best_value(problem):
    """Return the optimum by trying every decision, cheapest first; inf = there is none."""
    units, groups = problem.shape
    decisions = np.array(list(itertools.product(range(groups), repeat=units)), np.int64).reshape(-1, units)
    values = problem.cost[np.arange(units), decisions].sum(axis=1)
    table = problem.linear
    use = np.einsum("bu,bdu->db", table.weights, table.rates[:, decisions])
    open_ = decisions[(values < np.inf) & (use <= table.allowed).all(axis=1)]
    for decision in open_[np.argsort(problem.cost[np.arange(units), open_].sum(axis=1), kind="stable")]:
        if not problem.violations(decision):
            return math.fsum(problem.terms(decision))
    return math.inf
