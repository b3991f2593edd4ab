"""Lagrangian relaxation of the budget: one price of the spending, found by cutting planes on a line [1].

For every price ``p >= 0`` the least ``objective + p (spent - budget)`` over all plans, a path found exactly by dynamic
programming, is a lower bound. The bound is concave in p: two paths, one inside the budget and one outside, show where
it can be highest, and that price is tried next. Paths inside the budget are solutions on the way.

[1] A. M. Geoffrion, "Lagrangean relaxation for integer programming", Mathematical Programming Study 2, 1974,
    doi:10.1007/BFb0120690.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pam_opt_solvers.network_plan.chain import Indices
from pam_opt_solvers.network_plan.costs import Layers

MOST_ROUNDS = 60
LARGEST_PRICE = 1e100

ENOUGH = 0.02
"""A price is good enough if a better one can close no more than this part of the gap to what is to be beaten."""


@dataclass(frozen=True)
class Point:
    """A path and its two costs."""

    path: Indices
    objective: float
    spent: float

    @classmethod
    def of(cls, layers: Layers, path: Indices) -> "Point":
        """Return a path with its costs."""
        return cls(path, layers.objective.cost(path), layers.spent.cost(path))


@dataclass(frozen=True)
class Dual:
    """What the relaxation shows.

    Parameters
    ----------
    bound : lower bound on the objective of all plans within the budget; +inf = there are none
    price : at which it holds
    inside, outside : the last path that meets the budget, and the last one that does not
    exact : whether ``inside`` is optimal but for rounding: the best path of all meets the budget
    """

    bound: float
    price: float
    inside: Point | None
    outside: Point | None
    exact: bool = False


def maximise(layers: Layers, price: float, target: float, found: Callable[[Point], None]) -> Dual:
    """Return the highest bound, or one above ``target``.

    Parameters
    ----------
    price : to start from
    target : stop where the bound reaches it, or can come little nearer to it
    found : called with every path that meets the budget
    """
    budget = layers.allowed
    bound, best_price = -np.inf, price
    inside: Point | None = None
    outside: Point | None = None
    for _ in range(MOST_ROUNDS):
        chain = layers.priced(price)
        least, path = chain.best()
        here = least - chain.error - price * budget
        if here > bound:
            bound, best_price = here, price
        point = Point.of(layers, path)
        if point.spent <= budget:
            found(point)
            inside = point
        else:
            outside = point
        if point is inside and price == 0:
            return Dual(bound, best_price, inside, outside, exact=True)
        if bound >= target:
            break
        if inside is None and price >= LARGEST_PRICE:
            break
        if inside is None:
            spent, path = layers.spent.best()
            if spent - layers.spent.error > budget:
                return Dual(np.inf, price, None, outside)
            inside = Point.of(layers, path)
            if inside.spent > budget:
                break
            found(inside)
        if outside is None:
            price = 0.0
            continue
        rise = outside.spent - inside.spent
        nearer = min(max(0.0, (inside.objective - outside.objective) / rise), LARGEST_PRICE) if rise > 0 else 0.0
        highest = inside.objective + nearer * (inside.spent - budget)
        slack = ENOUGH * (target - bound) if np.isfinite(target) else 0.0
        if nearer == price or highest - bound <= max(slack, 2 * chain.error):
            break
        price = nearer
    return Dual(bound, best_price, inside, outside)
