"""The Lagrangian relaxation of representatives: a true bound for any multipliers, and what it tells of each unit [1].

Relaxing "every unit has one representative" with multipliers lambda leaves, for every unit j that might be kept, ::

    rho_j = c_jj - lambda_j + sum_{u != j} min(0, c_uj - lambda_u)

(with capacities only the most negative terms), of which the cheapest set within the count is chosen. Only pairs
cheaper than lambda_u count, so the nearest neighbours of each unit are enough: far less than all n^2 pairs.

[1] G. Cornuejols, M. L. Fisher and G. L. Nemhauser, "Location of bank accounts to optimize float", Management
Science 23(8), 1977, doi:10.1287/mnsc.23.8.789.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.quota import Quota
from pam_opt_solvers.representatives.scaled import Neighbours, Scaled
from pam_opt_solvers.representatives.selection import Rule, Selection, cheapest

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Of the units (n,), any sign; and, >= 0, of least and most of every class of each quota after the first."""

    units: Vector
    least: tuple[Vector, ...] = ()
    most: tuple[Vector, ...] = ()


@dataclass(frozen=True, eq=False)
class Point:
    """What multipliers show, in scaled units.

    Parameters
    ----------
    multipliers : they
    bound : lower bound on every decision, less the rounding of its computation; +inf = there is none
    weights : (n,) rho of every unit, with the multipliers of further quotas
    selection : the cheapest set
    slope : (n,) subgradient of the bound in the units' multipliers
    least, most : subgradients in the others
    """

    multipliers: Multipliers
    bound: float
    weights: Vector
    selection: Selection | None
    slope: Vector
    least: tuple[Vector, ...] = ()
    most: tuple[Vector, ...] = ()


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Evaluates multipliers.

    Parameters
    ----------
    scaled : the problem
    neighbours : the pairs that it looks at; multipliers stay below their ``beyond``
    rule : count and first quota
    further : quotas after the first, relaxed too
    """

    scaled: Scaled
    neighbours: Neighbours
    rule: Rule
    further: tuple[Quota, ...] = ()
    capacities: NDArray[np.int64] | None = field(default=None)

    @classmethod
    def of(cls, scaled: Scaled) -> "Relaxation":
        """Build the relaxation of a problem."""
        problem = scaled.problem
        return cls(scaled, scaled.neighbours, Rule.of(problem), problem.quotas[1:], problem.binding_capacities)

    def start(self, units: Vector) -> Multipliers:
        """Return multipliers with those of further quotas at 0, and ``units`` capped where pairs are left out."""
        zeros = tuple(np.zeros(len(quota.limits[0])) for quota in self.further)
        return Multipliers(np.minimum(units, self.neighbours.beyond), zeros, zeros)

    def at(self, multipliers: Multipliers) -> Point:
        """Evaluate the relaxation."""
        weights, pairs, total = self.weights(multipliers)
        selection = cheapest(weights, self.rule)
        if selection is None:
            return Point(multipliers, np.inf, weights, None, np.zeros(len(weights)))
        chosen = selection.chosen
        value = total + float(weights[chosen].sum())
        bound = value - self.rounding(multipliers, weights, chosen)
        if bound > len(weights):  # no scaled cost is above 1, so there is no decision
            bound = np.inf
        served = pairs[chosen[self.neighbours.columns.ravel()[pairs]]] // self.neighbours.width
        slope = (1.0 - chosen - np.bincount(served, minlength=len(weights))).astype(np.float64)
        counts = [quota.counts(chosen) for quota in self.further]
        least = tuple(
            (quota.limits[0] - count).astype(np.float64) for quota, count in zip(self.further, counts, strict=True)
        )
        most = tuple(
            (count - quota.limits[1]).astype(np.float64) for quota, count in zip(self.further, counts, strict=True)
        )
        return Point(multipliers, bound, weights, selection, slope, least, most)

    def weights(self, multipliers: Multipliers) -> tuple[Vector, NDArray[np.int64], float]:
        """Return rho (n,), the flat places of the neighbour pairs that enter it, and the constant of the bound."""
        units = multipliers.units
        reduced = (self.neighbours.costs - units[:, None]).ravel()
        pairs = np.flatnonzero(reduced < 0)
        if self.capacities is not None:
            pairs = self._within_capacities(pairs, reduced)
        columns = self.neighbours.columns.ravel()[pairs]
        weights = self.scaled.keeping - units + np.bincount(columns, reduced[pairs], minlength=len(units))
        total = float(units.sum())
        for quota, least, most in zip(self.further, multipliers.least, multipliers.most, strict=True):
            weights = weights + (most - least)[quota.labels]
            total += float((least * quota.limits[0]).sum() - (most * quota.limits[1]).sum())
        return weights, pairs, total

    def _within_capacities(self, pairs: NDArray[np.int64], reduced: Vector) -> NDArray[np.int64]:
        """Leave every column the most negative pairs that its capacity takes."""
        assert self.capacities is not None
        columns = self.neighbours.columns.ravel()[pairs]
        order = np.lexsort((reduced[pairs], columns))
        columns = columns[order]
        starts = np.searchsorted(columns, columns)
        return np.sort(pairs[order[np.arange(len(order)) - starts < self.capacities[columns]]])

    def rounding(self, multipliers: Multipliers, weights: Vector, chosen: NDArray[np.bool_]) -> float:
        """Return more than float64 can have lost: every sum has at most ``terms`` terms, of this total size."""
        terms = 2 * len(weights) + 16 + sum(2 * len(quota.limits[0]) for quota in self.further)
        size = 2 * float(np.abs(multipliers.units).sum())
        size += float(np.abs(weights[chosen]).sum()) + 2 * float(np.abs(self.scaled.keeping[chosen]).sum())
        for quota, least, most in zip(self.further, multipliers.least, multipliers.most, strict=True):
            size += 2 * float(((least + most) * (1 + quota.limits[0] + quota.limits[1])).sum())
        return 2 * np.finfo(np.float64).eps * terms * size
