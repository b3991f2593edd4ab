"""The optimum for every number of pairs from one parametric run: successive shortest augmenting paths.

Each path turns a cheapest set of k pairs into a cheapest set of k + 1, so the values are convex in k [1]. A path
is found by Dijkstra's method on reduced costs, from all free rows at once to the nearest free column, ``O(mn)``
each and far less as a rule, for the search stops at the first free column that nothing unvisited can beat.

[1] R. K. Ahuja, T. L. Magnanti, J. B. Orlin, "Network Flows", Prentice Hall 1993, chapter 9.7.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError, SolverUnsuitable
from pam_opt_solvers.problems.pairing import PLAIN, Pairing

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairingCurve:
    """The least value for every number of pairs.

    Parameters
    ----------
    problem : the pairing whose costs were used; its own count, if any, plays no role
    values : (k + 1,) float64, least value with exactly 0..k pairs; no more than k can be made
    paths : k augmenting paths, each (length, 2): the pairs that it makes
    """

    problem: Pairing
    values: Vector
    paths: tuple[Indices, ...]

    def pairs(self, count: int) -> Indices:
        """Return the (count, 2) pairs of least value, sorted by row.

        Raises
        ------
        ProblemError
            for a count that cannot be reached
        """
        if not 0 <= count < len(self.values):
            raise ProblemError(f"count is {count}; the costs permit 0..{len(self.values) - 1} pairs")
        column_of = np.full(self.problem.shape[0], -1)
        for path in self.paths[:count]:
            column_of[path[:, 0]] = path[:, 1]
        rows = np.flatnonzero(column_of >= 0)
        return np.column_stack([rows, column_of[rows]]).astype(np.int64)

    @cached_property
    def best(self) -> int:
        """The number of pairs of least value; the fewest of several."""
        return int(self.values.argmin())


def pairing_curve(problem: Pairing) -> PairingCurve:
    """Return the least value of a pairing for every number of pairs that its costs permit.

    Parameters
    ----------
    problem : plain costs, single costs and forbidden pairs; its count is not used

    Raises
    ------
    SolverUnsuitable
        for side constraints, under which the values are not convex

    Notes
    -----
    ``O(min(m, n) m n)`` in the worst case; no more than the steps of one assignment, in fact.

    Examples
    --------
    >>> import numpy as np
    >>> pairing_curve(Pairing(np.array([[1.0, 2.0], [2.0, 9.0]]))).values.tolist()
    [0.0, 1.0, 4.0]
    """
    side = sorted(feature.value for feature in problem.features - PLAIN)
    if side:
        raise SolverUnsuitable(f"pairing_curve takes no {', '.join(side)}; solve the problem for the counts you need")
    free = Pairing(problem.cost, *_singles(problem))
    search = _Augmenting(free.weights)
    values, paths = [free.constant], []
    while (path := search.augment()) is not None:
        paths.append(path)
        values.append(math.fsum([free.constant, *search.matched_weights()]))
    return PairingCurve(problem, np.array(values), tuple(paths))


def _singles(problem: Pairing) -> tuple[Vector, Vector]:
    rows, columns = problem.single_rows, problem.single_columns
    return (np.zeros(problem.shape[0]) if rows is None else rows), (
        np.zeros(problem.shape[1]) if columns is None else columns
    )


class _Augmenting:
    """Matching and potentials; reduced costs ``w_ij + p_i - q_j`` are >= 0, and 0 on pairs. Free rows have p = 0."""

    def __init__(self, weights: Vector) -> None:
        self.weights = weights
        rows, columns = weights.shape
        self.column_of, self.row_of = np.full(rows, -1), np.full(columns, -1)
        self.row_potential = np.zeros(rows)
        # The nearest free row of every column, kept up to date as rows are paired.
        self.free_row = weights.argmin(axis=0) if rows else np.zeros(columns, np.int64)
        self.free_weight = weights[self.free_row, np.arange(columns)] if rows else np.full(columns, np.inf)
        self.column_potential = np.where(np.isfinite(self.free_weight), self.free_weight, 0.0)
        self.sink_potential = float(self.column_potential.min(initial=np.inf))

    def matched_weights(self) -> Vector:
        """Return the weights of the pairs."""
        rows = np.flatnonzero(self.column_of >= 0)
        return self.weights[rows, self.column_of[rows]]

    def augment(self) -> Indices | None:
        """Add a pair along a shortest path and return the pairs it makes; None where no more can be made."""
        distance = self.free_weight - self.column_potential
        source = self.free_row.copy()  # the row from which a column is reached
        tentative = distance.copy()  # inf once visited
        visited = np.zeros(len(distance), bool)
        end, length = -1, math.inf
        while not visited.all():
            column = int(tentative.argmin())
            reached = float(tentative[column])
            if reached >= length or reached == math.inf:
                break
            tentative[column], visited[column] = math.inf, True
            row = int(self.row_of[column])
            if row < 0:
                total = reached + float(self.column_potential[column]) - self.sink_potential
                end, length = (column, total) if total < length else (end, length)
                continue
            through = (reached + self.row_potential[row]) + (self.weights[row] - self.column_potential)
            closer = (through < distance) & ~visited
            tentative[closer] = distance[closer] = through[closer]
            source[closer] = row
        if end < 0:
            return None
        self._shift(np.minimum(distance, length), length)
        return self._flip(end, source)

    def _shift(self, distance: Vector, length: float) -> None:
        """Move the potentials by the distances, none farther than the path is long; pairs stay at 0."""
        paired = np.flatnonzero(self.column_of >= 0)
        self.row_potential[paired] += distance[self.column_of[paired]]
        self.column_potential += distance
        self.sink_potential += length

    def _flip(self, end: int, source: Indices) -> Indices:
        pairs, column = [], end
        while column >= 0:
            row = int(source[column])
            before = int(self.column_of[row])
            pairs.append((row, column))
            self.column_of[row], self.row_of[column] = column, row
            column = before
        self._retire(pairs[-1][0])
        return np.array(pairs, np.int64)

    def _retire(self, row: int) -> None:
        """Find the nearest free row anew for the columns that had this one."""
        lost = np.flatnonzero(self.free_row == row)
        free = np.flatnonzero(self.column_of < 0)
        if not len(free):
            self.free_weight[:] = np.inf
            return
        nearest = free[self.weights[np.ix_(free, lost)].argmin(axis=0)]
        self.free_row[lost], self.free_weight[lost] = nearest, self.weights[nearest, lost]
