"""A Gram matrix made fit for computing: checked, symmetric, and free of the units of measurement.

Every unit is divided by the power of two next to its standard deviation, and every importance takes up what was
divided out. Powers of two lose no digit, so the problem stays the same to the last bit, while magnitudes from 1e-300
to 1e300 become variances between 1/2 and 2.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import LARGEST

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]

ASYMMETRY = 1e-6
"""Largest part of sqrt(gram[u, u] gram[v, v]) by which gram[u, v] and gram[v, u] may differ; they are averaged."""

_LIFTS = (1e-12, 1e-10, 1e-8, 1e-7)
"""Parts of the variance, times the number of units, that rounding may have taken from the diagonal."""


_LARGEST_RIDGE = 1e30
"""Beside a variance of 1 a larger ridge changes nothing, but its products would overflow."""


@dataclass(frozen=True, eq=False)
class ScaledGram:
    """The numbers that all methods compute with.

    Parameters
    ----------
    gram : (n, n) float64, symmetric positive semidefinite up to rounding, variances in [1/2, 2) or 0
    importance : (n,) float64 in [0, 1]: what one unit of residual variance costs, in units of ``2**exponent``
    ridge : (n,) float64, what a kept unit adds to its own variance
    exponent : values are ``2**exponent`` times what the scaled numbers give
    lift : part by which all variances were raised to make ``gram`` positive semidefinite; 0 where it was
    """

    gram: Matrix
    importance: Vector
    ridge: Vector
    exponent: int
    lift: float

    @property
    def resolution(self) -> float:
        """Part of a variance below which float64 cannot tell it from zero: 16 n eps."""
        return 16 * len(self.gram) * float(np.finfo(np.float64).eps)

    @property
    def total(self) -> float:
        """The value of keeping nothing, in scaled units."""
        return math.fsum(self.importance * self.gram.diagonal())

    def unscaled(self, values: Vector | float) -> Vector:
        """Return values in the problem's own units."""
        return np.ldexp(values, self.exponent)

    def explained(self, kept: Indices) -> tuple[Indices, Matrix]:
        """Return a basis of the kept units and the ``(rank, n)`` factor X of what they explain, ``X'X``.

        A Cholesky factorisation with pivots: it ends where no kept unit has a variance left that rounding could not
        have made, so that a second copy of a unit, or a constant one, explains nothing instead of dividing by noise.
        """
        if not len(kept):
            return kept, self.gram[:0]
        inner = self.gram[np.ix_(kept, kept)]
        inner[np.diag_indices(len(kept))] += self.ridge[kept]
        from scipy.linalg import get_lapack_funcs, solve_triangular  # here, as the package itself must stay light

        (pstrf,) = get_lapack_funcs(("pstrf",), dtype=np.float64)
        factor, pivots, rank, _ = pstrf(inner, tol=self.resolution, lower=1)
        basis = kept[pivots[:rank] - 1]
        if not rank:
            return basis, self.gram[:0]
        return basis, solve_triangular(factor[:rank, :rank], self.gram[basis], lower=True)

    def residuals(self, kept: Indices) -> Vector:
        """Return the (n,) residual variances given the kept units."""
        factor = self.explained(kept)[1]
        return self.cleaned(self.gram.diagonal() - np.einsum("ku,ku->u", factor, factor))

    def cleaned(self, residuals: Vector) -> Vector:
        """Return residual variances with those that float64 cannot tell from zero set to zero."""
        return np.where(residuals > self.resolution * self.gram.diagonal(), residuals, 0.0)


