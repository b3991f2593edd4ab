"""Pure noise between several parents: the axial assignment problem with decomposable random costs."""

import numpy as np
from _clusters import noise

from pam_opt_solvers import MultiPairing
from pam_opt_solvers.instances import family

PARENTS = 3


@family(
    "noise_multi_pairing",
    problem="multi_pairing",
    sizes=(16, 64, 256),
    severities=(0.0, 0.3, 0.6),
    dial="forbidden pairs (fraction)",
)
def noise_multi_pairing(size: int, severity: float, seed: int) -> MultiPairing:
    """Three parents with uniform costs; the dial is the fraction of pairs forbidden, none of a hidden clustering."""
    rng = np.random.default_rng([seed, size, 32])
    cost = noise(size, rng, PARENTS)
    forbidden = np.triu(rng.random(cost.shape) < severity, 1)
    hidden = np.concatenate([rng.permutation(size) for _ in range(PARENTS)])
    forbidden &= hidden[:, None] != hidden
    cost[forbidden | forbidden.T] = np.inf
    return MultiPairing(cost, np.full(PARENTS, size))
