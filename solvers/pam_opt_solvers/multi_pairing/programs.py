"""Integer programmes of `MultiPairing`: set partitioning over all clusters, and pairs with triangle rows.

Set partitioning is the stronger one [1] but has a variable for every possible cluster; the programme over pairs has
one for every two units and a row for every path of two pairs that its third pair must close [2].

[1] E. Balas, M. J. Saltzman, "An algorithm for the three-index assignment problem", Operations Research 39(1), 1991,
doi:10.1287/opre.39.1.150.
[2] M. Groetschel, Y. Wakabayashi, "A cutting plane algorithm for a clustering problem", Mathematical Programming 45,
1989, doi:10.1007/BF01589097.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverUnsuitable
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.problems.multi_pairing import MultiPairing

MOST_CLUSTERS = 300_000
MOST_TRIANGLES = 400_000

Index = NDArray[np.int64]
Vector = NDArray[np.float64]


def smallest_program(problem: MultiPairing) -> IntegerProgram:
    """Write the programme over clusters if it is small enough, else the one over pairs.

    Raises
    ------
    SolverUnsuitable
        where both are too large
    """
    clusters = count_clusters(problem)
    if clusters <= MOST_CLUSTERS:
        return cluster_program(problem)
    pairs = PairRows.of(problem)
    triangles = pairs.count_triangles()
    if triangles <= MOST_TRIANGLES:
        return pair_program(problem)
    raise SolverUnsuitable(
        f"{problem!r} would take {clusters} clusters or {triangles} triangle rows (limits {MOST_CLUSTERS} and "
        f"{MOST_TRIANGLES}); use column_generation (three parents), triangle_cuts or local_search"
    )


def count_clusters(problem: MultiPairing) -> int:
    """Return the number of clusters that a decision could use, forbidden ones included."""
    free = problem.required is None
    if problem.within:
        sizes = range(1, problem.n_parents + 1) if free else [problem.n_parents]
        return sum(math.comb(problem.n_units, size) for size in sizes)
    return math.prod(int(size) + free for size in problem.sizes) - free


def clusters_of(problem: MultiPairing) -> tuple[Index, Vector]:
    """List every permitted cluster: (c, K) units, -1 = none, and (c,) costs."""
    units = _subsets(problem) if problem.within else _tuples(problem)
    cost = np.zeros(len(units))
    padded = np.zeros((problem.n_units + 1,) * 2)
    padded[:-1, :-1] = problem.merging
    for a, b in itertools.combinations(range(problem.n_parents), 2):
        cost += padded[units[:, a], units[:, b]]
    if problem.required is None:
        lone = (units >= 0).sum(axis=1) == 1
        cost[lone] = problem.alone[units[lone].max(axis=1)]
    permitted = cost < np.inf
    return units[permitted], cost[permitted]


def _tuples(problem: MultiPairing) -> Index:
    free = problem.required is None
    shape = [int(size) + free for size in problem.sizes]
    at = np.indices(shape).reshape(len(shape), -1).T
    units = np.where(at < problem.sizes, at + problem.starts[:-1], -1)
    return units[(units >= 0).any(axis=1)]


def _subsets(problem: MultiPairing) -> Index:
    parents, free = problem.n_parents, problem.required is None
    blocks = []
    for size in range(1, parents + 1) if free else [parents]:
        flat = itertools.chain.from_iterable(itertools.combinations(range(problem.n_units), size))
        block = np.full((math.comb(problem.n_units, size), parents), -1, np.int64)
        block[:, :size] = np.fromiter(flat, np.int64).reshape(-1, size)
        blocks.append(block)
    return np.concatenate(blocks)


def cluster_program(problem: MultiPairing) -> IntegerProgram:
    """Write one variable per permitted cluster; every unit lies in one, or in at most one where it may be left."""
    from scipy.sparse import coo_array

    units, cost = clusters_of(problem)
    column, place = np.nonzero(units >= 0)
    row = units[column, place]
    low, high = np.ones(problem.n_units), np.ones(problem.n_units)
    if problem.required is not None:
        low[:] = 0.0
        row = np.concatenate([row, np.full(len(units), problem.n_units)])
        column = np.concatenate([column, np.arange(len(units))])
        low, high = np.append(low, problem.required), np.append(high, problem.required)
    matrix = coo_array((np.ones(len(row)), (row, column)), shape=(len(low), len(units))).tocsr()

    def decode(x: Index) -> Index:
        return labels_of(units[x > 0], problem.n_units)

    ones = np.ones(len(units))
    most = problem.required or problem.n_units
    return IntegerProgram(
        cost, matrix, low, high, ones, ones > 0, decode, most, worst=problem.float_error(problem.n_parents**2)
    )


def labels_of(clusters: Index, n_units: int) -> Index:
    """Return the canonical labels (N,) of clusters (c, K) of units, -1 = none; units in none of them are alone."""
    labels = np.arange(n_units, 2 * n_units)
    number, place = np.nonzero(clusters >= 0)
    labels[clusters[number, place]] = number
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


@dataclass(frozen=True, eq=False)
class PairRows:
    """The programme over pairs without its triangles: variables are pairs, then one per unit.

    Parameters
    ----------
    first, second : (e,) units of each permitted pair, first < second
    objective : (e + N,)
    matrix, low, high : rows on the partners of each unit
    """

    problem: MultiPairing
    first: Index
    second: Index
    objective: Vector
    matrix: Any
    low: Vector
    high: Vector

    @classmethod
    def of(cls, problem: MultiPairing) -> "PairRows":
        """Write the variables and the rows on partners: how many a unit has, and of which parents."""
        from scipy.sparse import csr_array

        first, second = np.nonzero(np.triu(problem.merging < np.inf, 1))
        rows = _Rows(problem, first, second)
        if problem.required is None:
            rows.add_free()
        elif problem.within:
            rows.add_full(problem.required)
        else:
            rows.add_complete(problem.required)
        at, column, value = (np.concatenate(part) for part in zip(*rows.entries, strict=True))
        objective = np.concatenate([problem.cost[first, second], problem.alone])
        matrix = csr_array((value, (at, column)), shape=(len(rows.low), len(objective)))
        return cls(problem, first, second, objective, matrix, np.array(rows.low), np.array(rows.high))

    @property
    def n_pairs(self) -> int:
        """Number of pair variables."""
        return len(self.first)

    @property
    def edge(self) -> Index:
        """(N, N) variable of each pair, -1 = forbidden."""
        edge = np.full((self.problem.n_units,) * 2, -1, np.int64)
        edge[self.first, self.second] = edge[self.second, self.first] = np.arange(self.n_pairs)
        return edge

    def count_triangles(self) -> int:
        """Return the number of triangle rows."""
        permitted = (self.edge >= 0).astype(np.float64)
        wanted = self._to_close().astype(np.float64)
        return int(((permitted @ permitted) * wanted).sum() / 2)

    def _to_close(self) -> NDArray[np.bool_]:
        # Two units of one parent never share a partner: the rows on partners see to that.
        apart = np.ones((self.problem.n_units,) * 2, bool)
        if not self.problem.within:
            apart = self.problem.parent[:, None] != self.problem.parent
        np.fill_diagonal(apart, False)
        return apart

    def triangles(self) -> Any:
        """Return every triangle row, ``x_uv + x_vw - x_uw <= 1``, as a sparse matrix."""
        edge, close = self.edge, np.triu(self._to_close())
        ends = []
        for middle in range(self.problem.n_units):
            near = np.flatnonzero(edge[middle] >= 0)
            u, w = np.nonzero(close[np.ix_(near, near)])
            ends.append(np.stack([near[u], np.full(len(u), middle), near[w]]))
        return self.rows_of(np.concatenate(ends, axis=1) if ends else np.zeros((3, 0), np.int64))

    def rows_of(self, triples: Index) -> Any:
        """Return the triangle rows of (3, t) units u, v, w as a sparse matrix; v is the middle one."""
        from scipy.sparse import csr_array

        u, v, w = triples
        edge, row = self.edge, np.arange(triples.shape[1])
        closing = edge[u, w]
        has = closing >= 0
        at = np.concatenate([row, row, row[has]])
        column = np.concatenate([edge[u, v], edge[v, w], closing[has]])
        value = np.concatenate([np.ones(2 * len(row)), -np.ones(int(has.sum()))])
        return csr_array((value, (at, column)), shape=(len(row), len(self.objective)))

    def decode(self, x: Index) -> Index:
        """Return the clusters that the chosen pairs connect."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        chosen = np.flatnonzero(x[: self.n_pairs] > 0)
        graph = coo_array(
            (np.ones(len(chosen)), (self.first[chosen], self.second[chosen])), shape=(self.problem.n_units,) * 2
        )
        return self.problem.normalise(connected_components(graph, directed=False)[1])


