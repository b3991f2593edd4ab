"""Sets of little information and one assignment, in turns.

For every joint budget a set of units is grown that keeps it. A group that the budget counts is open only to units of
its set, and then the rest is an assignment, which no choice among open groups can spoil: a budget holds for a set and
so for every subset. The sets are PAM's at first, of least information [1]_. In an optimum, though, many of their units
are better off in another group or a pair and use nothing. So each budget's set is grown anew from the units that do
use it, by those that would save most per information they add; the old decision stays open, and the next is no worse.

Linear budgets get prices, see `pam_opt_solvers.paired_grouping.assignment`. Without joint budgets nothing is closed,
and without linear ones the first assignment is optimal. The bound is that of the problem without joint budgets.

.. [1] X. He, D. Gao, Z. Zhou, Y. Tong, L. Thiele, "Pruning-Aware Merging for Efficient Multitask Inference", KDD 2021,
   arXiv:1905.09676. The regrowth is this package's own.
"""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping.greedy import joint_set
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.paired_grouping.assignment import Priced, within_budgets
from pam_opt_solvers.problems.budgets import JointBudget
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.paired_grouping import PairedGrouping
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

ROUNDS = 20
"""Times that all sets are grown anew, at most."""

SHRINKINGS = 10
"""Times that sets shrink in one round, at most."""

STEPS = 8
"""Times that the candidates of one set are evaluated, at most."""


class Regrow(Solver[Priced]):
    """Grow a set for every joint budget, assign all units at once, and grow the sets anew from what uses them."""

    name = "regrow"
    takes = frozenset({"paired_grouping"})
    exact = False
    features = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})
    description = "sets of little information and one assignment in turns; optimal without budgets"
    settings = MappingProxyType({"rounds": ("many", "one")})
    stops_itself = True

    def _build(self, problem: PairedGrouping, options: Options) -> Priced:
        return Priced(problem)

    def _run(self, model: Priced, problem: PairedGrouping, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        rounds = 1 if options.settings.get("rounds") == "one" else ROUNDS
        taken = improve(model, search, rounds)
        alone = not (problem.joint or len(model.kept))
        return search.outcome(f"{taken} rounds", finished=alone and taken > 0)


def improve(priced: Priced, search: Search, rounds: int = ROUNDS) -> int:
    """Offer decisions that keep all budgets, each better than the one before; return how many rounds were gone."""
    problem = priced.problem
    everything = np.ones((problem.n_units, problem.n_groups), bool)
    if problem.joint or not len(priced.kept):
        found = priced.cheapest(np.zeros(len(priced.kept)), everything)
        if found is None:
            return 0
        search.raise_bound(found[1])
    sets = [joint_set(budget) for budget in problem.joint]
    for taken in range(1, rounds + 1):
        found = _within_all(priced, sets, search)
        if found is None or not search.offer(found[0]) or not problem.joint or search.over:
            return taken
        gains = _gains(priced, *found)
        sets = [_regrown(problem, budget, found[0], gain) for budget, gain in zip(problem.joint, gains, strict=True)]
    return rounds


def _within_all(priced: Priced, sets: list[Flags], search: Search) -> tuple[Indices, Floats] | None:
    """Return a decision of the open groups that keeps all budgets, and its prices; None where none is found.

    A set function that is only nearly monotone may rate a subset above its set. Then the set shrinks to a greedy one
    of the units that used it.
    """
    problem = priced.problem
    for _ in range(SHRINKINGS):
        found = within_budgets(priced, opened(problem, sets), search, bounds=not problem.joint)
        if found is None or search.out_of_time:
            return None
        used = [problem.members(found[0], budget.groups) for budget in problem.joint]
        broken = [place for place, budget in enumerate(problem.joint) if budget.broken(used[place])]
        if not broken:
            return None if problem.violations(found[0]) else found
        for place in broken:
            among = np.isin(np.arange(problem.n_units), used[place])
            sets[place] = problem.joint[place].function.least_set(problem.joint[place].limit, among)
    return None


def opened(problem: PairedGrouping, sets: list[Flags]) -> Flags:
    """Return (m + n, G) the groups that no budget closes to a unit; pairs are never closed."""
    open_ = np.ones((problem.n_units, problem.n_groups), bool)
    for budget, chosen in zip(problem.joint, sets, strict=True):
        open_ &= chosen[:, None] | ~budget.groups[None, :-1]
    return open_


def _gains(priced: Priced, decision: Indices, prices: Floats) -> list[Floats]:
    """Return for every joint budget (m + n,) what each unit would save in the best group that the budget counts."""
    problem = priced.problem
    anywhere = np.ones((problem.n_units, problem.n_groups), bool)
    alone, pair_cost = priced.alone(prices, anywhere), priced.pair_cost(prices)
    single = np.flatnonzero(decision < problem.n_groups)
    paid = np.zeros(problem.n_units)
    paid[single] = alone[single, decision[single]]
    free = [column for column in range(problem.n_groups) if not any(b.groups[column] for b in problem.joint)]
    left = alone[:, free].min(axis=1, initial=np.inf)
    pairs = problem.pairs(decision)
    first, second = pairs[:, 0], len(pair_cost) + pairs[:, 1]
    cost = pair_cost[pairs[:, 0], pairs[:, 1]]
    for unit, other in ((first, second), (second, first)):
        # If no group is free for the one that is left, half a pair is what it must have paid.
        paid[unit] = cost - np.where(np.isfinite(left[other]), np.minimum(left[other], cost), cost / 2)
    return [paid - alone[:, budget.groups[:-1]].min(axis=1, initial=np.inf) for budget in problem.joint]


def _regrown(problem: PairedGrouping, budget: JointBudget, decision: Indices, gain: Floats) -> Flags:
    """Return (m + n,) a set that keeps a budget: the units that use it, and others, most gain per information first."""
    members = problem.members(decision, budget.groups)
    for _ in range(STEPS):
        value, added = budget.function.value(members), budget.function.added(members)
        candidates = np.setdiff1d(np.flatnonzero((added <= budget.limit) & (gain > 0)), members)
        if not len(candidates):
            break
        ratio = gain[candidates] / np.maximum(added[candidates] - value, 1e-12)
        ordered = candidates[np.argsort(-ratio, kind="stable")]
        members = np.concatenate([members, ordered[: _longest(budget, members, ordered)]])
    return np.isin(np.arange(problem.n_units), members)


def _longest(budget: JointBudget, members: Indices, ordered: Indices) -> int:
    """Return how many of the units in order keep the budget with the members; at least one, which is known to."""
    low, high = 1, len(ordered) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if budget.function.value(np.concatenate([members, ordered[:middle]])) <= budget.limit:
            low = middle
        else:
            high = middle
    return low
