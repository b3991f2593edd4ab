"""What a method ends in: one multitask network, or one network per task, behind the same few questions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pam_opt.macs import costs
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning import PruneStep, Schedule, prune
from pam_opt.tasks import CombinationWeights, Group, Task, combinations, distribution
from pam_opt.training import Batches, TrainOptions, evaluate, train


@dataclass(frozen=True)
class System:
    """Networks that together serve all tasks, each task by exactly one of them."""

    networks: tuple[MultitaskNetwork, ...]

    @property
    def tasks(self) -> list[str]:
        """Names of all tasks."""
        return [name for network in self.networks for name in network.tasks]

    def macs(self) -> dict[Group, int]:
        """Count the MACs of every combination: the sum over the networks that it needs."""
        tables = [costs(network).macs for network in self.networks]
        result = {}
        for combination in combinations(self.tasks):
            parts = [combination & frozenset(network.tasks) for network in self.networks]
            result[combination] = sum(table[part] for table, part in zip(tables, parts, strict=True) if part)
        return result

    def expected_macs(self, weights: CombinationWeights | None) -> float:
        """Return E[C] over the user's distribution of combinations."""
        macs = self.macs()
        return sum(p * macs[combination] for combination, p in distribution(self.tasks, weights).items())

    def accuracy(self, batches: Batches, tasks: Sequence[Task]) -> dict[str, float]:
        """Evaluate every task."""
        result: dict[str, float] = {}
        for network in self.networks:
            result |= evaluate(network, batches, _own(network, tasks))
        return result

    def fine_tune(
        self,
        batches: Batches,
        tasks: Sequence[Task],
        steps: int,
        options: TrainOptions,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Train every network in place for the same number of steps."""
        for network in self.networks:
            train(network, batches, _own(network, tasks), steps, options, progress=progress)

    def pruned(
        self,
        train_batches: Batches,
        validation: Batches,
        tasks: Sequence[Task],
        method: str,
        schedule: Schedule,
        training: TrainOptions,
        weights: CombinationWeights | None,
        reference: Mapping[str, float],
        calibration: Batches | None,
        progress: Callable[[PruneStep], None] | None,
    ) -> tuple["System", list[list[PruneStep]]]:
        """Prune every network by the same schedule; a network of one task by itself.

        Returns the smaller system and each network's steps.
        """
        smaller, histories = [], []
        alone, whole = len(self.networks) == 1, self.expected_macs(weights)
        for network in self.networks:
            history: list[PruneStep] = []
            target = schedule.target_macs if alone else _part(schedule.target_macs, network, whole)
            smaller.append(
                prune(
                    network,
                    train_batches,
                    validation,
                    tasks=_own(network, tasks),
                    method=method,
                    schedule=replace(schedule, target_macs=target),
                    combinations=weights if alone else None,
                    reference=reference,
                    training=training,
                    refit=calibration,
                    progress=_both(history.append, progress),
                )
            )
            histories.append(history)
        return System(tuple(smaller)), histories


def _part(target: float | None, network: MultitaskNetwork, whole: float) -> float | None:
    """Split a target for the system's E[C] over its networks in proportion to what they cost now."""
    return None if target is None else target * costs(network).expected / whole


def _own(network: MultitaskNetwork, tasks: Sequence[Task]) -> list[Task]:
    return [task for task in tasks if task.name in network.tasks]


def _both(
    first: Callable[[PruneStep], None], second: Callable[[PruneStep], None] | None
) -> Callable[[PruneStep], None]:
    def call(step: PruneStep) -> None:
        first(step)
        if second:
            second(step)

    return call
