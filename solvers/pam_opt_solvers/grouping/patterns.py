"""What a unit costs by which joint budgets count it."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.problems.grouping import Grouping

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

SAME = 1e-9
"""Part of a step by which two costs may differ and still be equal."""


@dataclass(frozen=True, eq=False)
class Patterns:
    """Groups by the joint budgets that count them: of groups that are counted alike a unit takes the cheapest.

    Parameters
    ----------
    problem : a grouping with J joint budgets
    counted : (P, J) bool, the sets of budgets that count some group
    cost : (n, P) float64, of the cheapest permitted group; +inf = there is none
    group : (n, P) which group that is
    """

    problem: Grouping
    counted: Flags
    cost: Floats
    group: Indices

    @classmethod
    def of(cls, problem: Grouping) -> "Patterns":
        """Sort the groups of a problem."""
        flags = np.array([budget.groups for budget in problem.joint], bool).reshape(-1, problem.shape[1])
        counted, which = np.unique(flags.T, axis=0, return_inverse=True)
        costs = np.where(problem.permitted, problem.cost, np.inf)
        best = [np.where(which.ravel() == p, costs, np.inf).argmin(axis=1) for p in range(len(counted))]
        group = np.stack(best, axis=1)
        cost = np.where(which.ravel()[group] == np.arange(len(counted)), np.take_along_axis(costs, group, 1), np.inf)
        return cls(problem, counted, cost, group)

    @cached_property
    def table(self) -> Floats:
        """``(n, 2^J)``: the least cost if only these budgets may count the unit; bit j of the column is budget j."""
        budgets = self.counted.shape[1]
        codes = self.counted @ (1 << np.arange(budgets))
        inside = (codes[None, :] & ~np.arange(2**budgets)[:, None]) == 0
        return np.where(inside[None], self.cost[:, None, :], np.inf).min(axis=2)

    @property
    def separable(self) -> bool:
        """Whether every unit may stay out of all joint budgets, and nothing else restricts the choice."""
        return not len(self.problem.linear) and bool(np.isfinite(self.table[:, 0]).all())

    def useful(self) -> Flags:
        """Return (J, n) whether it may pay that a budget counts a unit."""
        columns = np.arange(self.table.shape[1])
        bits = 1 << np.arange(self.counted.shape[1])
        return np.array([(self.table[:, columns | bit] < self.table).any(axis=1) for bit in bits])

    def decision(self, sets: Flags) -> Indices:
        """Return the cheapest groups (n,) where budget j may count the units of sets (J, n) bool."""
        inside = ~(self.counted[None] & ~sets.T[:, None, :]).any(axis=2)
        pattern = np.where(inside, self.cost, np.inf).argmin(axis=1)
        return np.take_along_axis(self.group, pattern[:, None], 1)[:, 0]

    @cached_property
    def step(self) -> float:
        """A number of which all cost differences of all units are multiples; 0 = none was found."""
        extra = self.cost - self.cost.min(axis=1, keepdims=True)
        extra = extra[np.isfinite(extra)]
        least = float(extra.min(where=extra > SAME * extra.max(initial=0.0), initial=math.inf))
        if not math.isfinite(least):
            return 0.0
        multiples = extra / least
        exact = np.abs(multiples - np.rint(multiples)) <= SAME * np.maximum(1.0, multiples)
        return least if exact.all() and len(extra) * SAME < 0.1 else 0.0
