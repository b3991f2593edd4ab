"""Low-rank features of several parents: no twins, and many partners that are nearly as good."""

import numpy as np
from _clusters import low_rank

from pam_opt_solvers import MultiPairing
from pam_opt_solvers.instances import family

PARENTS, MOST_RANK, LEAST_RANK = 3, 16, 2


@family(
    "low_rank_multi_pairing",
    problem="multi_pairing",
    sizes=(16, 64, 256),
    severities=(0.0, 0.5, 1.0),
    dial="redundancy (0: rank 16, 1: rank 2)",
)
def low_rank_multi_pairing(size: int, severity: float, seed: int) -> MultiPairing:
    """Three parents whose units mix few directions; the dial goes from rank 16 to rank 2."""
    rank = round(MOST_RANK - severity * (MOST_RANK - LEAST_RANK))
    rng = np.random.default_rng([seed, size, 31])
    return MultiPairing(low_rank(size, rng, PARENTS, rank), np.full(PARENTS, size))
