"""A joint pairing with the products of its choices written out: for exact methods on tiny problems.

Every pair of units of one space with every pair of another has a cost of its own, so there are ``n^2 m^2``
products between spaces of ``n`` and ``m`` units. The rows that tie them to the choices are those of [1]_,
whose relaxation is as tight as any of this size.

References
----------
.. [1] W. P. Adams and T. A. Johnson, "Improved linear programming-based lower bounds for the quadratic
   assignment problem", DIMACS Series 16, 1994, doi:10.1090/dimacs/016/02
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverUnsuitable
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.problems.layer_pair import FIXED, LayerPair

if TYPE_CHECKING:
    from pam_opt_solvers.problems.joint_pairing import JointPairing

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

MOST_PRODUCTS = 50_000
"""An integer programme of more products is hopeless."""


@dataclass(frozen=True)
class Products:
    """All costs of a joint pairing by choices and by products of choices.

    Parameters
    ----------
    single : (n, n) float64 of every space: cost of pairing ``i`` with ``j``
    coupled : (r, c), r <= c -> (n, n, m, m) float64: cost of pairing ``i`` with ``j`` in space ``r`` and ``k``
        with ``l`` in space ``c``; +inf = impossible (in one space, one unit twice)
    constant : what all decisions pay
    """

    single: list[Array]
    coupled: dict[tuple[int, int], Array]
    constant: float


def n_products(problem: "JointPairing") -> int:
    """Return how many choices and products of two choices a joint pairing has."""
    spaces = {_key(layer) for layer in problem.layers if FIXED not in layer.spaces}
    return sum(n**2 for n in problem.sizes) + sum(problem.sizes[r] ** 2 * problem.sizes[c] ** 2 for r, c in spaces)


def products(problem: "JointPairing", most: int) -> Products:
    """Return all costs of a joint pairing.

    Raises
    ------
    SolverUnsuitable
        if there are more than ``most`` products
    """
    count = n_products(problem)
    if count > most:
        raise SolverUnsuitable(
            f"{problem!r} has {count:,} choices and products of choices, and this method takes at most {most:,}; "
            "use 'frank_wolfe' or 'coordinate_descent'"
        )
    single = [np.zeros((n, n)) if c is None else c.copy() for n, c in zip(problem.sizes, problem.costs, strict=True)]
    coupled: dict[tuple[int, int], Array] = {}
    constant = math.fsum(x for layer in problem.layers if not layer.movable for x in layer.distances(None, None))
    for layer in problem.layers:
        if 0 in layer.shape:
            continue
        if FIXED not in layer.spaces:
            turned = layer if layer.spaces == _key(layer) else layer.transposed()
            coupled[_key(layer)] = coupled.get(_key(layer), 0.0) + _product_costs(turned)
        elif layer.movable:
            turned = layer if layer.columns_space == FIXED else layer.transposed()
            for unit, weights in enumerate(turned.first):
                single[turned.rows_space][unit] += np.square(weights - turned.second).sum(axis=(1, 2))
    return Products(single, {spaces: _possible(costs, spaces) for spaces, costs in coupled.items()}, constant)


def joint_program(problem: "JointPairing") -> IntegerProgram:
    """Write a joint pairing as an integer linear programme: a choice is whole, a product follows from two.

    ``x_ij`` of every space: one per ``i``, one per ``j``. ``y_ijkl`` of every coupling:
    ``sum_l y_ijkl = sum_k y_ijkl = x_ij`` and ``sum_j y_ijkl = sum_i y_ijkl = x_kl``.

    Raises
    ------
    SolverUnsuitable
        above `MOST_PRODUCTS` products
    """
    costs = products(problem, MOST_PRODUCTS)
    writer = _Writer(problem.sizes)
    for space in range(len(problem.sizes)):
        writer.add_assignment(space)
    for spaces, tensor in costs.coupled.items():
        writer.add_coupling(spaces, tensor)
    return writer.program(problem, costs)


class _Writer:
    """Collect variables and rows."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        starts = np.concatenate([[0], np.cumsum(np.square(np.array(sizes, np.int64)))])
        self.choices = [int(start) + np.arange(n * n).reshape(n, n) for start, n in zip(starts, sizes, strict=False)]
        self.n_choices = self.n_variables = int(starts[-1])
        self.n_rows = 0
        self.objective: list[Array] = []
        self.entries: list[tuple[Indices, Indices, float]] = []
        self.right: list[Array] = []

    def add_assignment(self, space: int) -> None:
        """Add one choice per unit of either parent."""
        for lines in (self.choices[space], self.choices[space].T):
            self._add_rows(lines, None)

    def add_coupling(self, spaces: tuple[int, int], tensor: Array) -> None:
        """Add the products of two spaces and the rows that tie them to both choices."""
        (r, c), possible = spaces, np.isfinite(tensor)
        names = np.full(tensor.shape, -1, np.int64)
        names[possible] = self.n_variables + np.arange(possible.sum())
        self.n_variables += int(possible.sum())
        self.objective.append(tensor[possible])
        n, m = len(tensor), tensor.shape[2]
        first, second = np.repeat(self.choices[r].ravel(), m), np.tile(self.choices[c].ravel(), n)
        self._add_rows(names.reshape(n * n * m, m), first)
        self._add_rows(names.transpose(0, 1, 3, 2).reshape(n * n * m, m), first)
        self._add_rows(names.transpose(0, 2, 3, 1).reshape(n * m * m, n), second)
        self._add_rows(names.transpose(1, 2, 3, 0).reshape(n * m * m, n), second)

    def _add_rows(self, lines: Indices, total: Indices | None) -> None:
        """Add rows that sum the variables of ``lines``, (rows, any; -1 = none), to 1 or to a choice each."""
        rows = self.n_rows + np.arange(len(lines))
        used = lines >= 0
        self.entries.append((np.broadcast_to(rows[:, None], lines.shape)[used], lines[used], 1.0))
        if total is not None:
            self.entries.append((rows, total, -1.0))
        self.right.append(np.full(len(lines), 1.0 if total is None else 0.0))
        self.n_rows += len(lines)

    def program(self, problem: "JointPairing", costs: Products) -> IntegerProgram:
        """Return the programme."""
        from scipy.sparse import csr_array

        values = np.concatenate([np.full(len(rows), value) for rows, _, value in self.entries])
        rows, columns = (np.concatenate([entry[side] for entry in self.entries]) for side in (0, 1))
        right = np.concatenate(self.right)
        objective = np.concatenate([*(single.ravel() for single in costs.single), *self.objective])
        # At most three roundings an addend: difference, square, sum; every entry sums at most this many.
        addends = 8 + sum(layer.shape[2] * max(layer.shape[:2]) for layer in problem.layers)
        return IntegerProgram(
            objective=objective,
            matrix=csr_array((values, (rows, columns)), shape=(self.n_rows, self.n_variables)),
            row_low=right,
            row_high=right,
            upper=np.ones(self.n_variables),
            integer=np.arange(self.n_variables) < self.n_choices,
            decode=self._decode,
            terms=sum(self.sizes) + sum(self.sizes[r] * self.sizes[c] for r, c in costs.coupled),
            constant=costs.constant,
            worst=addends * float(np.finfo(np.float64).eps) * float(np.abs(objective).max(initial=0.0)),
        )

    def _decode(self, values: Indices) -> Indices:
        parts = [np.argmax(values[choices], axis=1) for choices in self.choices if choices.size]
        return np.concatenate([np.zeros(0, np.int64), *parts])


def _key(layer: LayerPair) -> tuple[int, int]:
    return min(layer.spaces), max(layer.spaces)


def _product_costs(layer: LayerPair) -> Array:
    """Return ``sum_a (A[i, k, a] - B[j, l, a])^2`` as (i, j, k, l)."""
    rows, columns, area = layer.shape
    total = np.zeros((rows, rows, columns, columns))
    for a in range(area):
        total += np.square(layer.first[:, None, :, None, a] - layer.second[None, :, None, :, a])
    return total


def _possible(costs: Array, spaces: tuple[int, int]) -> Array:
    """Return the costs with +inf for products within one space that pair a unit twice."""
    if spaces[0] == spaces[1]:
        same = np.eye(len(costs), dtype=bool)
        costs = np.where(same[:, None, :, None] == same[None, :, None, :], costs, np.inf)
    return costs
