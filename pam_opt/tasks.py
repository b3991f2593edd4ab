"""Tasks, and the combinations of tasks that a multitask network can be asked to run."""

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real

import torch
from torch import Tensor
from torch.nn import functional

from pam_opt.errors import DataError, TaskError

Group = frozenset[str]
"""The set of tasks that a unit serves, or that is run."""

CombinationWeights = Mapping[str, float] | Mapping[Group, float] | Mapping[tuple[str, ...], float]
"""How often each combination is run: task names joined by ``+``, as a set or as a tuple -> weight."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclass(frozen=True, eq=False)
class Task:
    """Define one output head: where its target comes from, its loss and its metric.

    Exactly one of `classes`, `one_vs_rest`, `mapping` and `multi_label` says how a label becomes a target.

    Parameters
    ----------
    name : letters, digits, ``-`` and ``_``; ``+`` joins names in results and is not allowed
    classes : labels told apart; every other label becomes one further class, "other".
        ``range(5)`` gives 6 outputs.
    one_vs_rest : labels told apart, each by a binary output of its own; every other label is a zero in all of them,
        as in PAM's experiments. ``range(5)`` gives 5 outputs.
    mapping : label -> target class; each label that occurs must be listed
    multi_label : columns of an (N, L) label matrix of zeros and ones, each a binary output
    loss : (outputs (N, outputs), target) -> scalar mean over the batch.
        Default: cross-entropy, or binary cross-entropy for binary outputs. See also `pam_opt.losses`.
    metric : (outputs, target) -> (N,) score of each sample, higher is better.
        Default: 1 where the top class is right, or the share of right binary outputs (PAM's mean binary accuracy).

    Raises
    ------
    TaskError : a bad name, no target rule or more than one, labels that are repeated or no whole numbers

    Examples
    --------
    >>> Task("low", classes=range(5)).target(torch.tensor([3, 7]))
    tensor([3, 5])
    """

    name: str
    classes: Sequence[int] | None = None
    mapping: Mapping[int, int] | None = None
    multi_label: Sequence[int] | None = None
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    metric: Callable[[Tensor, Tensor], Tensor] | None = None
    one_vs_rest: Sequence[int] | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        given = (self.classes, self.one_vs_rest, self.mapping, self.multi_label)
        rules = [rule for rule in given if rule is not None]
        if len(rules) != 1:
            raise TaskError(
                f"task {self.name!r} has {len(rules)} target rules; "
                "give exactly one of classes=, one_vs_rest=, mapping= and multi_label="
            )
        _check_labels(self.name, rules[0])
        _check_counted(self.name, "target class", (self.mapping or {}).values())
        _check_counted(self.name, "label column", self.multi_label if self.multi_label is not None else ())

    @property
    def outputs(self) -> int:
        """Number of outputs of the task's head."""
        if self.classes is not None:
            return len(self.classes) + 1
        if self.one_vs_rest is not None:
            return len(self.one_vs_rest)
        if self.mapping is not None:
            return max(self.mapping.values()) + 1
        assert self.multi_label is not None
        return len(self.multi_label)

    @property
    def binary(self) -> bool:
        """Whether every output answers a yes-or-no question of its own: `one_vs_rest` and `multi_label`."""
        return self.one_vs_rest is not None or self.multi_label is not None

    def target(self, labels: Tensor) -> Tensor:
        """Turn labels, (N,) int or (N, L) for `multi_label`, into the target of the loss.

        Raises
        ------
        TaskError : labels of the wrong shape, or a label that `mapping` does not list
        """
        if self.multi_label is not None:
            return self._binary_target(labels)
        if labels.ndim != 1:
            raise TaskError(f"task {self.name!r} needs labels of shape (N,), not {tuple(labels.shape)}")
        if self.one_vs_rest is not None:
            return (labels[:, None] == torch.tensor(list(self.one_vs_rest))).float()
        table = dict(enumerate(self.classes)) if self.classes is not None else None
        if table is not None:
            target = torch.full_like(labels, len(table), dtype=torch.long)
            for position, label in table.items():
                target[labels == label] = position
            return target
        assert self.mapping is not None
        unknown = sorted(set(labels.unique().tolist()) - set(self.mapping))
        if unknown:
            raise TaskError(f"task {self.name!r}: mapping= has no entry for the labels {unknown[:5]}")
        return torch.tensor([self.mapping[int(label)] for label in labels], dtype=torch.long)

    def _binary_target(self, labels: Tensor) -> Tensor:
        assert self.multi_label is not None
        if labels.ndim != 2 or labels.shape[1] <= max(self.multi_label):
            raise TaskError(
                f"task {self.name!r} reads the label columns {list(self.multi_label)}, "
                f"but the labels have shape {tuple(labels.shape)}"
            )
        return labels[:, list(self.multi_label)].float()

    def mean_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Evaluate the task's loss, mean over the batch.

        Raises
        ------
        DataError : a target that does not fit the outputs
        TaskError : a `loss` that fails, or returns no scalar that depends on the outputs
        """
        if self.loss is not None:
            value = self._call("loss", self.loss, outputs, target, ())
            if outputs.requires_grad and not value.requires_grad:
                raise TaskError(f"task {self.name!r}: loss= does not depend on the outputs; it must not detach them")
            return value
        self._check_target(outputs, target)
        if self.binary:
            return functional.binary_cross_entropy_with_logits(outputs, target)
        return functional.cross_entropy(outputs, target.long())

    def scores(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Evaluate the task's metric, (N,), one score a sample.

        Raises
        ------
        DataError : a target that does not fit the outputs
        TaskError : a `metric` that fails, or returns no finite score for each sample
        """
        if self.metric is not None:
            scores = self._call("metric", self.metric, outputs, target, (len(outputs),))
            if not torch.isfinite(scores).all():
                raise TaskError(f"task {self.name!r}: metric= gave NaN or infinite scores")
            return scores
        self._check_target(outputs, target)
        if self.binary:
            return ((outputs > 0) == (target > 0.5)).float().mean(dim=1)
        return (outputs.argmax(dim=1) == target).float()

    def plain(self) -> "Task":
        """Return the task with plain accuracy as its metric: 1 where the one right answer was given.

        Of `one_vs_rest` with L labels that is (L + 1)-way: the answer is the label of the largest output, and "none
        of them" where no output is above 0. Other rules keep their own default metric.
        """
        return replace(self, metric=None if self.one_vs_rest is None else _one_or_none)

    def _call(
        self,
        what: str,
        function: Callable[[Tensor, Tensor], Tensor],
        outputs: Tensor,
        target: Tensor,
        shape: tuple[int, ...],
    ) -> Tensor:
        """Call the user's loss or metric and check the shape of what it returns."""
        given = f"outputs {tuple(outputs.shape)} and target {tuple(target.shape)} {target.dtype}"
        try:
            value = function(outputs, target)
        except Exception as err:
            raise TaskError(f"task {self.name!r}: {what}= failed on {given}: {type(err).__name__}: {err}") from err
        if not isinstance(value, Tensor) or value.shape != shape:
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise TaskError(
                f"task {self.name!r}: {what}= returned {found} on {given}; return a tensor of shape {shape}"
            )
        return value

    def _check_target(self, outputs: Tensor, target: Tensor) -> None:
        """Refuse a target that the task's own loss and metric would not take, or would misread."""
        found = f"task {self.name!r}: its target has shape {tuple(target.shape)} and type {target.dtype}"
        if self.binary:
            if target.shape != outputs.shape or not target.is_floating_point():
                raise DataError(f"{found}; give zeros and ones as floats of shape {tuple(outputs.shape)}")
            return
        if target.ndim != 1 or target.dtype not in _INTEGERS:
            raise DataError(f"{found}; give class numbers (N,) as int64")
        least, greatest = (int(end) for end in target.aminmax())
        if least < 0 or greatest >= outputs.shape[1]:
            wrong = least if least < 0 else greatest
            raise DataError(
                f"task {self.name!r}: its target has class {wrong}, but the head has {outputs.shape[1]} outputs, "
                f"for classes 0 to {outputs.shape[1] - 1}; correct the targets or the head"
            )


def _one_or_none(outputs: Tensor, target: Tensor) -> Tensor:
    """Return 1 where the largest output is the target's one, or no output is above 0 and the target has none."""
    best, answer = outputs.max(dim=1)
    right = target.gather(1, answer[:, None]).squeeze(1) > 0.5
    return torch.where(best > 0, right, target.sum(dim=1) < 0.5).float()


def check_name(name: object) -> str:
    """Return a task's name after checking that it can be a key in results and a part of file names.

    Raises
    ------
    TaskError : anything but letters, digits, ``-`` and ``_``
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TaskError(f"task name {name!r}: use letters, digits, '-' and '_' only")
    return name


def _check_labels(name: str, rule: object) -> None:
    """Check that a target rule lists whole numbers, each once."""
    if not isinstance(rule, Collection) or isinstance(rule, str):
        raise TaskError(f"task {name!r}: give its labels as a list or range, such as range(5), not {rule!r}")
    if len(rule) == 0:
        raise TaskError(f"task {name!r} lists no class; it needs at least one")
    wrong = [label for label in rule if not isinstance(label, Integral)]
    if wrong:
        raise TaskError(f"task {name!r} lists {wrong[0]!r}; labels are whole numbers")
    if len(set(rule)) != len(rule):
        raise TaskError(f"task {name!r} lists a class twice: {list(rule)}")


def _check_counted(name: str, what: str, numbers: Iterable[object]) -> None:
    """Check whole numbers that count places: classes of a head, columns of labels."""
    wrong = [number for number in numbers if not isinstance(number, Integral) or number < 0]
    if wrong:
        raise TaskError(f"task {name!r}: {what} {wrong[0]!r} is impossible; they are whole numbers counted from 0")


def check_tasks(tasks: Sequence[Task], parents: Iterable[str] | None = None) -> tuple[Task, ...]:
    """Return the tasks in their order after checking names against each other and against the parents'.

    Raises
    ------
    TaskError : no tasks, or what is no `Task`; duplicate names; a task without a parent or a parent without a task
    """
    strangers = [task for task in tasks if not isinstance(task, Task)]
    if strangers or len(tasks) == 0:
        found = f"holds {strangers[0]!r}" if strangers else "is empty"
        raise TaskError(f"tasks= {found}; give a list of pam_opt.Task, one for each head")
    names = [task.name for task in tasks]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TaskError(f"duplicate task names {repeated}: give every task a name of its own")
    if parents is not None and set(parents) != set(names):
        given = sorted(name if isinstance(name, str) else type(name).__name__ for name in parents)
        raise TaskError(
            f"tasks {sorted(names)} and parents {given} do not match: "
            "give one parent for every task, under the task's name"
        )
    return tuple(tasks)


def combination_key(combination: Iterable[str]) -> str:
    """Name a combination, or a group: its sorted task names joined by ``+``."""
    return "+".join(sorted(combination))


def combinations(names: Iterable[str]) -> list[Group]:
    """List all 2^K - 1 non-empty combinations, the small ones first."""
    ordered = sorted(names)
    return [
        frozenset(chosen) for size in range(1, len(ordered) + 1) for chosen in itertools.combinations(ordered, size)
    ]


def distribution(names: Iterable[str], weights: CombinationWeights | None = None) -> dict[Group, float]:
    """Return the probability of every combination that is ever run; uniform over all of them by default.

    Parameters
    ----------
    weights : combination (a set of task names, or names joined by ``+``) -> weight >= 0; scaled to sum to 1

    Raises
    ------
    TaskError : no mapping, unknown task names, an empty combination, negative weights or all of them zero
    """
    known = frozenset(names)
    if weights is None:
        every = combinations(known)
        return dict.fromkeys(every, 1 / len(every))
    if not isinstance(weights, Mapping):
        raise TaskError(f"combinations= is a {type(weights).__name__}; map combinations to weights, as {{'a+b': 1.0}}")
    result: dict[Group, float] = {}
    for combination, weight in weights.items():
        chosen = frozenset(combination.split("+") if isinstance(combination, str) else combination)
        check_known(chosen, known)
        if not isinstance(weight, Real) or not 0 <= weight < float("inf"):
            raise TaskError(f"combination {combination_key(chosen)!r} has weight {weight!r}; weights are numbers >= 0")
        result[chosen] = result.get(chosen, 0.0) + float(weight)
    total = sum(result.values())
    if total <= 0:
        raise TaskError("combinations= has no combination of positive weight; give at least one")
    return {combination: weight / total for combination, weight in result.items() if weight > 0}


def check_known(chosen: Iterable[str], known: Iterable[str]) -> Group:
    """Return `chosen` as a set after checking that it is not empty and all its names are known.

    Raises
    ------
    TaskError : no name, or names that are not among `known`
    """
    asked = frozenset(chosen)
    if not asked:
        raise TaskError(f"no task asked for; choose from {sorted(known)}")
    unknown = sorted(asked - frozenset(known))
    if unknown:
        raise TaskError(f"unknown task names {unknown}; the tasks are {sorted(known)}")
    return asked
