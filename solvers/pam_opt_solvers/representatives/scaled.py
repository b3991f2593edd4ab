"""Representatives with costs of moderate size: what all methods here compute with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.representatives import Representatives

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaled:
    """Costs times ``2**-exponent``, which is exact, so that all magnitudes are at most 1.

    Parameters
    ----------
    problem : in the user's units
    exponent : of the scale
    others : (n, n) scaled costs of representing another unit; +inf = cannot, on the diagonal too
    keeping : (n,) scaled costs of keeping; +inf = may not be kept
    """

    problem: Representatives
    exponent: int
    others: NDArray[np.float64]
    keeping: Vector

    @classmethod
    def of(cls, problem: Representatives) -> "Scaled":
        """Scale a problem."""
        exponent = int(np.frexp(problem.magnitude)[1])
        others = np.ldexp(problem.permitted, -exponent)
        keeping = np.diagonal(others).copy()
        np.fill_diagonal(others, np.inf)
        return cls(problem, exponent, others, keeping)

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.keeping)

    @property
    def penalty(self) -> float:
        """What heuristics pay for a unit without a representative: more than any other change can gain."""
        return 4.0 * self.size

    @cached_property
    def penalised(self) -> NDArray[np.float64]:
        """``(n, n)``: ``others`` with ``penalty`` in the place of +inf."""
        return np.where(self.others < np.inf, self.others, self.penalty)

    @cached_property
    def neighbours(self) -> "Neighbours":
        """The nearest other units of every unit, wide enough for most uses."""
        return Neighbours.of(self.others, usual_width(self.size, self.problem.n_kept))

    def neighbours_within(self, distance: Vector) -> "Neighbours":
        """Return neighbours that include every pair cheaper than ``distance`` (n,), and keep them for the next call."""
        widest: Neighbours = self.__dict__.get("_widest", self.neighbours)
        if (widest.beyond < distance).any():
            needed = int((self.others < distance[:, None]).sum(axis=1).max())
            widest = Neighbours.of(self.others, max(needed, 2 * widest.width))
            self.__dict__["_widest"] = widest
        return widest

    def original(self, value: float) -> float:
        """Return a scaled sum in the user's units; one that leaves float64 becomes infinite."""
        with np.errstate(over="ignore"):
            return float(np.ldexp(value, self.exponent))

    def original_bound(self, value: float) -> float:
        """Return a scaled bound in the user's units, below it by one step of float64 for costs near underflow."""
        found = self.original(value)
        return found if np.isinf(found) and found > 0 else float(np.nextafter(found, -np.inf))


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k cheapest representatives of every unit beside itself, in order of cost.

    Parameters
    ----------
    columns, costs : (n, k) int64 and float64
    beyond : (n,) float64, least cost that is left out; +inf = none
    """

    columns: NDArray[np.int64]
    costs: NDArray[np.float64]
    beyond: Vector

    @classmethod
    def of(cls, others: NDArray[np.float64], width: int) -> "Neighbours":
        """Select by partial sorting: ``O(n^2 + n k log k)``."""
        size = len(others)
        width = min(width, size)
        if width < size:
            columns = np.argpartition(others, width, axis=1)
            beyond = others[np.arange(size), columns[:, width]]
            columns = columns[:, :width]
        else:
            columns, beyond = np.tile(np.arange(size), (size, 1)), np.full(size, np.inf)
        costs = np.take_along_axis(others, columns, axis=1)
        order = np.lexsort((columns, costs), axis=1)
        return cls(np.take_along_axis(columns, order, 1), np.take_along_axis(costs, order, 1), beyond)

    def narrowed(self, width: int) -> "Neighbours":
        """Return the first ``width`` of them."""
        if width >= self.width:
            return self
        return Neighbours(self.columns[:, :width].copy(), self.costs[:, :width].copy(), self.costs[:, width].copy())

    @property
    def width(self) -> int:
        """How many of them."""
        return self.columns.shape[1]


def usual_width(size: int, n_kept: int) -> int:
    """Return how many neighbours are looked at at first: some times as many units as one kept unit stands for."""
    return max(32, 8 * size // max(1, n_kept))
