"""Batches of a split with the targets of all tasks."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from pam_opt.data.augment import AUGMENTS
from pam_opt.data.dataset import Split
from pam_opt.errors import DataError

Batch = tuple[Tensor, dict[str, Tensor]]


class Batches:
    """Yield ``(x, {task name: target})`` over a split, as often as wanted; nothing is dropped.

    Parameters
    ----------
    split : Split
    targets : {task name: (N, ...) tensor}, one row per sample of the split
    batch_size : int
        The last batch may be smaller.
    seed : int, at least 0
        Together with the number of the epoch it decides order and augmentation.
    shuffle : bool
        Give each epoch its own order; otherwise it is the split's.
    augment : {None, "crop", "crop-flip"}
        Random shifts of images by up to 2 pixels; or by up to 4, and mirrored left to right.

    Raises
    ------
    DataError
        Targets do not fit the split, the batch size is below 1, or the augmentation is unknown or asked of
        vectors.

    Examples
    --------
    >>> from pam_opt.data import Batches, load
    >>> split = load("digits").train
    >>> batches = Batches(split, {"digit": split.labels}, 128, shuffle=True)
    >>> x, targets = next(iter(batches))
    >>> x.shape, targets["digit"].shape
    (torch.Size([128, 1, 8, 8]), torch.Size([128]))
    """

    def __init__(
        self,
        split: Split,
        targets: Mapping[str, Tensor],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        augment: str | None = None,
    ) -> None:
        if batch_size < 1:
            raise DataError(f"batch_size is {batch_size}: give at least 1")
        if seed < 0:
            raise DataError(f"seed is {seed}: give a whole number of at least 0")
        _require_targets(split, targets)
        _require_augment(split, augment)
        self._split, self._targets = split, dict(targets)
        self._batch_size, self._seed, self._shuffle = batch_size, seed, shuffle
        self._augment = None if augment is None else AUGMENTS[augment]
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be epoch number ``epoch``, counted from 0, as when a run is resumed."""
        if epoch < 0:
            raise DataError(f"epoch is {epoch}: epochs count from 0")
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._split) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Start the next epoch."""
        epoch, self._epoch = self._epoch, self._epoch + 1
        return self._batches(epoch)

    def _batches(self, epoch: int) -> Iterator[Batch]:
        generator = _generator(self._seed, epoch)
        count = len(self._split)
        order = torch.randperm(count, generator=generator) if self._shuffle else torch.arange(count)
        for chosen in order.split(self._batch_size) if count else ():
            x = _rows(self._split.x, chosen)
            if self._augment is not None:
                x = self._augment(x, generator)
            yield x, {task: _rows(target, chosen) for task, target in self._targets.items()}


def _generator(seed: int, epoch: int) -> torch.Generator:
    mixed = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))


def _rows(tensor: Tensor, chosen: Tensor) -> Tensor:
    return tensor.index_select(0, chosen.to(tensor.device))


def _require_targets(split: Split, targets: Mapping[str, Tensor]) -> None:
    for task, target in targets.items():
        if target.ndim < 1 or len(target) != len(split):
            raise DataError(
                f"the target of task '{task}' has shape {tuple(target.shape)}, but the split has "
                f"{len(split)} samples: give one row per sample"
            )


def _require_augment(split: Split, augment: str | None) -> None:
    if augment is None:
        return
    if augment not in AUGMENTS:
        raise DataError(f"augment is '{augment}': give {', '.join(map(repr, AUGMENTS))} or None")
    if split.x.ndim != 4:
        raise DataError(f"augment '{augment}' needs images (N, C, H, W), not vectors: give augment=None")
