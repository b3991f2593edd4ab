"""What ``auto`` means: for each kind of problem a solver and the reason for it."""

from collections.abc import Callable
from typing import Any

from pam_opt_solvers.problems import Feature, MultiPairing, Pairing

Choice = tuple[str, str]


def automatic(problem: Any) -> Choice:
    """Return the name of the solver that suits a problem, and why, as a line for the run record."""
    name, why = CHOICES[problem.kind](problem)
    return name, f"auto: {name}, {why}"


def _pairing(problem: Pairing) -> Choice:
    if Feature.FIXED_COUNT in problem.features:
        return "hungarian", "exact in polynomial time; the fixed count becomes dummy rows and columns"
    return "hungarian", "exact in polynomial time and the fastest here"


def _multi_pairing(problem: MultiPairing) -> Choice:
    two = problem.n_parents == 2
    if Feature.WITHIN in problem.features:
        return ("matching", "exact in polynomial time") if two else ("triangle_cuts", "exact where it ends in time")
    if two:
        return "sequential", "exact for two parents: one assignment"
    if Feature.MANY_PARENTS in problem.features:
        return "local_search", "the best decisions for more than three parents, with a bound from every three of them"
    return "column_generation", "exact, and a good decision with its bound at any time"


CHOICES: dict[str, Callable[[Any], Choice]] = {
    "pairing": _pairing,
    "multi_pairing": _multi_pairing,
}
"""Kind of problem to the choice; a new problem enters its own."""
