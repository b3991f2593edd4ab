"""Pairings within a budget: every pair costs something else too, and the cheapest pairs use too much of it."""

import numpy as np
from _features import importance, merge_cost

from pam_opt_solvers import Budget, Pairing, solve
from pam_opt_solvers.instances import family

FEATURES = 32
NOISE = 1.0


@family(
    "budgeted_pairing",
    problem="pairing",
    sizes=(16, 64, 128),
    severities=(0.0, 0.5, 0.9, 1.1),
    dial="tightness of the budget (0: free, 1: least use)",
)
def budgeted_pairing(size: int, severity: float, seed: int) -> Pairing:
    """Noisy twins with a linear budget; the dial goes from the free optimum's use to the least, above 1 none."""
    rng = np.random.default_rng([seed, size, 7])
    first = rng.normal(size=(size, FEATURES))
    second = first[rng.permutation(size)] + NOISE * rng.normal(size=first.shape)
    cost = merge_cost(first, second, importance(rng, size), importance(rng, size))
    weights = rng.lognormal(size=cost.shape)
    free, least = (_use(weights, matrix) for matrix in (cost, weights))
    return Pairing(cost, budgets=(Budget(weights, free + severity * (least - free), "use"),))


def _use(weights: np.ndarray, cost: np.ndarray) -> float:
    pairs = solve(Pairing(cost), "hungarian").pairs
    assert pairs is not None
    return float(weights[pairs[:, 0], pairs[:, 1]].sum())
