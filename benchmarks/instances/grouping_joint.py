"""Groupings within a budget of joint information: two tasks whose units repeat each other."""

import numpy as np

from pam_opt_solvers import Grouping
from pam_opt_solvers.instances import family
from pam_opt_solvers.problems.budgets import JointBudget
from pam_opt_solvers.problems.gaussian_information import GaussianInformation
from pam_opt_solvers.problems.grouping import subsets

CLASSES = 2
DROPPED = 0


@family(
    "joint_grouping",
    problem="grouping",
    sizes=(8, 16, 32),
    severities=(0.2, 0.5, 0.8, 1.2),
    dial="tightness of the joint budgets (part of the information of all units)",
    unit="units",
)
def joint_grouping(size: int, severity: float, seed: int) -> Grouping:
    """Dropped units may together know little of either task; the dial is how little, above 1 less than nothing."""
    rng = np.random.default_rng([seed, size, 11])
    groups = subsets(2)
    macs = rng.lognormal(0.0, 0.5, size)
    cost = macs[:, None] * groups.sum(axis=1)[None, :] + 0.3 * rng.random((size, len(groups)))
    dropped = np.arange(len(groups)) == DROPPED
    budgets = []
    for task in range(2):
        known = _information(rng, size)
        limit = (1.0 - severity) * known.value(np.arange(size))
        budgets.append(JointBudget(dropped | (groups.sum(axis=1) == 1) & groups[:, 1 - task], known, limit, f"{task}"))
    return Grouping(groups, cost, None, tuple(budgets))


def _information(rng: np.random.Generator, units: int) -> GaussianInformation:
    """Return the information of units that mix half as many directions, with other means in every class."""
    within = np.empty((CLASSES, units, units))
    for part in within:
        mixing = rng.normal(size=(units, max(1, units // 2)))
        part[:] = mixing @ mixing.T / units
    chances = np.full(CLASSES, 1 / CLASSES)
    means = rng.normal(size=(CLASSES, units)) * rng.random(units)
    offsets = means - chances @ means
    overall = np.tensordot(chances, within, 1) + (offsets * chances[:, None]).T @ offsets
    return GaussianInformation(overall, within, chances, 0.1)
