"""Costs of merging units of K parents, every two of them: (K n, K n), parent after parent."""

import numpy as np
from numpy.typing import NDArray

FEATURES = 32
RANK = 6
Cost = NDArray[np.float64]


def planted(n: int, rng: np.random.Generator, parents: int = 3, deviation: float = 1.0) -> Cost:
    """Return distances of permuted copies of the same units with noise of their own size."""
    units = rng.normal(size=(n, FEATURES))
    return _distances([rng.permutation(units) + deviation * rng.normal(size=units.shape) for _ in range(parents)])


def low_rank(n: int, rng: np.random.Generator, parents: int = 3, rank: int = RANK) -> Cost:
    """Return distances of units without twins in a space of few dimensions, and a little noise."""
    basis = rng.normal(size=(rank, FEATURES))
    copies = [rng.normal(size=(n, rank)) @ basis + 0.1 * rng.normal(size=(n, FEATURES)) for _ in range(parents)]
    return _distances(copies)


def noise(n: int, rng: np.random.Generator, parents: int = 3) -> Cost:
    """Return uniform costs that mean nothing."""
    cost = np.triu(rng.random((parents * n, parents * n)), 1)
    return cost + cost.T


def _distances(parts: list[Cost]) -> Cost:
    # Not by way of `_features`: scripts one folder up use this file too.
    features = np.concatenate(parts)
    square = (features**2).sum(axis=1)
    cost = np.maximum(square[:, None] + square - 2 * features @ features.T, 0.0) / features.shape[1]
    return (cost + cost.T) / 2
