"""What a method ends in: one multitask network, or one network per task, behind the same few questions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pam_opt.macs import costs
from pam_opt.network import MultitaskNetwork
from pam_opt.pruning import PruneStep, prune
from pam_opt.study.config import PruneConfig
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
        config: PruneConfig,
        weights: CombinationWeights | None,
        reference: Mapping[str, float],
        progress: Callable[[PruneStep], None] | None,
    ) -> tuple["System", list[list[PruneStep]]]:
        """Prune every network by the same schedule; a network of one task by itself.

        Returns the smaller system and each network's steps.
        """
        smaller, histories = [], []
        whole = self.expected_macs(weights)
        for network in self.networks:
            history: list[PruneStep] = []
            smaller.append(
                prune(
                    network,
                    train_batches,
                    validation,
                    tasks=_own(network, tasks),
                    method=config.method,
                    max_drop=config.max_drop,
                    target_macs=_part(config.target_macs, network, whole)
                    if len(self.networks) > 1
                    else config.target_macs,
                    combinations=weights if len(self.networks) == 1 else None,
                    reference=reference,
                    fraction=config.fraction,
                    steps=config.steps,
                    warm_up=config.warm_up,
                    patience=config.patience,
                    training=config.options(),
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
