"""Pairing: which units of two parents merge, and which stay single at their own cost."""

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
from pam_opt_solvers.problems.budget import Budget, pack, unpack
from pam_opt_solvers.problems.checks import as_array, as_count, as_float64, as_instances, as_int64, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.problem import Problem

PLAIN = frozenset({Feature.OPT_OUT, Feature.FIXED_COUNT, Feature.FORBIDDEN, Feature.RECTANGULAR})
"""What a pairing may ask and still be one assignment."""


@dataclass(frozen=True, eq=False, repr=False)
class Pairing(Problem):
    """Pair rows with columns at least cost; every row and column is in at most one pair.

    Without single costs and without ``n_pairs``, exactly ``min(m, n)`` pairs are made and the rest is single
    for free. With ``n_pairs``, exactly that many. With single costs (a missing side costs 0) and no
    ``n_pairs``, any number.

    Parameters
    ----------
    cost : (m, n) float64, lower is better; +inf = forbidden pair. Kept without a copy where possible: do not
        change it
    single_rows : (m,) float64, finite, cost of leaving each row single; may be negative
    single_columns : (n,) float64, finite, cost of leaving each column single; may be negative
    n_pairs : number of pairs to make, 0..min(m, n)
    max_pairs : instead of ``n_pairs``: make any number up to this one
    forced : (f, 2) integers, pairs that must be made
    tied_rows : (m,) integers, labels of groups that go together: the rows of one label >= 0 are all paired or all
        single; -1 = tied to none
    tied_columns : (n,) integers, the same for columns
    budgets : of (m, n) weights each; see `Budget`

    Raises
    ------
    ProblemError
        for NaN, -inf, magnitudes above 1e300, wrong shapes, an impossible count, forced pairs that are forbidden
        or exclude each other

    Notes
    -----
    ``value = sum_pairs cost[i, j] + sum_{single i} r_i + sum_{single j} s_j``, which equals
    ``constant + sum_pairs weights[i, j]`` with ``weights = cost - r_i - s_j``: the form that solvers use.

    Examples
    --------
    >>> import numpy as np
    >>> from pam_opt_solvers import Pairing
    >>> Pairing(np.array([[1.0, 9.0], [9.0, 2.0]])).value([(0, 0), (1, 1)])
    3.0
    """

    kind: ClassVar[str] = "pairing"
    asks: ClassVar[frozenset[Feature]] = PLAIN | {Feature.AT_MOST, Feature.FORCED, Feature.TIED, Feature.BUDGETS}

    cost: NDArray[np.float64]
    single_rows: NDArray[np.float64] | None = None
    single_columns: NDArray[np.float64] | None = None
    n_pairs: int | None = None
    max_pairs: int | None = None
    forced: NDArray[np.int64] | None = None
    tied_rows: NDArray[np.int64] | None = None
    tied_columns: NDArray[np.int64] | None = None
    budgets: tuple[Budget, ...] = ()

    def __post_init__(self) -> None:
        self._set("cost", as_float64(self.cost, "cost", (None, None)))
        for name, length in zip(("single_rows", "single_columns"), self.shape, strict=True):
            if getattr(self, name) is not None:
                self._set(name, as_float64(getattr(self, name), name, (length,)))
                extent(getattr(self, name), name, allow_infinity=False)
        for name in ("n_pairs", "max_pairs"):
            if getattr(self, name) is not None:
                self._set(name, as_count(getattr(self, name), name, min(self.shape)))
        if self.n_pairs is not None and self.max_pairs is not None:
            raise ProblemError("n_pairs and max_pairs exclude each other; give one of them")
        _ = self.cost_extent  # validates the matrix
        self._check_side_constraints()

    def _check_side_constraints(self) -> None:
        for name, length in zip(("tied_rows", "tied_columns"), self.shape, strict=True):
            if getattr(self, name) is not None:
                self._set(name, as_int64(getattr(self, name), name, (length,)))
        if self.forced is not None:
            forced = as_array(self.forced, "forced")
            forced = as_int64(forced if forced.size else np.zeros((0, 2), np.int64), "forced", (None, 2))
            self._set("forced", forced if len(forced) else None)
        if self.forced is not None:
            broken = self._broken_pairs(self.forced)
            if broken:
                raise ProblemError(f"forced: {'; '.join(broken)}")
            if len(self.forced) > self.most_pairs:
                raise ProblemError(f"forced holds {len(self.forced)} pairs, but at most {self.most_pairs} can be made")
        self._set("budgets", as_instances(self.budgets, "budgets", Budget))
        for budget in self.budgets:
            if budget.weights.shape != self.shape:
                raise ProblemError(f"budget {budget.name!r} has weights {budget.weights.shape}; costs are {self.shape}")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        count = "any number of" if self.required is None else f"exactly {self.required}"
        extras = ", ".join(sorted(feature.value for feature in self.features))
        return f"Pairing({self.shape[0]} x {self.shape[1]}, {count} pairs{', ' if extras else ''}{extras})"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.cost.shape[0], self.cost.shape[1]

    @cached_property
    def cost_extent(self) -> tuple[float, float]:
        """Least and greatest finite cost; ``(inf, -inf)`` where no pair is permitted."""
        return extent(self.cost, "cost", allow_infinity=True)

    @property
    def required(self) -> int | None:
        """Number of pairs that must be made; ``None`` = any number."""
        if self.n_pairs is not None:
            return self.n_pairs
        if self.max_pairs is not None:
            return None
        has_singles = self.single_rows is not None or self.single_columns is not None
        return None if has_singles else min(self.shape)

    @property
    def most_pairs(self) -> int:
        """Largest number of pairs a decision can have."""
        if self.max_pairs is not None:
            return self.max_pairs
        return min(self.shape) if self.required is None else self.required

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support to take this problem."""
        present = {
            Feature.OPT_OUT: self.required is None,
            Feature.FIXED_COUNT: self.required is not None and self.required < min(self.shape),
            Feature.FORBIDDEN: self.cost.size > 0 and self.cost.max() == np.inf,
            Feature.RECTANGULAR: self.shape[0] != self.shape[1],
            Feature.AT_MOST: self.max_pairs is not None and self.max_pairs < min(self.shape),
            Feature.FORCED: self.forced is not None,
            Feature.TIED: self.tied_rows is not None or self.tied_columns is not None,
            Feature.BUDGETS: len(self.budgets) > 0,
        }
        return frozenset(feature for feature, holds in present.items() if holds)

    @cached_property
    def _singles_that_matter(self) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        # A side that must be paired whole never pays for singles. Leaving those out of the weights keeps
        # every digit of the costs (a single cost of 1e300 would swallow them) and saves the copy.
        rows, columns = (
            None if single is None or self.required == length or not single.any() else single
            for single, length in zip((self.single_rows, self.single_columns), self.shape, strict=True)
        )
        return rows, columns

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """``(m, n)`` float64: what pairing changes against leaving both single; ``cost`` if that is free."""
        rows, columns = self._singles_that_matter
        weights = self.cost
        if rows is not None:
            weights = weights - rows[:, None]
        if columns is not None:
            weights = weights - columns[None, :]
        return weights

    @property
    def constant(self) -> float:
        """Value of the empty decision in the reduced form: ``value = constant + sum of weights``."""
        return math.fsum(x for single in self._singles_that_matter if single is not None for x in single)

    @cached_property
    def within_budgets(self) -> NDArray[np.bool_]:
        """``(m, n)`` bool: pairs that keep every budget by themselves."""
        return np.logical_and.reduce([np.ones(self.shape, bool), *(budget.single for budget in self.budgets)])

    @property
    def ceiling(self) -> float:
        """Weights at or above this are never worth a pair: 0 with opt-outs, +inf where one may be wanted."""
        wanted = self.required is not None or self.forced is not None or Feature.TIED in self.features
        return math.inf if wanted else 0.0

    @property
    def magnitude(self) -> float:
        """Largest magnitude that enters a weight; its rounding limits what float64 can prove."""
        finite = [abs(x) for x in self.cost_extent if math.isfinite(x)]
        singles = [float(np.abs(single).max(initial=0.0)) for single in self._singles_that_matter if single is not None]
        return max(finite, default=0.0) + sum(singles)

    @property
    def most_terms(self) -> int:
        """The most pairs, for in the reduced form only they are summed."""
        return self.most_pairs

    def magnitudes(self) -> NDArray[np.float64]:
        """Return the magnitudes of all permitted costs."""
        return np.abs(self.cost[self.cost < np.inf])

    def normalise(self, decision: Any) -> NDArray[np.int64]:
        """Return the pairs sorted by row."""
        pairs = np.asarray(decision, dtype=np.int64).reshape(-1, 2)
        return pairs[np.argsort(pairs[:, 0])]

    def describe(self, decision: NDArray[np.int64]) -> str:
        """Return the number of pairs in words."""
        return f"{len(decision)} pair{'s' * (len(decision) != 1)}"

    def settled(self) -> Outcome | None:
        """Return the outcome where no pair is permitted, wanted or worth making."""
        nothing = np.zeros((0, 2), np.int64)
        hopeless = [text for budget in self.budgets if (text := budget.excess(0.0))]
        if hopeless:
            return Outcome(Status.INFEASIBLE, note="; ".join(hopeless))
        if self.most_pairs == 0 or (self.required is None and self.weights.min() >= 0):
            broken = self.violations(nothing)
            if not broken:
                return Outcome(Status.OPTIMAL, nothing, note="nothing to decide")
            if self.most_pairs == 0:
                return Outcome(Status.INFEASIBLE, note="; ".join(broken))
        negative = [budget.name for budget in self.budgets if budget.limit < 0]
        if negative:
            return Outcome(Status.INFEASIBLE, note=f"the limit of budget {negative[0]!r} is negative, and no use is")
        if Feature.FORBIDDEN in self.features and self.trivial_bound() == math.inf:
            return Outcome(Status.INFEASIBLE, note="too few rows or columns have a permitted pair")
        return None

    def certainly_feasible(self) -> bool:
        """Whether a decision exists, by a largest matching of permitted pairs: ``O(a sqrt(m + n))``.

        Under side constraints only the empty decision is tried.
        """
        from pam_opt_solvers.pairing.reduction import feasible

        if self.features <= PLAIN:
            return feasible(self)
        return not self.violations(np.zeros((0, 2), np.int64))

    def integer_program(self) -> IntegerProgram:
        """Write one variable for each pair worth considering; see `pam_opt_solvers.pairing.program`."""
        from pam_opt_solvers.pairing.program import assignment_program

        return assignment_program(self)

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (k, 2) integers, row and column of each pair
        """
        try:
            array = np.asarray(decision if np.size(decision) else np.zeros((0, 2), np.int64))
        except ValueError:
            return ("pairs must be (k, 2) integers, row and column of each pair",)
        if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
            return (f"pairs must be (k, 2) integers, not {array.dtype} of shape {array.shape}",)
        return (*self._broken_pairs(array), *(text for text in self._broken_side_constraints(array) if text))

    def _broken_pairs(self, array: NDArray[np.int64]) -> tuple[str, ...]:
        outside = (array < 0).any(axis=1) | (array >= np.array(self.shape)).any(axis=1)
        if outside.any():
            return (f"pair {tuple(map(int, array[outside][0]))} lies outside the {self.shape} matrix",)
        found = [_repeated(array[:, side], name) for side, name in enumerate(("row", "column"))]
        forbidden = array[self.cost[array[:, 0], array[:, 1]] == np.inf]
        if len(forbidden):
            found.append(f"pair {tuple(map(int, forbidden[0]))} is forbidden")
        return tuple(text for text in found if text)

    def _broken_side_constraints(self, array: NDArray[np.int64]) -> Iterator[str]:
        if self.required is not None and len(array) != self.required:
            yield f"{len(array)} pairs instead of exactly {self.required}"
        if self.max_pairs is not None and len(array) > self.max_pairs:
            yield f"{len(array)} pairs instead of at most {self.max_pairs}"
        made = set(map(tuple, array.tolist()))
        for pair in [] if self.forced is None else self.forced.tolist():
            if tuple(pair) not in made:
                yield f"the forced pair {tuple(pair)} is missing"
        for side, (labels, name) in enumerate(((self.tied_rows, "rows"), (self.tied_columns, "columns"))):
            for label, members in tied_groups(labels):
                count = int(np.isin(members, array[:, side]).sum())
                if 0 < count < len(members):
                    yield f"{count} of the {len(members)} tied {name} of group {label} are paired; all or none may be"
        for budget in self.budgets:
            yield budget.excess(math.fsum(budget.weights[array[:, 0], array[:, 1]]))

    def terms(self, decision: Any) -> NDArray[np.float64]:
        """Return every cost that a valid decision pays: its pairs, then single rows, then single columns."""
        array = np.asarray(decision, dtype=np.int64).reshape(-1, 2)
        parts = [self.cost[array[:, 0], array[:, 1]]]
        for side, single in enumerate((self.single_rows, self.single_columns)):
            if single is not None:
                parts.append(np.delete(single, array[:, side]))
        return np.concatenate(parts)

    def trivial_bound(self) -> float:
        """Return a lower bound on every decision: least weights of the rows, or of the columns if higher.

        +inf where the lines alone show that there is no decision.
        """
        if 0 in self.shape:
            return self.value([])
        rounding = 0.0 if self.weights is self.cost else self.float_error(sum(self.shape))
        return self.constant + max(self._line_bound(axis) for axis in (0, 1)) - rounding

    def _line_bound(self, axis: int) -> float:
        least = self.weights.min(axis=axis)
        if self.required is None:
            return math.fsum(np.minimum(least, 0.0))
        return math.fsum(np.sort(least)[: self.required])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the problem as named arrays without objects."""
        fields = {
            "cost": self.cost,
            "single_rows": self.single_rows,
            "single_columns": self.single_columns,
            "n_pairs": None if self.n_pairs is None else np.array(self.n_pairs, np.int64),
            "max_pairs": None if self.max_pairs is None else np.array(self.max_pairs, np.int64),
            "forced": self.forced,
            "tied_rows": self.tied_rows,
            "tied_columns": self.tied_columns,
            **pack(self.budgets),
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build a problem from named arrays; ``cost`` alone will do."""
        counts: Any = {name: arrays[name][()] for name in ("n_pairs", "max_pairs") if name in arrays}
        names = ("single_rows", "single_columns", "forced", "tied_rows", "tied_columns")
        parts = {name: arrays[name] for name in names if name in arrays}
        return cls(arrays["cost"], **parts, **counts, budgets=unpack(arrays))


def tied_groups(labels: NDArray[np.int64] | None) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each label >= 0 with the lines that carry it."""
    if labels is not None:
        for label in np.unique(labels[labels >= 0]):
            yield int(label), np.flatnonzero(labels == label)


def _repeated(indices: NDArray[Any], name: str) -> str:
    values, counts = np.unique(indices, return_counts=True)
    return f"{name} {values[counts > 1][0]} is in more than one pair" if (counts > 1).any() else ""
