"""Speed of grouping: ``python benchmarks/grouping_speed.py`` (about two minutes).

2048 units of three tasks, all eight groups, eight budgets from loose to tight: the gap that `lagrangian` proves within
ten seconds on one thread, beside its limit, and what baselines and an integer programming backend do in that time.
"""

import math

import numpy as np
from instances._groupings import budgeted_units

from pam_opt_solvers import Grouping, Solution, solve

UNITS = 2048
SECONDS = 10.0
LARGEST_GAP = 1e-3
SHARES = {"loose": 0.8, "half": 0.5, "tight": 0.2}
"""Part of the information that the cheapest choice would lose in each budget which may go."""

REFERENCES = ("ratio", "greedy", "greedy:least_cost", "math_opt:highs")


def seconds_to(solution: Solution, gap: float) -> float:
    """Return the second at which an anytime solver had proved a gap; inf = never."""
    reached = (second for second, value, bound in solution.trajectory if value - bound <= gap * abs(value))
    return next(reached, math.inf)


def print_case(name: str, problem: Grouping) -> None:
    """Print what every solver reaches on one problem; gaps are against the best bound of all."""
    solutions = {solver: solve(problem, solver, time_limit=SECONDS) for solver in ("lagrangian", *REFERENCES)}
    bound = max(solution.bound for solution in solutions.values())
    print(f"{UNITS} units, {len(problem.groups)} groups, {len(problem.linear)} budgets, {name}")
    for solver, solution in solutions.items():
        took = solution.build_seconds + solution.solve_seconds
        if solution.decision is None:
            print(f"  {solver:18} {took:6.2f} s   {solution.status.name}")
            continue
        above = (solution.value - bound) / abs(solution.value)
        line = f"  {solver:18} {took:6.2f} s   value {solution.value:10.4f}   {100 * above:7.4f} % above the best bound"
        if solver == "lagrangian":
            own = f"own gap {100 * solution.gap:.4f} % (limit {100 * LARGEST_GAP:g} %)"
            line += f"   {own}, reached after {seconds_to(solution, LARGEST_GAP):.2f} s (limit {SECONDS:g} s)"
        print(line, flush=True)


if __name__ == "__main__":
    for seed, (name, share) in enumerate(SHARES.items()):
        problem = budgeted_units(UNITS, share, np.random.default_rng(seed))
        print_case(f"{name} ({share:g} of what the cheapest choice loses)", problem)
