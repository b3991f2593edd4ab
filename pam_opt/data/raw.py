"""What a format reader is given and what it hands over: options in, raw arrays out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pam_opt.errors import DataError


@dataclass(frozen=True)
class LoadOptions:
    """Hold the options of ``load``, checked; see there for their meaning."""

    validation: float = 0.1
    seed: int = 0
    image_size: tuple[int, int] | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise DataError(f"validation is {self.validation}: give a share of at least 0 and below 1")
        if self.seed < 0:
            raise DataError(f"seed is {self.seed}: give a whole number of at least 0")
        if self.limit is not None and self.limit < 1:
            raise DataError(f"limit is {self.limit}: give at least 1 training sample, or None for all")


def image_size_pair(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """Return an image size, given as one number or as height and width, as (height, width) in pixels."""
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise DataError(f"image_size is {size}: give pixels, as one number or (height, width)")
    return pair


@dataclass(frozen=True)
class Raw:
    """Hold a dataset as it was read, before validation is split off and values are normalised.

    Parameters
    ----------
    name : str
    x_train, x_test : (N, C, H, W) or (N, D), uint8 or float32
    y_train, y_test : (N,) class numbers or (N, L) zeros and ones, int64
    class_names : one name per class, or per label when the data are multi-label
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """Describe one form that data come in.

    Parameters
    ----------
    form : what a user has to give, as it appears in error messages
    accepts : tells from the source, as the user gave it, whether it has this form
    read : reads it
    """

    form: str
    accepts: Callable[[str], bool]
    read: Callable[[Path, LoadOptions], Raw]
