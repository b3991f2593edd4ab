"""A pairing as an integer programme: rows, columns, the number of pairs, then the side constraints.

``min sum w_ij x_ij`` with every row and column sum at most 1 (exactly 1, or the total k, where required). Without
side constraints the matrix is totally unimodular (a fixed total keeps the vertices whole), so the vertices of the
linear relaxation are whole [1].

[1] A. Schrijver, "Combinatorial Optimization", Springer 2003, chapter 18.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.pairing.reduction import arcs, shift_of
from pam_opt_solvers.problems.pairing import PLAIN, Pairing, tied_groups

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class _Row:
    members: Indices
    coefficients: NDArray[np.float64] | float
    low: float
    high: float
    name: str = ""


def assignment_program(problem: Pairing) -> IntegerProgram:
    """Write one variable for each pair worth considering."""
    from scipy.sparse import csr_array

    rows, columns, weights = arcs(problem)
    shift, worst = shift_of(problem, weights)
    written = [*_lines(problem, rows, columns), *_counts(problem, len(rows)), *_side(problem, rows, columns)]
    indices = np.concatenate([row.members for row in written])
    values = np.concatenate([np.broadcast_to(row.coefficients, len(row.members)) for row in written])
    ends = np.cumsum([0, *(len(row.members) for row in written)])
    pairs = np.column_stack([rows, columns])
    return IntegerProgram(
        objective=weights - shift,
        matrix=csr_array((values, indices, ends), shape=(len(written), len(rows))),
        row_low=np.array([row.low for row in written]),
        row_high=np.array([row.high for row in written]),
        upper=np.ones(len(rows)),
        integer=np.ones(len(rows), bool),
        decode=lambda x: pairs[x > 0],
        terms=problem.most_pairs,
        constant=problem.constant + problem.most_pairs * shift,
        worst=worst,
        row_names={index: row.name for index, row in enumerate(written) if row.name},
        whole_vertices=problem.features <= PLAIN,
    )


def _lines(problem: Pairing, rows: Indices, columns: Indices) -> Iterator[_Row]:
    for lines, length in ((rows, problem.shape[0]), (columns, problem.shape[1])):
        order = np.argsort(lines, kind="stable")
        ends = np.cumsum(np.bincount(lines, minlength=length))[:-1]
        for members in np.split(order, ends):
            yield _Row(members, 1.0, float(problem.required == length), 1.0)


def _counts(problem: Pairing, variables: int) -> Iterator[_Row]:
    everything = np.arange(variables)
    if problem.required is not None and problem.required not in problem.shape:
        yield _Row(everything, 1.0, problem.required, problem.required, f"exactly {problem.required} pairs")
    if problem.max_pairs is not None:
        yield _Row(everything, 1.0, -np.inf, problem.max_pairs, f"at most {problem.max_pairs} pairs")


def _side(problem: Pairing, rows: Indices, columns: Indices) -> Iterator[_Row]:
    for row, column in [] if problem.forced is None else problem.forced.tolist():
        members = np.flatnonzero((rows == row) & (columns == column))
        yield _Row(members, 1.0, 1.0, 1.0, f"the forced pair ({row}, {column})")
    for lines, labels, side in ((rows, problem.tied_rows, "rows"), (columns, problem.tied_columns, "columns")):
        for label, group in tied_groups(labels):
            for other in group[1:]:
                members = np.flatnonzero((lines == group[0]) | (lines == other))
                signs = np.where(lines[members] == other, 1.0, -1.0)
                yield _Row(members, signs, 0.0, 0.0, f"the tied {side} of group {label}")
    for budget in problem.budgets:
        used = budget.clipped[rows, columns]
        members = np.flatnonzero(used)
        yield _Row(members, used[members], -np.inf, budget.limit, f"budget {budget.name!r}")
