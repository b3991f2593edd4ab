"""A grouping without joint budgets as an integer linear programme: one-of rows and budget rows."""

import numpy as np
from scipy.sparse import csr_array

from pam_opt_solvers.errors import SolverUnsuitable
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.problems.grouping import Grouping


def choice_program(problem: Grouping) -> IntegerProgram:
    """Write a 0-1 variable for each permitted choice, one of them to be made for every unit.

    Choices that break a budget by themselves have no variable: they would spoil the scale of its row.
    """
    if problem.joint:
        raise SolverUnsuitable(f"{problem!r} has joint budgets, which are not linear; solver 'cuts' takes them")
    units, groups = np.nonzero(problem.permitted)
    table = problem.linear
    loads = table.weights[:, units] * table.rates[:, groups]
    budget, choice = np.nonzero(loads)
    count = problem.shape[0]
    rows = np.concatenate([units, count + budget])
    columns = np.concatenate([np.arange(len(units)), choice])
    entries = np.concatenate([np.ones(len(units)), loads[budget, choice]])
    ones = np.ones(count)
    return IntegerProgram(
        objective=problem.cost[units, groups],
        matrix=csr_array((entries, (rows, columns)), shape=(count + len(table), len(units))),
        row_low=np.concatenate([ones, np.full(len(table), -np.inf)]),
        row_high=np.concatenate([ones, table.limits]),
        upper=np.ones(len(units)),
        integer=np.ones(len(units), bool),
        decode=lambda values: _chosen(values, units, groups, count),
        terms=count,
        row_names={count + b: f"budget '{name}'" for b, name in enumerate(table.names)},
    )


def _chosen(values: np.ndarray, units: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    decision = np.full(count, -1, np.int64)
    taken = values > 0
    decision[units[taken]] = groups[taken]
    return decision
