"""What a task tells its samples apart by: one column for every label that information is summed over."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pam_opt.errors import DataError, PlanError
from pam_opt.tasks import Task


@dataclass(frozen=True, eq=False)
class Labels:
    """Hold the labels of one task; information on the task is the sum over them.

    Parameters
    ----------
    task : the task's name
    values : (B, L) float32 zeros and ones, NaN where a label is missing; or (B,) int64, one label of many classes, -1
        where it is missing. A sample without a label is left out for that label.
    names : names of the labels, for messages
    entropy : of the labels in these samples, nats, summed over them: the most that units can tell
    left_out : labels that are not among `values`, because all samples have the same: information on them is 0
    """

    task: str
    values: Tensor
    names: tuple[str, ...]
    entropy: float
    left_out: tuple[str, ...] = ()


Columns = tuple[Tensor, tuple[str, ...]]
"""(B, L) int64 class numbers, -1 where one is missing, and the names of the columns."""


def labels_of(task: Task, target: Tensor, form: str = "binary") -> Labels:
    """Turn the targets of a task into labels.

    Parameters
    ----------
    target : (B,) class numbers, or (B, L) zeros and ones with NaN where a label is missing
    form : ``binary``: a label for every listed class, none for the further class "other"; or for every class of
        `mapping`; or the columns of the target. ``joint``: one with a value for every class, "other" included, or for
        every combination of labels that occurs.

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
    columns, names = LABELS[form](task, target)
    varies = [len(_counts(column)) > 1 for column in columns.T]
    if not any(varies):
        raise PlanError(
            f"task {task.name!r} has one class only in the {len(target)} samples ({_describe(columns, names)}), so no "
            "unit tells anything about it; give calibration samples of more classes, or more samples="
        )
    chosen = columns[:, [place for place, varying in enumerate(varies) if varying]]
    values = chosen[:, 0] if form == "joint" else chosen.float().masked_fill(chosen < 0, math.nan)
    kept, left = (tuple(itertools.compress(names, picks)) for picks in (varies, [not varying for varying in varies]))
    return Labels(task.name, values, kept, sum(_entropy(column) for column in chosen.T), left)


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


def _binary(task: Task, target: Tensor) -> Columns:
    if target.ndim == 2:
        known = task.multi_label if task.one_vs_rest is None else task.one_vs_rest
        listed = range(target.shape[1]) if known is None else known
        return target.nan_to_num(nan=-1.0).long(), _names(listed)
    listed = range(task.outputs) if task.classes is None else task.classes
    return (target[:, None] == torch.arange(len(listed), device=target.device)).long(), _names(listed)


def _joint(_task: Task, target: Tensor) -> Columns:
    if target.ndim == 1:
        return target.long()[:, None], ("the class",)
    whole = ~target.isnan().any(dim=1)
    column = torch.full(target.shape[:1], -1, device=target.device)
    if whole.any():
        column[whole] = torch.unique(target[whole], dim=0, return_inverse=True)[1]
    return column[:, None], ("all labels",)


LABELS: dict[str, Callable[[Task, Tensor], Columns]] = {"binary": _binary, "joint": _joint}
"""How a task becomes columns: ``binary``, one for each label as published; ``joint``, one for the whole task."""


def _names(listed: Iterable[object]) -> tuple[str, ...]:
    return tuple(f"label {label}" for label in listed)


def _counts(column: Tensor) -> Tensor:
    """Count the samples of every value that occurs."""
    return torch.unique(column[column >= 0], return_counts=True)[1]


def _entropy(column: Tensor) -> float:
    counts = _counts(column).double()
    parts = counts / counts.sum()
    return float(-(parts * parts.log()).sum())


def _describe(columns: Tensor, names: Sequence[str]) -> str:
    known = [column[column >= 0] for column in columns.T]
    said = [f"always {int(found[0])}" if len(found) else "missing everywhere" for found in known]
    return ", ".join(f"{name} is {what}" for name, what in zip(names, said, strict=True))
