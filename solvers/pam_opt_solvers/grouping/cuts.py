"""Joint budgets by cuts: solve without them, evaluate the sets that were chosen, cut off what breaks one, repeat.

The relaxation is a grouping with linear budgets only, for cuts are linear budgets too. First fractional choices are
cut off by the Lagrangian dual alone, which is cheap and raises the bound most; then an exact engine solves the
relaxation. Its bound is a bound of the problem in every round, and a decision of it that keeps the joint budgets is
optimal. Others are repaired, so that there is a decision early.
"""

import math
import time
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from pam_opt_solvers.errors import SolverFailed
from pam_opt_solvers.grouping import dual
from pam_opt_solvers.grouping.joint_repair import complete
from pam_opt_solvers.grouping.normal import Floats, Normal
from pam_opt_solvers.grouping.relaxation import Relaxation
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.registry import PROGRAMS, load_place
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

CHEAP_ROUNDS = 60
"""Rounds of the Lagrangian dual before the engine is called, at most."""

CHEAP_PART = 0.4
"""Part of the time for them, at most."""

PROGRESS = 1e-4
"""Part of the bound that a cheap round must add, at least one in ``PATIENCE``, for another one to be worth it."""

PATIENCE = 4

REPAIR_EVERY = 3
"""Cheap rounds of which the first makes a decision: evaluating set functions takes longer than pricing."""

SLICE = 1 / 3
"""Part of the time left that one call of the engine may take."""

SHORTEST = 0.5
"""Seconds that one call may take in any case."""

RESERVE = 0.9
"""Part of the time limit that is planned with; engines and large set functions overrun."""


class Cuts(Solver[Solver[Any]]):
    """Solve relaxations by an integer programming engine and cut off sets that break a joint budget."""

    name = "cuts"
    takes = frozenset({"grouping"})
    exact = True
    features = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})
    description = "exact; joint budgets by cuts around math_opt, cp_sat or pulp; anytime, with a bound at every round"
    settings = MappingProxyType({"engine": ("math_opt", "cp_sat", "pulp")})
    stops_itself = True
    repeatable_under_limit = False
    uses_threads = True

    def _build(self, problem: Grouping, options: Options) -> Solver[Any]:
        engine = load_place(PROGRAMS[options.settings["engine"]])()
        engine.warm_up()
        return engine

    def _run(self, model: Solver[Any], problem: Grouping, options: Options) -> Outcome:
        limit = None if options.time_limit is None else RESERVE * options.time_limit
        search = Search(problem, limit)
        relaxation = Relaxation(problem)
        complete(relaxation.whole, problem.least_use(), search)
        reason = cheap_rounds(relaxation, search) or _exact_rounds(relaxation, search, model, options)
        note = "; ".join(text for text in (reason, relaxation.note) if text)
        return search.outcome(note, finished=bool(reason), error=relaxation.error)


def cheap_rounds(relaxation: Relaxation, search: Search) -> str:
    """Raise the bound by prices and cut off the fractional choices they make; say so if that leaves no decision."""
    until = search.started + CHEAP_PART * (search.deadline - search.started)
    heights: list[float] = []
    for _ in range(CHEAP_ROUNDS if relaxation.problem.joint else 0):
        normal = Normal.of(relaxation.linear())
        best = _best_prices(normal, until)
        if best is None and search.decision is None:
            return "at some prices of budgets and cuts every choice uses more than all limits"
        if best is None:
            break
        heights.append(dual.bound(normal, best))
        search.raise_bound(heights[-1])
        if len(heights) % REPAIR_EVERY == 1:
            complete(relaxation.whole, normal.priced(best).argmin(axis=1), search)
        stalled = len(heights) > PATIENCE and heights[-1] - heights[-1 - PATIENCE] <= PROGRESS * abs(heights[-1])
        if search.over or stalled or time.perf_counter() > until:
            break
        relaxation.drop_idle(normal, best)
        if not relaxation.cut_shares(dual.shares(normal, best, dual.SOFT)):
            break
    return ""


def _best_prices(normal: Normal, until: float) -> Floats | None:
    """Return the prices of highest bound; ``None`` if some prove that there is no decision."""
    best, height = np.zeros(len(normal.kept)), -math.inf
    for prices in dual.paths(normal, dual.SOFT):
        if dual.proves_infeasible(normal, prices):
            return None
        bound = dual.bound(normal, prices)
        if bound > height:
            best, height = prices, bound
        if time.perf_counter() > until:
            break
    return best


def _exact_rounds(relaxation: Relaxation, search: Search, engine: Solver[Any], options: Options) -> str:
    """Solve the relaxation and cut until its decision keeps all budgets; return why the search is over, if it is."""
    while not search.over:
        problem = relaxation.linear()
        outcome = problem.settled() or _by_engine(problem, engine, search, options)
        if outcome.status is Status.INFEASIBLE:
            if search.decision is not None:
                raise SolverFailed(f"engine '{engine.name}' calls a problem with a decision infeasible; use another")
            return f"the cuts leave no decision ({outcome.note})"
        optimal = outcome.status is Status.OPTIMAL and outcome.decision is not None
        bound = outcome.bound
        if optimal:
            bound = problem.value(outcome.decision) - outcome.error - problem.float_error()
        search.raise_bound(min(bound, search.value))
        if outcome.decision is None:
            continue
        complete(relaxation.whole, outcome.decision, search)
        if relaxation.cut_decision(outcome.decision, search):
            continue
        search.offer(outcome.decision)
        if optimal:
            relaxation.error = outcome.error
            return "the relaxation's optimum keeps all joint budgets"
    return ""


def _by_engine(problem: Grouping, engine: Solver[Any], search: Search, options: Options) -> Outcome:
    left = search.seconds_left
    limit = None if math.isinf(left) else max(min(SHORTEST, left), SLICE * left, 1e-3)
    return engine.compute(problem, replace(options, time_limit=limit, settings=engine.resolve({})))