class _Rows:
    """Rows on the partners of each unit u: the pairs of u, and a variable of u beside them."""

    def __init__(self, problem: MultiPairing, first: Index, second: Index) -> None:
        self.problem, self.first, self.second = problem, first, second
        self.entries: list[tuple[Any, Any, Any]] = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
        self.low: list[float] = []
        self.high: list[float] = []
        unit, pair = np.concatenate([first, second]), np.tile(np.arange(len(first)), 2)
        order = np.argsort(unit, kind="stable")
        self.pairs_of = np.split(pair[order], np.searchsorted(unit[order], np.arange(1, problem.n_units)))

    def _add(self, columns: Any, values: Any, low: float, high: float) -> None:
        self.entries.append((np.full(len(columns), len(self.low)), np.asarray(columns, int), np.asarray(values, float)))
        self.low.append(low)
        self.high.append(high)

    def _partners(self, unit: int, parent: int) -> Index:
        pairs = self.pairs_of[unit]
        other = np.where(self.first[pairs] == unit, self.second[pairs], self.first[pairs])
        return pairs[self.problem.parent[other] == parent]

    def _own(self, unit: int) -> int:
        return len(self.first) + unit

    def add_free(self) -> None:
        """Make the own variable 1 for a lone unit: it has at most one partner of each parent, or K - 1 within."""
        problem = self.problem
        for unit in range(problem.n_units):
            every = self.pairs_of[unit]
            self._add([*every, self._own(unit)], np.ones(len(every) + 1), 1.0, np.inf)
            if problem.within:
                most = problem.n_parents - 1
                self._add([*every, self._own(unit)], [*np.ones(len(every)), most], -np.inf, most)
                continue
            for parent in range(problem.n_parents):
                if parent != problem.parent[unit]:
                    some = self._partners(unit, parent)
                    self._add([*some, self._own(unit)], np.ones(len(some) + 1), -np.inf, 1.0)

    def add_full(self, required: int) -> None:
        """Make the own variable 1 for a unit of a cluster: it has K - 1 partners; there are ``required`` clusters."""
        most = self.problem.n_parents - 1
        for unit in range(self.problem.n_units):
            every = self.pairs_of[unit]
            self._add([*every, self._own(unit)], [*np.ones(len(every)), -most], 0.0, 0.0)
        everyone = range(self._own(0), self._own(self.problem.n_units))
        self._add(everyone, np.ones(len(everyone)), required * (most + 1), required * (most + 1))

    def add_complete(self, required: int) -> None:
        """Make the own variable 1 for a unit of a cluster: it has one partner of every other parent."""
        problem = self.problem
        for unit in range(problem.n_units):
            for parent in range(problem.n_parents):
                if parent != problem.parent[unit]:
                    some = self._partners(unit, parent)
                    self._add([*some, self._own(unit)], [*np.ones(len(some)), -1.0], 0.0, 0.0)
        for parent in range(problem.n_parents):
            units = np.flatnonzero(problem.parent == parent) + len(self.first)
            self._add(units, np.ones(len(units)), required, required)


def pair_program(problem: MultiPairing) -> IntegerProgram:
    """Write one variable per permitted pair and every triangle row."""
    from scipy.sparse import vstack

    pairs = PairRows.of(problem)
    triangles = pairs.triangles()
    matrix = vstack([pairs.matrix, triangles]).tocsr()
    low = np.concatenate([pairs.low, np.full(triangles.shape[0], -np.inf)])
    high = np.concatenate([pairs.high, np.ones(triangles.shape[0])])
    ones = np.ones(len(pairs.objective))
    return IntegerProgram(pairs.objective, matrix, low, high, ones, ones > 0, pairs.decode, problem.most_terms)
