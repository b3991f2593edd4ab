"""A dataset in memory: three normalised splits and what was done to them."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pam_opt.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Hold one split.

    Parameters
    ----------
    x : (N, C, H, W) or (N, D) float32, normalised
    labels : (N,) int64 class numbers, or (N, L) int64 zeros and ones when the data are multi-label

    Raises
    ------
    DataError
        Shapes, lengths or types are not these.
    """

    x: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.x.dtype != torch.float32 or self.x.ndim not in (2, 4):
            raise DataError(f"x must be float32 (N, C, H, W) or (N, D), not {_described(self.x)}")
        if self.labels.dtype != torch.int64 or self.labels.ndim not in (1, 2):
            raise DataError(f"labels must be int64 (N,) or (N, L), not {_described(self.labels)}")
        if len(self.x) != len(self.labels):
            raise DataError(f"x has {len(self.x)} samples but labels has {len(self.labels)}")

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Hold a dataset's splits.

    Parameters
    ----------
    name : str
    train, validation, test : Split
    class_names : one name per class, or per label when the data are multi-label
    mean, std : one number per channel (images) or per feature (vectors); a single one where all features
        share a scale. What was subtracted and divided by, after uint8 values were scaled to [0, 1].
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of one sample, (C, H, W) or (D,)."""
        return tuple(self.train.x.shape[1:])

    def renormalised(self, mean: Sequence[float], std: Sequence[float]) -> "Dataset":
        """Return the dataset with another normalisation, such as that of networks trained elsewhere.

        Parameters
        ----------
        mean, std : as many as there are; subtracted and divided by in place of the dataset's own

        Raises
        ------
        DataError
            Another number of them, values that are not finite, or a deviation that is not above 0.
        """
        if not len(mean) == len(std) == len(self.mean):
            raise DataError(f"mean and std have {len(mean)} and {len(std)} numbers: give {len(self.mean)} of each")
        if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
            raise DataError(f"mean {tuple(mean)} and std {tuple(std)}: give finite numbers, deviations above 0")
        shape = (1, -1, *[1] * (self.train.x.ndim - 2))
        old, shift, scale = (torch.tensor(values).view(shape) for values in (self.std, self.mean, std))
        splits = {
            part: Split((split.x * old + shift - torch.tensor(mean).view(shape)) / scale, split.labels)
            for part, split in (("train", self.train), ("validation", self.validation), ("test", self.test))
        }
        return replace(self, **splits, mean=tuple(mean), std=tuple(std))

    @cached_property
    def fingerprint(self) -> str:
        """Return the SHA-256 of all contents but the name, as 64 hexadecimal digits.

        Two datasets share it exactly when their splits, class names and normalisation are the same, so a
        folder of results recognises other data.
        """
        digest = hashlib.sha256(repr((self.class_names, self.mean, self.std)).encode())
        for split in (self.train, self.validation, self.test):
            for tensor in (split.x, split.labels):
                digest.update(repr(tuple(tensor.shape)).encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
