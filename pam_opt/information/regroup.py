"""PAM's greedy regrouping of one layer: sets of units that tell little about each task, and the groups that follow.

For each task j a set S_j grows, always by the unit that leaves the joint information I(S_j + u; Y_j) least, and stops
before that passes a threshold [1]_. A unit in all sets is dropped; one in all but S_i is exclusive to task i; every
other one is informative for two or more tasks and serves all of them.

Reconstructed from abstracts and published code [1]_; one deviation, ties: where candidates are equal up to `TIE`, the
first one is taken, so that all scans choose alike whatever the order of floating-point sums.

.. [1] He, Gao, Zhou, Tong, Thiele, Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021, arXiv 1905.09676
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

TIE = 1e-6
"""Nats within which two candidates are equal; below what float32 tells apart in a sum over labels."""

BLOCK = 32
"""Candidates that the lazy scan evaluates at once: a batch costs little more than one alone."""


class Growth(Protocol):
    """A set of units that grows, with its joint information on one task."""

    @property
    def value(self) -> float:
        """Joint information of the set, nats."""
        ...

    def values(self, candidates: Tensor) -> Tensor:
        """Return the joint information after adding each of the candidates (n,) int64, one at a time, (n,)."""
        ...

    def add(self, unit: int) -> None:
        """Add a unit to the set."""
        ...


@dataclass(frozen=True)
class GreedySet:
    """A set of units that tells at most so much about a task.

    Parameters
    ----------
    units : in the order in which they were added
    information : joint, nats
    evaluations : candidates that were evaluated
    noticed : how often a candidate told less than in a smaller set, which true information never does
    """

    units: tuple[int, ...]
    information: float
    evaluations: int
    noticed: int


def greedy_set(growth: Growth, allowed: Sequence[int], alpha: float, scan: str = "lazy") -> GreedySet:
    """Grow a set by the unit that leaves the joint information least, and stop before it passes `alpha`.

    Parameters
    ----------
    growth : of the empty set; it is used up
    allowed : units that may be added
    alpha : nats
    scan : ``full`` evaluates all candidates at every step. ``lazy`` goes through them in the order of their last known
        values, which true information only raises, and stops where the next cannot be the least. Where an estimate
        falls instead, the scan counts it, and from then on allows every last known value to have fallen twice as
        much as any was seen to fall in a step.
    """
    scanner = SCANS[scan](growth, allowed)
    chosen: list[int] = []
    while True:
        found = scanner.least()
        if found is None or found[1] > alpha:
            return GreedySet(tuple(chosen), growth.value, scanner.evaluations, scanner.noticed)
        growth.add(found[0])
        chosen.append(found[0])
        scanner.remove(found[0])


class FullScan:
    """Evaluate all candidates at every step."""

    noticed = 0

    def __init__(self, growth: Growth, allowed: Sequence[int]) -> None:
        self.growth = growth
        self.left = np.unique(np.asarray(allowed, np.int64))
        self.evaluations = 0

    def least(self) -> tuple[int, float] | None:
        """Return the unit that leaves the information least, and that; None without a candidate."""
        if not len(self.left):
            return None
        values = _evaluate(self.growth, self.left)
        self.evaluations += len(self.left)
        place = _first_least(values)
        return int(self.left[place]), float(values[place])

    def remove(self, unit: int) -> None:
        """Take a unit off the candidates."""
        self.left = self.left[self.left != unit]


class LazyScan:
    """Evaluate the candidates whose last known value, less the falls seen so far, is at most the least value found.

    At steps 1, 2, 4, 8, ... all candidates are evaluated, so that falls are seen early even among those that would
    never be looked at.
    """

    def __init__(self, growth: Growth, allowed: Sequence[int]) -> None:
        self.growth = growth
        self.left = np.unique(np.asarray(allowed, np.int64))
        self.last = np.full(len(self.left), -math.inf)
        self.evaluations = self.noticed = self.steps = 0
        self.slack = 0.0

    def least(self) -> tuple[int, float] | None:
        """Return the unit that leaves the information least, and that; None without a candidate."""
        if not len(self.left):
            return None
        self.steps += 1
        audit = self.steps & (self.steps - 1) == 0
        stale, best, block = np.ones(len(self.left), bool), math.inf, len(self.left) if audit else BLOCK
        while True:
            reached = math.inf if audit else best + TIE + self.slack
            places = np.flatnonzero(stale & (self.last <= reached))
            if not len(places):
                break
            chosen = np.sort(places[np.argsort(self.last[places], kind="stable")[:block]])
            best = min(best, self._refresh(chosen))
            stale[chosen] = False
            block *= 2
        place = _first_least(np.where(stale, math.inf, self.last))
        return int(self.left[place]), float(self.last[place])

    def remove(self, unit: int) -> None:
        """Take a unit off the candidates."""
        kept = self.left != unit
        self.left, self.last = self.left[kept], self.last[kept]

    def _refresh(self, places: np.ndarray) -> float:
        """Evaluate some candidates, notice which have fallen, and return the least value."""
        values = _evaluate(self.growth, self.left[places])
        fallen = self.last[places] - values
        self.evaluations += len(places)
        self.noticed += int((fallen > TIE).sum())
        self.slack = max(self.slack, 2 * float(fallen.max(initial=0.0)))
        self.last[places] = values
        return float(values.min())


SCANS: dict[str, Callable[[Growth, Sequence[int]], FullScan | LazyScan]] = {"lazy": LazyScan, "full": FullScan}


def groups_of_sets(sets: Sequence[Collection[int]], units: int) -> list[frozenset[int]]:
    """Return the tasks that every unit serves, by index, from one set of uninformative units for each task.

    A unit in all K sets serves none. One that only S_i lacks serves i. All others serve every task.

    Examples
    --------
    >>> groups_of_sets([[0, 1], [0, 2]], 4)
    [frozenset(), frozenset({1}), frozenset({0}), frozenset({0, 1})]
    """
    told = [frozenset(task for task, members in enumerate(map(set, sets)) if unit not in members) for unit in range(units)]
    everything = frozenset(range(len(sets)))
    return [tasks if len(tasks) <= 1 else everything for tasks in told]


def _evaluate(growth: Growth, units: np.ndarray) -> np.ndarray:
    return growth.values(torch.from_numpy(units)).double().cpu().numpy()


def _first_least(values: np.ndarray) -> int:
    """Return the first place whose value is the least up to `TIE`."""
    return int(np.flatnonzero(values <= values.min() + TIE)[0])
