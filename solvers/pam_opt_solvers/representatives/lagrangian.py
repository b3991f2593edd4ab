"""Lagrangian relaxation of representatives: bound and decision at every step, then a proof on what little is left.

1. Greedy adding and interchange give a first decision.
2. Subgradients raise the bound; whenever their step shrinks, the units they choose are improved by interchange.
3. Reduced-cost fixing leaves out what cannot be in a better decision; where much is left, shaking the best decision
   looks for a better one first.
4. HiGHS settles the rest.
"""

from dataclasses import replace

import numpy as np

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.representatives import Representatives
from pam_opt_solvers.representatives.adding import greedy_adding
from pam_opt_solvers.representatives.ascent import Effort, ascend, first_multipliers
from pam_opt_solvers.representatives.greedy import FEATURES
from pam_opt_solvers.representatives.interchange import State, state_of
from pam_opt_solvers.representatives.primal import added, improved, offer, repaired
from pam_opt_solvers.representatives.reduced import Reduced, finish, reduce
from pam_opt_solvers.representatives.relaxation import Point, Relaxation
from pam_opt_solvers.representatives.scaled import Neighbours, Scaled
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

QUICK = Effort(last=0.05)
"""Of the first bound on layers of at most ``EASY`` units, which HiGHS settles sooner than subgradients do."""

EASY = 64
"""Undecided units that an integer programme is trusted with at once."""

SHAKES = 100
"""Most shakes in a row without a better decision."""

SHAKING = 0.3
"""Most of the time left that shaking takes."""

SHAKEN = 0.1
"""Part of the kept units that a shake drops."""


class Lagrangian(Solver[Scaled]):
    """Bound by relaxing the assignment, decide by interchange, prove by reduced-cost fixing and HiGHS."""

    name = "lagrangian"
    backend = "scipy"
    module = "scipy.optimize"
    exact = True
    takes = frozenset({"representatives"})
    features = FEATURES
    description = "exact, anytime; Lagrangian bound, interchange, reduced-cost fixing, HiGHS on the rest"
    stops_itself = True
    repeatable_under_limit = False

    def _build(self, problem: Representatives, options: Options) -> Scaled:
        model = Scaled.of(problem)
        _ = model.neighbours
        return model

    def _run(self, model: Scaled, problem: Representatives, options: Options) -> Outcome:
        return _Run(model, options).outcome()


class _Run:
    """One run: the search, the relaxation and the state of the best decision's kept units."""

    def __init__(self, scaled: Scaled, options: Options) -> None:
        self.scaled, self.problem = scaled, scaled.problem
        self.search = Search(scaled.problem, options.time_limit)
        self.generator = np.random.default_rng(options.seed)
        self.relaxation = Relaxation.of(scaled)
        self.search.raise_bound(scaled.problem.trivial_bound())

    def outcome(self) -> Outcome:
        kept = added(self.search, self.scaled)
        if kept is None:
            return self.search.outcome(
                "no set of kept units meets count and quotas", finished=not self.search.out_of_time
            )
        point = self._bounded(improved(self.search, self.scaled, kept))
        if point.bound == np.inf:
            return self.search.outcome(finished=True)
        if self.search.over:
            return self.search.outcome(_fixed(reduce(self.relaxation, point, self._target())))
        return self._proved(point)

    def _target(self) -> float:
        return float(np.ldexp(self.search.value, -self.scaled.exponent))

    def _is_over(self, point: Point) -> bool:
        self.search.raise_bound(self.scaled.original_bound(point.bound))
        return self.search.over

    def _look(self, point: Point) -> None:
        """Look for a decision near the units that the relaxation chooses."""
        assert point.selection is not None
        kept = repaired(self.problem, np.flatnonzero(point.selection.chosen))
        if kept is not None and len(kept):
            if self.problem.binding_capacities is not None:
                offer(self.search, self.problem, kept)
            improved(self.search, self.scaled, kept)

    def _bounded(self, state: State) -> Point:
        """Raise the bound from scratch; with more neighbours where multipliers ran into the cheapest pair left out."""
        start = first_multipliers(self.relaxation, state)
        effort = QUICK if self.scaled.size <= EASY else Effort()
        while True:
            point = ascend(self.relaxation, start, self._target, self._is_over, self._look, effort)
            capped = point.multipliers.units >= self.relaxation.neighbours.beyond
            if self.search.over or point.bound == np.inf or not capped.any():
                return point
            wider = Neighbours.of(self.scaled.others, 4 * self.relaxation.neighbours.width)
            self.relaxation = Relaxation(
                self.scaled, wider, self.relaxation.rule, self.relaxation.further, self.relaxation.capacities
            )
            start = point.multipliers

    def _proved(self, point: Point) -> Outcome:
        """Settle what reduced-cost fixing leaves."""
        reduced = reduce(self.relaxation, point, self._target())
        if reduced.undecided > EASY and self.search.decision is not None:
            self._shake()
            point = ascend(
                self.relaxation, point.multipliers, self._target, self._is_over, self._look, Effort(0.1, 0.003)
            )
            reduced = reduce(self.relaxation, point, self._target())
        if self.search.over:
            return self.search.outcome(_fixed(reduced))
        return self._finished(reduced)

    def _shake(self) -> None:
        """Drop some kept units at random, add greedily, interchange, and go on from the better of both."""
        assert self.search.decision is not None
        best = state_of(self.scaled, np.unique(self.search.decision))
        until, idle = self.search.seconds_left * (1 - SHAKING), 0
        while idle < SHAKES and not self.search.over and (np.isinf(until) or self.search.seconds_left > until):
            count = max(1, round(SHAKEN * len(best.kept)))
            rest = self.generator.permutation(best.kept)[count:]
            kept = repaired(self.problem, greedy_adding(self.scaled, lambda: self.search.out_of_time, rest))
            if kept is None:
                return
            state = improved(self.search, self.scaled, kept)
            idle += 1
            if state.value < best.value:
                best, idle = state, 0

    def _finished(self, reduced: Reduced) -> Outcome:
        left = self.search.seconds_left
        seconds = left if np.isinf(left) else max(0.01, 0.95 * left - 0.05)
        before, found = self.search.value, finish(self.relaxation, reduced, seconds)
        broken = found.decision is None or self.problem.violations(found.decision)
        if not broken:
            self.search.offer(found.decision)
        settled = found.complete and (found.decision is None or not broken)
        # What was left out costs at least the value that was known before.
        self.search.raise_bound(min(before, self.scaled.original_bound(found.bound)))
        error = min(self.scaled.original(found.error), max(0.0, self.search.value - self.search.bound))
        outcome = self.search.outcome(_fixed(reduced), finished=settled, error=error)
        if settled or outcome.status.proven:
            return outcome
        # HiGHS stops a little before the limit, so that the whole run keeps it.
        status = Status.TIME_LIMIT if outcome.status.decided else Status.TIME_LIMIT_EMPTY
        return replace(outcome, status=status)


def _fixed(reduced: Reduced) -> str:
    kept, dropped = int(reduced.certain.sum()), int((~reduced.keepable).sum())
    return f"reduced costs fixed {kept} units as kept and {dropped} as not, {reduced.undecided} undecided"
