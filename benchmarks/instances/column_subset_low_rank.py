"""Column subsets of noisy low-rank features: kept units explain the others by regression, a quarter kept."""

import numpy as np
from _features import importance

from pam_opt_solvers import ColumnSubset
from pam_opt_solvers.instances import family

LEAST_NOISE = 0.01


@family(
    "low_rank_column_subset",
    problem="column_subset",
    sizes=(16, 64, 256),
    severities=(0.0, 0.5, 1.0),
    dial="noise over signal (standard deviations)",
    unit="units of all parents",
)
def low_rank_column_subset(size: int, severity: float, seed: int) -> ColumnSubset:
    """Units that mix half as many directions, with noise; the dial is the noise."""
    rng = np.random.default_rng([seed, size, 6])
    rank, samples = max(1, size // 2), 4 * size
    features = rng.normal(size=(samples, rank)) @ rng.normal(size=(rank, size)) / np.sqrt(rank)
    features += (LEAST_NOISE + severity) * rng.normal(size=(samples, size))
    return ColumnSubset(features.T @ features / samples, n_kept=size // 4, weights=importance(rng, size))
