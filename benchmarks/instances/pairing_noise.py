"""Pure noise: costs without structure, the classical random assignment problem."""

import numpy as np

from pam_opt_solvers import Pairing
from pam_opt_solvers.instances import family


@family(
    "noise_pairing",
    problem="pairing",
    sizes=(64, 256, 1024),
    severities=(0.0, 0.5, 0.9),
    dial="forbidden pairs (fraction)",
)
def noise_pairing(size: int, severity: float, seed: int) -> Pairing:
    """Independent exponential costs; the dial is the fraction of pairs forbidden, never one of a hidden pairing."""
    rng = np.random.default_rng([seed, size, 3])
    cost = rng.exponential(size=(size, size))
    forbidden = rng.random((size, size)) < severity
    forbidden[np.arange(size), rng.permutation(size)] = False
    cost[forbidden] = np.inf
    return Pairing(cost)
