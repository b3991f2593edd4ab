"""What ``auto`` means: for each kind of problem a solver and the reason for it."""

from collections.abc import Callable
from typing import Any

from pam_opt_solvers.problems import (
    ColumnSubset,
    Feature,
    Grouping,
    JointPairing,
    MultiPairing,
    PairedGrouping,
    Pairing,
    Representatives,
)
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


def _network_plan(problem: Any) -> Choice:
    return "branch_and_bound", "exact, and has a near-optimal plan with a bound at any time"


def _cluster_plan(problem: Any) -> Choice:
    if Feature.NOT_SUBMODULAR in problem.features:
        return "cp_sat", "exact also where forbidden edges are worth less than the MACs they save"
    return "max_flow", "exact in polynomial time by a minimum cut"


EXACT_CHOICES = 2000
"""Up to so many permitted choices of a grouping, an integer programme is proved in seconds."""


def _grouping(problem: Grouping) -> Choice:
    if Feature.SET_FUNCTION in problem.features and len(problem.linear):
        return "cuts", "bounds joint budgets beside linear ones"
    if Feature.SET_FUNCTION in problem.features:
        return (
            "decomposition",
            "proves tight joint budgets, as of PAM's thresholds, faster than cuts; much alike elsewhere",
        )
    if problem.cost.size <= EXACT_CHOICES:
        return "math_opt", "exact and fast at this size"
    return "lagrangian", "close to the optimum and its bound in seconds at this size"


def _paired_grouping(problem: PairedGrouping) -> Choice:
    if problem.joint:
        return "regrow", "keeps joint budgets by the sets themselves and takes one assignment a round"
    if len(problem.linear) == 0:
        return "regrow", "without budgets one assignment, which is exact"
    if problem.pair_cost.size + problem.alone.size <= PROGRAM_VARIABLES:
        return "math_opt", "exact and fast at this size"
    return "regrow", "prices for the budgets around one assignment"


def _representatives(problem: Representatives) -> Choice:
    return "lagrangian", "proves most problems in seconds and has a decision and a bound at every moment"


def _column_subset(problem: ColumnSubset) -> Choice:
    if problem.size <= 24:
        return "branch_and_bound", "exact, and few enough units for it"
    if problem.size <= 1024:
        return "swaps", "a local optimum of greedy selection"
    return "greedy", "swaps take minutes at this size"


PROVABLE_PRODUCTS = 200_000
"""Products of two choices up to which the Lagrangian dual of a joint pairing takes seconds."""


def _joint_pairing(problem: JointPairing) -> Choice:
    if n_products(problem) <= PROVABLE_PRODUCTS:
        return "lagrangian", "starts from frank_wolfe's decision and mostly proves it; the problem is small"
    return "frank_wolfe", "the heuristic that finds planted permutations most often"


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
    "network_plan": _network_plan,
    "cluster_plan": _cluster_plan,
    "grouping": _grouping,
    "paired_grouping": _paired_grouping,
    "representatives": _representatives,
    "column_subset": _column_subset,
    "multi_pairing": _multi_pairing,
    "joint_pairing": _joint_pairing,
}
"""Kind of problem to the choice; a new problem enters its own."""
