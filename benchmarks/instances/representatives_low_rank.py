"""Representatives of low-rank features: the units of two parents, half a parent's width to keep."""

import numpy as np
from _features import importance, squared_distances

from pam_opt_solvers import Representatives
from pam_opt_solvers.instances import family

FEATURES = 32
LOWEST_RANK = 2


@family(
    "low_rank_representatives",
    problem="representatives",
    sizes=(64, 256, 1024),
    severities=(0.0, 0.5, 1.0),
    dial="redundancy (0: full rank, 1: rank 2)",
    unit="units of all parents",
)
def low_rank_representatives(size: int, severity: float, seed: int) -> Representatives:
    """Features of falling rank, a quarter of the units kept; the dial goes from full rank to rank 2."""
    rng = np.random.default_rng([seed, size, 5])
    rank = round(FEATURES - severity * (FEATURES - LOWEST_RANK))
    features = rng.normal(size=(size, rank)) @ rng.normal(size=(rank, FEATURES)) / np.sqrt(rank)
    weights = importance(rng, size)
    cost = weights[:, None] * squared_distances(features, features)
    np.fill_diagonal(cost, 0.0)
    return Representatives(cost, n_kept=size // 4, importance=weights)
