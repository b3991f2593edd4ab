"""Joint budgets by decomposition: every budget searches its own sets, a linear programme prices them, a join ends it.

A grouping with joint budgets alone is, for every budget, a set of units within it, and for every unit the cheapest
group that only the budgets of its sets count. Prices on that coupling split it into one search for a heaviest set per
budget, a lower bound for any prices; column generation [1] finds the best ones. Every decision that is better than the
best known is made of sets whose weights come near the heaviest: if few are, all of them are listed and joined, which
proves the optimum [2]. PAM's greedy regrouping is among the decisions that it starts from.

Budgets on functions that are not certainly monotone are proved for sets that keep them in every part; see
`set_functions`. Linear budgets, and units that every permitted group puts into some joint budget, are left to `cuts`.

[1] C. Barnhart et al., "Branch-and-price: column generation for solving huge integer programs", Operations Research
    46, 1998, doi:10.1287/opre.46.3.316.
[2] R. Baldacci, N. Christofides, A. Mingozzi, "An exact algorithm for the vehicle routing problem based on the set
    partitioning formulation with additional cuts", Mathematical Programming 115, 2008, doi:10.1007/s10107-007-0178-5.
"""

import math
import time
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping.cuts import Cuts, cheap_rounds
from pam_opt_solvers.grouping.greedy import Greedy
from pam_opt_solvers.grouping.joining import join
from pam_opt_solvers.grouping.joint_repair import complete
from pam_opt_solvers.grouping.normal import Normal
from pam_opt_solvers.grouping.patterns import Patterns
from pam_opt_solvers.grouping.relaxation import Relaxation
from pam_opt_solvers.grouping.set_master import SetMaster
from pam_opt_solvers.grouping.set_search import SetSearch, TooMany
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

Floats = NDArray[np.float64]

MOST_BUDGETS = 6
"""Joint budgets whose 2^J combinations are tabulated."""

MOST_SETS = 50_000
"""Sets of one budget that are listed and joined; more take longer than they are worth."""

LISTED = 3000
"""Sets of one budget that are listed before anything else, if there are no more."""

LISTED_PART = 0.3
"""Part of the time for that, at most."""

SUPPORT_PART = 0.3
"""Part of the time left for linear rows, at most."""

STARTS = 16
"""Sets that are grown for every budget before the first prices."""

RESERVE = 0.95
"""Part of the time limit that is planned with; nodes are looked at whole."""

PRECISION = 1e-9
"""Part of the largest cost by which sums and prices may be off."""


class Decomposition(Solver[Patterns | None]):
    """Split joint budgets by prices, search the sets of each, and join those that can be in a better decision."""

    name = "decomposition"
    takes = frozenset({"grouping"})
    exact = True
    features = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})
    description = "exact; joint budgets one by one, priced by column generation, and joined; cuts where that fails"
    settings = MappingProxyType({"engine": ("math_opt", "cp_sat", "pulp")})
    stops_itself = True
    repeatable_under_limit = False
    uses_threads = True

    def _build(self, problem: Grouping, options: Options) -> Patterns | None:
        if not 1 <= len(problem.joint) <= MOST_BUDGETS:
            return None
        patterns = Patterns.of(problem)
        return patterns if patterns.separable else None

    def _run(self, model: Patterns | None, problem: Grouping, options: Options) -> Outcome:
        if model is None:
            outcome = Cuts().compute(problem, options)
            return replace(outcome, note="; ".join(filter(None, ["by cuts", outcome.note])))
        limit = None if options.time_limit is None else RESERVE * options.time_limit
        search = Search(problem, limit)
        split = _Split.of(model)
        _start(split, search, options)
        _raise_by_supports(split, search)
        proved = search.closed or _generate(split, search) or _finish(split, search)
        return search.outcome(split.note(proved), finished=proved, error=split.rounding if proved else 0.0)


@dataclass
class _Split:
    """Sets, prices and the bound that they give."""

    patterns: Patterns
    searches: list[SetSearch]
    master: SetMaster
    normal: Normal
    rounding: float
    weights: Floats
    base: float = -math.inf
    tops: tuple[float, ...] = ()
    rounds: int = 0
    joined: str = ""

    @classmethod
    def of(cls, patterns: Patterns) -> "_Split":
        problem = patterns.problem
        searches = [SetSearch(b, useful) for b, useful in zip(problem.joint, patterns.useful(), strict=True)]
        finite = np.abs(patterns.cost[np.isfinite(patterns.cost)])
        rounding = PRECISION * float(finite.max(initial=0.0)) * max(1, len(patterns.cost))
        nothing = np.zeros((len(searches), len(patterns.cost)))
        return cls(patterns, searches, SetMaster(patterns), Normal.of(problem), rounding, nothing)

    @property
    def bound(self) -> float:
        """Lower bound of all decisions at the best prices."""
        return self.base - math.fsum(self.tops) - self.rounding

    def missing(self, search: Search) -> float:
        """Return by how much a better decision would be below the bound's room: below 0 there is none."""
        return search.value - self.patterns.step * 0.999 - self.bound

    def note(self, proved: bool) -> str:
        """What was done, for the run record."""
        nodes = sum(part.nodes for part in self.searches)
        parts = [f"{self.rounds} rounds of prices, {nodes} nodes", self.joined]
        if not all(part.budget.function.monotone for part in self.searches):
            parts.append("proved for sets that keep the budgets in every part" if proved else "")
        return "; ".join(filter(None, parts))


