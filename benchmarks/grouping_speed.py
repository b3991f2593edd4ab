"""Speed of grouping: ``python benchmarks/grouping_speed.py`` (about two minutes).

2048 units of three tasks, all eight groups, eight budgets from loose to tight: the gap that `lagrangian` proves within
ten seconds on one thread, beside its limit, and what baselines and an integer programming backend do in that time.
"""

import math

import numpy as np

from pam_opt_solvers import Grouping, Solution, solve
from pam_opt_solvers.problems.budgets import BudgetTable
from pam_opt_solvers.problems.grouping import subsets

UNITS, TASKS = 2048, 3
SECONDS = 10.0
LARGEST_GAP = 1e-3
SHARES = {"loose": 0.8, "half": 0.5, "tight": 0.2}
"""Part of the information that the cheapest choice would lose in each budget which may go."""

REFERENCES = ("ratio", "greedy", "greedy:least_cost", "math_opt:highs")


def instance(share: float, seed: int) -> Grouping:
    """Return units with lognormal information on every task; losing it costs, and so does serving more tasks.

    Budgets: six of the information on one task in the group of another one alone, one on that of dropped units on
    the first task, and one of MACs, by the chance that a unit is run.
    """
    rng = np.random.default_rng(seed)
    groups = subsets(TASKS)
    information = np.exp(rng.normal(-1.0, 1.0, (TASKS, UNITS)))
    lost = (information * np.exp(rng.normal(0.0, 0.5, information.shape))).T @ (~groups).T.astype(float)
    macs = np.exp(rng.normal(0.0, 0.3, UNITS))
    chance = 1.0 - 0.5 ** groups.sum(axis=1)
    cost = 0.3 * lost + 3.0 * np.outer(macs, chance)
    alone = groups.sum(axis=1) == 1
    counted = [(task, alone & groups[:, other]) for other in range(TASKS) for task in range(TASKS) if task != other]
    counted.append((0, groups.sum(axis=1) == 0))
    weights = np.array([*(information[task] for task, _ in counted), macs])
    rates = np.array([*(flags.astype(float) for _, flags in counted), chance])
    used = (weights * rates[:, cost.argmin(axis=1)]).sum(axis=1)
    limits = share * used
    limits[-1] = used[-1] + 0.6 * (1.0 - share) * (macs.sum() * chance.max() - used[-1])
    return Grouping(groups, cost, BudgetTable(weights, rates, limits))


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
        print_case(f"{name} ({share:g} of what the cheapest choice loses)", instance(share, seed))
