"""A grouping with linear rows in place of its joint budgets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping import separation
from pam_opt_solvers.grouping.normal import Normal
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.search import Search

Floats = NDArray[np.float64]

PATIENCE = 4
"""Rounds without a price after which a row is dropped."""


@dataclass
class _Cut:
    budget: JointBudget
    row: separation.Row
    number: int
    idle: int = 0


class Relaxation:
    """The problem with cuts in place of its joint budgets.

    Parameters
    ----------
    problem : with joint budgets
    """

    def __init__(self, problem: Grouping) -> None:
        self.problem = problem
        self.whole = Normal.of(problem)
        self.rounds, self.made, self.error = 0, 0, 0.0
        self._costs = np.where(problem.permitted, problem.cost, np.inf)
        self._cuts: list[_Cut] = []
        for budget in problem.joint:
            empty = np.zeros(0, np.int64)
            self._add(budget, list(separation.support_rows(budget, empty, np.zeros(problem.shape[0]))))

    def _add(self, budget: JointBudget, rows: list[separation.Row]) -> None:
        for row in rows:
            self.made += 1
            self._cuts.append(_Cut(budget, row, self.made))

    def linear(self) -> Grouping:
        """Return the relaxation as a problem; its last budgets are the cuts."""
        problem = self.problem
        units, groups = problem.shape
        cuts = BudgetTable(
            np.array([cut.row[0] for cut in self._cuts]).reshape(-1, units),
            np.array([cut.budget.groups for cut in self._cuts], np.float64).reshape(-1, groups),
            np.array([cut.row[1] for cut in self._cuts]),
            tuple(f"{cut.budget.name}, cut {cut.number}" for cut in self._cuts),
        )
        return Grouping(problem.groups, self._costs, problem.linear.extended(cuts))

    def cut_decision(self, decision: NDArray[np.int64], search: Search) -> bool:
        """Cut off every set of a decision that breaks its joint budget, while there is time; return whether one did."""
        before = self.made
        for budget in self.problem.joint:
            members = self.problem.members(decision, budget.groups)
            if budget.function.value(members) > budget.allowed:
                for row in separation.sharp_rows(budget, members):
                    self._add(budget, [row])
                    if search.out_of_time:
                        break
        self.rounds += self.made > before
        return self.made > before

    def cut_shares(self, shares: Floats) -> bool:
        """Cut off a fractional choice (n, G); return whether there was a row for it."""
        before = self.made
        for budget in self.problem.joint:
            self._add(budget, list(separation.broken_rows(budget, shares @ budget.groups)))
        self.rounds += self.made > before
        return self.made > before

    def drop_idle(self, normal: Normal, prices: Floats) -> None:
        """Drop cuts that have had no price for some rounds, given prices of the normal form of `linear`."""
        priced = np.zeros(len(normal.problem.linear))
        priced[normal.kept] = prices
        least = 1e-6 * priced.max(initial=0.0)
        for cut, price in zip(self._cuts, priced[len(self.problem.linear) :], strict=True):
            cut.idle = 0 if price > least else cut.idle + 1
        self._cuts = [cut for cut in self._cuts if cut.idle < PATIENCE]

    @property
    def note(self) -> str:
        """What was cut, for the run record."""
        return f"{self.made} cuts in {self.rounds} rounds, {len(self._cuts)} kept"
