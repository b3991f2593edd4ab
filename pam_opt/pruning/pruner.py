"""What a pruning method is: it scores units, and may train and remove them in its own way."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from pam_opt.errors import PlanError
from pam_opt.gradients import Place
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning.schedule import Schedule
from pam_opt.structure import Structure
from pam_opt.surgery import remove_units
from pam_opt.tasks import Task
from pam_opt.training import Batches, TrainOptions, train

Scores = dict[Place, Tensor]
"""(space, group) -> (units,) float64, at least 0; higher means that losing the unit hurts more."""


def hidden_places(structure: Structure) -> list[Place]:
    """List all places that hold hidden units: every space with its groups."""
    return [(space, group) for space in structure.spaces for group in structure.groups(space)]


class Pruner(ABC):
    """One method, made anew for every run of `pam_opt.prune`; it may remember what it likes between removals.

    A subclass writes `scores`; one that adds something to the network while it is pruned, such as gates, also
    `start`, `train`, `remove` and `finish`.

    Attributes
    ----------
    description : one line for tables
    per_cost : whether units go by score per cost that their loss saves; otherwise by score alone
    needs_training : whether there is nothing to score by before the network has been trained by the method
    has_rule : whether `closed` says which units go whatever the goal, for ``by="rule"``
    """

    description: ClassVar[str]
    per_cost: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False
    has_rule: ClassVar[bool] = False

    def start(self, network: MultitaskNetwork) -> MultitaskNetwork:
        """Make the network ready; the one given is a copy and may be changed."""
        return network

    def train(
        self,
        network: MultitaskNetwork,
        batches: Batches,
        tasks: Sequence[Task],
        steps: int,
        options: TrainOptions,
    ) -> None:
        """Fine-tune in place."""
        train(network, batches, tasks, steps, options)

    @abstractmethod
    def scores(self, network: MultitaskNetwork, batches: Batches, tasks: Sequence[Task]) -> Scores:
        """Score the units of every hidden place."""

    def check(self, schedule: Schedule) -> None:
        """Refuse a schedule that cannot work with the method.

        Raises
        ------
        PlanError : says what the method needs
        """
        if self.needs_training and schedule.warm_up == 0:
            raise PlanError(
                f"{type(self).__name__} learns in training what may go; give a schedule with warm_up= above 0"
            )
        if schedule.by == "rule" and not self.has_rule:
            raise PlanError(f"{type(self).__name__} has no rule that says which units go; give by='macs' or 'units'")

    def closed(self, network: MultitaskNetwork) -> Mapping[Place, Tensor]:
        """Mark, (units,) bool, the units that go first and whatever the schedule's goal; default: none."""
        return {}

    def remove(self, network: MultitaskNetwork, keep: Mapping[Place, Tensor]) -> MultitaskNetwork:
        """Return a smaller network; the one given stays as it is. Places that `keep` lacks keep all units."""
        return remove_units(network, keep)

    def finish(self, network: MultitaskNetwork) -> MultitaskNetwork:
        """Return the network without anything that `start` added; the one given stays as it is."""
        return network
