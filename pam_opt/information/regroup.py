"""PAM's greedy regrouping of one layer: sets of units that tell little about each task, and the groups that follow.

For each task j a set S_j grows, always by the unit that leaves the joint information I(S_j + u; Y_j) least, and stops
before that passes a threshold [1]_. A unit in all sets is dropped; one in all but S_i is exclusive to task i; every
other one is informative for two or more tasks and serves all of them.

Reconstructed from abstracts and published code [1]_; one deviation, ties: of candidates that are equal up to
`TIE` the first one is taken, so that all scans choose alike whatever the order of floating-point sums.

.. [1] He, Gao, Zhou, Tong, Thiele, Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021, arXiv 1905.09676
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pam_opt.errors import PlanError
from pam_opt.information.estimator import Growth

TIE = 1e-9
"""Nats within which two candidates are equal."""

BLOCK = 16
"""Candidates that the lazy scan evaluates at once at first in a step; each further block is twice as large."""

OLDEST, FALLS, FLOOR, FREE = 16, 3.0, 1e-4, 0.25
"""The lazy scan's precautions, see `LazyScan`: a part, a factor, nats, and a part.

Measured on values of all steps of full scans: on layers whose units fire on few samples, estimates fall by up to 1.5e-3
nats, also of units that compete for the least. With these figures no scan chose another unit; without them, 3 to 11
of 200 steps did.
"""


@dataclass(frozen=True)
class GreedySet:
    """A set of units that tells at most so much about a task.

    Parameters
    ----------
    units : in the order in which they were added
    information : joint, nats
    evaluations : how many candidates were evaluated
    noticed : how many of these told less than in a smaller set, which by true information they never do
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
        values, which true information only raises, and stops where the next cannot be the least. An estimate may
        fall instead: it looks out for that and allows for it, see `LazyScan`.

    Raises
    ------
    PlanError : an estimate that is no number
    """
    scanner = SCANS[scan](growth, allowed)
    chosen: list[int] = []
    while (found := scanner.least()) is not None and found[1] <= alpha + TIE:
        growth.add(found[0])
        chosen.append(found[0])
        scanner.remove(found[0])
    return GreedySet(tuple(chosen), growth.value, scanner.evaluations, scanner.noticed)


class FullScan:
    """Evaluate all candidates at every step."""

    def __init__(self, growth: Growth, allowed: Sequence[int]) -> None:
        self.growth = growth
        self.left = np.unique(np.asarray(allowed, np.int64))
        self.evaluations = self.noticed = 0

    def least(self) -> tuple[int, float] | None:
        """Return the unit that leaves the information least, and that; None without a candidate."""
        return self._least_of(self._evaluate(self.growth.values, self.left)) if len(self.left) else None

    def remove(self, unit: int) -> None:
        """Take a unit off the candidates."""
        self.left = self.left[self.left != unit]

    def _least_of(self, values: np.ndarray) -> tuple[int, float]:
        """Decide among candidates with values up to the growth's tolerance, infinite for those out of the question."""
        near = self.left[values <= values.min() + 2 * self.growth.tolerance + TIE]
        exact = self._evaluate(self.growth.precise, near)
        first = np.flatnonzero(exact <= exact.min() + TIE)[0]
        return int(near[first]), float(exact[first])

    def _evaluate(self, values: Callable[[torch.Tensor], torch.Tensor], units: np.ndarray) -> np.ndarray:
        self.evaluations += len(units)
        found = values(torch.from_numpy(units)).double().cpu().numpy()
        if not np.isfinite(found).all():
            unit = units[~np.isfinite(found)][0]
            raise PlanError(f"the information with unit {unit} is no finite number; check the activations' scale")
        return found


class LazyScan(FullScan):
    """Evaluate the candidates whose last known value, less allowances for falls, may be the least.

    Estimates fall most for units that add much, which do not compete for the least: `FREE` times what a unit added when
    it was evaluated may go, and falls are what goes beyond. Every step first looks again at the `OLDEST` of the
    candidates that were evaluated longest ago, so that falls are seen among all of them and no value is of more than
    so many steps before. The margin is `FALLS` times the largest fall so far, at least `FLOOR`. A step in which a
    value fell by more than the margin evaluates all candidates.
    """

    def __init__(self, growth: Growth, allowed: Sequence[int]) -> None:
        super().__init__(growth, allowed)
        self.last = np.full(len(self.left), math.inf)
        self.low = self.last.copy()
        self.age = np.zeros(len(self.left), np.int64)
        self.margin = FLOOR
        self.every = True

    def least(self) -> tuple[int, float] | None:
        """Return the unit that leaves the information least, and that; None without a candidate."""
        if not len(self.left):
            return None
        self.age += 1
        count = len(self.left) if self.every else math.ceil(len(self.left) / OLDEST)
        self.every = False
        self._refresh(np.argsort(-self.age, kind="stable")[:count])
        block = BLOCK
        while len(places := np.flatnonzero((self.age > 0) & (self.every | (self.low <= self._reach)))):
            self._refresh(places if self.every else places[np.argsort(self.low[places], kind="stable")[:block]])
            block *= 2
        self.every = False
        return self._least_of(np.where(self.age > 0, math.inf, self.last))

    def remove(self, unit: int) -> None:
        """Take a unit off the candidates."""
        kept = self.left != unit
        self.last, self.low, self.age = self.last[kept], self.low[kept], self.age[kept]
        super().remove(unit)

    @property
    def _reach(self) -> float:
        """The highest known bound with which a candidate may still be the least, up to the tolerance."""
        return self.last[self.age == 0].min(initial=math.inf) + self.margin + 2 * self.growth.tolerance + TIE

    def _refresh(self, places: np.ndarray) -> None:
        """Evaluate some candidates and notice how many of them fell."""
        places = np.sort(places)
        values = self._evaluate(self.growth.values, self.left[places])
        known = np.isfinite(self.last[places])
        falls = (self.last[places] - values)[known]
        self.noticed += int((falls > 2 * self.growth.tolerance + TIE).sum())
        fall = float((self.low[places] - values)[known].max(initial=0.0))
        self.every = self.every or fall > self.margin
        self.margin = max(self.margin, FALLS * fall)
        self.last[places], self.age[places] = values, 0
        self.low[places] = values - FREE * np.maximum(values - self.growth.value, 0.0)


SCANS: dict[str, type[FullScan]] = {"lazy": LazyScan, "full": FullScan}


def groups_of_sets(sets: Sequence[Collection[int]], units: int) -> list[frozenset[int]]:
    """Return the tasks that every unit serves, by index, from one set of uninformative units for each task.

    A unit in all K sets serves none. One that only S_i lacks serves i. All others serve every task.

    Examples
    --------
    >>> groups_of_sets([[0, 1], [0, 2]], 4)
    [frozenset(), frozenset({1}), frozenset({0}), frozenset({0, 1})]
    """
    told: list[set[int]] = [set() for _ in range(units)]
    for task, members in enumerate(sets):
        for unit in set(range(units)).difference(members):
            told[unit].add(task)
    everything = frozenset(range(len(sets)))
    return [frozenset(tasks) if len(tasks) <= 1 else everything for tasks in told]
