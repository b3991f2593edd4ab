"""The assignment of scipy, imported at its first use: the tables of problems and solvers load without it."""

import numpy as np
from numpy.typing import NDArray


def matched(cost: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns, each (min(m, n),), of a cheapest assignment of ``cost`` (m, n); +inf = forbidden.

    Raises
    ------
    ValueError
        where no assignment avoids what is forbidden
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return rows.astype(np.int64, copy=False), columns.astype(np.int64, copy=False)
