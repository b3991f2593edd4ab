"""Groupings within budgets: the group of every unit of three tasks, eight budgets from loose to infeasible."""

import numpy as np
from _groupings import budgeted_units

from pam_opt_solvers import Grouping
from pam_opt_solvers.instances import family


@family(
    "budgeted_grouping",
    problem="grouping",
    sizes=(16, 64, 256, 2048),
    severities=(0.2, 0.5, 0.8, 1.0),
    dial="tightness of the budgets (part of the cheapest choice's use)",
    unit="units",
)
def budgeted_grouping(size: int, severity: float, seed: int) -> Grouping:
    """Three tasks, all eight groups, eight budgets; the dial tightens them, and at 1 they cannot be met."""
    return budgeted_units(size, 1.0 - severity, np.random.default_rng([seed, size, 10]))
