"""Planted twins of several parents: every unit has a noisy copy in each of them."""

import numpy as np
from _clusters import planted

from pam_opt_solvers import MultiPairing
from pam_opt_solvers.instances import family

PARENTS = 3


@family(
    "planted_multi_pairing",
    problem="multi_pairing",
    sizes=(16, 64, 256),
    severities=(0.5, 1.0, 2.0),
    dial="noise of the twins (standard deviations)",
)
def planted_multi_pairing(size: int, severity: float, seed: int) -> MultiPairing:
    """Three parents whose units are noisy copies in random order; the dial is the noise of the copies."""
    rng = np.random.default_rng([seed, size, 30])
    return MultiPairing(planted(size, rng, PARENTS, severity), np.full(PARENTS, size))
