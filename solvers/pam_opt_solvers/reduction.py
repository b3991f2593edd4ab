"""Forms of a pairing that backends take: a square assignment, a list of arcs, integer weights."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.pairing import Pairing

Matrix = NDArray[np.float64]


def square_form(problem: Pairing) -> Matrix:
    """Return an (N, N) matrix whose perfect matchings are the decisions; real pairs in its top left.

    With opt-outs, gains are kept and all else costs 0 (drop pairs of weight >= 0 afterwards). With k required
    pairs, ``n - k`` further rows and ``m - k`` further columns, forbidden to each other, take what stays
    single for free.
    """
    rows, columns = problem.shape
    if problem.required is None:
        square = np.zeros((max(rows, columns),) * 2)
        np.minimum(problem.weights, 0.0, out=square[:rows, :columns])
        return square
    size = rows + columns - problem.required
    square = np.zeros((size, size))
    square[:rows, :columns] = problem.weights
    square[rows:, columns:] = np.inf
    return square


def real_pairs(problem: Pairing, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return as (k, 2) those of the matched rows and columns that are pairs of the problem worth making."""
    inside = (rows < problem.shape[0]) & (columns < problem.shape[1])
    pairs = np.column_stack([rows[inside], columns[inside]]).astype(np.int64)
    return pairs[problem.weights[pairs[:, 0], pairs[:, 1]] < problem.ceiling]


def arcs(problem: Pairing) -> tuple[NDArray[np.int64], NDArray[np.int64], Matrix]:
    """Return row, column and weight, each (a,) in row-major order, of every pair worth considering."""
    rows, columns = np.nonzero(problem.weights < problem.ceiling)
    return rows, columns, problem.weights[rows, columns]


def feasible(problem: Pairing) -> bool:
    """Return whether any decision exists, by a largest matching of permitted pairs: ``O(a sqrt(m + n))``."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if problem.required is None:
        return True
    matched = maximum_bipartite_matching(csr_array(problem.cost < np.inf), perm_type="column")
    return int((matched >= 0).sum()) >= problem.required


def lines_of(lines: NDArray[np.int64], length: int) -> list[list[int]]:
    """Return for each row (or column) 0..length - 1 the positions in ``lines`` (a,) that lie on it."""
    order = np.argsort(lines, kind="stable")
    ends = np.cumsum(np.bincount(lines, minlength=length))[:-1]
    return [part.tolist() for part in np.split(order, ends)]


def has_total(problem: Pairing) -> bool:
    """Whether the number of pairs needs a constraint of its own, beyond those of the rows and columns."""
    return problem.required is not None and problem.required not in problem.shape


def line_bounds(problem: Pairing) -> tuple[list[float], list[float]]:
    """Return least and greatest number of pairs of each row, column and, where ``has_total``, overall."""
    low = [float(problem.required == length) for length in problem.shape for _ in range(length)]
    high = [1.0] * len(low)
    total = [float(problem.most_pairs)] if has_total(problem) else []
    return low + total, high + total


@dataclass(frozen=True)
class Scaled:
    """Weights times a power of two, after a shift that equally many chosen ones make harmless.

    Parameters
    ----------
    values : (a,) float64; ``(weights - shift) * 2**exponent``, rounded to whole numbers for integer backends
    shift : 0 with opt-outs
    exponent : of the scale
    worst : largest rounding of one weight, in the units of the costs
    terms : how many weights a decision sums
    """

    values: Matrix
    shift: float
    exponent: int
    worst: float
    terms: int

    @property
    def error(self) -> float:
        """How much better than the scaled optimum the true one may be: two sums of rounded weights differ."""
        return 2 * self.terms * self.worst

    @property
    def note(self) -> str:
        """The line of the run record: scale and worst rounding error of the whole sum."""
        return f"integer scale 2**{self.exponent}, worst rounding error {self.error:.3g}"

    def tolerated(self, tolerance: float) -> float:
        """Return ``error`` plus what a tolerance on each scaled weight may hide."""
        return self.error + 2 * self.terms * float(np.ldexp(tolerance, -self.exponent))

    def to_value(self, problem: Pairing, objective: float) -> float:
        """Return the problem value that a scaled objective (or a bound on it) stands for."""
        return problem.constant + self.terms * self.shift + float(np.ldexp(objective, -self.exponent))


def scaled(problem: Pairing, weights: Matrix, bits: int, terms: int | None = None) -> Scaled:
    """Scale weights, exactly but for the shift, so that the largest magnitude is just below ``2**bits``.

    The shift (no opt-outs only) spends the bits on what differs between pairs, not on what all share.
    """
    shift = 0.0 if problem.required is None else float(weights.min())
    shifted = weights - shift
    top = float(np.abs(shifted).max(initial=0.0))
    exponent = bits - int(np.frexp(top)[1]) if top else 0
    worst = float(np.finfo(np.float64).eps * max(abs(shift), top)) if shift and top else 0.0
    return Scaled(np.ldexp(shifted, exponent), shift, exponent, worst, terms or problem.most_pairs)


def integers(
    problem: Pairing, weights: Matrix, bits: int, terms: int | None = None
) -> tuple[NDArray[np.int64], Scaled]:
    """Return scaled weights as int64 of magnitude at most ``2**bits``, and the scaling with its error."""
    exact = scaled(problem, weights, bits, terms)
    whole = np.rint(exact.values)
    rounding = float(np.abs(whole - exact.values).max(initial=0.0))
    worst = exact.worst + float(np.ldexp(rounding, -exact.exponent))
    return whole.astype(np.int64), replace(exact, values=whole, worst=worst)
