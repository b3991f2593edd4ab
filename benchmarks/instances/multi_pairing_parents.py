"""Three to six parents: the more there are, the further the clusters of each two are from those of all."""

import numpy as np
from _clusters import planted

from pam_opt_solvers import MultiPairing
from pam_opt_solvers.instances import family

NOISE = 1.0


@family(
    "many_parents_multi_pairing",
    problem="multi_pairing",
    sizes=(8, 32, 128),
    severities=(3, 4, 5, 6),
    dial="parents (number)",
)
def many_parents_multi_pairing(size: int, severity: float, seed: int) -> MultiPairing:
    """Noisy twins in random order; the dial is the number of parents."""
    parents = round(severity)
    rng = np.random.default_rng([seed, size, 33])
    return MultiPairing(planted(size, rng, parents, NOISE), np.full(parents, size))
