"""Lagrangian relaxation of the budgets, anytime: prices by Newton's method, then repair, moves and kicks.

Every smoothing level of the dual gives prices, a bound and a decision (each unit's cheapest group at the prices),
which is repaired and improved by moves of one and two units. Afterwards the best decision is kicked at random
among the moves that cost least at the best prices, repaired and improved again.
"""

import numpy as np

from pam_opt_solvers.grouping import dual
from pam_opt_solvers.grouping.moves import State, improve, repair
from pam_opt_solvers.grouping.normal import Floats, Indices, Normal
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

IDLE = 60
"""Kicks without improvement after which the search ends."""

KICK = (3, 14)
"""Least and most moves of a kick."""

CORE = 300
"""Moves among which kicks choose."""

GRACE = 3
"""Smoothing levels whose decisions are too far from the best to be worth repairing while there is no hurry."""


class Lagrangian(Solver[Normal]):
    """Price the budgets; a bound and, almost always, a decision close to it after each price."""

    name = "lagrangian"
    takes = frozenset({"grouping"})
    exact = False
    features = frozenset({Feature.FORBIDDEN})
    description = "heuristic with a bound; Lagrangian relaxation of the budgets, repair and local search; anytime"
    stops_itself = True

    def _build(self, problem: Grouping, options: Options) -> Normal:
        return Normal.of(problem)

    def _run(self, model: Normal, problem: Grouping, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        prices = descend(model, search)
        if prices is None:
            return search.outcome("at some prices of the budgets every choice uses more than all limits", finished=True)
        _kick(model, prices, search, np.random.default_rng(options.seed))
        return search.outcome(f"best prices of the budgets {_listed(model, prices)}")


def descend(normal: Normal, search: Search) -> Floats | None:
    """Raise the bound to that of the best prices, offering decisions on the way; ``None`` = no decision exists."""
    best, height = np.zeros(len(normal.kept)), dual.bound(normal, np.zeros(len(normal.kept)))
    search.raise_bound(height)
    _offer(normal, best, normal.problem.least_use(), search)
    for level, prices in enumerate(dual.paths(normal)):
        if search.over:
            break
        if dual.proves_infeasible(normal, prices):
            return None
        bound = dual.bound(normal, prices)
        search.raise_bound(bound)
        if bound > height:
            best, height = prices, bound
        if level >= GRACE or search.decision is None:
            _offer(normal, prices, normal.priced(prices).argmin(axis=1), search)
    return best


def _offer(normal: Normal, prices: Floats, decision: Indices, search: Search) -> bool:
    state = State(normal, decision)
    if not repair(state, prices):
        return False
    search.offer(state.decision)
    if not search.out_of_time:
        improve(state, prices, search.deadline)
    return search.offer(state.decision)


def _kick(normal: Normal, prices: Floats, search: Search, rng: np.random.Generator) -> None:
    idle = 0
    while search.decision is not None and idle < IDLE and not search.over:
        state = State(normal, search.decision)
        flat = state.gains(normal.priced(prices)).ravel()
        count = min(CORE, flat.size)
        core = np.argpartition(flat, count - 1)[:count]
        core = core[np.isfinite(flat[core])]
        for choice in rng.choice(core, min(int(rng.integers(*KICK)), len(core)), replace=False):
            state.move(*divmod(int(choice), normal.shape[1]))
        state.refresh()
        idle = 0 if _offer(normal, prices, state.decision, search) else idle + 1


def _listed(normal: Normal, prices: Floats) -> str:
    table = normal.problem.linear
    own = prices * normal.scale / table.limits[normal.kept]
    return ", ".join(f"'{table.names[b]}' {price:.4g}" for b, price in zip(normal.kept, own, strict=True)) or "none"
