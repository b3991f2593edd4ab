"""Diving: fix what the relaxation is surest of, solve again, until all is decided."""

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.multi_pairing.column_lp import ColumnLp

SURE = 0.9
SHARE = 0.03
"""Share of the clusters that is fixed at least between two solves."""


def dive(lp: ColumnLp, deadline: float) -> Iterator[NDArray[np.int64]]:
    """Yield the clusters (c, 3) that a dive fixes, once; they may leave units out where the dive got stuck."""
    permitted = np.arange(len(lp.costs))
    fixed: list[int] = []
    taken = np.zeros(lp.n_rows + 1, bool)
    while time.perf_counter() < deadline:
        relaxed = lp.solve(permitted, deadline - time.perf_counter())
        if relaxed is None or not len(permitted):
            break
        if relaxed.whole:
            fixed = permitted[relaxed.share > 0.5].tolist()
            break
        before = len(fixed)
        _fix(lp, permitted, relaxed.share, fixed, taken)
        if len(fixed) == before:
            break
        open_rows = lp.rows[permitted]
        clear = ~taken[open_rows].any(axis=1)
        permitted = np.union1d(permitted[clear], np.array(fixed))
    yield lp.clusters[fixed]


def _fix(
    lp: ColumnLp, permitted: NDArray[np.int64], share: NDArray[np.float64], fixed: list[int], taken: np.ndarray
) -> None:
    least = max(1, int(SHARE * lp.n_rows / 3))
    added = 0
    for at in np.argsort(-share, kind="stable"):
        if share[at] < SURE and (added >= least or share[at] < 1e-6):
            break
        rows = lp.rows[permitted[at]]
        rows = rows[rows < lp.n_rows]
        if not taken[rows].any():
            taken[rows] = True
            fixed.append(int(permitted[at]))
            added += share[at] < 1 - 1e-6
