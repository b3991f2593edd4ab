"""MultiPairing: which units of K >= 2 parents merge into clusters, with the costs of every two that share one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.checks import as_float64, extent
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.problem import Problem

if TYPE_CHECKING:
    from pam_opt_solvers.integer_program import IntegerProgram

Vector = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class MultiPairing(Problem):
    """Partition the N units of K parents into clusters of at most one unit of each parent, at least cost.

    Without single costs, exactly ``min(sizes)`` complete clusters are made, one unit of every parent each, and the
    rest is single for free. With single costs, any clusters may be made, of any number of parents. For two parents
    both are a `Pairing`.

    Parameters
    ----------
    cost : (N, N) float64, symmetric, lower is better: what two units of one cluster cost; +inf = forbidden. The units
        of parent 0 come first, then those of parent 1, ... The diagonal is not used, nor are pairs of one parent
        unless ``within``
    sizes : (K,) int64, units of each parent, >= 0; they sum to N
    single : (N,) float64, finite, cost of a unit that is alone in its cluster; may be negative
    within : whether units of one parent may merge too: a cluster is then any set of at most K units. Without single
        costs, exactly ``N // K`` clusters of K units each are made. For K = 2 this is a matching in a general graph,
        and what ZipIt! [1] decides greedily

    Raises
    ------
    ProblemError
        for NaN, -inf, magnitudes above 1e300, wrong shapes, an asymmetric matrix or fewer than two parents

    Notes
    -----
    A decision is the cluster of each unit, (N,) int64; in its canonical form clusters are numbered from 0 as they
    first appear. ``value = sum over clusters of (sum of cost[u, v] over its pairs) + sum of single[u] over lone u``.

    [1] Stoica et al., "ZipIt! Merging Models from Different Tasks without Training", ICLR 2024, arXiv:2305.03053.

    Examples
    --------
    >>> import numpy as np
    >>> from pam_opt_solvers import MultiPairing
    >>> place = np.array([0.0, 5.0, 5.1, 0.1, 0.2, 5.2])
    >>> problem = MultiPairing(np.abs(place[:, None] - place), sizes=[2, 2, 2])
    >>> round(problem.value([0, 1, 1, 0, 0, 1]), 6)
    0.8
    """

    kind: ClassVar[str] = "multi_pairing"
    asks: ClassVar[frozenset[Feature]] = frozenset(
        {
            Feature.OPT_OUT,
            Feature.FORBIDDEN,
            Feature.RECTANGULAR,
            Feature.WITHIN,
            Feature.TWO_PARENTS,
            Feature.THREE_PARENTS,
            Feature.MANY_PARENTS,
        }
    )

    cost: Vector
    sizes: NDArray[np.int64]
    single: Vector | None = None
    within: bool = False

    def __post_init__(self) -> None:
        self._set("sizes", _as_sizes(self.sizes))
        total = int(self.sizes.sum())
        self._set("cost", as_float64(self.cost, f"cost (of {total} units)", (total, total)))
        extent(self.cost, "cost", allow_infinity=True)
        _check_symmetric(self.cost)
        if self.single is not None:
            self._set("single", as_float64(self.single, "single", (total,)))
            extent(self.single, "single", allow_infinity=False)
        if not isinstance(self.within, bool | np.bool_):
            raise ProblemError(f"within must be True or False, not {self.within!r}")
        self._set("within", bool(self.within))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        extras = "".join(f", {text}" for text in sorted(feature.value for feature in self.features))
        return f"MultiPairing({' + '.join(map(str, self.sizes))} units{extras})"

    @property
    def n_units(self) -> int:
        """Units of all parents, N."""
        return len(self.cost)

    @property
    def n_parents(self) -> int:
        """Parents, K: also the most units of a cluster."""
        return len(self.sizes)

    @property
    def required(self) -> int | None:
        """Clusters of K units that must be made, everything else single; ``None`` = any clusters."""
        if self.single is not None:
            return None
        return self.n_units // self.n_parents if self.within else int(self.sizes.min())

    @cached_property
    def parent(self) -> NDArray[np.int64]:
        """(N,) parent of each unit."""
        return np.repeat(np.arange(self.n_parents), self.sizes)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(K + 1,) first unit of each parent, then N."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def merging(self) -> Vector:
        """(N, N) the cost matrix with +inf wherever two units can never share a cluster."""
        merging = np.array(self.cost)
        if not self.within:
            merging[self.parent[:, None] == self.parent] = np.inf
        np.fill_diagonal(merging, np.inf)
        return merging

    @property
    def alone(self) -> Vector:
        """(N,) cost of each unit alone; 0 where that is free."""
        return np.zeros(self.n_units) if self.single is None else self.single

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What a solver must support to take this problem."""
        possible = np.ones_like(self.cost, bool) if self.within else self.parent[:, None] != self.parent
        np.fill_diagonal(possible, False)
        present = {
            Feature.OPT_OUT: self.single is not None,
            Feature.FORBIDDEN: bool((possible & (self.cost == np.inf)).any()),
            Feature.RECTANGULAR: bool((self.sizes != self.sizes[0]).any()),
            Feature.WITHIN: self.within,
            Feature.TWO_PARENTS: self.n_parents == 2,
            Feature.THREE_PARENTS: self.n_parents == 3,
            Feature.MANY_PARENTS: self.n_parents > 3,
        }
        return frozenset(feature for feature, holds in present.items() if holds)

    def violations(self, decision: Any) -> tuple[str, ...]:
        """List in words what a decision breaks; empty = valid.

        Parameters
        ----------
        decision : (N,) integers, cluster of each unit
        """
        try:
            labels = np.asarray(decision)
        except ValueError:
            return ("the decision is not a rectangular array",)
        if labels.size == 0 and self.n_units == 0 and labels.ndim == 1:
            return ()
        if labels.shape != (self.n_units,) or labels.dtype.kind not in "iu":
            return (f"a decision is ({self.n_units},) integers, not {labels.dtype} of shape {labels.shape}",)
        clusters = self.normalise(labels)
        found = [self._crowded(clusters), self._forbidden(clusters), self._incomplete(clusters)]
        return tuple(text for text in found if text)

    def _crowded(self, labels: Labels) -> str:
        if self.within:
            crowd = np.flatnonzero(np.bincount(labels) > self.n_parents)
            return f"cluster {crowd[0]} has more than {self.n_parents} units" if len(crowd) else ""
        seen = np.bincount(labels * self.n_parents + self.parent)
        crowd = np.flatnonzero(seen > 1)
        if not len(crowd):
            return ""
        cluster, parent = divmod(int(crowd[0]), self.n_parents)
        return f"cluster {cluster} has {seen[crowd[0]]} units of parent {parent}"

    def _forbidden(self, labels: Labels) -> str:
        first, second = pairs_within(labels)
        bad = np.flatnonzero((self.cost[first, second] == np.inf) & (self._mergeable(first, second)))
        return f"units {first[bad[0]]} and {second[bad[0]]} are forbidden to merge" if len(bad) else ""

    def _mergeable(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
        return (self.parent[first] != self.parent[second]) | self.within

    def _incomplete(self, labels: Labels) -> str:
        if self.required is None:
            return ""
        count = np.bincount(labels)
        partial = np.flatnonzero((count > 1) & (count < self.n_parents))
        if len(partial):
            return f"cluster {partial[0]} has {count[partial[0]]} units; only 1 or {self.n_parents} are permitted"
        complete = int((count == self.n_parents).sum())
        return "" if complete == self.required else f"{complete} complete clusters instead of {self.required}"

    def normalise(self, decision: Any) -> Labels:
        """Number the clusters from 0 as they first appear."""
        _, first, inverse = np.unique(np.asarray(decision), return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[inverse.reshape(-1)]

    def terms(self, decision: Any) -> Vector:
        """Return every cost that a valid decision pays: its pairs, then its lone units."""
        self.check(decision)
        labels = self.normalise(decision)
        first, second = pairs_within(labels)
        lone = np.bincount(labels, minlength=1)[labels] == 1
        return np.concatenate([self.cost[first, second], self.alone[lone] if self.single is not None else []])

    @cached_property
    def _trivial_bound(self) -> float:
        if self.required is None:
            return self._bound_of_shares()
        if self.required == 0:
            return 0.0
        if self.within:
            each = np.partition(self.merging, self.n_parents - 2, axis=1)[:, : self.n_parents - 1]
            rows = np.sort(each.sum(axis=1))[: self.required * self.n_parents]
            return math.fsum(rows) / 2 - self.float_error()
        parts: list[float] = []
        for p in range(self.n_parents):
            for q in range(p + 1, self.n_parents):
                block = self.merging[self.parent == p][:, self.parent == q]
                parts.extend(_least_lines(block, self.required))
        return math.fsum(parts)

    def trivial_bound(self) -> float:
        """Return a lower bound on every decision from the least costs of every unit.

        +inf where those alone show that there is no decision.
        """
        return self._trivial_bound

    def _bound_of_shares(self) -> float:
        # Half of a pair's cost falls on each of its units, which has at most one partner of every parent (any K - 1
        # with ``within``), and at least one if it is not alone.
        if not self.n_units:
            return 0.0
        if self.within:
            best = np.sort(self.merging, axis=1)[:, : self.n_parents - 1]
        else:
            blocks = [self.merging[:, self.parent == p] for p in range(self.n_parents)]
            best = np.stack([block.min(axis=1, initial=np.inf) for block in blocks], axis=1)
        merged = np.where((best < 0).any(axis=1), np.minimum(best, 0.0).sum(axis=1), best.min(axis=1, initial=np.inf))
        return math.fsum(np.minimum(merged / 2, self.alone)) - self.float_error()

    def settled(self) -> Outcome | None:
        """Return the outcome where nothing can or need be merged, or where some unit has no partner left."""
        nobody = np.arange(self.n_units)
        if self.required == 0:
            return Outcome(Status.OPTIMAL, nobody, note="nothing to decide")
        if self.required is None:
            worth = np.maximum(self.alone, 0.0)
            if not (self.merging < worth[:, None] + worth).any():
                return Outcome(Status.OPTIMAL, nobody, note="no two units are worth merging")
            return None
        if self.trivial_bound() == math.inf:
            return Outcome(Status.INFEASIBLE, note="too few units have a permitted partner in every other parent")
        return None

    def certainly_feasible(self) -> bool:
        """Whether a decision surely exists."""
        return self.required is None or Feature.FORBIDDEN not in self.features

    def magnitudes(self) -> Vector:
        """Return the magnitudes of all finite costs, flat."""
        return self._magnitudes

    @cached_property
    def _magnitudes(self) -> Vector:
        upper = self.merging[np.triu_indices(self.n_units, 1)]
        return np.abs(np.concatenate([upper[upper < np.inf], self.alone]))

    @property
    def most_terms(self) -> int:
        """The most terms that a decision sums."""
        pairs = self.n_parents * (self.n_parents - 1) // 2
        return self.n_units * self.n_parents if self.required is None else self.required * pairs

    def describe(self, decision: Labels) -> str:
        """Return how many clusters and lone units a decision has."""
        count = np.bincount(np.asarray(decision, np.int64), minlength=1)
        return f"{int((count > 1).sum())} clusters, {int((count == 1).sum())} single units"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return ``cost``, ``sizes``, ``within`` and, where given, ``single``."""
        fields: dict[str, NDArray[Any]] = {"cost": self.cost, "sizes": self.sizes, "within": np.array(self.within)}
        return fields if self.single is None else fields | {"single": self.single}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "MultiPairing":
        """Build the problem from ``cost``, ``sizes`` and optionally ``single`` and ``within``."""
        within = np.asarray(arrays.get("within", False))
        if within.shape != () or within.dtype != np.bool_:
            raise ProblemError(f"within must be one truth value, not {within.dtype} of shape {within.shape}")
        return cls(arrays["cost"], arrays["sizes"], arrays.get("single"), bool(within))

    def integer_program(self) -> "IntegerProgram":
        """Write the problem as set partitioning over all clusters, or over pairs with triangle rows if that is smaller.

        Raises
        ------
        SolverUnsuitable
            where both are of absurd size
        """
        from pam_opt_solvers.multi_pairing.programs import smallest_program

        return smallest_program(self)


def pairs_within(labels: Labels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the second unit of every pair that shares a cluster, first < second."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    firsts, seconds = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for step in range(1, len(labels)):
        same = np.flatnonzero(ordered[step:] == ordered[:-step])
        if not len(same):
            break
        firsts.append(order[same])
        seconds.append(order[same + step])
    return np.concatenate(firsts), np.concatenate(seconds)


def _least_lines(block: Vector, count: int) -> list[float]:
    rows, columns = (np.sort(block.min(axis=axis))[:count] for axis in (1, 0))
    return list(rows if math.fsum(rows) >= math.fsum(columns) else columns)


def _as_sizes(sizes: Any) -> NDArray[np.int64]:
    try:
        given = np.asarray(sizes)
    except ValueError as err:
        raise ProblemError(f"sizes is not a list of integers: {err}") from err
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ProblemError(f"sizes must be a list of integers, not {given.dtype} of shape {given.shape}")
    if len(given) < 2:
        raise ProblemError(f"sizes names {len(given)} parents; merging needs at least 2")
    if given.min() < 0 or given.max() > 2**31:
        raise ProblemError(f"sizes is {given.tolist()}; every parent has 0 or more units")
    array = given.astype(np.int64)
    array.flags.writeable = False
    return array


def _check_symmetric(cost: Vector) -> None:
    # The diagonal is not used, and equal to itself.
    uneven = cost != cost.T
    if uneven.any():
        u, v = map(int, np.argwhere(uneven)[0])
        remedy = "give the mean of both, or cost + cost.T"
        raise ProblemError(f"cost[{u}, {v}] is {cost[u, v]} and cost[{v}, {u}] is {cost[v, u]}; {remedy}")
