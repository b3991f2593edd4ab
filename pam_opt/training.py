"""Training, fine-tuning and evaluation on any number of tasks, with one seeded loop."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from pam_opt.data import checked
from pam_opt.errors import DataError, PlanError, TaskError
from pam_opt.tasks import Task

Batch = tuple[Tensor, Mapping[str, Tensor]]


class Batches(Protocol):
    """Batches (x, {task name: target}) that can be iterated over again and again."""

    def __iter__(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class TrainOptions:
    """Say how to train.

    Parameters
    ----------
    learning_rate : peak rate of the one-cycle schedule, or the constant rate
    optimiser : ``adam`` or ``sgd`` (Nesterov momentum 0.9)
    schedule : ``one_cycle`` (cosine up over the first 30 %, cosine down) or ``constant``
    weight_decay : decoupled for ``adam``, classical for ``sgd``
    bfloat16 : run forward and backward in mixed precision; weights and the optimiser stay float32
    channels_last : lay convolutions out with the channels last while training, which CPUs often run faster

    Raises
    ------
    PlanError : a rate or decay that is out of range, an unknown optimiser or schedule
    """

    learning_rate: float = 1e-3
    optimiser: Literal["adam", "sgd"] = "adam"
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    weight_decay: float = 0.0
    bfloat16: bool = False
    channels_last: bool = False

    def __post_init__(self) -> None:
        if not (_is_number(self.learning_rate) and 0 < self.learning_rate < math.inf):
            raise PlanError(f"learning_rate is {self.learning_rate!r}; give a finite number above 0")
        if not (_is_number(self.weight_decay) and 0 <= self.weight_decay < math.inf):
            raise PlanError(f"weight_decay is {self.weight_decay!r}; give a finite number of at least 0")
        for name, value, known in (
            ("optimiser", self.optimiser, ("adam", "sgd")),
            ("schedule", self.schedule, ("one_cycle", "constant")),
            ("bfloat16", self.bfloat16, (False, True)),
            ("channels_last", self.channels_last, (False, True)),
        ):
            if value not in known:
                raise PlanError(f"{name} is {value!r}; choose from {list(known)}")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Penalty:
    """Add a term to the loss, and train the parameters that it rules at a rate of their own.

    Parameters
    ----------
    term : called at every step; returns the scalar to add
    parameters : those of the network's parameters that get their own rate, and no weight decay
    rate : their learning rate as a multiple of the options'
    """

    term: Callable[[], Tensor]
    parameters: Sequence[nn.Parameter]
    rate: float = 1.0


class SingleTask(nn.Module):
    """Let a plain module answer as a network of one task: {task: output}."""

    def __init__(self, module: nn.Module, task: str) -> None:
        super().__init__()
        self.module, self.task = module, task

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {self.task: self.module(x)}


@torch.enable_grad()
def train(
    network: nn.Module,
    batches: Batches,
    tasks: Sequence[Task],
    steps: int,
    options: TrainOptions | None = None,
    *,
    penalty: Penalty | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train a network in place on the mean of the tasks' losses, plus a penalty where one is given.

    Parameters
    ----------
    network : called with x, returns {task name: outputs}
    batches : iterated again when they run out, until `steps` are done
    steps : optimiser steps; 0 does nothing
    penalty : a term that is added to the loss in every step, such as the KL term of VIB gates
    progress : called with (steps done, steps) after every step

    Raises
    ------
    DataError : a loss that is not finite, a batch that does not fit, or no batches
    PlanError : `steps` that are no whole number of at least 0, or a network whose weights are all frozen
    TaskError : no task, a task that the network does not have, a loss that fails
    """
    options = options or TrainOptions()
    if not isinstance(steps, Integral) or steps < 0:
        raise PlanError(f"steps is {steps!r}; give a whole number of at least 0")
    if not tasks:
        raise TaskError("training: there is no task to train on; give at least one")
    if steps == 0:
        return
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise PlanError("training: all weights are frozen; call network.requires_grad_() first")
    optimiser = _optimiser(network, options, penalty)
    schedule = _schedule(optimiser, options, steps)
    network.train()
    if options.channels_last:
        _lay_out(network, torch.channels_last)
    normalises = any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())
    for step, (x, targets) in enumerate(_repeat(batches, tasks, steps), start=1):
        if normalises and len(x) == 1:
            raise DataError(f"training: batch {step} has one sample, too few for batch norm; choose another batch size")
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            outputs = network(x)
        losses = [task.mean_loss(_answer(outputs, task).float(), targets[task.name]) for task in tasks]
        loss = torch.stack(losses).mean()
        if penalty is not None:
            loss = loss + penalty.term()
        if not torch.isfinite(loss):
            raise DataError(
                f"training: the loss is {loss.item()} at step {step}; lower the learning rate or check the data"
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress:
            progress(step, steps)
    _lay_out(network, torch.contiguous_format)
    network.eval()


@torch.no_grad()
def evaluate(network: nn.Module, batches: Batches, tasks: Sequence[Task]) -> dict[str, float]:
    """Return every task's mean metric, in evaluation mode.

    Raises
    ------
    DataError : no batches, or a batch that does not fit
    TaskError : a task that the network does not have, a metric that fails
    """
    totals, count = dict.fromkeys((task.name for task in tasks), 0.0), 0
    with evaluation_mode(network):
        for x, targets in checked(batches, list(totals), what="evaluation"):
            outputs = network(x)
            count += len(x)
            for task in tasks:
                totals[task.name] += task.scores(_answer(outputs, task), targets[task.name]).sum().item()
    return {name: total / count for name, total in totals.items()}


@contextmanager
def evaluation_mode(*networks: nn.Module) -> Iterator[None]:
    """Put networks into evaluation mode and back."""
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network, mode in zip(networks, modes, strict=True):
            network.train(mode)


def _lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


def _answer(outputs: Mapping[str, Tensor], task: Task) -> Tensor:
    if task.name not in outputs:
        raise TaskError(f"the network has no task {task.name!r}; its tasks are {sorted(outputs)}")
    return outputs[task.name]


def _repeat(batches: Batches, tasks: Sequence[Task], steps: int) -> Iterator[Batch]:
    names, done = [task.name for task in tasks], 0
    while done < steps:
        for batch in checked(batches, names, what="training"):
            if done == steps:
                return
            done += 1
            yield batch


def _optimiser(network: nn.Module, options: TrainOptions, penalty: Penalty | None) -> torch.optim.Optimizer:
    own = list(penalty.parameters) if penalty else []
    apart = {id(parameter) for parameter in own}
    groups: list[dict[str, Any]] = [{"params": [p for p in network.parameters() if id(p) not in apart]}]
    if penalty and own:
        groups.append({"params": own, "lr": penalty.rate * options.learning_rate, "weight_decay": 0.0})
    if options.optimiser == "adam":
        return torch.optim.AdamW(groups, options.learning_rate, weight_decay=options.weight_decay)
    return torch.optim.SGD(
        groups, options.learning_rate, momentum=0.9, nesterov=True, weight_decay=options.weight_decay
    )


def _schedule(
    optimiser: torch.optim.Optimizer, options: TrainOptions, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if options.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0)
    rates = [group["lr"] for group in optimiser.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rates, total_steps=steps + 1, pct_start=0.3, cycle_momentum=False
    )
