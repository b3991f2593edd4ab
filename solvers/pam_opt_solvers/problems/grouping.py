"""Grouping: the group of every unit of a layer, within budgets of information, MACs or anything that adds up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import budgets
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.checks import as_float64, as_instances, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.problem import Problem

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class Grouping(Problem):
    """Put every unit into exactly one group at least cost, within budgets.

    ``min sum_u cost[u, g_u]`` subject to ``sum_u weights[b, u] rates[b, g_u] <= limits[b]`` for every budget b of
    ``budgets`` and ``f({u : g_u in its groups}) <= limit`` for every one of ``joint``. A budget counts as kept up to
    a millionth of its limit, for backends need that; bounds and proofs are about the limits as they are given.

    A decision is the index of every unit's group, (n,) int64.

    Parameters
    ----------
    groups : (G, K) bool, which of K tasks each group serves; the row without tasks = dropped; no two rows alike
    cost : (n, G) float64, lower is better; +inf = forbidden. Kept without a copy where possible: do not change it
    budgets : linear budgets, see `BudgetTable`; default none
    joint : budgets of set functions; default none

    Raises
    ------
    ProblemError
        for NaN, -inf, magnitudes above 1e300, wrong shapes, groups that repeat

    Examples
    --------
    Two units, dropped or shared; dropping loses information on the only task, of which 1.0 may go:

    >>> import numpy as np
    >>> from pam_opt_solvers.problems.budgets import BudgetTable
    >>> from pam_opt_solvers.problems.grouping import Grouping
    >>> loss = BudgetTable(np.array([[0.7, 0.8]]), np.array([[1.0, 0.0]]), np.array([1.0]), ("lost",))
    >>> problem = Grouping(np.array([[False], [True]]), np.array([[0.0, 2.0], [0.0, 3.0]]), loss)
    >>> problem.value([1, 0]), problem.violations([0, 0])
    (2.0, ("budget 'lost' is 1.5, above its limit 1",))
    """

    kind: ClassVar[str] = "grouping"
    asks: ClassVar[frozenset[Feature]] = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})

    groups: Flags
    cost: Floats
    budgets: BudgetTable | None = None
    joint: tuple[JointBudget, ...] = ()

    def __post_init__(self) -> None:
        self._set("groups", as_groups(self.groups))
        self._set("cost", as_float64(self.cost, "cost", (None, len(self.groups))))
        extent(self.cost, "cost", allow_infinity=True)
        if self.budgets is None:
            self._set("budgets", BudgetTable.empty(*self.shape))
        if not isinstance(self.budgets, BudgetTable):
            raise ProblemError(f"budgets must be a BudgetTable, not {type(self.budgets).__name__}")
        self.budgets.check_shape(*self.shape)
        self._set("joint", as_instances(self.joint, "joint", JointBudget))
        for budget in self.joint:
            budget.check_shape(*self.shape)
        self._check_names()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_names(self) -> None:
        names = [*self.linear.names, *(budget.name for budget in self.joint)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ProblemError(f"more than one budget is called {repeated[0]!r}; give every budget its own name")

    def __repr__(self) -> str:
        joint = f", {len(self.joint)} joint" if self.joint else ""
        return f"Grouping({self.shape[0]} units, {self.shape[1]} groups, {len(self.linear)} budgets{joint})"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of units and of groups."""
        return self.cost.shape[0], self.cost.shape[1]

    @property
    def linear(self) -> BudgetTable:
        """The linear budgets."""
        assert self.budgets is not None
        return self.budgets

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support to take this problem."""
        present = {
            Feature.FORBIDDEN: self.cost.size > 0 and self.cost.max() == np.inf,
            Feature.SET_FUNCTION: len(self.joint) > 0,
        }
        return frozenset(feature for feature, holds in present.items() if holds)

    @cached_property
    def permitted(self) -> Flags:
        """``(n, G)``: finite cost, and the unit alone breaks no budget of the group."""
        permitted = (self.cost < np.inf) & self.linear.singly_kept()
        for budget in self.joint:
            alone = budget.function.added(np.zeros(0, np.int64))
            permitted &= ~((alone > budget.allowed)[:, None] & budget.groups)
        return permitted

    def members(self, decision: NDArray[np.int64], groups: Flags) -> NDArray[np.int64]:
        """Return the units that a decision puts into some of the groups, given as (G,) bool."""
        return np.flatnonzero(groups[decision])

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (n,) integers, the group of every unit
        """
        units, groups = self.shape
        try:
            array = np.asarray(decision)
        except ValueError:
            return (f"a decision must be ({units},) integers, the group of every unit",)
        if array.size == 0 and array.ndim == 1:
            array = array.astype(np.int64)
        if array.shape != (units,) or array.dtype.kind not in "iu":
            return (f"a decision must be ({units},) integers, not {array.dtype} of shape {array.shape}",)
        outside = (array < 0) | (array >= groups)
        if outside.any():
            unit = int(outside.argmax())
            return (f"unit {unit} is in group {int(array[unit])}, but there are only {groups} groups",)
        array = array.astype(np.int64)
        forbidden = self.cost[np.arange(units), array] == np.inf
        found = [f"group {array[unit]} is forbidden to unit {unit}" for unit in np.flatnonzero(forbidden)[:1]]
        found += self.linear.broken(array)
        found += [text for budget in self.joint if (text := budget.broken(self.members(array, budget.groups)))]
        return tuple(found)

    def normalise(self, decision: Any) -> NDArray[np.int64]:
        """Return the decision as (n,) int64."""
        return np.array(decision, dtype=np.int64)

    def terms(self, decision: Any) -> Floats:
        """Return the cost of every unit in its group, (n,)."""
        return self.cost[np.arange(self.shape[0]), np.asarray(decision, dtype=np.int64)]

    @property
    def most_terms(self) -> int:
        """The number of units."""
        return self.shape[0]

    def magnitudes(self) -> Floats:
        """Return the magnitudes of all permitted costs."""
        return np.abs(self.cost[self.cost < np.inf])

    @cached_property
    def _cheapest(self) -> float:
        best = np.where(self.permitted, self.cost, np.inf).min(axis=1, initial=np.inf)
        return math.inf if (best == np.inf).any() else math.fsum(best)

    def trivial_bound(self) -> float:
        """Return the sum of every unit's cheapest permitted group; +inf if a limit is negative or a unit has none."""
        return math.inf if budgets.negative_limits(self.linear, self.joint) else self._cheapest

    def settled(self) -> Outcome | None:
        """Return the outcome where no unit has a choice, or all cheapest groups together keep every budget."""
        reason = self._hopeless()
        if reason:
            return Outcome(Status.INFEASIBLE, note=reason)
        cheapest = np.where(self.permitted, self.cost, np.inf).argmin(axis=1) if self.cost.size else _no_units()
        if not self.violations(cheapest):
            return Outcome(Status.OPTIMAL, cheapest, note="every unit's cheapest group keeps all budgets")
        return None

    def _hopeless(self) -> str:
        negative = budgets.negative_limits(self.linear, self.joint)
        if negative:
            return f"the limit of budget {negative[0]} is negative, and no budget can be"
        without = ~self.permitted.any(axis=1)
        if without.any():
            unit = int(without.argmax())
            causes = self._causes(unit)
            by_budget = f" or above the limit of budget {', '.join(causes)} by the unit alone" if causes else ""
            return f"unit {unit} has no group: each is forbidden{by_budget}"
        return ""

    def _causes(self, unit: int) -> list[str]:
        finite = self.cost[unit] < np.inf
        causes = self.linear.causes(unit, finite)
        for budget in self.joint:
            alone = budget.function.value(np.array([unit]))
            if alone > budget.allowed and (budget.groups & finite).any():
                causes.append(f"'{budget.name}'")
        return causes

    def certainly_feasible(self) -> bool:
        """Whether the groups that use least of the budgets, unit by unit, are a decision."""
        if not self.permitted.any(axis=1).all():
            return False
        return not self.violations(self.least_use())

    def least_use(self) -> NDArray[np.int64]:
        """Return every unit's permitted group of least total use of the linear budgets, then least cost."""
        if not self.cost.size:
            return _no_units()
        use = np.where(self.permitted, self.linear.total_use() + self._joint_use(), np.inf)
        near = use <= use.min(axis=1, keepdims=True)
        return np.where(near, self.cost, np.inf).argmin(axis=1)

    def _joint_use(self) -> Floats:
        use = np.zeros(self.shape)
        for budget in self.joint:
            use += budget.function.added(np.zeros(0, np.int64))[:, None] * budget.groups / max(budget.limit, 1e-300)
        return np.minimum(use, 1e300)

    def describe(self, decision: NDArray[np.int64]) -> str:
        """Return how many units each group has."""
        counts = np.bincount(decision, minlength=self.shape[1])
        return "units per group " + ", ".join(map(str, counts)) if len(counts) else "no units"

    def integer_program(self) -> IntegerProgram:
        """Write one variable for each permitted choice: one for every unit, and a row for every linear budget.

        Raises
        ------
        SolverUnsuitable
            for joint budgets, which are not linear; solver ``cuts`` takes them
        """
        from pam_opt_solvers.grouping.program import choice_program

        return choice_program(self)

    def with_budgets(self, more: BudgetTable, joint: tuple[JointBudget, ...] = ()) -> "Grouping":
        """Return the problem with further linear budgets, and with ``joint`` in place of its joint ones."""
        return Grouping(self.groups, self.cost, self.linear.extended(more), joint)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the problem as named arrays without objects."""
        own = {"groups": self.groups, "cost": self.cost}
        return own | self.linear.arrays() | budgets.joint_arrays(self.joint)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build a problem from named arrays; ``groups`` and ``cost`` alone will do."""
        table = BudgetTable.from_arrays(arrays) if "limits" in arrays else None
        return cls(arrays["groups"], arrays["cost"], table, budgets.joint_from_arrays(arrays))


def subsets(tasks: int) -> Flags:
    """Return all groups of a number of tasks, (2^K, K) bool, dropped first and shared by all last."""
    if not 0 <= tasks <= 16:
        raise ProblemError(f"tasks is {tasks}; all subsets are listed for 0 to 16 tasks")
    return (np.arange(2**tasks)[:, None] >> np.arange(tasks)[None, :] & 1).astype(bool)


def as_groups(values: Any) -> Flags:
    array = as_float64(values, "groups", (None, None))
    bad = (array != 0) & (array != 1)
    if bad.any():
        where = ", ".join(str(int(i)) for i in np.argwhere(bad)[0])
        raise ProblemError(f"groups[{where}] is {array[bad][0]}; it must say by True or False whether a task is served")
    groups = array.astype(bool)
    known: dict[bytes, int] = {}
    for index, row in enumerate(groups):
        first = known.setdefault(row.tobytes(), index)
        if first != index:
            raise ProblemError(f"groups {first} and {index} serve the same tasks; list every group once")
    groups.flags.writeable = False
    return groups


def _no_units() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)
