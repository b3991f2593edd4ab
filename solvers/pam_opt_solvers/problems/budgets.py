"""Budgets of groupings: linear ones, as a table, and joint ones, by a set function."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_float64, as_items, as_real, extent
from pam_opt_solvers.problems.set_functions import SET_FUNCTIONS, SetFunction

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TOLERANCE = 1e-6
"""Part of its limit by which a budget may be passed: what backends and float sums need."""


@dataclass(frozen=True, eq=False, repr=False)
class BudgetTable:
    """Linear budgets: ``sum_u weights[b, u] rates[b, group of u] <= limits[b]``.

    Parameters
    ----------
    weights : (B, n) float64, at least 0, e.g. each unit's information on a task
    rates : (B, G) float64, at least 0, part of the weight that counts in each group; usually 0 or 1
    limits : (B,) float64, finite
    names : (B,) what a reader calls them; default ``budget 0``, ...

    Raises
    ------
    ProblemError
        for NaN, infinities, negative weights or rates, wrong shapes

    Examples
    --------
    >>> import numpy as np
    >>> len(BudgetTable(np.ones((1, 3)), np.array([[1.0, 0.0]]), np.array([2.0])))
    1
    """

    weights: Floats
    rates: Floats
    limits: Floats
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._set("limits", as_float64(self.limits, "limits", (None,)))
        for name in ("weights", "rates"):
            self._set(name, as_float64(getattr(self, name), name, (len(self.limits), None)))
            low, _ = extent(getattr(self, name), name, allow_infinity=False)
            if low < 0:
                raise ProblemError(_negative(getattr(self, name), name))
        extent(self.limits, "limits", allow_infinity=False)
        names = as_items(self.names, "names") or (f"budget {b}" for b in range(len(self)))
        self._set("names", tuple(map(str, names)))
        if len(self.names) != len(self):
            raise ProblemError(f"there are {len(self.names)} names for {len(self)} budgets; name all of them or none")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"BudgetTable({len(self)} budgets of {self.weights.shape[1]} units)"

    def __len__(self) -> int:
        return len(self.limits)

    @classmethod
    def empty(cls, units: int, groups: int) -> "BudgetTable":
        """Return a table without budgets."""
        return cls(np.zeros((0, units)), np.zeros((0, groups)), np.zeros(0))

    def check_shape(self, units: int, groups: int) -> None:
        """Raise ``ProblemError`` unless the table is about this many units and groups."""
        for name, length in (("weights", units), ("rates", groups)):
            shape = getattr(self, name).shape
            if shape[1] != length:
                raise ProblemError(f"{name} of the budgets has shape {shape}; expected ({len(self)}, {length})")

    @property
    def allowed(self) -> Floats:
        """(B,) limits with their tolerance."""
        return self.limits + TOLERANCE * np.maximum(self.limits, 0.0)

    def use(self, decision: NDArray[np.int64]) -> Floats:
        """Return (B,) how much of every budget a decision uses."""
        with np.errstate(over="ignore"):
            return (self.weights * self.rates[:, decision]).sum(axis=1)

    def broken(self, decision: NDArray[np.int64]) -> list[str]:
        """Say of every budget that a decision breaks by how much."""
        use = self.use(decision)
        return [
            f"budget '{self.names[b]}' is {use[b]:.6g}, above its limit {self.limits[b]:.6g}"
            for b in np.flatnonzero(~(use <= self.allowed))
        ]

    def singly_kept(self) -> Flags:
        """Return (n, G) where a unit by itself keeps every budget of the group."""
        kept = np.ones((self.weights.shape[1], self.rates.shape[1]), bool)
        with np.errstate(over="ignore"):
            for weights, rates, allowed in zip(self.weights, self.rates, self.allowed, strict=True):
                kept &= np.outer(weights, rates) <= allowed
        return kept

    def total_use(self) -> Floats:
        """Return (n, G) the parts of all limits that a unit uses in a group, summed."""
        scale = np.where(self.limits > 0, self.limits, np.inf)
        with np.errstate(over="ignore"):
            return np.minimum((self.weights / scale[:, None]).T @ self.rates, 1e300)

    def negative(self) -> list[str]:
        """Return the quoted names of budgets whose limit is negative."""
        return [f"'{self.names[b]}'" for b in np.flatnonzero(self.limits < 0)]

    def causes(self, unit: int, groups: Flags) -> list[str]:
        """Return the quoted names of the budgets that a unit breaks by itself in one of the groups."""
        with np.errstate(over="ignore"):
            alone = self.weights[:, unit, None] * self.rates[:, groups]
        return [f"'{self.names[b]}'" for b in np.flatnonzero((alone > self.allowed[:, None]).any(axis=1))]

    def extended(self, more: "BudgetTable") -> "BudgetTable":
        """Return the table with the budgets of another one after its own."""
        return BudgetTable(
            np.concatenate([self.weights, more.weights]),
            np.concatenate([self.rates, more.rates]),
            np.concatenate([self.limits, more.limits]),
            self.names + more.names,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the table as named arrays."""
        return {
            "weights": self.weights,
            "rates": self.rates,
            "limits": self.limits,
            "budget_names": np.array(self.names, dtype=np.str_),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "BudgetTable":
        """Build a table from named arrays; ``budget_names`` may be absent."""
        names = arrays.get("budget_names", np.zeros(0, np.str_))
        return cls(arrays["weights"], arrays["rates"], arrays["limits"], tuple(names.ravel().tolist()))


def information_budgets(groups: Any, information: Any, limits: Any) -> BudgetTable:
    """Limit the information on each task that the units of each group hold together, unit by unit added up.

    Parameters
    ----------
    groups : (G, K) bool, which tasks each group serves
    information : (K, n) float64, at least 0, each unit's information on each task
    limits : (G, K) float64; +inf = no budget. PAM's first condition: alpha for exclusive groups and tasks that they
        do not serve, +inf elsewhere

    Examples
    --------
    >>> import numpy as np
    >>> limits = np.array([[np.inf, 0.5], [0.5, np.inf]])
    >>> information_budgets(np.eye(2, dtype=bool), np.ones((2, 3)), limits).names
    ('task 1 in group {0}', 'task 0 in group {1}')
    """
    served = as_float64(groups, "groups", (None, None)) != 0
    amounts = as_float64(information, "information", (served.shape[1], None))
    bounds = as_float64(limits, "limits", served.shape)
    extent(bounds, "limits", allow_infinity=True)
    places = np.argwhere(bounds < np.inf)
    names = tuple(f"task {t} in group {{{', '.join(map(str, np.flatnonzero(served[g])))}}}" for g, t in places)
    rates = np.eye(len(served))[places[:, 0]]
    return BudgetTable(amounts[places[:, 1]], rates, bounds[places[:, 0], places[:, 1]], names)


@dataclass(frozen=True, eq=False, repr=False)
class JointBudget:
    """A budget of what the units of some groups hold together: ``function(units in groups) <= limit``.

    Parameters
    ----------
    groups : (G,) bool, the groups whose units are put together
    function : monotone set function of all n units
    limit : finite
    name : what a reader calls it
    """

    groups: Flags
    function: SetFunction
    limit: float
    name: str = "joint"

    def __post_init__(self) -> None:
        flags = as_float64(self.groups, "groups of a joint budget", (None,))
        if not np.isin(flags, (0, 1)).all():
            raise ProblemError("groups of a joint budget must hold True or False for every group")
        limit = as_real(self.limit, "limit of a joint budget")
        if not isinstance(self.function, SetFunction):
            raise ProblemError(f"function of a joint budget must be a SetFunction, not {type(self.function).__name__}")
        object.__setattr__(self, "groups", flags.astype(bool))
        object.__setattr__(self, "limit", limit)
        object.__setattr__(self, "name", str(self.name))

    def __repr__(self) -> str:
        return f"JointBudget({self.name!r}, {self.function!r})"

    @property
    def allowed(self) -> float:
        """The limit with its tolerance and the rounding of the function."""
        return self.limit + TOLERANCE * max(self.limit, 0.0) + self.function.rounding

    def check_shape(self, units: int, groups: int) -> None:
        """Raise ``ProblemError`` unless the budget is about this many units and groups."""
        found = (self.function.size, len(self.groups))
        if found != (units, groups):
            raise ProblemError(
                f"joint budget '{self.name}' is about {found[0]} units and {found[1]} groups; "
                f"the problem has {units} and {groups}"
            )

    def broken(self, members: NDArray[np.int64]) -> str:
        """Say by how much a set breaks the budget; empty = kept."""
        value = self.function.value(members)
        if value <= self.allowed:
            return ""
        return f"joint budget '{self.name}' is {value:.6g}, above its limit {self.limit:.6g}"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the budget as named arrays."""
        own = {
            "groups": self.groups,
            "limit": np.array(self.limit),
            "name": np.array(self.name),
            "function": np.array(self.function.kind),
        }
        return own | {f"function.{name}": array for name, array in self.function.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "JointBudget":
        """Build a budget from named arrays."""
        kind = str(arrays["function"])
        if kind not in SET_FUNCTIONS:
            raise ProblemError(f"no set function is called {kind!r}; this version has {', '.join(SET_FUNCTIONS)}")
        module, _, attribute = SET_FUNCTIONS[kind].partition(":")
        function = getattr(importlib.import_module(module), attribute)
        parameters = _below(arrays, "function.")
        try:
            return cls(arrays["groups"], function(**parameters), arrays["limit"].item(), str(arrays["name"]))
        except TypeError as err:
            raise ProblemError(f"a set function '{kind}' cannot be made of {sorted(parameters)}: {err}") from err


def joint_arrays(joint: tuple[JointBudget, ...]) -> dict[str, NDArray[Any]]:
    """Return all joint budgets as arrays named ``joint.INDEX.NAME``."""
    named = [(index, budget.arrays()) for index, budget in enumerate(joint)]
    return {f"joint.{index}.{name}": array for index, arrays in named for name, array in arrays.items()}


def negative_limits(linear: BudgetTable, joint: tuple[JointBudget, ...]) -> list[str]:
    """Return the quoted names of budgets whose limit is negative, which no decision keeps."""
    return linear.negative() + [f"'{budget.name}'" for budget in joint if budget.limit < 0]


def joint_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> tuple[JointBudget, ...]:
    """Build all joint budgets from arrays named ``joint.INDEX.NAME``."""
    found, index = [], 0
    while part := _below(arrays, f"joint.{index}."):
        found.append(JointBudget.from_arrays(part))
        index += 1
    return tuple(found)


def _below(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _negative(array: Floats, name: str) -> str:
    place = ", ".join(str(int(i)) for i in np.argwhere(array < 0)[0])
    return f"{name}[{place}] is {array[array < 0][0]:g}; budgets add up, so {name} must be at least 0"
