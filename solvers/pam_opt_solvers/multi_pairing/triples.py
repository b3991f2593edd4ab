"""Three parents as a three-index assignment problem: its reduced costs, true bounds and Lagrangian relaxation.

Every unit pays a price; a cluster's reduced cost is its cost less the prices of its units. Where none is negative, the
prices sum to a lower bound: the dual of the linear relaxation of set partitioning. With the prices of two parents
given, the best of the third are least reduced costs (`Triples.settle`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.rematching import scale_of
from pam_opt_solvers.problems.multi_pairing import MultiPairing

Vector = NDArray[np.float64]
Prices = tuple[Vector, Vector, Vector]
"""Of the units of each parent; one that can stay alone has at most the price of that."""


@dataclass(frozen=True, eq=False)
class Triples:
    """Clusters of three parents with ``a <= b <= c`` units; a cluster is (i, j, k), where a, b, c = none.

    Parameters
    ----------
    ab, ac, bc : costs of pairs, +inf = forbidden, scaled to magnitude 1
    lone : cost of a unit alone, of each parent; +inf = must be in a complete cluster
    partial : whether clusters of two are permitted
    units : (3, ...) the units of each parent in the problem
    """

    ab: Vector
    ac: Vector
    bc: Vector
    lone: Prices
    partial: bool
    units: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, problem: MultiPairing) -> "Triples":
        """Read the problem, its parents from the smallest to the largest."""
        order = np.argsort(problem.sizes, kind="stable")
        units = tuple(np.flatnonzero(problem.parent == p) for p in order)
        cost = problem.merging * scale_of(problem)
        ab, ac, bc = (np.ascontiguousarray(cost[np.ix_(units[p], units[q])]) for p, q in ((0, 1), (0, 2), (1, 2)))
        return cls(ab, ac, bc, _lone_costs(problem, units), problem.required is None, units)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Units of each parent."""
        return len(self.ab), len(self.bc), self.bc.shape[1]

    def among(self, clusters: NDArray[np.int64]) -> "tuple[Triples, tuple[NDArray[np.int64], ...]]":
        """Return the problem of the units of some clusters (c, 3) alone, and which units of each parent those are."""
        a, b, c = (np.sort(column[column < none]) for column, none in zip(clusters.T, self.sizes, strict=True))
        lone = (self.lone[0][a], self.lone[1][b], self.lone[2][c])
        units = tuple(whole[part] for whole, part in zip(self.units, (a, b, c), strict=True))
        blocks = self.ab[np.ix_(a, b)], self.ac[np.ix_(a, c)], self.bc[np.ix_(b, c)]
        return Triples(*blocks, lone, self.partial, units), (a, b, c)

    def decode(self, clusters: NDArray[np.int64], n_units: int) -> NDArray[np.int64]:
        """Return (c, 3) clusters as units of the problem, -1 = none."""
        columns = [np.append(units, -1)[clusters[:, side]] for side, units in enumerate(self.units)]
        return np.stack(columns, axis=1)

    def encode(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the clusters (c, 3) of a decision."""
        clusters = np.tile(np.array(self.sizes), (int(labels.max(initial=-1)) + 1, 1))
        for side, units in enumerate(self.units):
            clusters[labels[units], side] = np.arange(len(units))
        return clusters

    def costs(self, clusters: NDArray[np.int64]) -> Vector:
        """Return the cost of each cluster (c, 3)."""
        a, b, c = self.sizes
        i, j, k = clusters.T
        padding = 0.0 if self.partial else np.inf
        ab, ac, bc = (np.pad(block, (0, 1), constant_values=padding) for block in (self.ab, self.ac, self.bc))
        cost = ab[i, j] + ac[i, k] + bc[j, k]
        for side, (at, none) in enumerate(zip((i, j, k), (a, b, c), strict=True)):
            alone = (at < none) & ((clusters == np.array(self.sizes)).sum(axis=1) == 2)
            cost[alone] = self.lone[side][at[alone]]
        return cost

    def reduced(self, clusters: NDArray[np.int64], prices: Prices) -> Vector:
        """Return the reduced cost of each cluster (c, 3)."""
        i, j, k = clusters.T
        u, v, w = (np.append(price, 0.0) for price in prices)
        return self.costs(clusters) - u[i] - v[j] - w[k]

    def settle(self, prices: Prices) -> Prices:
        """Return prices without negative reduced costs: the third parent's stay if they can, the first's are best.

        Every cluster of every kind is looked at, in float64.
        """
        w = np.minimum(prices[2], self.lone[2])
        v = np.minimum(prices[1], self.lone[1])
        if self.partial:
            v = np.minimum(v, (self.bc - w).min(axis=1, initial=np.inf))
        u = np.minimum(self.lone[0], self._least_rows(v, w))
        if self.partial:
            u = np.minimum(u, (self.ab - v).min(axis=1, initial=np.inf))
            u = np.minimum(u, (self.ac - w).min(axis=1, initial=np.inf))
        return u, v, w

    def _least_rows(self, v: Vector, w: Vector) -> Vector:
        rest = self.bc - v[:, None] - w
        buffer, least = np.empty_like(rest), np.full(len(self.ab), np.inf)
        if rest.size:
            for i in range(len(self.ab)):
                np.add(rest, self.ac[i], out=buffer)
                least[i] = (buffer.min(axis=1) + self.ab[i]).min()
        return least

    def near(self, prices: Prices, limit: float, most: int) -> NDArray[np.int64] | None:
        """List the clusters (c, 3) of reduced cost at most ``limit``; ``None`` if they are more than ``most``."""
        u, v, w = prices
        found = [self._near_partial(prices, limit)]
        count = len(found[0])
        rest = self.bc - v[:, None] - w
        buffer = np.empty_like(rest)
        for i in range(len(self.ab)):
            np.add(rest, self.ac[i], out=buffer)
            buffer += (self.ab[i] - u[i])[:, None]
            flat = np.flatnonzero(buffer.reshape(-1) <= limit)
            count += len(flat)
            if count > most:
                return None
            j, k = np.divmod(flat, len(w))
            found.append(np.stack([np.full(len(flat), i), j, k], axis=1))
        return np.concatenate(found)

    def _near_partial(self, prices: Prices, limit: float) -> NDArray[np.int64]:
        u, v, w = prices
        none, found = np.array(self.sizes), [np.zeros((0, 3), np.int64)]
        blocks: list[tuple[tuple[int, ...], Vector]] = [((side,), self.lone[side] - prices[side]) for side in range(3)]
        if self.partial:
            blocks.append(((0, 1), self.ab - u[:, None] - v))
            blocks.append(((0, 2), self.ac - u[:, None] - w))
            blocks.append(((1, 2), self.bc - v[:, None] - w))
        for sides, block in blocks:
            at = np.argwhere(block <= limit)
            rows = np.tile(none, (len(at), 1))
            rows[:, sides] = at
            found.append(rows)
        return np.concatenate(found)


def _lone_costs(problem: MultiPairing, units: tuple[NDArray[np.int64], ...]) -> Prices:
    if problem.required is None:
        alone = problem.alone * scale_of(problem)
        a, b, c = (alone[part] for part in units)
        return a, b, c
    # A parent with as many units as there are clusters has none to spare.
    a, b, c = (np.full(len(part), np.inf if len(part) == problem.required else 0.0) for part in units)
    return a, b, c
