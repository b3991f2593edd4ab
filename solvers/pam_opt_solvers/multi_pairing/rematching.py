"""Optimal re-matching: split all clusters along the parents in two halves, and join the halves by one assignment.

A decision that no split can improve is a fixpoint of cyclic re-matching. Costs are scaled to magnitude 1 by a power of
two, and a forbidden pair costs more than any decision without one, so that a search can pass through such pairs.
"""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.matching import matched
from pam_opt_solvers.multi_pairing.programs import labels_of
from pam_opt_solvers.problems.multi_pairing import MultiPairing

Clusters = NDArray[np.int64]
"""(c, K) the unit of each parent, N = none."""

MOST_SPLITS = 31


class Rematching:
    """Build and improve clusters of a problem without merging within a parent.

    Parameters
    ----------
    problem : what is decided

    Attributes
    ----------
    scale : power of two that costs are multiplied by
    """

    def __init__(self, problem: MultiPairing) -> None:
        self.problem, self.free = problem, problem.required is None
        self.n_units, self.n_parents = problem.n_units, problem.n_parents
        self.scale = scale_of(problem)
        self._cost = np.zeros((self.n_units + 1,) * 2)
        cost = problem.merging * self.scale
        cost[cost == np.inf] = 4.0 * (problem.most_terms + 1)
        self._cost[:-1, :-1] = cost
        self._alone = np.append(problem.alone * self.scale, 0.0)
        self.splits = self._all_splits()

    def _all_splits(self) -> list[tuple[int, ...]]:
        # A half and its complement are one split; halves of one parent come first, they gain the most.
        splits = []
        for size in range(1, self.n_parents // 2 + 1):
            for half in itertools.combinations(range(self.n_parents), size):
                if 2 * size < self.n_parents or 0 in half:
                    splits.append(half)
        return splits if len(splits) <= MOST_SPLITS else splits[: self.n_parents]

    def value(self, clusters: Clusters) -> float:
        """Return the scaled value of clusters, with the large cost for every forbidden pair."""
        pairs = itertools.combinations(range(self.n_parents), 2)
        total = sum(float(self._cost[clusters[:, a], clusters[:, b]].sum()) for a, b in pairs)
        return total + float(self._lone(clusters).sum())

    def units_of(self, parent: int) -> Clusters:
        """Return the units of one parent as clusters."""
        start, stop = self.problem.starts[parent : parent + 2]
        clusters = np.full((stop - start, self.n_parents), self.n_units)
        clusters[:, parent] = np.arange(start, stop)
        return clusters

    def labels(self, clusters: Clusters) -> NDArray[np.int64]:
        """Return the decision that clusters make."""
        return labels_of(np.where(clusters < self.n_units, clusters, -1), self.n_units)

    def clusters(self, labels: NDArray[np.int64]) -> Clusters:
        """Return the clusters of a decision; lone units of a problem without single costs are left out."""
        clusters = np.full((int(labels.max(initial=-1)) + 1, self.n_parents), self.n_units)
        clusters[labels, self.problem.parent] = np.arange(self.n_units)
        return clusters if self.free else clusters[(clusters < self.n_units).all(axis=1)]

    def sequential(self, order: NDArray[np.int64]) -> Clusters:
        """Match parent after parent to the clusters so far; a smallest parent must come first."""
        clusters = self.units_of(int(order[0]))
        for parent in order[1:]:
            clusters = self.join(clusters, self.units_of(int(parent)))
        return clusters

    def random_order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the parents in random order, a smallest one first where complete clusters are asked."""
        order = rng.permutation(self.n_parents)
        if self.free:
            return order
        return order[np.argsort(self.problem.sizes[order] != self.problem.sizes.min(), kind="stable")]

    def join(self, left: Clusters, right: Clusters) -> Clusters:
        """Return the best clusters that join rows of two sides, which hold no parent in common."""
        weights = self._weights(left, right)
        if self.free:
            weights = np.minimum(weights, 0.0)
        rows, columns = matched(weights)
        if self.free:
            worth = weights[rows, columns] < 0
            rows, columns = rows[worth], columns[worth]
        both = np.minimum(left[rows], right[columns])
        if not self.free:
            return both
        return np.concatenate([both, np.delete(left, rows, axis=0), np.delete(right, columns, axis=0)])

    def _weights(self, left: Clusters, right: Clusters) -> NDArray[np.float64]:
        weights = np.zeros((len(left), len(right)))
        for a, b in itertools.product(self._present(left), self._present(right)):
            weights += self._cost[np.ix_(left[:, a], right[:, b])]
        return weights - self._lone(left)[:, None] - self._lone(right)

    def _present(self, side: Clusters) -> NDArray[np.intp]:
        return np.flatnonzero((side < self.n_units).any(axis=0))

    def _lone(self, side: Clusters) -> NDArray[np.float64]:
        lone = (side < self.n_units).sum(axis=1) == 1
        return np.where(lone, self._alone[side.min(axis=1, initial=self.n_units)], 0.0)

    def rematch(self, clusters: Clusters, half: tuple[int, ...]) -> Clusters:
        """Split clusters into a half of the parents and the rest, and join both anew."""
        left, right = clusters.copy(), clusters.copy()
        left[:, list(half)] = self.n_units
        right[:, [p for p in range(self.n_parents) if p not in half]] = self.n_units
        if self.free:
            left, right = (side[(side < self.n_units).any(axis=1)] for side in (left, right))
        elif len(half) == 1:
            right = self.units_of(half[0])  # units that are left over may take a place
        return self.join(left, right)

    def polish(self, clusters: Clusters, deadline: float = math.inf) -> Clusters:
        """Re-match along every split in turn until none improves, or until the deadline (of `time.perf_counter`)."""
        import time

        value, since = self.value(clusters), 0
        for half in itertools.cycle(self.splits):
            if since == len(self.splits) or time.perf_counter() >= deadline:
                break
            trial = self.rematch(clusters, half)
            found = self.value(trial)
            since += 1
            if found < value - 1e-12 * abs(value):
                clusters, value, since = trial, found, 1
        return clusters

    def shake(self, clusters: Clusters, rng: np.random.Generator, share: float) -> Clusters:
        """Shuffle the units of one random parent among a random share of the clusters, at least three."""
        count = min(len(clusters), max(3, int(share * len(clusters))))
        chosen = rng.choice(len(clusters), count, replace=False)
        parent = int(rng.integers(self.n_parents))
        shaken = clusters.copy()
        shaken[chosen, parent] = shaken[rng.permutation(chosen), parent]
        return shaken[(shaken < self.n_units).any(axis=1)]


def scale_of(problem: MultiPairing) -> float:
    """Return the power of two that brings the largest cost into 0.5..1, if float64 holds it; 1 if all are 0."""
    exponent = int(np.frexp(problem.magnitude)[1]) if problem.magnitude else 0
    return math.ldexp(1.0, max(-1000, min(1000, -exponent)))
