"""Lagrangian relaxation of three parents: the units of the third have prices, the first two are assigned exactly.

For prices ``w`` the best third unit of every pair is a min-plus product, and what is left is one assignment; its value
plus the prices is a lower bound, and its highest is that of the linear relaxation of set partitioning [1]. The climb is
a subgradient method with averaged directions and steps towards the best known value.

[1] E. Balas, M. J. Saltzman, "An algorithm for the three-index assignment problem", Operations Research 39(1), 1991,
doi:10.1287/opre.39.1.150.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.matching import matched
from pam_opt_solvers.multi_pairing.triples import Prices, Triples

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The optimum of the relaxed problem at some prices.

    Parameters
    ----------
    value : its value, a lower bound up to the rounding of float32; +inf proves that there is no decision
    pairs : (p, 2) units of the first two parents that share a cluster
    surplus : (c,) 1 less how often each unit of the third parent is used
    """

    value: float
    pairs: NDArray[np.int64]
    surplus: Vector


class Relaxation:
    """The relaxed problem of three parents."""

    def __init__(self, triples: Triples) -> None:
        self.triples = triples
        self._ac32, self._bc32 = triples.ac.astype(np.float32), triples.bc.astype(np.float32)

    def solve(self, w: Vector) -> Relaxed:
        """Solve the relaxed problem at prices (c,), each at most the cost of its unit alone."""
        joined, lone_a, lone_b = self._joined(w)
        try:
            rows, columns = _assign(joined, lone_a, lone_b)
        except ValueError as err:
            if "infeasible" not in str(err):
                raise
            return Relaxed(np.inf, np.zeros((0, 2), np.int64), np.zeros_like(w))
        reduced = float(joined[rows, columns].sum() + np.delete(lone_a, rows).sum() + np.delete(lone_b, columns).sum())
        return Relaxed(reduced + float(w.sum()), np.stack([rows, columns], axis=1), self._surplus(rows, columns, w))

    def _joined(self, w: Vector) -> tuple[Vector, Vector, Vector]:
        """Return what two units of the first parents cost with their best third, and each without the other."""
        t = self.triples
        joined = t.ab + self._best_third(w)
        lone_a, lone_b = t.lone[0], t.lone[1]
        if t.partial:
            joined = np.minimum(joined, t.ab)
            lone_a = np.minimum(lone_a, (t.ac - w).min(axis=1, initial=np.inf))
            lone_b = np.minimum(lone_b, (t.bc - w).min(axis=1, initial=np.inf))
        return joined, lone_a, lone_b

    def _best_third(self, w: Vector) -> Vector:
        best = np.full(self.triples.ab.shape, np.inf, np.float32)
        rest = self._bc32 - w.astype(np.float32)
        buffer = np.empty_like(rest)
        if rest.size:
            for i in range(len(best)):
                np.add(rest, self._ac32[i], out=buffer)
                buffer.min(axis=1, out=best[i])
        return best.astype(np.float64)

    def _surplus(self, rows: NDArray[np.int64], columns: NDArray[np.int64], w: Vector) -> Vector:
        t = self.triples
        if not len(w):
            return np.zeros(0)
        kinds = [(t.ac[rows] + t.bc[columns] - w, np.zeros(len(rows)))]
        if t.partial:
            kinds.append((np.delete(t.ac, rows, axis=0) - w, np.delete(t.lone[0], rows)))
            kinds.append((np.delete(t.bc, columns, axis=0) - w, np.delete(t.lone[1], columns)))
        used = np.zeros(len(w))
        for cost, without in kinds:
            best = cost.argmin(axis=1)
            taken = cost[np.arange(len(cost)), best] < without if t.partial else np.ones(len(cost), bool)
            used += np.bincount(best[taken], minlength=len(w))
        return 1.0 - used

    def prices(self, w: Vector) -> Prices:
        """Return prices of all units without negative reduced costs, whose sum is the bound at ``w``."""
        joined, lone_a, lone_b = self._joined(w)
        u, v = _potentials(joined, lone_a, lone_b)
        return self.triples.settle((u, v, w))


class Climb:
    """A subgradient method on the prices of the third parent.

    Parameters
    ----------
    relaxation : what is solved at every step
    w : prices to start from
    """

    PATIENCE = 15
    """Steps without a better bound until they become shorter."""

    def __init__(self, relaxation: Relaxation, w: Vector) -> None:
        self.relaxation, self.best = relaxation, np.minimum(w, relaxation.triples.lone[2])
        self.bound = -np.inf
        self.length, self.idle = 0.3, 0
        self._w, self._direction = self.best, np.zeros_like(self.best)

    def step(self, target: float) -> Relaxed:
        """Solve at the current prices and move towards ``target``, the value of the best decision known."""
        found = self.relaxation.solve(self._w)
        self.idle = 0 if found.value > self.bound + 1e-5 * abs(self.bound) else self.idle + 1
        if found.value > self.bound:
            self.bound, self.best = found.value, self._w
        if self.idle > self.PATIENCE:
            self.length, self.idle, self._w = self.length * 0.6, 0, self.best
            self._direction = np.zeros_like(self.best)
            return found
        self._direction = 0.7 * self._direction + 0.3 * found.surplus
        size = float(self._direction @ self._direction)
        if size > 1e-12:
            stride = self.length * max(target - found.value, 1e-3 * abs(target)) / size
            self._w = np.minimum(self._w + stride * self._direction, self.relaxation.triples.lone[2])
        return found

    @property
    def tired(self) -> bool:
        """Whether the steps have become too short to matter."""
        return self.length < 2e-3


def _assign(joined: Vector, lone_a: Vector, lone_b: Vector) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if np.isinf(lone_a).any():
        return matched(joined)
    gain = np.minimum(joined - lone_a[:, None] - lone_b, 0.0)
    rows, columns = matched(gain)
    worth = gain[rows, columns] < 0
    return rows[worth], columns[worth]


def _potentials(joined: Vector, lone_a: Vector, lone_b: Vector) -> tuple[Vector, Vector]:
    """Return optimal dual prices of the assignment, by shortest paths from the matched columns."""
    if np.isinf(lone_a).any():
        return _row_potentials(joined)
    # A column of zeros keeps the row prices at or below 0: no row need pay more than being alone.
    gain = np.minimum(joined - lone_a[:, None] - lone_b, 0.0)
    u, v = _row_potentials(np.pad(gain, ((0, 0), (0, max(1, 1 + len(lone_a) - len(lone_b))))))
    return lone_a + u, lone_b + v[: len(lone_b)]


def _row_potentials(cost: Vector) -> tuple[Vector, Vector]:
    rows, columns = matched(cost)
    paired = cost[rows, columns]
    length = cost - paired[:, None]
    v = np.zeros(cost.shape[1])
    for _ in range(len(cost)):
        nearer = np.minimum(v, (length + v[columns][:, None]).min(axis=0, initial=np.inf))
        if (nearer == v).all():
            break
        v = nearer
    return paired - v[columns], v
