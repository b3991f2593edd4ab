"""Batches that users bring, checked as they pass."""

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from pam_opt.data.batches import Batch
from pam_opt.errors import DataError


def checked(
    batches: Iterable[object], task_names: Sequence[str], *, what: str = "calibration", missing: bool = False
) -> Iterator[Batch]:
    """Yield the batches of a loader, verifying each one.

    Parameters
    ----------
    batches : re-iterable of ``(x, {task name: target})``, such as a list, a ``DataLoader`` or ``Batches``
    task_names : the tasks that every batch must have a target for; others may be there
    what : what the batches are for, named in errors
    missing : allow NaN in targets, which says that a label is missing

    Raises
    ------
    DataError
        At once when ``batches`` can be walked only once. While iterating: a batch is not
        ``(Tensor, dict)``, lacks a task's target, is empty, has values that are not finite, targets of
        another length or inputs of another shape than the batch before; or there is no batch at all.

    Examples
    --------
    >>> import torch
    >>> from pam_opt.data import checked
    >>> [x.shape for x, _ in checked([(torch.zeros(2, 3), {"a": torch.zeros(2)})], ["a"])]
    [torch.Size([2, 3])]
    """
    if isinstance(batches, Iterator):
        raise DataError(
            f"{what} is a one-shot {type(batches).__name__}, which can be walked only once: pass a list of "
            "batches or a DataLoader"
        )
    if isinstance(batches, Tensor) or not isinstance(batches, Iterable):
        raise DataError(f"{what} is a {type(batches).__name__}: pass a list of batches or a DataLoader")
    return _checked(batches, task_names, what, missing)


def _checked(batches: Iterable[object], task_names: Sequence[str], what: str, missing: bool) -> Iterator[Batch]:
    shape: tuple[int, ...] | None = None
    for index, batch in enumerate(batches):
        where = f"{what} batch {index}"
        x, targets = _pair(batch, where)
        _require_values(x, where)
        for task in task_names:
            _require_target(x, targets, task, where, missing)
        shape = _require_shape(x, shape, where)
        yield x, targets
    if shape is None:
        raise DataError(f"{what} is empty: give at least one batch")


def _pair(batch: object, where: str) -> Batch:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        x, targets = batch
        if isinstance(x, Tensor) and isinstance(targets, dict):
            return x, targets
    raise DataError(f"{where} is {_described(batch)}: give (x, {{task name: target}}) with a Tensor x")


def _described(batch: object) -> str:
    if isinstance(batch, tuple | list):
        return f"a {type(batch).__name__} of ({', '.join(type(part).__name__ for part in batch)})"
    return f"a {type(batch).__name__}"


def _require_values(x: Tensor, where: str) -> None:
    if x.ndim < 1 or len(x) == 0:
        raise DataError(f"{where} has an x of shape {tuple(x.shape)}: give (N, ...) with at least one sample")
    if not x.isfinite().all():
        raise DataError(f"{where} has NaN or infinite values in x: remove or replace such samples")


def _require_target(x: Tensor, targets: dict[str, Tensor], task: str, where: str, missing: bool) -> None:
    if task not in targets:
        found = ", ".join(f"'{name}'" for name in targets) or "none"
        raise DataError(f"{where} has no target for task '{task}' (its targets: {found}): add it")
    target = targets[task]
    if not isinstance(target, Tensor):
        raise DataError(f"{where}: the target of task '{task}' is {_described(target)}: give a Tensor")
    if target.ndim < 1 or len(target) != len(x):
        shape = tuple(target.shape)
        raise DataError(f"{where}: the target of task '{task}' has shape {shape}, but x has {len(x)} samples")
    if not (target.isfinite() | target.isnan() if missing else target.isfinite()).all():
        raise DataError(f"{where} has NaN or infinite values in the target of task '{task}'")


def _require_shape(x: Tensor, shape: tuple[int, ...] | None, where: str) -> tuple[int, ...]:
    found = tuple(x.shape[1:])
    if shape is not None and found != shape:
        raise DataError(f"{where} has inputs of shape {found}, but those before have {shape}: give one shape")
    return found
