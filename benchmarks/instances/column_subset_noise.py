"""Pure noise: units that are independent but for chance, so that none explains another."""

import numpy as np
from _features import importance

from pam_opt_solvers import ColumnSubset
from pam_opt_solvers.instances import family


@family(
    "noise_column_subset",
    problem="column_subset",
    sizes=(16, 64, 256),
    severities=(0.0, 0.5, 0.75),
    dial="chance correlation (units per sample)",
    unit="units of all parents",
)
def noise_column_subset(size: int, severity: float, seed: int) -> ColumnSubset:
    """Independent units, a quarter kept; the dial is units per sample: 0 means so many that nothing correlates."""
    rng = np.random.default_rng([seed, size, 15])
    samples = 1000 * size if severity == 0 else max(1, round(size / severity))
    features = rng.normal(size=(samples, size)) if severity else np.sqrt(samples) * np.eye(size)
    gram = features.T @ features / samples
    return ColumnSubset(gram, n_kept=size // 4, weights=importance(rng, size))
