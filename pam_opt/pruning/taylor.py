"""Taylor gates: units go first whose gates the loss hardly depends on, by three definitions.

[1] Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771
[2] He et al., Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021, arXiv 1905.09676
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from pam_opt.data import checked
from pam_opt.gradients import Place, gate_gradients, gate_products, loss_gradients
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.pruner import Pruner, Scores, hidden_places
from pam_opt.tasks import Task
from pam_opt.training import Batches, TrainOptions, evaluation_mode


class _BatchTaylor(Pruner):
    """Score by a figure of every mini-batch's gate gradient, its mean over mini-batches, and a memory of removals.

    What is remembered belongs to a network and moves on to the units that are left, so that a removal that is taken
    back leaves no trace. A network that has not been trained since is not scored again.

    Attributes
    ----------
    mini_batches : how many are averaged
    momentum : weight of the scores before the last removal, for the units that are left
    """

    mini_batches: ClassVar[int]
    momentum: ClassVar[float] = 0.0

    def __init__(self) -> None:
        self._before: WeakKeyDictionary[MultitaskNetwork, Scores] = WeakKeyDictionary()
        self._now: WeakKeyDictionary[MultitaskNetwork, Scores] = WeakKeyDictionary()

    @staticmethod
    @abstractmethod
    def figure(gradient: Tensor) -> Tensor:
        """Turn dLoss/dg of one mini-batch, (units,), into its score."""

    def train(
        self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task], steps: int, options: TrainOptions
    ) -> None:
        """Fine-tune; scores from before no longer hold."""
        if steps:
            self._now.pop(network, None)
        super().train(network, batches, tasks, steps, options)

    def scores(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        """Score on the first mini-batches of the data, in evaluation mode."""
        if network not in self._now:
            scores, before = self._measure(network, batches, tasks), self._before.get(network)
            if before is not None and self.momentum:
                scores = {
                    place: self.momentum * before[place] + (1 - self.momentum) * score
                    for place, score in scores.items()
                }
            self._now[network] = scores
        return self._now[network]

    def remove(self, network: MultitaskNetwork, keep: Mapping[Place, Tensor]) -> MultitaskNetwork:
        """Remove units; the scores of the others are remembered."""
        smaller = super().remove(network, keep)
        if network in self._now:
            scores = self._now[network].items()
            self._before[smaller] = {place: score[keep[place]] if place in keep else score for place, score in scores}
        return smaller

    def _measure(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        found: list[Scores] = []
        with evaluation_mode(network):
            names = [task.name for task in tasks]
            for x, targets in islice(checked(batches, names, what="train"), self.mini_batches):
                gradients = gate_gradients(network, x, targets, tasks)
                found.append({place: self.figure(gradient.double()) for place, gradient in gradients.items()})
        return {place: torch.stack([scores[place] for scores in found]).mean(0) for place in found[0]}


class Taylor(_BatchTaylor):
    """Score by Taylor gates as published [1]: mean over 30 mini-batches of (g dLoss/dg)^2 at g = 1, momentum 0.9.

    The gate of a unit stands at its pre-activation, behind the batch norm, and the loss is the mean over the tasks.
    Deviations: all groups are scored alike, exclusive ones too; batch norms run in evaluation mode; a removal is
    followed by as much fine-tuning as the schedule says, and 30 mini-batches of their own are scored behind it.
    """

    description: ClassVar[str] = "Taylor importance of gates, squared for every mini-batch, momentum 0.9 (CVPR 2019)"
    mini_batches = 30
    momentum = 0.9

    @staticmethod
    def figure(gradient: Tensor) -> Tensor:
        """Square it."""
        return gradient.square()


class TaylorPam(_BatchTaylor):
    """Score as PAM's P2 does [2]: mean over 10 mini-batches of |dLoss/dg| at g = 1, without memory."""

    description: ClassVar[str] = "Taylor importance of gates, absolute for every mini-batch (PAM's P2)"
    mini_batches = 10

    @staticmethod
    def figure(gradient: Tensor) -> Tensor:
        """Take its size."""
        return gradient.abs()


class TaylorSample(Pruner):
    """Score by Taylor gates squared sample by sample: ``sum over tasks of E[(g dLoss_t/dg)^2]`` at gate g = 1.

    A variant of [1] that counts tasks one by one and needs fewer data: see `gate_products`. All groups are scored
    alike, exclusive ones too.
    """

    description: ClassVar[str] = "Taylor importance of gates, squared for every sample and task"

    def scores(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        """Score on the first 30 mini-batches of the data, in evaluation mode."""
        return taylor_scores(network, batches, tasks, 30)


def taylor_scores(
    network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task], limit: int
) -> dict[Place, Tensor]:
    """Return the scores of `TaylorSample` over at most `limit` batches, in units of squared loss.

    One gate stands at all layers through which a unit gets out of its space (`Structure.gates`), so that their
    gradients add up before they are squared.
    """
    totals: dict[Place, Tensor] = {}
    samples = 0
    with evaluation_mode(network):
        for x, targets in islice(checked(batches, [task.name for task in tasks], what="train"), limit):
            samples += len(x)
            taps, gradients = loss_gradients(network, x, targets, tasks)
            for place in hidden_places(network.structure):
                # Units that no task depends on have no gradient; they score zero and go first.
                totals.setdefault(place, torch.zeros(network.structure.units(*place)))
            for found in gradients.values():
                for place, gates in gate_products(network, taps, found).items():
                    totals[place] = totals[place] + gates.square().mean(0) * len(x)
    return {place: total.double() / samples for place, total in totals.items()}
