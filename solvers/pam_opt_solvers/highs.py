"""One call of HiGHS (MIT) through ``scipy.optimize.milp`` on the rows of an integer programme."""

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
    import scipy.optimize

    optimize: Any = scipy.optimize  # its stubs take scalar limits only
    matrix, low, high = program.scaled_rows
    if rows is not None:
        matrix, low, high = matrix[rows], low[rows], high[rows]
    return optimize.milp(
        objective,
        integrality=program.integer.astype(np.int64),
        bounds=optimize.Bounds(np.zeros(len(program.upper)), program.upper),
        constraints=optimize.LinearConstraint(matrix, low, high) if matrix.shape[0] else (),
        options={"mip_rel_gap": 0.0} | ({} if time_limit is None else {"time_limit": time_limit}),
    )
