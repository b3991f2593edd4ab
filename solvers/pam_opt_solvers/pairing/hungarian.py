"""Exact assignment by shortest augmenting paths (scipy, BSD): the usual choice for one pairing.

``O(min(m, n)^2 max(m, n))`` in the worst case [1].

[1] D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 52(4), 2016,
doi:10.1109/TAES.2016.140952.
"""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.pairing.reduction import real_pairs, square_form
from pam_opt_solvers.problems import Feature, Pairing
from pam_opt_solvers.solver import Solver


class Hungarian(Solver[NDArray[np.float64]]):
    """Solve any pairing to optimality; opt-outs by clipping, a fixed count by dummy lines."""

    name = "hungarian"
    backend = "scipy"
    module = "scipy.optimize"
    exact = True
    description = "exact; shortest augmenting paths; the usual choice"

    def _build(self, problem: Pairing, options: Options) -> NDArray[np.float64]:
        if problem.required is None:
            return np.minimum(problem.weights, 0.0)
        return square_form(problem) if Feature.FIXED_COUNT in problem.features else problem.weights

    def _run(self, model: NDArray[np.float64], problem: Pairing, options: Options) -> Outcome:
        from scipy.optimize import linear_sum_assignment

        try:
            rows, columns = linear_sum_assignment(model)
        except ValueError as err:
            # The problem's own check has excluded the other causes (NaN, -inf).
            if "infeasible" in str(err):
                return Outcome(Status.INFEASIBLE)
            raise
        return Outcome(Status.OPTIMAL, real_pairs(problem, rows, columns))

    def worst_seconds(self, problem: Pairing) -> float:
        """Return 5 ns a step of the worst case, several times what was seen."""
        extra = 0 if problem.required is None else min(problem.shape) - problem.required
        return 5e-9 * (min(problem.shape) + extra) ** 2 * (max(problem.shape) + extra) + 0.01
