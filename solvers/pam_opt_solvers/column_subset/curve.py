"""The value of every number of kept units from one greedy run, with a lower bound for each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.column_subset.forward import forward
from pam_opt_solvers.column_subset.residual import Residual
from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems import ColumnSubset


@dataclass(frozen=True, eq=False)
class ColumnSubsetCurve:
    """Values and bounds over the number of kept units.

    Parameters
    ----------
    order : (P,) int64, units in the order in which greedy keeps them; the first p are the decision for p
    values : (P + 1,) float64, value of the first p units; falls with p
    bounds : (P + 1,) float64, no p units have a lower value; convex in p up to rounding
    """

    order: NDArray[np.int64]
    values: NDArray[np.float64]
    bounds: NDArray[np.float64]

    def decision(self, n_kept: int) -> NDArray[np.int64]:
        """Return the ``n_kept`` kept units, sorted."""
        if not 0 <= n_kept <= len(self.order):
            raise ProblemError(f"n_kept is {n_kept}; the curve reaches 0..{len(self.order)}")
        return np.sort(self.order[:n_kept])

    @property
    def envelope(self) -> NDArray[np.float64]:
        """``(P + 1,)`` float64: the largest convex curve below ``values``, for models that need one."""
        return lower_envelope(self.values)


def column_subset_curve(problem: ColumnSubset) -> ColumnSubsetCurve:
    """Return the value of every number of kept units along the greedy path, in one run.

    Parameters
    ----------
    problem : its ``n_kept`` plays no part; all units that may be kept are, one after another

    Raises
    ------
    ProblemError
        for a problem with a quota, which would have to change with the number of kept units

    Examples
    --------
    >>> import numpy as np
    >>> column_subset_curve(ColumnSubset(np.diag([4.0, 1.0, 2.0]), 1)).values.tolist()
    [7.0, 3.0, 1.0, 0.0]
    """
    if problem.quota is not None:
        raise ProblemError(f"a curve over n_kept cannot hold {problem.quota!r}; solve each n_kept, or drop the quota")
    scaled = problem.scaled
    steps = list(forward(problem, Residual(scaled), np.zeros(0, np.int64), int(problem.allowed.sum())))
    values = np.array([scaled.total, *(value for _, value in steps)])
    values = scaled.unscaled(np.minimum.accumulate(values))
    order = np.array([unit for unit, _ in steps], np.int64)
    return ColumnSubsetCurve(order, values, np.minimum(problem.spectral_bounds[: len(values)], values))


def lower_envelope(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest convex sequence that is nowhere above ``values`` (n,)."""
    corners: list[int] = []
    for point in range(len(values)):
        while len(corners) > 1 and _above(values, corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return np.minimum(np.interp(np.arange(len(values)), corners, values[corners]), values)


def _above(values: NDArray[np.float64], left: int, middle: int, right: int) -> bool:
    """Return whether the middle point lies on or above the line through the outer ones."""
    share = (middle - left) / (right - left)
    return bool(values[middle] >= values[left] * (1 - share) + values[right] * share)
