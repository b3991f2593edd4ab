"""Training, fine-tuning and evaluation on any number of tasks, with one seeded loop."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from pam_opt.errors import DataError
from pam_opt.tasks import Task

Batch = tuple[Tensor, Mapping[str, Tensor]]


class Batches(Protocol):
    """Batches (x, {task name: target}) that can be iterated over again and again."""

    def __iter__(self) -> Iterator[Batch]: ...


class TrainOptions(BaseModel):
    """Say how to train.

    Parameters
    ----------
    learning_rate : peak rate of the one-cycle schedule, or the constant rate
    optimiser : ``adam`` or ``sgd`` (Nesterov momentum 0.9)
    schedule : ``one_cycle`` (linear up over the first 30 %, cosine down) or ``constant``
    weight_decay : decoupled for ``adam``, classical for ``sgd``
    bfloat16 : run forward and backward in mixed precision; weights and the optimiser stay float32
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=1e-3, gt=0)
    optimiser: Literal["adam", "sgd"] = "adam"
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    weight_decay: float = Field(default=0.0, ge=0)
    bfloat16: bool = False


class SingleTask(nn.Module):
    """Let a plain module answer as a network of one task: {task: output}."""

    def __init__(self, module: nn.Module, task: str) -> None:
        super().__init__()
        self.module, self.task = module, task

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {self.task: self.module(x)}


def train(
    network: nn.Module,
    batches: Batches,
    tasks: Sequence[Task],
    steps: int,
    options: TrainOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train a network in place on the mean of the tasks' losses.

    Parameters
    ----------
    network : called with x, returns {task name: outputs}
    batches : iterated again when they run out, until `steps` are done
    steps : optimiser steps; 0 does nothing
    progress : called with (steps done, steps) after every step

    Raises
    ------
    DataError : a loss that is not finite, or no batches
    """
    options = options or TrainOptions()
    if steps == 0:
        return
    optimiser = _optimiser(network, options)
    schedule = _schedule(optimiser, options, steps)
    network.train()
    for step, (x, targets) in enumerate(_repeat(batches, steps), start=1):
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            outputs = network(x)
        loss = torch.stack([task.mean_loss(outputs[task.name].float(), targets[task.name]) for task in tasks]).mean()
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
    network.eval()


@torch.no_grad()
def evaluate(network: nn.Module, batches: Iterable[Batch], tasks: Sequence[Task]) -> dict[str, float]:
    """Return every task's mean metric, in evaluation mode.

    Raises
    ------
    DataError : no batches
    """
    totals, count = dict.fromkeys((task.name for task in tasks), 0.0), 0
    with evaluation_mode(network):
        for x, targets in batches:
            outputs = network(x)
            count += len(x)
            for task in tasks:
                totals[task.name] += task.scores(outputs[task.name], targets[task.name]).sum().item()
    if count == 0:
        raise DataError("evaluation: there are no batches")
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


def _repeat(batches: Batches, steps: int) -> Iterator[Batch]:
    done = 0
    while done < steps:
        before = done
        for batch in batches:
            if done == steps:
                return
            done += 1
            yield batch
        if done == before:
            raise DataError("training: there are no batches (or a generator ran out; give a list or a DataLoader)")


def _optimiser(network: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    if options.optimiser == "adam":
        return torch.optim.AdamW(network.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    return torch.optim.SGD(
        network.parameters(),
        options.learning_rate,
        momentum=0.9,
        nesterov=True,
        weight_decay=options.weight_decay,
    )


def _schedule(
    optimiser: torch.optim.Optimizer, options: TrainOptions, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if options.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.learning_rate, total_steps=steps + 1, pct_start=0.3, cycle_momentum=False
    )
