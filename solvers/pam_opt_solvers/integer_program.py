"""The integer linear programme: the one form that all backends of integer programming take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.scaling import Scaling

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class IntegerProgram:
    """Minimise ``constant + objective @ x`` subject to ``row_low <= matrix @ x <= row_high``, ``0 <= x <= upper``.

    Parameters
    ----------
    objective : (v,) float64, finite
    matrix : (r, v) scipy.sparse CSR array, float64
    row_low, row_high : (r,) float64, -inf and +inf permitted
    upper : (v,) float64, whole and finite
    integer : (v,) bool; False = may be left continuous, for whole values are among the optimal ones
    decode : whole values (v,) int64 -> a decision of the problem
    terms : most variables with a cost that a solution makes 1 (or the most units of them)
    constant : added to the objective
    worst : largest rounding error of one entry of ``objective``, where the formulation computes it
    row_names : row -> what a reader calls it, for side constraints; rows of one name are one constraint. An
        infeasible programme is explained by them
    whole_vertices : whether every vertex of the linear relaxation is whole, so that it can be solved as such
    """

    objective: Vector
    matrix: Any
    row_low: Vector
    row_high: Vector
    upper: Vector
    integer: NDArray[np.bool_]
    decode: Callable[[NDArray[np.int64]], NDArray[np.int64]]
    terms: int
    constant: float = 0.0
    worst: float = 0.0
    row_names: Mapping[int, str] = field(default_factory=dict)
    whole_vertices: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Number of rows and of variables."""
        return self.matrix.shape

    @cached_property
    def by_row(self) -> Any:
        """The matrix with the columns of every row in order and no stored zeros."""
        from scipy.sparse import csr_array

        ordered = csr_array(self.matrix, copy=True)
        ordered.eliminate_zeros()
        ordered.sum_duplicates()
        return ordered

    @cached_property
    def row_exponent(self) -> NDArray[np.int64]:
        """(r,) exponents of two that bring the largest coefficient of each row to 1..2; 0 for rows of small integers.

        Not less than 1, so that a backend's absolute tolerance is within the relative one of budgets.
        """
        from scipy.sparse import csr_array

        rows: Any = csr_array(abs(self.by_row))
        largest = np.zeros(rows.shape[0])
        starts: Any = rows.indptr
        filled = np.diff(starts) > 0
        if filled.any():
            largest[filled] = np.maximum.reduceat(rows.data, starts[:-1][filled])
        exponents = np.where(largest > 0, 1 - np.frexp(largest)[1], 0)
        return np.where(self.small_integers, 0, exponents)

    @cached_property
    def small_integers(self) -> NDArray[np.bool_]:
        """(r,) rows whose coefficients are whole and small, so that they need no scale."""
        odd = (self.by_row.data != np.rint(self.by_row.data)) | (np.abs(self.by_row.data) > 2**20)
        rows = np.repeat(np.arange(self.size[0]), np.diff(self.by_row.indptr))
        return np.bincount(rows, weights=odd, minlength=self.size[0]) == 0

    @cached_property
    def scaled_rows(self) -> tuple[Any, Vector, Vector]:
        """Matrix, lower and upper row limits, each row times two to its ``row_exponent``."""
        from scipy.sparse import csr_array

        rows = self.by_row
        data = np.ldexp(rows.data, np.repeat(self.row_exponent, np.diff(rows.indptr)))
        matrix = csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
        reach = abs(matrix) @ self.upper  # backends refuse huge limits, and those beyond it are none
        with np.errstate(over="ignore"):
            low, high = (np.ldexp(limits, self.row_exponent) for limits in (self.row_low, self.row_high))
        low = np.where(low < -reach, -np.inf, np.minimum(low, 2 * reach + 1))
        high = np.where(high > reach, np.inf, np.maximum(high, -2 * reach - 1))
        return matrix, low, high

    def scaled(self, bits: int) -> Scaling:
        """Scale the objective by the power of two that brings its largest magnitude just below ``2**bits``."""
        return Scaling.of(self.objective, bits, self.terms, self.worst, self.constant)

    def integers(self, bits: int) -> Scaling:
        """Scale the objective and round it to whole numbers of magnitude at most ``2**bits``."""
        return self.scaled(bits).rounded()
