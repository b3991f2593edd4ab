"""Greedy pairing: the cheapest permitted pair of two free units, again and again; the usual baseline.

A pair that is the cheapest of its row and of its column is chosen sooner or later whatever happens elsewhere,
so all such pairs are taken at once and the rest is compacted. On unstructured costs a round halves both
sides, and the whole takes little more than two passes over the matrix, where sorting all pairs is many times
dearer. Where rounds find little (many ties, costs ordered alike in all rows), the remaining pairs are sorted
after all.
"""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.pairing import PLAIN, Pairing
from pam_opt_solvers.solver import Solver

Matrix = NDArray[np.float64]
Indices = NDArray[np.int64]

_LEAST_PROGRESS = 1 / 16
"""Part of the shorter side that a round must match to be cheaper than sorting the rest."""

_CHUNK = 4
"""Sorted pairs are filtered in chunks of this many times the sides' sum."""


def greedy_pairs(weights: Matrix, ceiling: float) -> Indices:
    """Return the (k, 2) pairs of best-pair-first among weights below ``ceiling``; ties by row-major index."""
    rows, columns = np.arange(weights.shape[0]), np.arange(weights.shape[1])
    found = [np.zeros((0, 2), np.int64)]
    while weights.size:
        pairs, keep_rows, keep_columns = _round(weights, ceiling)
        found.append(np.column_stack([rows[pairs[:, 0]], columns[pairs[:, 1]]]))
        slow = len(pairs) < _LEAST_PROGRESS * min(weights.shape)
        weights = weights[np.ix_(keep_rows, keep_columns)]
        rows, columns = rows[keep_rows], columns[keep_columns]
        if slow and weights.size:
            pairs = _by_sorting(weights, ceiling)
            found.append(np.column_stack([rows[pairs[:, 0]], columns[pairs[:, 1]]]))
            break
    return np.concatenate(found)


def _round(weights: Matrix, ceiling: float) -> tuple[Indices, Indices, Indices]:
    """Return the pairs that are first of their row and column, and the lines that may still pair."""
    best_column = weights.argmin(axis=1)
    best_row = weights.argmin(axis=0)
    lines = np.arange(len(weights))
    open_rows = weights[lines, best_column] < ceiling
    open_columns = weights[best_row, np.arange(weights.shape[1])] < ceiling
    # argmin returns the first of equals, which in either direction is the row-major tie-break.
    taken = open_rows & (best_row[best_column] == lines)
    pairs = np.column_stack([lines[taken], best_column[taken]])
    open_rows[pairs[:, 0]] = False
    open_columns[pairs[:, 1]] = False
    return pairs, np.flatnonzero(open_rows), np.flatnonzero(open_columns)


def _by_sorting(weights: Matrix, ceiling: float) -> Indices:
    flat = weights.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[: np.searchsorted(flat, ceiling, sorter=order)]
    free_row, free_column = (np.ones(length, bool) for length in weights.shape)
    pairs: list[tuple[int, int]] = []
    step = _CHUNK * sum(weights.shape)
    for start in range(0, len(order), step):
        if len(pairs) == min(weights.shape):
            break
        rows, columns = np.divmod(order[start : start + step], weights.shape[1])
        possible = free_row[rows] & free_column[columns]
        for row, column in zip(rows[possible].tolist(), columns[possible].tolist(), strict=True):
            if free_row[row] and free_column[column]:
                free_row[row] = free_column[column] = False
                pairs.append((row, column))
    return np.array(pairs, np.int64).reshape(-1, 2)


class Greedy(Solver[Matrix]):
    """Take the cheapest permitted pair until the count is reached or, with opt-outs, until no pair gains."""

    name = "greedy"
    exact = False
    features = PLAIN
    description = "heuristic; cheapest pair first; the baseline"

    def _build(self, problem: Pairing, options: Options) -> Matrix:
        return problem.weights

    def _run(self, model: Matrix, problem: Pairing, options: Options) -> Outcome:
        pairs = greedy_pairs(model, problem.ceiling)
        if problem.required is not None:
            # Best-pair-first chooses in order of (weight, row-major index), so the first k are the k least.
            order = np.lexsort((pairs[:, 1], pairs[:, 0], model[pairs[:, 0], pairs[:, 1]]))
            pairs = pairs[order[: problem.required]]
            if len(pairs) < problem.required:
                note = f"stopped at {len(pairs)} of {problem.required} pairs; all others are forbidden or taken"
                return Outcome(Status.NO_DECISION, note=note)
        return Outcome(Status.FEASIBLE, pairs)

    def worst_seconds(self, problem: Pairing) -> float:
        """Return 1 microsecond a pair: sorting all of them and looking at each."""
        return 1e-6 * problem.cost.size + 0.01
