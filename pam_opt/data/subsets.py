"""Random subsets that keep the proportions of the classes."""

import numpy as np

from pam_opt.errors import DataError

_TEST_SHARE = 0.2
# One random stream per purpose. The test split does not depend on the user's seed: see `load`.
_TEST_STREAM, _LIMIT_STREAM, _VALIDATION_STREAM = (0, 0), 1, 2


def split_test(labels: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Split a fifth off as test set, the same for every seed; returns sorted (train, test) indices."""
    count = _held_out_count(labels, _TEST_SHARE)
    if count < 1:
        raise DataError(f"'{source}': {len(labels)} samples are too few to split a test set off: give more")
    return _split(labels, count, np.random.default_rng(_TEST_STREAM))


def split_validation(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split validation off; returns sorted (train, validation) indices. Every class stays in training.

    Raises
    ------
    DataError
        A positive share was asked for, but every class has one sample only.
    """
    if share == 0:
        return np.arange(len(labels)), np.arange(0)
    count = _held_out_count(labels, share)
    if count < 1:
        raise DataError(
            f"{len(labels)} training samples leave none for validation, because every class keeps one: "
            "give more samples (a higher limit) or validation=0"
        )
    return _split(labels, count, np.random.default_rng((seed, _VALIDATION_STREAM)))


def choose_limited(labels: np.ndarray, limit: int | None, seed: int) -> np.ndarray:
    """Choose at most ``limit`` samples, at least one per class; returns sorted indices.

    Raises
    ------
    DataError
        The limit is below the number of classes.
    """
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng((seed, _LIMIT_STREAM))
    spared = len(labels) - limit
    if spared > _most_held_out(labels):
        classes = len(labels) - _most_held_out(labels)
        raise DataError(f"limit={limit} is below the {classes} classes: give at least one sample per class")
    return _split(labels, spared, rng)[0]


def _held_out_count(labels: np.ndarray, share: float) -> int:
    return min(max(1, round(share * len(labels))), _most_held_out(labels))


def _most_held_out(labels: np.ndarray) -> int:
    classes = 1 if labels.ndim == 2 else len(np.unique(labels))
    return len(labels) - classes


def _split(labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Split ``count`` samples off; class numbers are stratified, multi-label rows are drawn plainly."""
    strata = np.zeros(len(labels), dtype=np.int64) if labels.ndim == 2 else labels
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    order = rng.permutation(len(labels))
    order = order[np.argsort(stratum[order], kind="stable")]
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    held = rank < np.repeat(_apportion(sizes - 1, count), sizes)
    return np.sort(order[~held]), np.sort(order[held])


def _apportion(weights: np.ndarray, count: int) -> np.ndarray:
    """Share ``count`` out in proportion to the weights, by largest remainder; never above a weight."""
    exact = weights * (count / max(1, weights.sum()))
    shares = np.minimum(np.floor(exact).astype(np.int64), weights)
    by_remainder = np.argsort(shares - exact, kind="stable")
    by_remainder = by_remainder[shares[by_remainder] < weights[by_remainder]]
    shares[by_remainder[: count - shares.sum()]] += 1
    return shares
