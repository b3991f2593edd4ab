"""Units of a layer that know something about several tasks, and budgets of what they may lose."""

import numpy as np

from pam_opt_solvers import Grouping
from pam_opt_solvers.problems.budgets import BudgetTable
from pam_opt_solvers.problems.grouping import subsets

TASKS = 3
COUNTED = [(task, other) for other in range(TASKS) for task in range(TASKS) if task != other]
"""Budgets of the information on one task that units of another one alone hold."""


def budgeted_units(units: int, share: float, rng: np.random.Generator) -> Grouping:
    """Return units with lognormal information on every task; losing it costs, and so does serving more tasks.

    Budgets: six of the information on one task in the group of another one alone, one on that of dropped units on
    the first task, and one of MACs, by the chance that a unit is run.

    Parameters
    ----------
    share : part of what the cheapest choice uses of every budget that the budget allows; without a limit of MACs,
        0 could always be met
    """
    groups = subsets(TASKS)
    information = np.exp(rng.normal(-1.0, 1.0, (TASKS, units)))
    lost = (information * np.exp(rng.normal(0.0, 0.5, information.shape))).T @ (~groups).T.astype(float)
    macs = np.exp(rng.normal(0.0, 0.3, units))
    chance = 1.0 - 0.5 ** groups.sum(axis=1)
    cost = 0.3 * lost + 3.0 * np.outer(macs, chance)
    alone = groups.sum(axis=1) == 1
    counted = [*((task, alone & groups[:, other]) for task, other in COUNTED), (0, groups.sum(axis=1) == 0)]
    weights = np.array([*(information[task] for task, _ in counted), macs])
    rates = np.array([*(flags.astype(float) for _, flags in counted), chance])
    used = (weights * rates[:, cost.argmin(axis=1)]).sum(axis=1)
    limits = share * used
    limits[-1] = used[-1] + 0.6 * (1.0 - share) * (macs.sum() * chance.max() - used[-1])
    return Grouping(groups, cost, BudgetTable(weights, rates, limits))
