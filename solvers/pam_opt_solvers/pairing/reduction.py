"""Forms of a pairing that methods take: a square assignment, a list of arcs, integer weights."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.pairing import Pairing
from pam_opt_solvers.scaling import Scaling

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


def shift_of(problem: Pairing, weights: Matrix) -> tuple[float, float]:
    """Return the least weight and the rounding of one subtraction of it; 0 and 0 with opt-outs.

    Equally many chosen weights make the shift harmless, and it leaves the bits to what differs between pairs.
    """
    shift = 0.0 if problem.required is None else float(weights.min())
    top = float((weights - shift).max(initial=0.0))
    return shift, float(np.finfo(np.float64).eps * max(abs(shift), top)) if shift and top else 0.0


def integers(problem: Pairing, weights: Matrix, bits: int, terms: int | None = None) -> Scaling:
    """Return weights, shifted and scaled, as whole numbers of magnitude at most ``2**bits``, with their error."""
    shift, worst = shift_of(problem, weights)
    return Scaling.of(weights - shift, bits, terms or problem.most_pairs, worst).rounded()
