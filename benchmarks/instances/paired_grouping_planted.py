"""Groups and pairs at once: two parents with twins, and little information may be left outside the shared group."""

import numpy as np

from pam_opt_solvers import PairedGrouping
from pam_opt_solvers.instances import family
from pam_opt_solvers.problems.budgets import BudgetTable
from pam_opt_solvers.problems.grouping import subsets

TASKS = 2
SERVED = subsets(TASKS)
RUNS = np.array([0.0, 2 / 3, 2 / 3, 1.0])
"""Chance that a unit of each group is computed, where all combinations of two tasks are run alike often."""

DIRECTIONS = 8


@family(
    "planted_paired_grouping",
    problem="paired_grouping",
    sizes=(8, 32, 128),
    severities=(0.2, 0.5, 0.8),
    dial="noise of the twins, in their standard deviations; more of it also tightens the budgets",
    unit="units of each parent",
)
def planted_paired_grouping(size: int, severity: float, seed: int) -> PairedGrouping:
    """Twins merge at the cost of their distance; what a task does not read, alone or dropped, may tell it little."""
    rng = np.random.default_rng([seed, size, 23])
    first = rng.normal(size=(size, DIRECTIONS))
    second = (first + severity * rng.normal(size=first.shape))[rng.permutation(size)]
    distance = np.square(first[:, None] - second[None]).mean(axis=2)
    information = rng.lognormal(-1.0, 1.0, (TASKS, 2 * size))
    lost = information.T @ ~SERVED.T
    alone = 0.3 * lost + RUNS[None, :]
    rates = np.hstack([~SERVED.T, np.zeros((TASKS, 1))]).astype(float)
    limits = 0.5 * (1.0 - severity) * information.sum(axis=1)
    names = tuple(f"information on task {task} that it does not read" for task in range(TASKS))
    return PairedGrouping(SERVED, alone, 1.0 + distance, BudgetTable(information, rates, limits, names))
