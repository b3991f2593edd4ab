"""Pairing: which units of two parents merge, and which stay single at their own cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.checks import as_count, as_float64, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.problem import Problem


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

    Raises
    ------
    ProblemError
        for NaN, -inf, magnitudes above 1e300, wrong shapes or an impossible count

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

    cost: NDArray[np.float64]
    single_rows: NDArray[np.float64] | None = None
    single_columns: NDArray[np.float64] | None = None
    n_pairs: int | None = None

    def __post_init__(self) -> None:
        self._set("cost", as_float64(self.cost, "cost", (None, None)))
        for name, length in zip(("single_rows", "single_columns"), self.shape, strict=True):
            if getattr(self, name) is not None:
                self._set(name, as_float64(getattr(self, name), name, (length,)))
                extent(getattr(self, name), name, allow_infinity=False)
        if self.n_pairs is not None:
            self._set("n_pairs", as_count(self.n_pairs, "n_pairs", min(self.shape)))
        _ = self.cost_extent  # validates the matrix

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
        has_singles = self.single_rows is not None or self.single_columns is not None
        return None if has_singles else min(self.shape)

    @property
    def most_pairs(self) -> int:
        """Largest number of pairs a decision can have."""
        return min(self.shape) if self.required is None else self.required

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support to take this problem."""
        present = {
            Feature.OPT_OUT: self.required is None,
            Feature.FIXED_COUNT: self.required is not None and self.required < min(self.shape),
            Feature.FORBIDDEN: self.cost.size > 0 and self.cost.max() == np.inf,
            Feature.RECTANGULAR: self.shape[0] != self.shape[1],
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

    @property
    def ceiling(self) -> float:
        """Weights at or above this are never worth a pair: 0 with opt-outs, +inf otherwise."""
        return 0.0 if self.required is None else math.inf

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
        if self.most_pairs == 0 or (self.required is None and self.weights.min() >= 0):
            return Outcome(Status.OPTIMAL, np.zeros((0, 2), np.int64), note="nothing to decide")
        if Feature.FORBIDDEN in self.features and self.trivial_bound() == math.inf:
            return Outcome(Status.INFEASIBLE, note="too few rows or columns have a permitted pair")
        return None

    def certainly_feasible(self) -> bool:
        """Whether any decision exists, by a largest matching of permitted pairs: ``O(a sqrt(m + n))``."""
        from pam_opt_solvers.pairing.reduction import feasible

        return feasible(self)

    def integer_program(self) -> IntegerProgram:
        """Write one variable for each pair worth considering, at most one of them in every row and column."""
        from pam_opt_solvers.pairing.reduction import assignment_program

        return assignment_program(self)

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (k, 2) integers, row and column of each pair
        """
        array = np.asarray(decision if np.size(decision) else np.zeros((0, 2), np.int64))
        if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
            return (f"pairs must be (k, 2) integers, not {array.dtype} of shape {array.shape}",)
        outside = (array < 0).any(axis=1) | (array >= np.array(self.shape)).any(axis=1)
        if outside.any():
            return (f"pair {tuple(map(int, array[outside][0]))} lies outside the {self.shape} matrix",)
        found = [_repeated(array[:, side], name) for side, name in enumerate(("row", "column"))]
        forbidden = array[self.cost[array[:, 0], array[:, 1]] == np.inf]
        if len(forbidden):
            found.append(f"pair {tuple(map(int, forbidden[0]))} is forbidden")
        if self.required is not None and len(array) != self.required:
            found.append(f"{len(array)} pairs instead of exactly {self.required}")
        return tuple(text for text in found if text)

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
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build a problem from named arrays; ``cost`` alone will do."""
        count: Any = arrays["n_pairs"][()] if "n_pairs" in arrays else None
        return cls(arrays["cost"], arrays.get("single_rows"), arrays.get("single_columns"), count)


def _repeated(indices: NDArray[Any], name: str) -> str:
    values, counts = np.unique(indices, return_counts=True)
    return f"{name} {values[counts > 1][0]} is in more than one pair" if (counts > 1).any() else ""
