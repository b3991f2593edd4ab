"""What a task tells its samples apart by: one column for every label that information is summed over."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pam_opt.errors import DataError, PlanError
from pam_opt.tasks import Task


@dataclass(frozen=True, eq=False)
class Labels:
    """Hold the labels of one task; information on the task is the sum over the columns.

    Parameters
    ----------
    task : the task's name
    values : (B, L) float32, the class of every sample in each column, counted from 0: zeros and ones for binary
        labels. NaN where the label is missing; that sample is left out for that column.
    names : L names of the columns, for messages
    left_out : labels without a column, because all samples have the same value: information on them is 0
    """

    task: str
    values: Tensor
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def entropy(self) -> float:
        """Entropy of the labels in these samples, nats, summed over the columns: the most that units can tell."""
        return sum(_entropy(column) for column in self.values.T)


LABELS: dict[str, Callable[[Task, Tensor], tuple[Tensor, tuple[str, ...]]]]
"""How a task becomes columns: ``binary``, one for each label as published; ``joint``, one for the whole task."""


def labels_of(task: Task, target: Tensor, form: str = "binary") -> Labels:
    """Turn the targets of a task into columns of labels.

    Parameters
    ----------
    target : (B,) class numbers, or (B, L) zeros and ones with NaN where a label is missing
    form : ``binary``: a column for every listed class, none for the further class "other"; or for every class of
        `mapping`; or the columns of the target. ``joint``: one column with a value for every class, "other"
        included, or for every combination of labels that occurs.

    Raises
    ------
    DataError : a target that is neither
    PlanError : every label has one value only, or none: nothing can be told about the task

    Examples
    --------
    >>> labels_of(Task("low", classes=[0, 1]), torch.tensor([0, 2, 1, 0])).values.T
    tensor([[1., 0., 0., 1.],
            [0., 0., 1., 0.]])
    """
    _check(task, target)
    values, names = LABELS[form](task, target)
    varies = [len(_counts(column)) > 1 for column in values.T]
    if not any(varies):
        raise PlanError(
            f"task {task.name!r} has one class only in the {len(target)} samples ({_describe(values, names)}), so no "
            "unit tells anything about it; give calibration samples of more classes, or more samples="
        )
    kept = torch.tensor(varies)
    left = tuple(name for name, varying in zip(names, varies, strict=True) if not varying)
    return Labels(task.name, values[:, kept], tuple(name for name in names if name not in left), left)


def _check(task: Task, target: Tensor) -> None:
    found = f"task {task.name!r}: its target has shape {tuple(target.shape)} and type {target.dtype}"
    if target.ndim == 2 and target.is_floating_point():
        known = target[~target.isnan()]
        if ((known != 0) & (known != 1)).any():
            raise DataError(f"{found} with values other than 0 and 1; information needs binary labels, NaN for missing")
    elif target.ndim != 1 or target.is_floating_point() or target.is_complex():
        raise DataError(f"{found}; information needs class numbers (N,), or zeros and ones (N, L) as floats")
    elif len(target) and not 0 <= int(target.min()) <= int(target.max()) < task.outputs:
        raise DataError(f"{found} with classes outside 0 to {task.outputs - 1}; correct the targets")


def _binary(task: Task, target: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    names = _names(task, target)
    if target.ndim == 2:
        return target.float(), names
    return (target[:, None] == torch.arange(len(names), device=target.device)).float(), names


def _joint(task: Task, target: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    if target.ndim == 1:
        return target.float()[:, None], ("all classes",)
    column = target.new_full((len(target),), math.nan, dtype=torch.float32)
    whole = ~target.isnan().any(dim=1)
    if whole.any():
        column[whole] = torch.unique(target[whole], dim=0, return_inverse=True)[1].float()
    return column[:, None], ("all labels",)


LABELS = {"binary": _binary, "joint": _joint}


def _names(task: Task, target: Tensor) -> tuple[str, ...]:
    listed: Sequence[object] | None = task.multi_label if target.ndim == 2 else task.classes
    count = target.shape[1] if target.ndim == 2 else task.outputs
    return tuple(f"label {label}" for label in (range(count) if listed is None else listed))


def _counts(column: Tensor) -> Tensor:
    """Count the samples of every value that occurs."""
    return torch.unique(column[~column.isnan()], return_counts=True)[1]


def _entropy(column: Tensor) -> float:
    parts = _counts(column).double() / (~column.isnan()).sum()
    return float(-(parts * parts.log()).sum())


def _describe(values: Tensor, names: Sequence[str]) -> str:
    said = []
    for name, column in zip(names, values.T, strict=True):
        known = column[~column.isnan()]
        said.append(f"{name} is {f'always {int(known[0])}' if len(known) else 'missing everywhere'}")
    return ", ".join(said)
