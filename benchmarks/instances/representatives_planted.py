"""Planted representatives: units in clusters, one to stand for each."""

import numpy as np
from _features import importance, squared_distances

from pam_opt_solvers import Representatives
from pam_opt_solvers.instances import family

FEATURES = 32


@family(
    "planted_representatives",
    problem="representatives",
    sizes=(32, 64, 256, 1024),
    severities=(0.25, 0.5, 1.0),
    dial="noise inside the clusters (standard deviations)",
    unit="units of all parents",
)
def planted_representatives(size: int, severity: float, seed: int) -> Representatives:
    """Noisy copies of a quarter as many centres, as many kept as there are centres; the dial is the noise."""
    rng = np.random.default_rng([seed, size, 12])
    kept = max(1, size // 4)
    centres = rng.normal(size=(kept, FEATURES))[rng.integers(0, kept, size)]
    features = centres + severity * rng.normal(size=centres.shape)
    weights = importance(rng, size)
    cost = weights[:, None] * squared_distances(features, features)
    np.fill_diagonal(cost, 0.0)
    return Representatives(cost, n_kept=kept, importance=weights)
