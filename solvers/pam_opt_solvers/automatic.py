"""What ``auto`` means: for each kind of problem a solver and the reason for it."""

from collections.abc import Callable
from typing import Any

from pam_opt_solvers.problems import Feature, Pairing

Choice = tuple[str, str]


def automatic(problem: Any) -> Choice:
    """Return the name of the solver that suits a problem, and why, as a line for the run record."""
    name, why = CHOICES[problem.kind](problem)
    return name, f"auto: {name}, {why}"


def _pairing(problem: Pairing) -> Choice:
    if Feature.FIXED_COUNT in problem.features:
        return "hungarian", "exact in polynomial time; the fixed count becomes dummy rows and columns"
    return "hungarian", "exact in polynomial time and the fastest here"


CHOICES: dict[str, Callable[[Any], Choice]] = {
    "pairing": _pairing,
}
"""Kind of problem to the choice; a new problem enters its own."""
