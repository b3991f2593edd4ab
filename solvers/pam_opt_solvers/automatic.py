"""What ``auto`` means: for each kind of problem a solver and the reason for it."""

from collections.abc import Callable
from typing import Any

from pam_opt_solvers.problems import Feature, JointPairing, Pairing
from pam_opt_solvers.problems.joint_program import n_products
from pam_opt_solvers.problems.pairing import PLAIN

Choice = tuple[str, str]


def automatic(problem: Any) -> Choice:
    """Return the name of the solver that suits a problem, and why, as a line for the run record."""
    name, why = CHOICES[problem.kind](problem)
    return name, f"auto: {name}, {why}"


PROGRAM_VARIABLES = 40_000
"""Integer programmes up to this size are proved in seconds as a rule."""


def _pairing(problem: Pairing) -> Choice:
    if not problem.features <= PLAIN:
        if problem.cost.size <= PROGRAM_VARIABLES:
            return "math_opt", "exact under side constraints; the integer programme is small"
        return "lagrangian", "the integer programme would be large; bound and decision under side constraints"
    if Feature.FIXED_COUNT in problem.features:
        return "hungarian", "exact in polynomial time; the fixed count becomes dummy rows and columns"
    return "hungarian", "exact in polynomial time and the fastest here"


PROVABLE_PRODUCTS = 200_000
"""Products of two choices up to which the Lagrangian dual of a joint pairing takes seconds."""


def _joint_pairing(problem: JointPairing) -> Choice:
    if n_products(problem) <= PROVABLE_PRODUCTS:
        return "lagrangian", "starts from frank_wolfe's decision and mostly proves it; the problem is small"
    return "frank_wolfe", "the heuristic that finds planted permutations most often"


CHOICES: dict[str, Callable[[Any], Choice]] = {
    "pairing": _pairing,
    "joint_pairing": _joint_pairing,
}
"""Kind of problem to the choice; a new problem enters its own."""
