"""The calls of HiGHS (MIT) through ``scipy.optimize.milp``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.integer_program import IntegerProgram

OPTIMAL, LIMIT, INFEASIBLE = 0, 1, 2


def minimise(
    program: IntegerProgram,
    objective: NDArray[np.float64],
    *,
    rows: NDArray[np.bool_] | None = None,
    time_limit: float | None = None,
) -> Any:
    """Return scipy's result of minimising ``objective`` (v,) over the programme, or over some of its rows only."""
    matrix, low, high = program.scaled_rows
    if rows is not None:
        matrix, low, high = matrix[rows], low[rows], high[rows]
    return milp(objective, [(matrix, low, high)], program.upper, program.integer, time_limit)


def milp(
    objective: NDArray[np.float64],
    rows: Sequence[tuple[Any, Any, Any]],
    upper: NDArray[np.float64],
    integer: NDArray[np.bool_],
    time_limit: float | None = None,
) -> Any:
    """Return scipy's result of minimising over ``low <= matrix @ x <= high`` for each of ``rows``, to no gap.

    Parameters
    ----------
    objective, upper, integer : (v,) of the variables, which start at 0
    rows : blocks of (matrix (r, v), low, high)
    time_limit : seconds
    """
    import scipy.optimize

    optimize: Any = scipy.optimize  # its stubs take scalar limits only
    return optimize.milp(
        objective,
        integrality=integer.astype(np.int64),
        bounds=optimize.Bounds(np.zeros(len(upper)), upper),
        constraints=[optimize.LinearConstraint(*block) for block in rows if block[0].shape[0]],
        options={"mip_rel_gap": 0.0} | ({} if time_limit is None else {"time_limit": time_limit}),
    )
