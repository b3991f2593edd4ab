"""From raw arrays to a dataset: limit, resize, split validation off, normalise by the training split."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pam_opt.data.dataset import Dataset, Split
from pam_opt.data.raw import LoadOptions, Raw
from pam_opt.data.subsets import choose_limited, split_validation
from pam_opt.errors import DataError

_CHUNK = 1024  # images resized at a time


def prepare(raw: Raw, options: LoadOptions) -> Dataset:
    """Turn raw arrays into a dataset.

    Raises
    ------
    DataError
        ``limit`` or ``validation`` does not fit the number of samples, or vectors are to be resized.
    """
    chosen = choose_limited(raw.y_train, options.limit, options.seed)
    kept, held = split_validation(raw.y_train[chosen], options.validation, options.seed)
    parts = {
        "train": (raw.x_train[chosen[kept]], raw.y_train[chosen[kept]]),
        "validation": (raw.x_train[chosen[held]], raw.y_train[chosen[held]]),
        "test": (raw.x_test, raw.y_test),
    }
    x = {part: _scaled(_resized(values, options.image_size)) for part, (values, _) in parts.items()}
    mean, std = _mean_and_std(x["train"], shared_scale=raw.x_train.dtype == np.uint8)
    splits = {
        part: Split(_normalised(x[part], mean, std), torch.from_numpy(labels.astype(np.int64)))
        for part, (_, labels) in parts.items()
    }
    return Dataset(raw.name, **splits, class_names=raw.class_names, mean=mean, std=std)


def _resized(x: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Resize (N, C, H, W) by antialiased bilinear interpolation; the type stays."""
    if size is None:
        return x
    if x.ndim != 4:
        raise DataError(f"image_size={size} was given, but the samples are vectors of {x.shape[1]} values")
    if x.shape[2:] == size:
        return x
    out = np.empty((*x.shape[:2], *size), dtype=x.dtype)
    for start in range(0, len(x), _CHUNK):
        chunk = torch.from_numpy(x[start : start + _CHUNK]).float()
        chunk = functional.interpolate(chunk, size=size, mode="bilinear", antialias=True)
        out[start : start + _CHUNK] = chunk.round().clamp(0, 255) if x.dtype == np.uint8 else chunk
    return out


def _scaled(x: np.ndarray) -> Tensor:
    values = torch.from_numpy(x).to(torch.float32, copy=True)
    return values.div_(255) if x.dtype == np.uint8 else values


def _mean_and_std(x: Tensor, *, shared_scale: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel, or per feature of vectors.

    Vectors of uint8 are pixels: they share one scale, or hardly used border pixels would blow up.
    """
    axes = (0, 2, 3) if x.ndim == 4 else (0, 1) if shared_scale else (0,)
    std, mean = torch.std_mean(x, dim=axes, correction=0)
    return _rounded(mean), tuple(value or 1.0 for value in _rounded(std))


def _rounded(values: Tensor) -> tuple[float, ...]:
    """Round to six digits, so that the order of summation on a machine cannot show in a fingerprint."""
    return tuple(float(f"{value:.6g}") for value in values.double().reshape(-1).tolist())


def _normalised(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    shape = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
    return x.sub_(torch.tensor(mean).view(shape)).div_(torch.tensor(std).view(shape))
