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


def _network_plan(problem: Any) -> Choice:
    return "branch_and_bound", "exact, and has a near-optimal plan with a bound at any time"


def _cluster_plan(problem: Any) -> Choice:
    if Feature.NOT_SUBMODULAR in problem.features:
        return "cp_sat", "exact also where forbidden edges are worth less than the MACs they save"
    return "max_flow", "exact in polynomial time by a minimum cut"


CHOICES: dict[str, Callable[[Any], Choice]] = {
    "pairing": _pairing,
    "network_plan": _network_plan,
    "cluster_plan": _cluster_plan,
}
"""Kind of problem to the choice; a new problem enters its own."""
