"""Representatives: which units of a layer are kept, and which kept unit stands for each other one."""

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
from pam_opt_solvers.problems.checks import as_count, as_float64, as_instances, as_mask, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.problem import Problem
from pam_opt_solvers.problems.quota import MOST_CLASSES, Quota, whole_numbers


@dataclass(frozen=True, eq=False, repr=False)
class Representatives(Problem):
    """Keep ``n_kept`` of n units, and let one kept unit stand for each other one, at least cost (p-median).

    A decision is the representative of every unit, (n,) int64; a kept unit represents itself.

    Parameters
    ----------
    cost : (n, n) float64, lower is better; ``cost[u, r]`` is paid where r stands for u, ``cost[u, u]`` where u is
        kept (usually 0); +inf = cannot. Kept without a copy where possible: do not change it
    n_kept : number of units to keep, 0..n
    at_most : whether fewer may be kept
    capacities : (n,) integers >= 0, how many *other* units each one may stand for; itself does not count
    groups : (n,) integers >= 0; a unit is represented inside its group only
    forbidden : (n,) bool, units that may not be kept
    quotas : least and most kept units per class, such as the parent or the group: see ``Quota``
    importance : (n,) float64, finite; used by the control ``importance`` only, no part of the value

    Raises
    ------
    ProblemError
        for NaN, -inf, magnitudes above 1e300, wrong shapes, numbers that are not whole, an impossible count

    Notes
    -----
    ``value = sum_u cost[u, rep(u)]``. The strong integer programme [1] opens unit j by ``x_jj``::

        min sum_uj c_uj x_uj   with   sum_j x_uj = 1,   x_uj <= x_jj,   sum_j x_jj = p,   x in {0, 1}

    [1] C. S. ReVelle and R. W. Swain, "Central facilities location", Geographical Analysis 2(1), 1970,
    doi:10.1111/j.1538-4632.1970.tb00142.x.

    Examples
    --------
    >>> import numpy as np
    >>> problem = Representatives(np.array([[0.0, 1.0, 9.0], [1.0, 0.0, 9.0], [9.0, 9.0, 0.0]]), n_kept=2)
    >>> problem.value([0, 0, 2])
    1.0
    """

    kind: ClassVar[str] = "representatives"
    asks: ClassVar[frozenset[Feature]] = frozenset({Feature.CAPACITIES, Feature.QUOTAS, Feature.FORBIDDEN})

    cost: NDArray[np.float64]
    n_kept: int
    at_most: bool = False
    capacities: NDArray[np.int64] | None = None
    groups: NDArray[np.int64] | None = None
    forbidden: NDArray[np.bool_] | None = None
    quotas: tuple[Quota, ...] = ()
    importance: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        self._set("cost", as_float64(self.cost, "cost", (None, None)))
        if self.cost.shape[0] != self.cost.shape[1]:
            raise ProblemError(f"cost has shape {self.cost.shape}; it must be square: every unit against every unit")
        extent(self.cost, "cost", allow_infinity=True)
        self._set("n_kept", as_count(self.n_kept, "n_kept", self.size))
        if not isinstance(self.at_most, bool | np.bool_):
            raise ProblemError(f"at_most must be True or False, not {self.at_most!r}")
        self._set("at_most", bool(self.at_most))
        self._check_units()
        self._set("quotas", _as_quotas(self.quotas, self.size))

    def _check_units(self) -> None:
        for name, largest in (("capacities", None), ("groups", MOST_CLASSES)):
            if getattr(self, name) is not None:
                self._set(name, self._per_unit(whole_numbers(getattr(self, name), name, largest), name))
        if self.forbidden is not None:
            self._set("forbidden", as_mask(self.forbidden, "forbidden", self.size))
        if self.importance is not None:
            self._set("importance", as_float64(self.importance, "importance", (self.size,)))
            extent(self.importance, "importance", allow_infinity=False)

    def _per_unit(self, array: NDArray[Any], name: str) -> NDArray[Any]:
        if len(array) != self.size:
            raise ProblemError(f"{name} has {len(array)} entries; there are {self.size} units")
        return array

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        extras = ", ".join(sorted(feature.value for feature in self.features))
        kept = f"{'at most ' * self.at_most}{self.n_kept} of {self.size}"
        return f"Representatives({kept} units{', ' if extras else ''}{extras})"

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.cost)

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support to take this problem."""
        present = {
            Feature.CAPACITIES: self.binding_capacities is not None,
            Feature.QUOTAS: bool(self.quotas),
            Feature.FORBIDDEN: self.size > 0 and self.permitted.max() == np.inf,
        }
        return frozenset(feature for feature, holds in present.items() if holds)

    @cached_property
    def permitted(self) -> NDArray[np.float64]:
        """``(n, n)`` float64: the costs, +inf also outside the group and for units that may not be kept."""
        if self.groups is None and (self.forbidden is None or not self.forbidden.any()):
            return self.cost
        costs = self.cost.copy()
        if self.groups is not None:
            costs[self.groups[:, None] != self.groups[None, :]] = np.inf
        if self.forbidden is not None:
            costs[:, self.forbidden] = np.inf
        return costs

    @cached_property
    def keepable(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: units that may be kept."""
        return np.diagonal(self.permitted) < np.inf

    @cached_property
    def binding_capacities(self) -> NDArray[np.int64] | None:
        """The capacities where any of them can matter, else ``None``."""
        most = self.size - (1 if self.at_most else max(1, self.n_kept))
        return None if self.capacities is None or (self.capacities >= most).all() else self.capacities

    @property
    def most_terms(self) -> int:
        """One for every unit."""
        return self.size

    def magnitudes(self) -> NDArray[np.float64]:
        """Return the magnitudes of all permitted costs."""
        return np.abs(self.permitted[self.permitted < np.inf])

    @cached_property
    def _magnitude(self) -> float:
        return float(self.magnitudes().max(initial=0.0))

    @property
    def magnitude(self) -> float:
        """Largest magnitude of a permitted cost."""
        return self._magnitude

    def normalise(self, decision: Any) -> NDArray[np.int64]:
        """Return the decision as int64; it has one form only."""
        return np.array(decision, dtype=np.int64).reshape(-1)

    def describe(self, decision: NDArray[np.int64]) -> str:
        """Return the number of kept units in words."""
        return f"{len(np.unique(decision))} of {self.size} units kept"

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (n,) integers, representative of every unit
        """
        try:
            array = np.asarray(decision if np.size(decision) else np.zeros(0, np.int64))
        except ValueError:
            return ("a decision must be a list of one representative for every unit",)
        if array.shape != (self.size,) or array.dtype.kind not in "iu":
            return (f"a decision must be ({self.size},) integers, not {array.dtype} of shape {array.shape}",)
        outside = np.flatnonzero((array < 0) | (array >= self.size))
        if len(outside):
            return (f"unit {outside[0]} is represented by {array[outside[0]]}, outside 0..{self.size - 1}",)
        return (*self._broken_rows(array), *self._broken_counts(np.unique(array), array))

    def _broken_rows(self, array: NDArray[Any]) -> list[str]:
        units = np.arange(self.size)
        lost = np.flatnonzero(array[array] != array)
        found = [f"unit {lost[0]} is represented by {array[lost[0]]}, which is not kept"] if len(lost) else []
        barred = np.flatnonzero(self.permitted[units, array] == np.inf)
        return found + ([f"unit {barred[0]} may not be represented by {array[barred[0]]}"] if len(barred) else [])

    def _broken_counts(self, kept: NDArray[np.int64], array: NDArray[Any]) -> list[str]:
        found = []
        if len(kept) > self.n_kept or (len(kept) < self.n_kept and not self.at_most):
            found.append(f"{len(kept)} units kept instead of {'at most' if self.at_most else 'exactly'} {self.n_kept}")
        if self.capacities is not None:
            others = np.bincount(array, minlength=self.size) - (array == np.arange(self.size))
            over = np.flatnonzero(others > self.capacities)
            found += [f"unit {u} stands for {others[u]} others, its capacity is {self.capacities[u]}" for u in over[:3]]
        return found + [text for quota in self.quotas for text in quota.violations(kept)]

    def terms(self, decision: Any) -> NDArray[np.float64]:
        """Return the cost of every unit, (n,)."""
        return self.cost[np.arange(self.size), np.asarray(decision, dtype=np.int64).reshape(-1)]

    def trivial_bound(self) -> float:
        """Return a lower bound: every unit pays for being kept or its nearest other unit; as many as may be kept are.

        +inf where this shows that there is no decision.
        """
        return self._trivial_bound

    @cached_property
    def _trivial_bound(self) -> float:
        if self.size == 0:
            return 0.0 if all(not quota.limits[0].any() for quota in self.quotas) else math.inf
        keeping = np.diagonal(self.permitted)
        nearest = self.nearest_other
        must = nearest == np.inf
        fewest = max(1, self.n_kept * (not self.at_most))
        if (must & ~self.keepable).any() or must.sum() > self.n_kept or self.keepable.sum() < fewest <= self.n_kept:
            return math.inf
        if self.n_kept == 0 or not self._quotas_alone_can_hold():
            return math.inf
        gain = np.where(must, -np.inf, keeping - np.where(must, 0.0, nearest))
        chosen = np.argsort(gain, kind="stable")[: self.n_kept]
        chosen = chosen[(gain[chosen] < 0) | (not self.at_most)]
        paid = nearest.copy()
        paid[chosen] = keeping[chosen]
        return math.fsum(paid) - (self.float_error() if keeping.any() else 0.0)

    @cached_property
    def nearest_other(self) -> NDArray[np.float64]:
        """``(n,)`` float64: what each unit pays if its nearest other one of all stands for it; +inf = none may."""
        others = self.permitted.copy()
        np.fill_diagonal(others, np.inf)
        return others.min(axis=1, initial=np.inf)

    def _quotas_alone_can_hold(self) -> bool:
        for quota in self.quotas:
            least, most = quota.limits
            there = np.minimum(quota.counts(self.keepable), most)
            fewest = 1 if self.at_most else self.n_kept
            if (there < least).any() or least.sum() > self.n_kept or there.sum() < fewest:
                return False
        return True

    def settled(self) -> Outcome | None:
        """Return the outcome where nothing is to decide: no units, all kept, or shown to be impossible."""
        if self.trivial_bound() == math.inf:
            return Outcome(Status.INFEASIBLE, note=self._why_infeasible())
        if self.size == 0 or (self.n_kept == self.size and not self.at_most):
            return Outcome(Status.OPTIMAL, np.arange(self.size), note="nothing to decide: every unit is kept")
        return None

    def _why_infeasible(self) -> str:
        if self.size and self.n_kept == 0:
            return "no unit is kept to stand for the others; keep at least 1"
        if not self._quotas_alone_can_hold():
            return "a quota asks for more kept units than there may be, or permits fewer; widen its limits"
        return "too few units may be kept, or too many have no other unit to represent them"

    def certainly_feasible(self) -> bool:
        """Whether a decision surely exists: every unit may represent every other, and there is one quota at most."""
        return (
            self.size > 0
            and self.features <= {Feature.QUOTAS}
            and len(self.quotas) <= 1
            and self.trivial_bound() < math.inf
        )

    def integer_program(self) -> IntegerProgram:
        """Write the strong formulation, a variable for every unit kept and for every pair, reduced where it is large.

        Raises
        ------
        SolverUnsuitable
            above a million pairs that may be in an optimal decision
        """
        from pam_opt_solvers.representatives.formulation import integer_program

        return integer_program(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the problem as named arrays without objects."""
        plain = {name: getattr(self, name) for name in ("cost", "capacities", "groups", "forbidden", "importance")}
        found = {name: value for name, value in plain.items() if value is not None}
        found |= {"n_kept": np.array(self.n_kept), "at_most": np.array(self.at_most)}
        for number, quota in enumerate(self.quotas):
            least, most = quota.limits
            parts = {"labels": quota.labels, "least": least, "most": most, "name": np.array(quota.name)}
            found |= {f"quota_{number}_{part}": value for part, value in parts.items()}
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build a problem from named arrays; ``cost`` and ``n_kept`` will do."""
        quotas: list[Quota] = []
        n_kept: Any = arrays["n_kept"][()]
        while f"quota_{len(quotas)}_labels" in arrays:
            labels, least, most = (arrays[f"quota_{len(quotas)}_{part}"] for part in ("labels", "least", "most"))
            quotas.append(Quota(labels, least, most, str(arrays.get(f"quota_{len(quotas)}_name", "quota"))))
        return cls(
            arrays["cost"],
            n_kept,
            bool(arrays.get("at_most", np.array(False))),
            arrays.get("capacities"),
            arrays.get("groups"),
            arrays.get("forbidden"),
            tuple(quotas),
            arrays.get("importance"),
        )


def _as_quotas(quotas: Any, size: int) -> tuple[Quota, ...]:
    if isinstance(quotas, Quota):
        quotas = (quotas,)
    found = as_instances(quotas, "quotas", Quota)
    for quota in found:
        if len(quota.labels) != size:
            raise ProblemError(f"{quota.name} labels {len(quota.labels)} units; there are {size}")
    return found
