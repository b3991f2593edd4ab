"""What it costs that some units of a layer are kept and stand for the others: in predicted loss, as pair costs are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pam_opt.measuring import LayerStatistics
from pam_opt.pair_costs.fisher import FLOOR


@dataclass(frozen=True, eq=False)
class Pool:
    """Lay all units of all parents of one layer end to end: N units, parent after parent.

    Parameters
    ----------
    owner : (N,) int64, the parent of every unit, an index of the tasks
    weight : (N,) what a variance of 1 that the unit's readers miss adds to the loss of its own task,
        ``positions / 2 * F_t(u)``, with the same floor under the Fisher information as in `fisher_cost`, so that
        units that never fire do not stand for each other at random
    covariance : (N, N) of pre-activations, within and across parents
    parts : where several layers write the units, the pool at each of them. Its weights then sum up, and its covariance
        is their sum with each unit scaled by the root of its part of the weight there: ``weight * variance`` is the
        sum over the layers, and a regression on kept units is one for all of them, as it is for what reads the sum
    """

    owner: np.ndarray
    weight: np.ndarray
    covariance: np.ndarray
    parts: tuple["Pool", ...] = ()

    @classmethod
    def of(cls, layer: LayerStatistics, tasks: Sequence[str]) -> "Pool":
        """Collect the units of the tasks' parents."""
        first, *further = [cls._at_one_layer(writer, tasks) for writer in layer.writers]
        if not further:
            return first
        parts = (first, *further)
        weight = sum((part.weight for part in parts), start=np.zeros(len(first.owner)))
        covariance = np.zeros_like(first.covariance)
        for part in parts:
            scale = np.sqrt(part.weight / weight)
            covariance += part.covariance * scale[:, None] * scale[None, :]
        return cls(first.owner, weight, covariance, parts)

    @classmethod
    def _at_one_layer(cls, layer: LayerStatistics, tasks: Sequence[str]) -> "Pool":
        units = [layer.units[task].fisher for task in tasks]
        owner, fisher = np.repeat(np.arange(len(tasks)), [len(own) for own in units]), np.concatenate(units)
        floor = FLOOR * fisher.mean() or 1.0
        covariance = np.block([[layer.cross(s, t) for t in tasks] for s in tasks])
        return cls(owner, 0.5 * layer.positions * (fisher + floor), (covariance + covariance.T) / 2)

    @cached_property
    def variance(self) -> np.ndarray:
        """(N,) variance of every unit."""
        return np.maximum(self.covariance.diagonal(), 0.0)

    @cached_property
    def correlation(self) -> np.ndarray:
        """(N, N) correlation; a constant unit correlates with nothing but itself."""
        scale = np.sqrt(self.variance)
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        correlation = np.clip(self.covariance * inverse[:, None] * inverse[None, :], -1.0, 1.0)
        np.fill_diagonal(correlation, 1.0)
        return correlation

    @cached_property
    def cost(self) -> np.ndarray:
        """(N, N) predicted loss of reading unit u, a row, from a kept unit r, a column.

        ``c_ur = positions / 2 * F_t(u) * var(u) * (1 - max(rho_ur, 0)^2)``: what the best rising line through r
        leaves of u, in the loss of u's own task. A negative correlation counts as none: what is read is the
        activation, and where a rectifier lets u through it has shut r. The diagonal is 0, and no entry is dearer
        than dropping u. Where several layers write the units, their losses add up.
        """
        if self.parts:
            return sum((part.cost for part in self.parts), start=np.zeros_like(self.covariance))
        return (self.weight * self.variance)[:, None] * (1.0 - np.maximum(self.correlation, 0.0) ** 2)

    def residual(self, kept: np.ndarray) -> np.ndarray:
        """Return the covariance that is left, (N, N), when all units are regressed on the kept ones together."""
        own, across = self.covariance[np.ix_(kept, kept)], self.covariance[kept]
        left = self.covariance - across.T @ np.linalg.lstsq(own, across, rcond=1e-10)[0]
        return (left + left.T) / 2

    def joint_loss(self, kept: np.ndarray) -> float:
        """Return the predicted loss when every unit is read from all kept ones together, by regression."""
        return float(self.weight @ np.maximum(self.residual(kept).diagonal(), 0.0))
