"""Information as a set function of the solvers, so that joint budgets of their problems are budgets of information."""

import numpy as np
import torch
from numpy.typing import NDArray

from pam_opt.errors import PlanError
from pam_opt.information.estimator import Estimator
from pam_opt.information.estimator import Growth as EstimatorGrowth
from pam_opt.information.regroup import greedy_set
from pam_opt_solvers.problems.set_functions import Growth, SetFunction

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class UnitInformation(SetFunction):
    """The joint information of a layer's units with one task, nats.

    An estimate is only nearly monotone, and so is this.

    Parameters
    ----------
    estimator : of the layer and the task
    scan : how `least_set` searches, see `pam_opt.information.regroup.greedy_set`
    """

    kind = "unit_information"
    rounding = 1e-6
    monotone = False

    def __init__(self, estimator: Estimator, scan: str = "lazy") -> None:
        self._estimator, self._scan = estimator, scan
        self._least: dict[tuple[float, bytes], NDArray[np.bool_]] = {}

    @property
    def size(self) -> int:
        """Number of units."""
        return self._estimator.units

    def value(self, members: Indices) -> float:
        """Return the information of a set, never below 0."""
        return max(0.0, self._estimator.information(members.tolist()))

    def added(self, members: Indices) -> Floats:
        """Return (n,) the information with each unit added."""
        growth = self._estimator.grow()
        for unit in members.tolist():
            growth.add(unit)
        return _values(growth)

    def grow(self) -> Growth:
        """Return an empty set to be grown unit by unit."""
        return _Growing(self, self._estimator.grow())

    def least_set(self, limit: float, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return (n,) PAM's greedy set of some units within a limit, by the lazy scan."""
        key = limit, among.tobytes()
        if key not in self._least:
            found = greedy_set(self._estimator.grow(), np.flatnonzero(among).tolist(), limit, self._scan)
            self._least[key] = np.isin(np.arange(self.size), found.units)
        return self._least[key].copy()

    def arrays(self) -> dict[str, Floats]:
        """Refuse to be written to a file: responses are no part of a problem's file."""
        raise PlanError("a budget of estimated information cannot be written to a file; save the plan instead")


class _Growing(Growth):
    def __init__(self, function: SetFunction, growth: EstimatorGrowth) -> None:
        super().__init__(function)
        self._growth = growth

    def candidates(self) -> Floats:
        return _values(self._growth)

    def add(self, unit: int) -> None:
        super().add(unit)
        self._growth.add(unit)


def _values(growth: EstimatorGrowth) -> Floats:
    return growth.values().clamp(min=0.0).to(torch.float64).cpu().numpy()
