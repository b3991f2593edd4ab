"""Forward selection: keep the unit that lowers the value most, again and again."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.column_subset.residual import Residual
from pam_opt_solvers.problems.column_subset import ColumnSubset

Indices = NDArray[np.int64]


def forward(problem: ColumnSubset, residual: Residual, kept: Indices, count: int) -> Iterator[tuple[int, float]]:
    """Yield the next unit to keep and the value with it, until ``count`` are kept; ties go to the lower index.

    Parameters
    ----------
    residual : that of ``kept``; it is changed
    kept : units that are kept already, which some decision extends

    Notes
    -----
    The unit maximises ``sum_u importance_u R_uj^2 / (R_jj + ridge)`` over the units that the quota lets follow [1]_.
    Once they have no variance left, the rest is filled up by importance and changes nothing.

    References
    ----------
    .. [1] A. K. Farahat et al., Greedy column subset selection for large-scale data sets, 2013, arXiv:1312.6838.
    """
    own = residual.importance * residual.initial
    kept = kept.copy()
    while len(kept) < count:
        open_units = problem.may_follow(kept)
        live = open_units & residual.live
        if live.any():
            unit = int(np.where(live, residual.gains, -1.0).argmax())
            residual.keep(unit)
        else:
            unit = int(np.where(open_units, own, -1.0).argmax())
        kept = np.append(kept, unit)
        yield unit, residual.value
