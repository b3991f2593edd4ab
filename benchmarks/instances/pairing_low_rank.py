"""Low-rank features: a layer that says few things many times over, so that many partners are nearly as good."""

import numpy as np
from _features import importance, merge_cost

from pam_opt_solvers import Pairing
from pam_opt_solvers.instances import family

FEATURES = 32
LOWEST_RANK = 2


@family(
    "low_rank_pairing",
    problem="pairing",
    sizes=(64, 256, 1024),
    severities=(0.0, 0.5, 0.75, 1.0),
    dial="redundancy (0: full rank, 1: rank 2)",
)
def low_rank_pairing(size: int, severity: float, seed: int) -> Pairing:
    """Features of falling rank shared by both parents; the dial goes from full rank to rank 2."""
    rng = np.random.default_rng([seed, size, 2])
    rank = round(FEATURES - severity * (FEATURES - LOWEST_RANK))
    mixing = rng.normal(size=(rank, FEATURES)) / np.sqrt(rank)
    first, second = (rng.normal(size=(size, rank)) @ mixing for _ in range(2))
    return Pairing(merge_cost(first, second, importance(rng, size), importance(rng, size)))
