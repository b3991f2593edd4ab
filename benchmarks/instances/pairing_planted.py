"""Planted twins: every unit of one parent has a noisy copy in the other."""

import numpy as np
from _features import importance, merge_cost

from pam_opt_solvers import Pairing
from pam_opt_solvers.instances import family

FEATURES = 32


@family(
    "planted_pairing",
    problem="pairing",
    sizes=(64, 256, 1024),
    severities=(0.0, 0.5, 1.0, 2.0),
    dial="noise of the twins (standard deviations)",
)
def planted_pairing(size: int, severity: float, seed: int) -> Pairing:
    """Noisy twins in random order, weighted by importance; the dial is the noise of the copies."""
    rng = np.random.default_rng([seed, size, 1])
    first = rng.normal(size=(size, FEATURES))
    second = first[rng.permutation(size)] + severity * rng.normal(size=(size, FEATURES))
    return Pairing(merge_cost(first, second, importance(rng, size), importance(rng, size)))
