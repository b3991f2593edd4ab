"""The whole curve: a decision and a bound for every number of kept units, from one run."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError, SolverUnsuitable
from pam_opt_solvers.options import Options
from pam_opt_solvers.problems import Feature
from pam_opt_solvers.problems.checks import as_count
from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.representatives.adding import Adding
from pam_opt_solvers.representatives.ascent import Effort, ascend, first_multipliers
from pam_opt_solvers.representatives.assignment import represent
from pam_opt_solvers.representatives.interchange import drops, interchange, state_of
from pam_opt_solvers.representatives.relaxation import Multipliers, Point, Relaxation
from pam_opt_solvers.representatives.scaled import Neighbours, Scaled, usual_width
from pam_opt_solvers.search import Search

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

CLOSED = 1e-6
"""Relative gap at which a count is left alone."""

EFFORTS = (Effort(1.0, 0.3), Effort(0.5, 0.03))
"""Every count is tried with the first, then again with the second."""


@dataclass(frozen=True, eq=False)
class RepresentativesCurve:
    """Values and bounds over the number of kept units.

    Parameters
    ----------
    counts : (c,) int64, increasing
    values : (c,) value of the best decision found; +inf = none found
    bounds : (c,) lower bound on every decision; +inf = there is none
    decisions : (c, n) int64, representative of every unit; -1 throughout where none was found
    """

    counts: Indices
    values: Vector
    bounds: Vector
    decisions: NDArray[np.int64]

    @property
    def gaps(self) -> Vector:
        """(c,) relative gaps; +inf without a decision."""
        size = np.where(np.isfinite(self.values), np.maximum(np.abs(self.values), 1e-300), 1.0)
        gaps = np.full(len(self.values), np.inf)
        found = np.isfinite(self.values)
        gaps[found] = (self.values[found] - self.bounds[found]) / size[found]
        return gaps

    def convex(self) -> Vector:
        """Return the greatest convex curve below the values, (c,): what a plan over layers takes.

        +inf at counts below the first that has a decision and above the last.
        """
        found = np.flatnonzero(np.isfinite(self.values))
        hull: list[int] = []
        for point in found.tolist():
            while len(hull) > 1 and self._above(hull[-2], hull[-1], point):
                hull.pop()
            hull.append(point)
        envelope = np.full(len(self.values), np.inf)
        if hull:
            inside = slice(hull[0], hull[-1] + 1)
            line = np.interp(self.counts[inside], self.counts[hull], self.values[hull])
            envelope[inside] = np.minimum(line, self.values[inside])
        return envelope

    def _above(self, left: int, middle: int, right: int) -> bool:
        x, y = self.counts, self.values
        return bool(
            (y[middle] - y[left]) * float(x[right] - x[left]) >= (y[right] - y[left]) * float(x[middle] - x[left])
        )


def representatives_curve(
    problem: Representatives, counts: Iterable[int] | None = None, *, time_limit: float | None = None
) -> RepresentativesCurve:
    """Find decisions and bounds for many numbers of kept units at once.

    One sweep upwards adds units and one downwards drops them, each improved by interchange. Then the count with the
    widest gap gets its Lagrangian bound raised, again and again; as the multipliers do not depend on the count, each
    set of them bounds every count: ``L(lambda, p)`` is a sum of the p least weights.

    Parameters
    ----------
    problem : its own ``n_kept`` is not used
    counts : numbers of kept units, each 1..n; default all of them
    time_limit : seconds; ``None`` = until every count was tried. The first sweep is always finished

    Raises
    ------
    ProblemError
        for counts out of range
    SolverUnsuitable
        for problems with capacities or quotas, or that may keep fewer

    Examples
    --------
    >>> import numpy as np
    >>> problem = Representatives(np.array([[0.0, 1.0, 9.0], [1.0, 0.0, 9.0], [9.0, 9.0, 0.0]]), n_kept=1)
    >>> representatives_curve(problem).values.tolist()
    [10.0, 1.0, 0.0]
    """
    if problem.at_most or problem.features & {Feature.CAPACITIES, Feature.QUOTAS}:
        raise SolverUnsuitable(
            f"a curve needs exact counts without capacities and quotas, which {problem!r} has; solve each count"
        )
    wanted = _as_counts(problem, counts)
    if not len(wanted):
        empty = np.zeros(0)
        return RepresentativesCurve(wanted, empty, empty, np.zeros((0, problem.size), np.int64))
    return _Curve(problem, wanted, Options(time_limit=time_limit).time_limit).traced()


def _as_counts(problem: Representatives, counts: Iterable[int] | None) -> Indices:
    if counts is None:
        return np.arange(1, problem.size + 1)
    wanted = np.array(sorted({as_count(count, "a count", problem.size) for count in counts}), np.int64)
    if len(wanted) and wanted[0] == 0:
        raise ProblemError("a count is 0; at least one unit must be kept to stand for the others")
    return wanted


class _Curve:
    """The curve under construction, in scaled units."""

    def __init__(self, problem: Representatives, counts: Indices, time_limit: float | None) -> None:
        self.problem, self.counts = problem, counts
        self.scaled = Scaled.of(replace(problem, n_kept=max(1, min(counts[-1], problem.size // 4))))
        self.everything = Neighbours.of(self.scaled.others, problem.size)
        self.clock = Search(problem, time_limit)
        self.kept: list[Indices | None] = [None] * len(counts)
        self.values = np.full(len(counts), np.inf)
        self.bounds = np.full(len(counts), -np.inf)
        self.spread: Point | None = None
        self.best: list[Multipliers | None] = [None] * len(counts)

    def traced(self) -> RepresentativesCurve:
        self._upwards()
        self._downwards()
        self._bounded()
        units = self.problem.size
        decisions, values = np.full((len(self.counts), units), -1), np.full(len(self.counts), np.inf)
        for place, kept in enumerate(self.kept):
            found = None if kept is None else represent(self.problem, kept)
            if found is not None:
                decisions[place], values[place] = found, math.fsum(self.problem.terms(found))
        bounds = np.array([self.scaled.original_bound(bound) for bound in self.bounds])
        return RepresentativesCurve(self.counts, values, np.minimum(bounds, values), decisions)

    def _keep(self, place: int, kept: Indices) -> Indices:
        """Improve kept units, note them if they are the best of their count, and return them."""
        state = interchange(self.scaled, kept, lambda: self.clock.out_of_time)
        if state.value < self.values[place]:
            self.values[place], self.kept[place] = state.value, state.kept
        return state.kept

    def _upwards(self) -> None:
        kept: Indices | None = None
        for place, count in enumerate(self.counts.tolist()):
            adding = Adding(self.scaled, kept)
            while len(adding.kept) < count and adding.changes.min() < np.inf:
                adding.add(int(adding.changes.argmin()))
            if len(adding.kept) < count:
                self.bounds[place:] = np.inf  # fewer units may be kept
                return
            kept = self._keep(place, np.array(adding.kept, np.int64))

    def _downwards(self) -> None:
        places = [place for place, found in enumerate(self.kept) if found is not None]
        kept = self.kept[places[-1]] if places else None
        half = self.clock.seconds_left / 2  # the other half is for bounds
        for place in reversed(places[:-1]):
            if (half < np.inf and self.clock.seconds_left < half) or kept is None:
                return
            while len(kept) > self.counts[place]:
                kept = np.delete(kept, drops(state_of(self.scaled, kept)).argmin())
            self._keep(place, kept)
            kept = self.kept[place]

    def _bounded(self) -> None:
        """Raise the bound of the count with the widest gap, until all are closed or tried: quickly, then in earnest."""
        for effort in EFFORTS:
            left = [place for place, kept in enumerate(self.kept) if kept is not None and not self._closed(place)]
            place = left[len(left) // 2] if left else -1
            while left and not self.clock.out_of_time:
                left.remove(place)
                self._raise(place, effort)
                left = [other for other in left if not self._closed(other)]
                place = max(left, key=self._gap, default=-1)

    def _gap(self, place: int) -> float:
        return (self.values[place] - self.bounds[place]) / max(abs(self.values[place]), 1e-300)

    def _closed(self, place: int) -> bool:
        # With all units kept there is only one decision.
        if self.counts[place] == self.problem.keepable.sum():
            self.bounds[place] = self.values[place]
        return bool(self.values[place] - self.bounds[place] <= CLOSED * abs(self.values[place]))

    def _raise(self, place: int, effort: Effort) -> None:
        count, kept = int(self.counts[place]), self.kept[place]
        assert kept is not None
        neighbours = self.everything.narrowed(usual_width(self.problem.size, count))
        relaxation = Relaxation.of(self.scaled)
        relaxation = replace(relaxation, neighbours=neighbours, rule=replace(relaxation.rule, n_kept=count))

        def over(point: Point) -> bool:
            self._spread(relaxation, point)
            return self._closed(place) or self.clock.out_of_time

        def look(point: Point) -> None:
            assert point.selection is not None
            self._keep(place, np.flatnonzero(point.selection.chosen))

        start = first_multipliers(relaxation, state_of(self.scaled, kept))
        shared = self.best[place]
        if shared is not None:
            shared = relaxation.start(shared.units)
            start = max(start, shared, key=lambda multipliers: relaxation.at(multipliers).bound)
        ascend(relaxation, start, lambda: float(self.values[place]), over, look, effort)

    def _spread(self, relaxation: Relaxation, point: Point) -> None:
        """Use one point's multipliers for the bounds of all counts."""
        if point is self.spread:
            return
        self.spread = point
        least = float(point.multipliers.units.sum()) + np.cumsum(np.sort(point.weights))
        rounding = relaxation.rounding(point.multipliers, point.weights, np.isfinite(point.weights))
        found = least[self.counts - 1] - rounding
        for place in np.flatnonzero(found > self.bounds).tolist():
            self.best[place] = point.multipliers
        self.bounds = np.maximum(self.bounds, found)