def scale_gram(gram: Matrix, weights: Vector, ridge: float) -> ScaledGram:
    """Check a Gram matrix and scale it.

    Parameters
    ----------
    gram : (n, n) float64, finite
    weights : (n,) float64, finite, >= 0
    ridge : finite, >= 0

    Raises
    ------
    ProblemError
        where the matrix is not symmetric or not positive semidefinite beyond rounding, or an importance overflows
    """
    variances = gram.diagonal()
    _refuse_negative(variances)
    exponents = np.where(variances > 0, np.frexp(variances)[1] // 2, 0).astype(np.int64)
    inverse = np.ldexp(1.0, -exponents)
    _refuse_constants_that_vary(gram, variances)
    with np.errstate(over="ignore"):
        scaled = gram * inverse[:, None]
        scaled *= inverse
    _refuse_correlations(gram, scaled)
    scaled = _symmetric(gram, scaled)
    lift = _least_lift(gram, scaled)
    scaled[np.diag_indices(len(gram))] *= 1 + lift
    importance, exponent = _importances(variances, weights, exponents)
    with np.errstate(over="ignore"):
        ridges = np.minimum(ridge * inverse * inverse, _LARGEST_RIDGE)
    for array in (scaled, importance, ridges):
        array.flags.writeable = False
    return ScaledGram(scaled, importance, ridges, exponent, lift)


def _refuse_negative(variances: Vector) -> None:
    if (variances < 0).any():
        unit = int(np.argmax(variances < 0))
        raise ProblemError(
            f"gram[{unit}, {unit}] is {variances[unit]}; a variance cannot be negative: "
            "build gram as features.T @ features"
        )


def _refuse_constants_that_vary(gram: Matrix, variances: Vector) -> None:
    constant = np.flatnonzero(variances == 0)
    wrong = np.argwhere((gram[constant] != 0) | (gram[:, constant].T != 0))
    if len(wrong):
        unit, other = int(constant[wrong[0, 0]]), int(wrong[0, 1])
        raise ProblemError(
            f"gram[{unit}, {unit}] is 0, but gram[{unit}, {other}] is {gram[unit, other]}: not positive semidefinite; "
            "a unit without variance has only zeros in its row and column"
        )


def _refuse_correlations(gram: Matrix, scaled: Matrix) -> None:
    """Refuse entries that no two variances allow; the scaled diagonal lies below 2."""
    bad = ~(np.abs(scaled) <= 2 * (1 + ASYMMETRY))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise ProblemError(
            f"gram[{row}, {column}] is {gram[row, column]}, more than the variances gram[{row}, {row}] and "
            f"gram[{column}, {column}] allow: not positive semidefinite; build gram as features.T @ features"
        )


def _symmetric(gram: Matrix, scaled: Matrix) -> Matrix:
    if np.array_equal(scaled, scaled.T):
        return scaled
    difference = np.abs(scaled - scaled.T)
    if difference.max() > ASYMMETRY:
        row, column = (int(i) for i in np.unravel_index(difference.argmax(), gram.shape))
        raise ProblemError(
            f"gram is not symmetric: gram[{row}, {column}] is {gram[row, column]} and gram[{column}, {row}] is "
            f"{gram[column, row]}; pass (gram + gram.T) / 2 if that is what you mean"
        )
    return (scaled + scaled.T) / 2


def _least_lift(gram: Matrix, scaled: Matrix) -> float:
    """Return the least part by which variances must grow, or refuse a matrix that is wrong by more than rounding."""
    n = len(gram)
    if _definite(scaled, 16 * n * float(np.finfo(np.float64).eps)):
        return 0.0
    for lift in (share * n for share in _LIFTS):
        if _definite(scaled, lift):
            return lift
    if _definite(scaled, 1e-6 + _LIFTS[-1] * n):
        return 1e-6 + _LIFTS[-1] * n
    lowest = float(np.linalg.eigvalsh(scaled)[0])
    raise ProblemError(
        f"gram is not positive semidefinite: with variances scaled to about 1 its least eigenvalue is {lowest:.3g}, "
        "more than rounding explains; build gram as features.T @ features"
    )


def _definite(scaled: Matrix, lift: float) -> bool:
    """Return whether the Cholesky factorisation of the lifted matrix exists; constant units get a variance of 1."""
    from scipy.linalg import get_lapack_funcs

    (potrf,) = get_lapack_funcs(("potrf",), dtype=np.float64)
    raised = scaled.copy()
    diagonal = scaled.diagonal()
    raised[np.diag_indices(len(raised))] = np.where(diagonal > 0, diagonal * (1 + lift), 1.0)
    return len(raised) == 0 or potrf(raised.T, lower=1, overwrite_a=1)[1] == 0


def _importances(variances: Vector, weights: Vector, exponents: NDArray[np.int64]) -> tuple[Vector, int]:
    """Return weight times squared scale as mantissas in [0, 1] and their common exponent; nothing overflows."""
    with np.errstate(over="ignore"):
        too_large = weights * variances > LARGEST
    if too_large.any():
        unit = int(np.argmax(too_large))
        raise ProblemError(
            f"weights[{unit}] * gram[{unit}, {unit}] is above {LARGEST:g}; rescale the weights or the Gram matrix"
        )
    mantissas, own = np.frexp(np.where(variances > 0, weights, 0.0))
    total = own + 2 * exponents
    exponent = int(total[mantissas > 0].max(initial=-4000))
    exponent = 0 if exponent == -4000 else exponent
    return np.ldexp(mantissas, np.maximum(total - exponent, -2000)), exponent
