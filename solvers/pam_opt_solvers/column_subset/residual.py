"""The residual Gram matrix of greedy selection and swaps, updated at about one matrix-vector product a step.

With ``R = G - G_S (G_SS + ridge)^-1 G_S'``, keeping unit j lowers the value by ``f_j / (R_jj + ridge_j)`` with
``f_j = sum_u importance_u R_uj^2``. Both vectors follow a rank-one change of R by recurrences [1]_ that need one
product of R with a vector. R itself is kept as a base matrix less a few rank-one terms, which are taken into the base
by one matrix-matrix product when there are enough of them; then f is computed anew, so that rounding does not add up.

References
----------
.. [1] A. K. Farahat, A. Elgohary, A. Ghodsi, M. S. Kamel, Greedy column subset selection for large-scale data sets,
   2013, arXiv:1312.6838.
"""

import numpy as np

from pam_opt_solvers.problems.scaled_gram import Matrix, ScaledGram, Vector

BLOCK = 64
"""Rank-one terms that are kept apart; more of them cost more per product, fewer cost more matrix-matrix products."""

FRESH = 1e-4
"""Part of the value at which f, being quadratic in R, has lost half its digits and is computed anew."""


class Residual:
    """The residual of all units given the kept ones, and what keeping one more would gain."""

    def __init__(self, scaled: ScaledGram, explained: Matrix | None = None) -> None:
        """Start from what units explain, the ``(rank, n)`` factor of ``ScaledGram.explained``; default: nothing."""
        from scipy.linalg import get_blas_funcs  # here, as the table of solvers imports this module

        self._symv, self._gemm = get_blas_funcs(("symv", "gemm"), dtype=np.float64)
        self.importance = scaled.importance
        self.ridge = scaled.ridge
        self.initial = scaled.gram.diagonal()
        self.noise = 1e-3 * scaled.resolution * scaled.total
        self._floor = scaled.resolution * self.initial
        self._base = scaled.gram if explained is None else scaled.gram - explained.T @ explained
        self.variances = self._base.diagonal().copy()
        self._terms = np.empty((BLOCK, len(self._base)))
        self._signs = np.empty(BLOCK)
        self._count = 0
        self._restart()

    @property
    def live(self) -> np.ndarray:
        """``(n,)`` bool: units whose residual variance is more than rounding."""
        return self.variances > self._floor

    @property
    def value(self) -> float:
        """The value of the kept units, in scaled units."""
        return float(self.importance @ np.where(self.live, self.variances, 0.0))

    @property
    def gains(self) -> Vector:
        """``(n,)``: by how much keeping each unit would lower the value; 0 where rounding is all that is left."""
        return self.gains_of(self._squares, self.variances)

    def gains_of(self, squares: Vector, variances: Vector) -> Vector:
        """Return the gains that f and variances such as those of ``changed`` amount to."""
        gains = np.zeros(len(variances))
        np.divide(squares, variances + self.ridge, out=gains, where=variances > self._floor)
        return gains

    def column(self, unit: int) -> Vector:
        """Return one column of R."""
        weights = self._terms[: self._count, unit] * self._signs[: self._count]
        return self._base[unit] - weights @ self._terms[: self._count]

    def times(self, vector: Vector) -> Vector:
        """Return R times a vector, reading one triangle of the base."""
        terms = self._terms[: self._count]
        product = self._symv(1.0, self._base.T, vector, lower=1)
        return product - (self._signs[: self._count] * (terms @ vector)) @ terms

    def keep(self, unit: int) -> None:
        """Explain all units by one more kept unit, which must be live."""
        self.change(self.column(unit) / np.sqrt(self.variances[unit] + self.ridge[unit]), 1.0)

    def changed(self, term: Vector, sign: float) -> tuple[Vector, Vector]:
        """Return f and the variances that ``R - sign * term term'`` would have."""
        weighted = self.importance * term
        squares = self._squares - 2 * sign * term * self.times(weighted) + term * term * (term @ weighted)
        return np.maximum(squares, 0.0), self.variances - sign * term * term

    def change(self, term: Vector, sign: float) -> None:
        """Replace R by ``R - sign * term term'``."""
        self._squares, self.variances = self.changed(term, sign)
        self._terms[self._count], self._signs[self._count] = term, sign
        self._count += 1
        if self._count == BLOCK or self.value < FRESH * self._fresh_value:
            self._absorb()

    def _absorb(self) -> None:
        if not self._base.flags.writeable:
            self._base = self._base.copy()
        terms = self._terms[: self._count]
        signed = terms * self._signs[: self._count, None]
        self._gemm(-1.0, terms.T, signed.T, beta=1.0, c=self._base.T, trans_b=1, overwrite_c=1)
        self._count = 0
        self.variances = self._base.diagonal().copy()
        self._restart()

    def _restart(self) -> None:
        self._squares = weighted_squares(self._base, self.importance)
        self._fresh_value = self.value


def weighted_squares(matrix: Matrix, importance: Vector) -> Vector:
    """Return ``f_j = sum_u importance_u matrix_uj^2`` without a second matrix."""
    return np.einsum("uj,uj,u->j", matrix, matrix, importance)
