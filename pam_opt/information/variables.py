"""Labels as discrete variables: which samples are in which class."""

import torch

from pam_opt.errors import DataError


def label_variables(labels: torch.Tensor, samples: int) -> list[torch.Tensor]:
    """Return (classes, B) bool per label: its classes that occur; labels of fewer than two classes carry nothing.

    Parameters
    ----------
    labels : (B, L) float zeros and ones, NaN = missing for that sample: L binary labels; or (B,) integer: one label
        of many classes, negative = missing

    Raises
    ------
    DataError
        for other shapes, another number of samples, or values that are neither 0, 1 nor NaN
    """
    if labels.ndim not in (1, 2) or len(labels) != samples:
        raise DataError(
            f"labels have shape {tuple(labels.shape)}; pass ({samples}, L) zeros and ones, or ({samples},) integers"
        )
    columns = (
        [_classes(labels)] if labels.ndim == 1 else [_binary(labels[:, label]) for label in range(labels.shape[1])]
    )
    return [classes for classes in columns if len(classes) > 1]


def _classes(label: torch.Tensor) -> torch.Tensor:
    if label.is_floating_point():
        raise DataError("a joint label has dtype float; pass (B,) integers, or (B, L) zeros and ones")
    present = torch.unique(label[label >= 0])
    return label == present[:, None]


def _binary(label: torch.Tensor) -> torch.Tensor:
    given = label.double()
    if not ((given == 0) | (given == 1) | given.isnan()).all():
        raise DataError("binary labels hold values besides 0, 1 and NaN (missing); pass zeros and ones")
    masks = torch.stack([given == 0, given == 1])
    return masks[masks.any(dim=1)]
