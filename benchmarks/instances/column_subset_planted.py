"""Planted column subsets: some units that mix to all others."""

import numpy as np
from _features import importance

from pam_opt_solvers import ColumnSubset
from pam_opt_solvers.instances import family


@family(
    "planted_column_subset",
    problem="column_subset",
    sizes=(16, 64, 256),
    severities=(0.0, 0.1, 0.5),
    dial="noise of the mixtures (standard deviations)",
    unit="units of all parents",
)
def planted_column_subset(size: int, severity: float, seed: int) -> ColumnSubset:
    """A quarter of the units, hidden among noisy mixtures of them, is to be kept; the dial is the noise."""
    rng = np.random.default_rng([seed, size, 14])
    kept, samples = max(1, size // 4), 4 * size
    sources = rng.normal(size=(samples, kept))
    mixing = rng.normal(size=(kept, size - kept)) / np.sqrt(kept)
    mixtures = sources @ mixing + severity * rng.normal(size=(samples, size - kept))
    features = np.concatenate([sources, mixtures], axis=1)[:, rng.permutation(size)]
    return ColumnSubset(features.T @ features / samples, n_kept=kept, weights=importance(rng, size))
