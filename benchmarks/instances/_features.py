"""Units as points: costs of families come from distances between features, as measured costs do."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def squared_distances(first: Matrix, second: Matrix) -> Matrix:
    """Return the (m, n) squared Euclidean distances between rows, per feature, never below zero."""
    norms = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None, :]
    return np.maximum(norms - 2 * first @ second.T, 0.0) / first.shape[1]


def importance(rng: np.random.Generator, units: int) -> Matrix:
    """Return how much each of (units,) matters: log-normal, as Fisher information of real layers is."""
    return rng.lognormal(0.0, 1.0, units)


def merge_cost(first: Matrix, second: Matrix, weight_first: Matrix, weight_second: Matrix) -> Matrix:
    """Return the (m, n) Fisher-weighted costs of merging: half the harmonic weight times the squared distance."""
    weights = weight_first[:, None] * weight_second[None, :] / (weight_first[:, None] + weight_second[None, :])
    return 0.5 * weights * squared_distances(first, second)
