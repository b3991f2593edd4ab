"""First decisions: by importance alone, and greedy within the time that there is."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.column_subset.forward import forward
from pam_opt_solvers.column_subset.residual import Residual
from pam_opt_solvers.problems.column_subset import ColumnSubset
from pam_opt_solvers.search import Search

Indices = NDArray[np.int64]


SECONDS_PER_PRODUCT = 5e-10
"""Safe time of a multiplication in a matrix product."""


def begin(problem: ColumnSubset, time_limit: float | None) -> Search:
    """Return a search whose limit leaves the time that recomputing one value takes."""
    if time_limit is None:
        return Search(problem, None)
    value_seconds = SECONDS_PER_PRODUCT * problem.n_kept**2 * problem.size
    return Search(problem, time_limit - min(value_seconds, time_limit / 2))


def filled_up(problem: ColumnSubset, kept: Indices) -> Indices:
    """Return ``kept`` and the most important units that may follow, until ``n_kept`` are kept."""
    own = problem.scaled.importance * problem.scaled.gram.diagonal()
    while len(kept) < problem.n_kept:
        kept = np.append(kept, int(np.where(problem.may_follow(kept), own, -1.0).argmax()))
    return kept


def greedy_within_limit(problem: ColumnSubset, residual: Residual, search: Search) -> Indices:
    """Return the greedy choice, filled up by importance where the limit cuts it short.

    Parameters
    ----------
    residual : that of nothing kept; it is changed
    """
    kept: list[int] = []
    for unit, _ in forward(problem, residual, np.zeros(0, np.int64), problem.n_kept):
        kept.append(unit)
        if search.out_of_time:
            break
    return filled_up(problem, np.array(kept, np.int64))
