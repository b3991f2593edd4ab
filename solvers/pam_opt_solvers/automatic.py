"""What ``auto`` means: for each kind of problem a solver and the reason for it."""

from collections.abc import Callable
from typing import Any

from pam_opt_solvers.problems import Feature, Grouping, Pairing

Choice = tuple[str, str]


def automatic(problem: Any) -> Choice:
    """Return the name of the solver that suits a problem, and why, as a line for the run record."""
    name, why = CHOICES[problem.kind](problem)
    return name, f"auto: {name}, {why}"


def _pairing(problem: Pairing) -> Choice:
    if Feature.FIXED_COUNT in problem.features:
        return "hungarian", "exact in polynomial time; the fixed count becomes dummy rows and columns"
    return "hungarian", "exact in polynomial time and the fastest here"


EXACT_CHOICES = 2000
"""Up to so many permitted choices of a grouping, an integer programme is proved in seconds."""


def _grouping(problem: Grouping) -> Choice:
    if Feature.SET_FUNCTION in problem.features:
        return "cuts", "the one method that bounds joint budgets"
    if problem.cost.size <= EXACT_CHOICES:
        return "math_opt", "exact and fast at this size"
    return "lagrangian", "close to the optimum and its bound in seconds at this size"


CHOICES: dict[str, Callable[[Any], Choice]] = {
    "pairing": _pairing,
    "grouping": _grouping,
}
"""Kind of problem to the choice; a new problem enters its own."""
