"""Exact assignment by shortest augmenting paths (scipy, BSD): the usual choice for one pairing.

``O(min(m, n)^2 max(m, n))`` in the worst case [1].

[1] D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 52(4), 2016,
doi:10.1109/TAES.2016.140952.
"""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.matching import matched
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.pairing.reduction import real_pairs, square_form
from pam_opt_solvers.problems import Feature, Pairing
from pam_opt_solvers.problems.pairing import PLAIN
from pam_opt_solvers.solver import Solver


class Hungarian(Solver[NDArray[np.float64]]):
    """Solve any pairing to optimality; opt-outs by clipping, a fixed count by dummy lines."""

    name = "hungarian"
    backend = "scipy"
    module = "scipy.optimize"
    exact = True
    features = PLAIN
    description = "exact; shortest augmenting paths; the usual choice"

    def _build(self, problem: Pairing, options: Options) -> NDArray[np.float64]:
        if problem.required is None:
            return np.minimum(problem.weights, 0.0)
        return square_form(problem) if Feature.FIXED_COUNT in problem.features else problem.weights

    def _run(self, model: NDArray[np.float64], problem: Pairing, options: Options) -> Outcome:
        found = _assignment(model)
        if found is None:
            return Outcome(Status.INFEASIBLE)
        return Outcome(Status.OPTIMAL, real_pairs(problem, *found))

    def worst_seconds(self, problem: Pairing) -> float:
        """Return 5 ns a step of the worst case, several times what was seen."""
        extra = 0 if problem.required is None else min(problem.shape) - problem.required
        return 5e-9 * (min(problem.shape) + extra) ** 2 * (max(problem.shape) + extra) + 0.01


def assign(weights: NDArray[np.float64], required: int | None, most: int | None = None) -> NDArray[np.int64] | None:
    """Return the (k, 2) cheapest pairs of a weight matrix (m, n), +inf = forbidden; None where there are not enough.

    Parameters
    ----------
    required : how many pairs; ``None`` = as many as have a weight below 0
    most : with ``required=None``: at most so many
    """
    if 0 in weights.shape or required == 0 or most == 0:
        return np.zeros((0, 2), np.int64) if not required else None
    problem = Pairing(weights, n_pairs=required) if required is not None else Pairing(weights, np.zeros(len(weights)))
    solver = Hungarian()
    outcome = solver._run(solver._build(problem, Options()), problem, Options())
    if outcome.decision is not None and most is not None and len(outcome.decision) > most:
        return assign(weights, most)  # convex in the number of pairs: the most that are permitted are the best
    return outcome.decision


def _assignment(weights: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    try:
        return matched(weights)
    except ValueError as err:
        # The problem's own check has excluded the other causes (NaN, -inf).
        if "infeasible" in str(err):
            return None
        raise
