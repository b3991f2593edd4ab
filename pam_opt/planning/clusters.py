"""Clusters under way: units of several parents that will become one, and their statistics as a whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.measuring import LayerStatistics
from pam_opt.pair_costs import COSTS, PairStatistics, Side
from pam_opt.plans import LayerPlan
from pam_opt.tasks import Group

Incoming = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(members, shares) -> (clusters, values) incoming weights on inputs common to all."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Hold clusters of one layer over the parents placed so far.

    Parameters
    ----------
    layer : statistics of the layer, and of those that write the same units
    tasks : the parents' tasks, columns of `members`
    members : (n, K) unit of each parent in each cluster, -1 for none
    """

    layer: LayerStatistics
    tasks: Sequence[str]
    members: np.ndarray

    @classmethod
    def of_parent(cls, layer: LayerStatistics, tasks: Sequence[str], task: str) -> "Clusters":
        """Make a cluster of every unit of one parent."""
        units = len(layer.units[task].mean)
        members = np.full((units, len(tasks)), -1)
        members[:, list(tasks).index(task)] = np.arange(units)
        return cls(layer, tasks, members)

    def total(self, field: str) -> np.ndarray:
        """Sum a field of `UnitStatistics`, such as ``importance``, over each cluster's members."""
        return self._gather(self.layer, field).sum(axis=1)

    @property
    def shares(self) -> np.ndarray:
        """(n, K) weight of each member: its part of the cluster's Fisher information; equal parts if that is zero.

        Where several layers write the units, it is the information at all of them and all their positions.
        """
        present = self.members >= 0
        fisher = self._information()
        fisher[fisher.sum(axis=1) <= 0] = 1.0
        fisher *= present
        return fisher / fisher.sum(axis=1, keepdims=True)

    def pair_statistics(self, other: "Clusters", task: str, incoming: Incoming) -> PairStatistics:
        """Describe all pairs of these clusters and another parent's units, `other` made by `of_parent`."""
        first, *further = [self._pairs_at(layer, other, task, incoming) for layer in self.layer.writers]
        return replace(first, further=tuple(further)) if further else first

    def _pairs_at(self, layer: LayerStatistics, other: "Clusters", task: str, incoming: Incoming) -> PairStatistics:
        covariance = self._covariance(layer, task, self.shares)
        return PairStatistics(self._side(layer, incoming), other._side(layer, incoming), covariance, layer.positions)

    def _side(self, layer: LayerStatistics, incoming: Incoming) -> Side:
        """Describe the clusters, as one layer writes them, as one side of a pairing."""
        shares = self.shares
        mean = (shares * self._gather(layer, "mean")).sum(axis=1)
        fisher = self._gather(layer, "fisher").sum(axis=1)
        return Side(mean, self._variance(layer, shares), fisher, lambda: incoming(self.members, shares))

    def paired(self, other: "Clusters", pairs: np.ndarray) -> "Clusters":
        """Merge pairs (k, 2) of these clusters and others, and keep the rest of both as they are."""
        members = self.members.copy()
        members[pairs[:, 0]] = np.maximum(members[pairs[:, 0]], other.members[pairs[:, 1]])
        rest = np.setdiff1d(np.arange(len(other.members)), pairs[:, 1])
        return Clusters(self.layer, self.tasks, np.concatenate([members, other.members[rest]]))

    def plan(self, groups: Sequence[Group]) -> LayerPlan:
        """Make these clusters the layer's merged units, each with its group; units outside are dropped."""
        units = [len(self.layer.units[task].mean) for task in self.tasks]
        return LayerPlan.of_members(self.layer.name, self.members, self.shares, groups, units)

    def _information(self) -> np.ndarray:
        """Fisher information of every member, (n, K); of several layers, summed over them and their positions."""
        if not self.layer.further:
            return self._gather(self.layer, "fisher")
        return sum(
            (layer.positions * self._gather(layer, "fisher") for layer in self.layer.writers),
            start=np.zeros(self.members.shape),
        )

    def _gather(self, layer: LayerStatistics, field: str) -> np.ndarray:
        """Read a field for every member, (n, K), 0 where there is none."""
        result = np.zeros(self.members.shape)
        for column, task in enumerate(self.tasks):
            rows = self.members[:, column] >= 0
            result[rows, column] = getattr(layer.units[task], field)[self.members[rows, column]]
        return result

    def _covariance(self, layer: LayerStatistics, task: str, shares: np.ndarray) -> np.ndarray:
        """Covariance of each cluster's weighted mean with each unit of a parent outside, (n, units)."""
        columns = [c for c in range(len(self.tasks)) if (self.members[:, c] >= 0).any()]
        if len(columns) == 1:
            whole = layer.cross(self.tasks[columns[0]], task)
            if np.array_equal(self.members[:, columns[0]], np.arange(len(whole))):
                return whole
        total = np.zeros((len(self.members), len(layer.units[task].mean)))
        for column in columns:
            rows = np.flatnonzero(self.members[:, column] >= 0)
            block = layer.cross(self.tasks[column], task)[self.members[rows, column]]
            total[rows] += block * shares[rows, column, None]
        return total

    def _variance(self, layer: LayerStatistics, shares: np.ndarray) -> np.ndarray:
        variance = (shares**2 * self._gather(layer, "variance")).sum(axis=1)
        for a, s in enumerate(self.tasks):
            for b, t in enumerate(self.tasks[a + 1 :], start=a + 1):
                rows = np.flatnonzero((self.members[:, a] >= 0) & (self.members[:, b] >= 0))
                if len(rows):
                    covariance = layer.cross(s, t)[self.members[rows, a], self.members[rows, b]]
                    variance[rows] += 2 * shares[rows, a] * shares[rows, b] * covariance
        return np.maximum(variance, 0.0)


def no_weights(members: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Refuse to give incoming weights, to costs that are taken from activations."""
    raise PlanError("this cost reads incoming weights, which are not at hand here; use a cost of activations")


def unit_costs(
    cost: str, layer: LayerStatistics, tasks: Sequence[str], one: str, two: str, incoming: Incoming = no_weights
) -> np.ndarray:
    """Return what merging each unit of parent `one` with each of parent `two` costs, (m, n).

    Raises
    ------
    PlanError : a cost of weights, without `incoming`
    """
    first, second = (Clusters.of_parent(layer, tasks, task) for task in (one, two))
    return COSTS[cost](first.pair_statistics(second, two, incoming))
