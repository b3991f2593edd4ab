"""A grouping in the form that our methods work on: limits of 1, costs per unit above its cheapest."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.grouping import Grouping

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

CEILING = 1e150
"""Scaled extra costs above this count as this: so that no product overflows, and a bound only gets lower."""


@dataclass(frozen=True, eq=False)
class Normal:
    """Permitted choices, scaled costs and the loads that they put on the budgets which can break.

    Parameters
    ----------
    problem : what it stands for
    extra : (n, G) scaled cost above the unit's cheapest permitted group; +inf = not permitted
    scale : of the costs: ``cost = scale * extra + cheapest of the unit``
    loads : (B, n, G) part of each budget's limit that a choice uses, 0 where not permitted
    kept : (B,) the budgets of the problem that these are; the others cannot break
    """

    problem: Grouping
    extra: Floats
    scale: float
    loads: Floats
    kept: Indices

    @classmethod
    def of(cls, problem: Grouping) -> "Normal":
        """Scale a problem in which every unit has a permitted group."""
        permitted = problem.permitted
        costs = np.where(permitted, problem.cost, np.inf)
        with np.errstate(over="ignore"):
            extra = costs - costs.min(axis=1, keepdims=True, initial=np.inf)
        finite = extra[(extra > 0) & (extra < np.inf)]
        scale = float(np.median(finite)) if finite.size else 1.0
        with np.errstate(over="ignore"):
            extra = np.where(permitted, np.minimum(extra / scale, CEILING), np.inf)
        table = problem.linear
        # A budget whose limit is 0 only forbids, which ``permitted`` says already.
        limits = np.where(table.limits > 0, table.limits, np.inf)
        loads = (table.weights / limits[:, None])[:, :, None] * table.rates[:, None, :]
        loads = np.where(permitted, np.nan_to_num(loads, posinf=0.0), 0.0)
        kept = np.flatnonzero(loads.max(axis=2, initial=0.0).sum(axis=1) > 1.0)
        return cls(problem, extra, scale, loads[kept], kept)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of units and of groups."""
        return self.extra.shape[0], self.extra.shape[1]

    @cached_property
    def flat(self) -> Floats:
        """``(B, n * G)`` loads of all choices."""
        return self.loads.reshape(len(self.loads), self.extra.size)

    @cached_property
    def by_choice(self) -> Floats:
        """``(n, G, B)`` loads, those of one choice side by side."""
        return np.ascontiguousarray(self.loads.transpose(1, 2, 0))

    def use(self, decision: Indices) -> Floats:
        """Return (B,) the part of each limit that a decision uses."""
        return self.loads[:, np.arange(self.shape[0]), decision].sum(axis=1)

    def value(self, decision: Indices) -> float:
        """Return the scaled extra cost of a decision."""
        return float(self.extra[np.arange(self.shape[0]), decision].sum())

    def priced(self, prices: Floats) -> Floats:
        """Return (n, G) extra costs plus loads at prices (B,)."""
        return self.extra + (prices @ self.flat).reshape(self.shape)
