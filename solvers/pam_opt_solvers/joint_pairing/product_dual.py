"""The Lagrangian dual of a joint pairing whose products of choices are variables of their own.

All rows that tie a product ``y_ijkl`` to its two choices (`joint_program`) are relaxed. What is left is one
linear assignment per space and, for every product, its own sign. The dual optimum is the linear relaxation
of [1]_, which is tight on most planted instances. It is climbed by blocks: the minimum is smoothed by an
entropy at a temperature, at which the best multipliers of one family of rows have a closed form [2]_, and
the temperature falls. The bound of the multipliers found is then evaluated without smoothing.

References
----------
.. [1] W. P. Adams and T. A. Johnson, "Improved linear programming-based lower bounds for the quadratic
   assignment problem", DIMACS Series 16, 1994, doi:10.1090/dimacs/016/02
.. [2] O. Meshi, T. Jaakkola and A. Globerson, "Convergence rate analysis of MAP coordinate minimization
   algorithms", NeurIPS 2012
"""

import math
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.gilmore_lawler import EPSILON, least_assignment
from pam_opt_solvers.problems.joint_program import Products

Array = NDArray[np.float64]
Spaces = tuple[int, int]


class ProductDual:
    """Multipliers of every family of rows, and the costs that they leave.

    Parameters
    ----------
    products : all costs of the problem
    addends : most numbers whose sum one entry of them is, for its rounding
    """

    def __init__(self, products: Products, addends: int) -> None:
        self.products, self.addends = products, addends
        self.single = [costs.copy() for costs in products.single]
        self.coupled = {spaces: costs.copy() for spaces, costs in products.coupled.items()}
        self.multipliers = {
            spaces: [np.zeros_like(view.min(axis=axis, keepdims=True)) for _, view, axis in _families(spaces, costs)]
            for spaces, costs in self.coupled.items()
        }

    @cached_property
    def scale(self) -> float:
        """Typical spread of the products' costs; 0 = there is nothing to climb."""
        finite = [costs[np.isfinite(costs)] for costs in self.products.coupled.values()]
        return max((float(np.abs(costs - costs.mean()).mean()) for costs in finite), default=0.0)

    def climb(self, temperature: float, stop: Callable[[], bool]) -> None:
        """Set the multipliers of every family of rows in turn to the best ones, given the others, at a temperature."""
        for spaces, costs in self.coupled.items():
            for (space, view, axis), multiplier in zip(_families(spaces, costs), self.multipliers[spaces], strict=True):
                if stop():
                    return
                self._set_best(space, view, axis, multiplier, temperature)

    def _set_best(self, space: int, view: Array, axis: int, multiplier: Array, temperature: float) -> None:
        """Level a choice with all soft minima over its products: what they offer is shared out evenly."""
        offered = _soft_minimum(view, temperature, axis)
        shares = offered.shape[2] * offered.shape[3] + 1
        level = (self.single[space] + offered.sum(axis=(2, 3))) / shares
        moved = offered - level[:, :, None, None]
        view -= moved
        multiplier += moved
        self.single[space] = level
        for side in (1, 0):  # one choice per unit: shifts that no decision notices
            self.single[space] -= _soft_minimum(self.single[space], temperature, side)

    def bound(self) -> tuple[float, list[Array]]:
        """Return a lower bound on every decision, true in floating point, and the reduced costs of all choices."""
        single, magnitude = [costs.copy() for costs in self.products.single], [abs(c) for c in self.products.single]
        rounding = 0.0
        for spaces, costs in self.products.coupled.items():
            rest = costs.copy()
            largest = float(costs[np.isfinite(costs)].max(initial=0.0))
            for (space, view, _), multiplier in zip(_families(spaces, rest), self.multipliers[spaces], strict=True):
                view -= multiplier
                largest += float(np.abs(multiplier).max(initial=0.0))
                _add(single, magnitude, space, multiplier)
            for space, view, axis in _families(spaces, rest):
                least = view.min(axis=axis, keepdims=True)
                view -= least
                largest += float(np.abs(least).max(initial=0.0))
                _add(single, magnitude, space, least)
            rounding += costs.shape[0] * costs.shape[2] * largest * (self.addends + 64) * EPSILON
        for costs in magnitude:
            rounding += len(costs) * float(costs.max(initial=0.0)) * (self.addends + 64) * EPSILON
        total = math.fsum([self.products.constant, *map(least_assignment, single)])
        return total - rounding - 4 * EPSILON * abs(total), single


def _add(single: list[Array], magnitude: list[Array], space: int, moved: Array) -> None:
    single[space] = single[space] + moved.sum(axis=(2, 3))
    magnitude[space] = magnitude[space] + np.abs(moved).sum(axis=(2, 3))


def _families(spaces: Spaces, costs: Array) -> Iterator[tuple[int, Array, int]]:
    """Yield for each family of rows the space of its choices, a view with these first, and the axis summed."""
    for space, view in zip(spaces, (costs, costs.transpose(2, 3, 0, 1)), strict=True):
        yield space, view, 3
        yield space, view, 2


def _soft_minimum(values: Array, temperature: float, axis: int) -> Array:
    """Return ``-temperature log sum exp(-values / temperature)`` along an axis, which is kept."""
    least = values.min(axis=axis, keepdims=True)
    return least - temperature * np.log(np.exp((least - values) / temperature).sum(axis=axis, keepdims=True))
