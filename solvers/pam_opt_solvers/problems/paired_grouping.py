"""Paired grouping: pairing and grouping at once, the group of every unit of two parents or the unit it merges with."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.budgets import (
    BudgetTable,
    JointBudget,
    joint_arrays,
    joint_from_arrays,
    negative_limits,
)
from pam_opt_solvers.problems.checks import as_float64, as_instances, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import as_groups
from pam_opt_solvers.problems.problem import Problem

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class PairedGrouping(Problem):
    """Put every unit of two parents alone into a group, or merge it with one of the other parent, at least cost.

    The m units of the first parent come first, then the n of the second. ``min sum_alone alone[u, g_u] + sum_pairs
    pair_cost[i, j]`` within budgets as in `Grouping`, in which both units of a pair count at the rate of a further last
    column: of what the units of some groups hold together, pairs as a rule count in none.

    A decision is (m + n,) int64: the group of a unit alone, or G + v for one that merges with unit v.

    Parameters
    ----------
    groups : (G, K) bool, which of K tasks each group serves; the row without tasks = dropped; no two rows alike
    alone : (m + n, G) float64, cost of each unit alone in each group; +inf = forbidden
    pair_cost : (m, n) float64, cost of each pair; +inf = forbidden
    budgets : linear budgets with rates (B, G + 1), see `BudgetTable`; default none
    joint : budgets of set functions with (G + 1,) groups; default none

    Raises
    ------
    ProblemError
        for NaN, -inf, magnitudes above 1e300, wrong shapes, groups that repeat

    Notes
    -----
    Without budgets this is an assignment: a `Pairing` in which to stay single costs what the best group costs. It
    stays one where budgets only close groups to units, which is what greedily grown sets of little information do.

    Examples
    --------
    Two twins, dropped (which is dear) or shared at 1.0 each; merged they cost 1.1 together:

    >>> import numpy as np
    >>> from pam_opt_solvers import PairedGrouping
    >>> problem = PairedGrouping(np.array([[False], [True]]), np.array([[5.0, 1.0], [5.0, 1.0]]), np.array([[1.1]]))
    >>> problem.value([1, 1]), problem.value([3, 2]), problem.violations([3, 1])
    (2.0, 1.1, ('unit 0 merges with unit 1, which does not merge with it',))
    """

    kind: ClassVar[str] = "paired_grouping"
    asks: ClassVar[frozenset[Feature]] = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})

    groups: Flags
    alone: Floats
    pair_cost: Floats
    budgets: BudgetTable | None = None
    joint: tuple[JointBudget, ...] = ()

    def __post_init__(self) -> None:
        self._set("groups", as_groups(self.groups))
        self._set("pair_cost", as_float64(self.pair_cost, "pair_cost", (None, None)))
        self._set("alone", as_float64(self.alone, "alone", (sum(self.pair_cost.shape), len(self.groups))))
        for name in ("alone", "pair_cost"):
            extent(getattr(self, name), name, allow_infinity=True)
        columns = self.n_groups + 1
        if self.budgets is None:
            self._set("budgets", BudgetTable.empty(self.n_units, columns))
        if not isinstance(self.budgets, BudgetTable):
            raise ProblemError(f"budgets must be a BudgetTable, not {type(self.budgets).__name__}")
        self._set("joint", as_instances(self.joint, "joint", JointBudget))
        for budget in (self.budgets, *self.joint):
            budget.check_shape(self.n_units, columns)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        joint = f", {len(self.joint)} joint" if self.joint else ""
        units = " + ".join(map(str, self.pair_cost.shape))
        return f"PairedGrouping({units} units, {self.n_groups} groups, {len(self.linear)} budgets{joint})"

    @property
    def n_units(self) -> int:
        """Number of units of both parents."""
        return len(self.alone)

    @property
    def n_groups(self) -> int:
        """Number of groups G."""
        return len(self.groups)

    @property
    def linear(self) -> BudgetTable:
        """The linear budgets."""
        assert self.budgets is not None
        return self.budgets

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support to take this problem."""
        infinite = any(array.size > 0 and array.max() == np.inf for array in (self.alone, self.pair_cost))
        present = {Feature.FORBIDDEN: infinite, Feature.SET_FUNCTION: len(self.joint) > 0}
        return frozenset(feature for feature, holds in present.items() if holds)

    @cached_property
    def _fits(self) -> Flags:
        """(m + n, G + 1): whether a unit by itself breaks no budget there."""
        fits = self.linear.singly_kept()
        for budget in self.joint:
            alone = budget.function.added(np.zeros(0, np.int64))
            fits &= ~((alone > budget.allowed)[:, None] & budget.groups)
        return fits

    @cached_property
    def permitted_alone(self) -> Flags:
        """``(m + n, G)``: finite cost, and the unit by itself breaks no budget."""
        return (self.alone < np.inf) & self._fits[:, :-1]

    @cached_property
    def permitted_pairs(self) -> Flags:
        """``(m, n)``: finite cost, and the two by themselves break no linear budget."""
        rows = self.pair_cost.shape[0]
        fits = self._fits[:, -1]
        permitted = (self.pair_cost < np.inf) & fits[:rows, None] & fits[None, rows:]
        table = self.linear
        with np.errstate(over="ignore"):
            for use, allowed in zip(table.weights * table.rates[:, -1:], table.allowed, strict=True):
                permitted &= np.add.outer(use[:rows], use[rows:]) <= allowed
        return permitted

    def columns(self, decision: Indices) -> Indices:
        """Return (m + n,) the budgets' column of every unit: its group, or G in a pair."""
        return np.minimum(decision, self.n_groups)

    def members(self, decision: Indices, groups: Flags) -> Indices:
        """Return the units that a decision puts where a joint budget's flags (G + 1,) say."""
        return np.flatnonzero(groups[self.columns(decision)])

    def pairs(self, decision: Indices) -> Indices:
        """Return (k, 2) the pairs of a valid decision: the unit of the first parent, and that of the second."""
        rows = self.pair_cost.shape[0]
        first = np.flatnonzero(decision[:rows] >= self.n_groups)
        return np.column_stack([first, decision[first] - self.n_groups - rows])

    def decision_of(self, alone: Indices, pairs: Indices) -> Indices:
        """Return the decision with groups (m + n,) for all but the units of the pairs (k, 2)."""
        decision, rows = np.array(alone, np.int64), self.pair_cost.shape[0]
        decision[pairs[:, 0]] = self.n_groups + rows + pairs[:, 1]
        decision[rows + pairs[:, 1]] = self.n_groups + pairs[:, 0]
        return decision

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (m + n,) integers, the group of every unit, or G + the unit that it merges with
        """
        units = self.n_units
        try:
            array = np.asarray(decision)
        except ValueError:
            return (f"a decision must be ({units},) integers, the group or the partner of every unit",)
        if array.size == 0 and array.ndim == 1:
            array = array.astype(np.int64)
        if array.shape != (units,) or array.dtype.kind not in "iu":
            return (f"a decision must be ({units},) integers, not {array.dtype} of shape {array.shape}",)
        outside = (array < 0) | (array >= self.n_groups + units)
        if outside.any():
            unit = int(outside.argmax())
            last = self.n_groups + units - 1
            return (f"unit {unit} has {int(array[unit])}; groups and partners are 0 to {last}",)
        array = array.astype(np.int64)
        unmatched = tuple(self._unmatched(array))
        return unmatched or tuple(self._broken(array))

    def _unmatched(self, decision: Indices) -> Iterator[str]:
        rows = self.pair_cost.shape[0]
        for unit in np.flatnonzero(decision >= self.n_groups).tolist():
            other = int(decision[unit]) - self.n_groups
            if (unit < rows) == (other < rows):
                yield f"unit {unit} merges with unit {other} of its own parent"
            elif decision[other] != self.n_groups + unit:
                yield f"unit {unit} merges with unit {other}, which does not merge with it"

    def _broken(self, decision: Indices) -> Iterator[str]:
        for unit in np.flatnonzero(decision < self.n_groups).tolist():
            if self.alone[unit, decision[unit]] == np.inf:
                yield f"group {decision[unit]} is forbidden to unit {unit}"
                break
        for row, column in self.pairs(decision).tolist():
            if self.pair_cost[row, column] == np.inf:
                yield f"pair ({row}, {column}) is forbidden"
                break
        yield from self.linear.broken(self.columns(decision))
        for budget in self.joint:
            text = budget.broken(self.members(decision, budget.groups))
            if text:
                yield text

    def normalise(self, decision: Any) -> Indices:
        """Return the decision as (m + n,) int64."""
        return np.array(decision, dtype=np.int64)

    def terms(self, decision: Any) -> Floats:
        """Return the costs of the units alone, then those of the pairs."""
        array = np.asarray(decision, dtype=np.int64)
        single, pairs = np.flatnonzero(array < self.n_groups), self.pairs(array)
        return np.concatenate([self.alone[single, array[single]], self.pair_cost[pairs[:, 0], pairs[:, 1]]])

    @property
    def most_terms(self) -> int:
        """The number of units."""
        return self.n_units

    def magnitudes(self) -> Floats:
        """Return the magnitudes of all permitted costs."""
        costs = np.concatenate([self.alone.ravel(), self.pair_cost.ravel()])
        return np.abs(costs[costs < np.inf])

    @cached_property
    def _least(self) -> Floats:
        """(m + n,) the least that a unit pays: alone, or for half of a pair."""
        half = np.where(self.permitted_pairs, self.pair_cost / 2, np.inf)
        paired = np.concatenate([half.min(axis=1, initial=np.inf), half.min(axis=0, initial=np.inf)])
        alone = np.where(self.permitted_alone, self.alone, np.inf).min(axis=1, initial=np.inf)
        return np.minimum(alone, paired)

    def trivial_bound(self) -> float:
        """Return the sum of the least that every unit pays; +inf if a limit is negative or a unit has no choice."""
        if negative_limits(self.linear, self.joint) or (self._least == np.inf).any():
            return math.inf
        return math.fsum(self._least)

    def settled(self) -> Outcome | None:
        """Return the outcome without units, or where a unit has no choice."""
        negative = negative_limits(self.linear, self.joint)
        if negative:
            return Outcome(Status.INFEASIBLE, note=f"the limit of budget {negative[0]} is negative, and no use is")
        stuck = np.flatnonzero(self._least == np.inf)
        if len(stuck):
            note = f"unit {stuck[0]} has neither a group nor a partner: each is forbidden or above a limit by itself"
            return Outcome(Status.INFEASIBLE, note=note)
        if not self.n_units:
            return Outcome(Status.OPTIMAL, np.zeros(0, np.int64), note="nothing to decide")
        return None

    def describe(self, decision: Indices) -> str:
        """Return the number of pairs, and of units alone in each group."""
        counts = np.bincount(decision[decision < self.n_groups], minlength=self.n_groups)
        alone = ", ".join(map(str, counts)) or "none"
        return f"{len(self.pairs(decision))} pairs, units alone per group {alone}"

    def integer_program(self) -> IntegerProgram:
        """Write one variable for each permitted group of a unit and each permitted pair.

        Raises
        ------
        SolverUnsuitable
            for joint budgets, which are not linear; solver ``cuts`` takes them
        """
        from pam_opt_solvers.paired_grouping.program import choice_program

        return choice_program(self)

    def with_budgets(self, more: BudgetTable, joint: tuple[JointBudget, ...] = ()) -> "PairedGrouping":
        """Return the problem with further linear budgets, and with ``joint`` in place of its joint ones."""
        return PairedGrouping(self.groups, self.alone, self.pair_cost, self.linear.extended(more), joint)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the problem as named arrays without objects."""
        own = {"groups": self.groups, "alone": self.alone, "pair_cost": self.pair_cost}
        return own | self.linear.arrays() | joint_arrays(self.joint)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build a problem from named arrays; ``groups``, ``alone`` and ``pair_cost`` alone will do."""
        table = BudgetTable.from_arrays(arrays) if "limits" in arrays else None
        return cls(arrays["groups"], arrays["alone"], arrays["pair_cost"], table, joint_from_arrays(arrays))