def _start(split: _Split, search: Search, options: Options) -> None:
    """Offer greedy regrouping and repaired choices, and grow some sets for the first prices."""
    problem = split.patterns.problem
    greedy = Greedy()
    found = greedy.compute(problem, replace(options, settings=greedy.resolve({})))
    starts = [problem.least_use()] if found.decision is None else [found.decision, problem.least_use()]
    if found.decision is not None:
        search.offer(found.decision)
    for decision in starts:
        complete(split.normal, decision, search)
    until = search.started + LISTED_PART * (search.deadline - search.started)
    for index, part in enumerate(split.searches):
        part.list_all(LISTED, until)
        split.master.add(index, part.idle)
        if search.decision is not None:
            members = part.idle.copy()
            members[problem.members(search.decision, part.budget.groups)] = True
            split.master.add(index, members)
        alone = part.budget.function.added(np.zeros(0, np.int64))[part.units]
        for unit in part.units[np.argsort(alone, kind="stable")][:STARTS]:
            if not search.out_of_time:
                split.master.add(index, part.grown(int(unit)))
    _join_pools(split, search)


def _raise_by_supports(split: _Split, search: Search) -> None:
    """Raise the bound by linear rows, which needs no search of sets, where the functions have any and sets are many."""
    nothing, units = np.zeros(0, np.int64), len(split.patterns.cost)
    listed = all(part.listed is not None for part in split.searches)
    if listed or not any(part.budget.function.supports(nothing, np.zeros(units)) for part in split.searches):
        return
    rows = Search(
        split.patterns.problem, SUPPORT_PART * search.seconds_left if math.isfinite(search.deadline) else None
    )
    cheap_rounds(Relaxation(split.patterns.problem), rows)
    search.raise_bound(min(rows.bound, search.value))
    if rows.decision is not None:
        search.offer(rows.decision)


def _generate(split: _Split, search: Search) -> bool:
    """Generate sets until the prices are best; return whether the bound then proves the best decision."""
    while not search.out_of_time:
        value, weights = split.master.prices()
        found = _price(split, weights, search)
        split.rounds += 1
        added = [split.master.add(index, members) for index, (members, _) in enumerate(found)]
        base = math.fsum((split.patterns.cost + weights.T @ split.patterns.counted.T).min(axis=1))
        tops = tuple(top for _, top in found)
        if base - math.fsum(tops) > split.base - math.fsum(split.tops) or not split.tops:
            split.base, split.tops, split.weights = base, tops, weights
            search.raise_bound(min(split.bound, search.value))
        if split.rounds % 8 == 1:
            _join_pools(split, search)
        if split.missing(search) < 0 or search.closed:
            return True
        if not any(added) or value - split.bound <= 4 * split.rounding:
            break
    return False


def _price(split: _Split, weights: Floats, search: Search) -> list[tuple[NDArray[np.bool_], float]]:
    """Search the heaviest set of every budget; each may take as much of the time as those after it."""
    found = []
    families = split.master.families()
    for index, part in enumerate(split.searches):
        left = search.seconds_left / (len(families) - index)
        found.append(part.heaviest(weights[index], families[index], time.perf_counter() + left))
    return found


def _join_pools(split: _Split, search: Search) -> None:
    """Offer the best decision of the known sets."""
    found = join(split.patterns.table, split.master.families(), split.weights, -math.inf)
    _offer(split, found, search)


def _offer(split: _Split, found: tuple[float, NDArray[np.bool_]] | None, search: Search) -> None:
    """Offer the decision of some sets as it is, and as single moves improve it."""
    if found is None or found[0] > search.value + split.rounding:
        return
    decision = split.patterns.decision(found[1])
    if not split.patterns.problem.violations(decision):
        search.offer(decision)
    complete(split.normal, decision, search)


def _finish(split: _Split, search: Search) -> bool:
    """List and join all sets that a better decision may be made of; return whether that could be done."""
    _join_pools(split, search)
    if search.out_of_time or not split.tops:
        return False
    room = split.missing(search) + split.rounding
    if room < 0:
        return True
    try:
        families = [
            part.at_least(price, top - room, MOST_SETS, search.deadline)
            for part, price, top in zip(split.searches, split.weights, split.tops, strict=True)
        ]
    except TooMany:
        split.joined = "too many sets near the heaviest" if not search.out_of_time else ""
        return False
    split.joined = f"joined {' x '.join(str(len(family)) for family in families)} sets"
    found = join(split.patterns.table, families, split.weights, math.fsum(split.tops) - room)
    _offer(split, found, search)
    return True
