"""From what an adapter found to what a user is told: recompute, check, and say what is proven."""

import math

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverFailed
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.problem import Problem
from pam_opt_solvers.solution import Run, Solution, relative_gap

TOLERANCE = 1e-6
"""A decision counts as optimal if rounding can hide no more than this part of the magnitudes it sums,"""

VISIBLE = 1e-3
"""or no more than this part of the least cost that is not zero."""

SMALL = 1e-6
"""The second test is tried on decisions below this part of the largest magnitude; it reads the whole matrix."""


def judge(problem: Problem, outcome: Outcome, run: Run) -> Solution:
    """Build the solution of an outcome, and refuse one that does not satisfy its problem.

    Raises
    ------
    SolverFailed
        if the decision is missing, superfluous or invalid
    """
    if outcome.status.decided != (outcome.decision is not None):
        raise SolverFailed(f"solver '{run.solver}' reports {outcome.status.name} and decision {outcome.decision!r}")
    if outcome.decision is None:
        return _without_decision(problem, outcome, run)
    solution = _with_decision(problem, outcome, _canonical(problem, outcome.decision, run), run)
    solution.check()
    return solution


def _without_decision(problem: Problem, outcome: Outcome, run: Run) -> Solution:
    infeasible = outcome.status is Status.INFEASIBLE
    if infeasible and problem.certainly_feasible():
        raise SolverFailed(f"solver '{run.solver}' calls {problem!r} infeasible, which it is not; use another")
    bound = math.inf if infeasible else max(outcome.bound, problem.trivial_bound())
    seconds = outcome.build_seconds, outcome.solve_seconds
    return Solution(problem, None, outcome.status, math.nan, bound, math.nan, *seconds, run, outcome.trajectory)


def _with_decision(problem: Problem, outcome: Outcome, decision: NDArray[np.int64], run: Run) -> Solution:
    value = problem.value(decision)
    status, bound = _proof(problem, outcome, decision, value)
    gap = 0.0 if status is Status.OPTIMAL else relative_gap(value, bound)
    seconds = outcome.build_seconds, outcome.solve_seconds
    return Solution(problem, decision, status, value, bound, gap, *seconds, run, outcome.trajectory)


def _proof(problem: Problem, outcome: Outcome, decision: NDArray[np.int64], value: float) -> tuple[Status, float]:
    if outcome.status is Status.OPTIMAL:
        float_error = problem.float_error()
        size = math.fsum(abs(problem.terms(decision)))
        if outcome.error + float_error <= max(TOLERANCE * size, _least_visible(problem, size)):
            return Status.OPTIMAL, value - outcome.error
        proven, otherwise = value - outcome.error - float_error, Status.ROUNDED
    else:
        proven, otherwise = outcome.bound, outcome.status
    # A bound of the lines that meets the value proves it, whoever found it.
    bound = min(value, max(proven, problem.trivial_bound()))
    return (Status.OPTIMAL, value) if bound == value else (otherwise, bound)


def _least_visible(problem: Problem, size: float) -> float:
    """Return an error too small to hide a single cost; decisions that cost nothing leave no other yardstick."""
    if size > SMALL * problem.magnitude:
        return 0.0
    magnitudes = problem.magnitudes()
    return VISIBLE * float(magnitudes.min(where=magnitudes > 0, initial=math.inf))


def _canonical(problem: Problem, decision: NDArray[np.int64], run: Run) -> NDArray[np.int64]:
    broken = problem.violations(decision)
    if broken:
        raise SolverFailed(f"solver '{run.solver}' returned no decision of {problem!r}: " + "; ".join(broken))
    ordered = problem.normalise(decision)
    ordered.flags.writeable = False
    return ordered
