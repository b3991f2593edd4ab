"""A paired grouping without joint budgets as an integer linear programme.

``y_ug`` puts unit u alone into group g, ``x_ij`` merges i and j. Every unit has one choice,
``sum_g y_ug + sum_j x_uj = 1``, and every budget is a row in which a pair counts both its units.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pam_opt_solvers.errors import SolverUnsuitable
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.problems.paired_grouping import PairedGrouping

Indices = NDArray[np.int64]


def choice_program(problem: PairedGrouping) -> IntegerProgram:
    """Write one variable for each permitted group of a unit, then one for each permitted pair.

    Choices that break a budget by themselves have no variable: they would spoil the scale of its row.
    """
    if problem.joint:
        raise SolverUnsuitable(f"{problem!r} has joint budgets, which are not linear; solver 'cuts' takes them")
    units, groups = np.nonzero(problem.permitted_alone)
    pairs = np.argwhere(problem.permitted_pairs)
    count, variables = problem.n_units, len(units) + len(pairs)
    first, second = pairs[:, 0], problem.pair_cost.shape[0] + pairs[:, 1]
    table, paired = problem.linear, np.arange(len(units), variables)
    loads = np.concatenate(
        [
            table.weights[:, units] * table.rates[:, groups],
            (table.weights[:, first] + table.weights[:, second]) * table.rates[:, -1:],
        ],
        axis=1,
    )
    budget, choice = np.nonzero(loads)
    rows = np.concatenate([units, first, second, count + budget])
    columns = np.concatenate([np.arange(len(units)), paired, paired, choice])
    entries = np.concatenate([np.ones(len(units) + 2 * len(pairs)), loads[budget, choice]])
    ones = np.ones(count)
    return IntegerProgram(
        objective=np.concatenate([problem.alone[units, groups], problem.pair_cost[first, pairs[:, 1]]]),
        matrix=csr_array((entries, (rows, columns)), shape=(count + len(table), variables)),
        row_low=np.concatenate([ones, np.full(len(table), -np.inf)]),
        row_high=np.concatenate([ones, table.limits]),
        upper=np.ones(variables),
        integer=np.ones(variables, bool),
        decode=lambda values: _decoded(problem, values, units, groups, pairs),
        terms=count,
        row_names={count + b: f"budget '{name}'" for b, name in enumerate(table.names)},
        whole_vertices=len(table) == 0,
    )


def _decoded(problem: PairedGrouping, values: Indices, units: Indices, groups: Indices, pairs: Indices) -> Indices:
    taken = values > 0
    alone = np.full(problem.n_units, -1, np.int64)
    alone[units[taken[: len(units)]]] = groups[taken[: len(units)]]
    return problem.decision_of(alone, pairs[taken[len(units) :]])
