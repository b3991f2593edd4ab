"""Arrays as users bring them: checked, named in every error, and brought into one layout."""

import numpy as np

from pam_opt.errors import DataError

_CHANNELS = (1, 3)


def as_inputs(name: str, x: np.ndarray) -> np.ndarray:
    """Return inputs as (N, C, H, W) or (N, D), uint8 or float32.

    Parameters
    ----------
    name : what to call the array in errors
    x : (N, H, W), (N, H, W, C), (N, C, H, W) with 1 or 3 channels, or (N, D); uint8 or floating point

    Raises
    ------
    DataError
        Wrong type or shape, no samples, an ambiguous layout, or a value that is not finite.
    """
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{name} has type {x.dtype}: give uint8 (0 to 255) or floating point, by astype")
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise DataError(
            f"{name} has shape {x.shape}: give images (N, H, W), (N, H, W, C) or (N, C, H, W), "
            "or vectors (N, D), with at least one sample"
        )
    if x.dtype != np.uint8:
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        require_finite(name, x)
    return np.ascontiguousarray(_channels_first(name, x))


def as_labels(name: str, y: np.ndarray) -> np.ndarray:
    """Return labels as int64, (N,) class numbers or (N, L) zeros and ones; (N, 1) becomes (N,).

    Raises
    ------
    DataError
        Wrong shape or type, fractions, negative class numbers, or labels that are neither 0 nor 1.
    """
    if y.dtype.kind not in "biuf":
        raise DataError(f"{name} has type {y.dtype}: give whole numbers, one per class, counted from 0")
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise DataError(f"{name} has shape {y.shape}: give class numbers (N,) or zeros and ones (N, L)")
    require_finite(name, y)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    with np.errstate(invalid="ignore"):
        labels = y.astype(np.int64)
    _require(name, y, labels == y, "a whole number")
    if labels.ndim == 2:
        _require(name, labels, (labels == 0) | (labels == 1), "0 or 1, as labels of shape (N, L) must be")
    _require(name, labels, labels >= 0, "at least 0: classes count from 0")
    return labels


def require_finite(name: str, values: np.ndarray) -> None:
    """Refuse NaN and infinity, naming the first place; values beyond float32 count as infinite."""
    _require(name, values, np.isfinite(values), "finite: remove or replace such samples")


def require_same_length(x_name: str, x: np.ndarray, y_name: str, y: np.ndarray) -> None:
    """Refuse inputs and labels that differ in number."""
    if len(x) != len(y):
        raise DataError(f"{x_name} has {len(x)} samples but {y_name} has {len(y)}: give one label per sample")


def _require(name: str, values: np.ndarray, good: np.ndarray, wanted: str) -> None:
    if good.all():
        return
    first = tuple(int(i) for i in np.unravel_index(int(np.argmin(good)), good.shape))
    raise DataError(f"{name}[{', '.join(map(str, first))}] is {values[first]}, which is not {wanted}")


def _channels_first(name: str, x: np.ndarray) -> np.ndarray:
    if x.ndim == 2:
        return x
    if x.ndim == 3:
        return x[:, None]
    first, last = x.shape[1] in _CHANNELS, x.shape[3] in _CHANNELS
    if first == last:
        problem = "both axis 1 and axis 3 could be" if first else "neither axis 1 nor axis 3 is"
        raise DataError(f"{name} has shape {x.shape}: {problem} the 1 or 3 channels of an image")
    return x if first else x.transpose(0, 3, 1, 2)
