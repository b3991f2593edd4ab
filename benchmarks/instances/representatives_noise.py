"""Pure noise: what it costs that one unit stands for another has no structure."""

import numpy as np
from _features import importance

from pam_opt_solvers import Representatives
from pam_opt_solvers.instances import family


@family(
    "noise_representatives",
    problem="representatives",
    sizes=(32, 64, 256, 1024),
    severities=(0.5, 0.75, 0.875),
    dial="units not kept (fraction)",
    unit="units of all parents",
)
def noise_representatives(size: int, severity: float, seed: int) -> Representatives:
    """Independent uniform costs times importance; the dial is the part that is not kept."""
    rng = np.random.default_rng([seed, size, 13])
    weights = importance(rng, size)
    cost = weights[:, None] * rng.random((size, size))
    np.fill_diagonal(cost, 0.0)
    return Representatives(cost, n_kept=max(1, round((1.0 - severity) * size)), importance=weights)
