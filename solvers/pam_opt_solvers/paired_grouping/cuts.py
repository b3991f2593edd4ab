"""Joint budgets by cuts: solve without them, evaluate the sets that were chosen, cut off what breaks one, repeat.

The rows are those of `pam_opt_solvers.grouping.separation`, which hold for every decision within a budget and which a
given set breaks. The relaxation has linear budgets only, and an engine of integer programming solves it; its bound is
one of the problem in every round, and a decision of it that keeps all joint budgets is optimal. `regrow` gives
decisions before the first round. Without joint budgets there is one round.
"""

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from pam_opt_solvers.errors import SolverFailed
from pam_opt_solvers.grouping import separation
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.paired_grouping.assignment import Priced
from pam_opt_solvers.paired_grouping.regrow import improve
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.paired_grouping import PairedGrouping
from pam_opt_solvers.registry import PROGRAMS, load_place
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

RESERVE = 0.9
"""Part of the time limit that is planned with; engines and large set functions overrun."""

SLICE = 1 / 3
"""Part of the time left that one call of the engine may take."""


class Cuts(Solver[Solver[Any]]):
    """Solve relaxations by an integer programming engine and cut off sets that break a joint budget."""

    name = "cuts"
    takes = frozenset({"paired_grouping"})
    exact = True
    features = frozenset({Feature.FORBIDDEN, Feature.SET_FUNCTION})
    description = "exact; joint budgets by cuts around math_opt, cp_sat or pulp; for small layers"
    settings = MappingProxyType({"engine": ("math_opt", "cp_sat", "pulp")})
    stops_itself = True
    repeatable_under_limit = False
    uses_threads = True

    def _build(self, problem: PairedGrouping, options: Options) -> Solver[Any]:
        engine = load_place(PROGRAMS[options.settings["engine"]])()
        engine.warm_up()
        return engine

    def _run(self, model: Solver[Any], problem: PairedGrouping, options: Options) -> Outcome:
        limit = None if options.time_limit is None else RESERVE * options.time_limit
        search = Search(problem, limit)
        improve(Priced(problem), search)
        return _Rounds(problem, search, model, options).run()


class _Rounds:
    """The rows so far, and the rounds in which they are made."""

    def __init__(self, problem: PairedGrouping, search: Search, engine: Solver[Any], options: Options) -> None:
        self.problem, self.search, self.engine, self.options = problem, search, engine, options
        self.rows: list[tuple[JointBudget, separation.Row]] = []
        for budget in problem.joint:
            nothing = np.zeros(0, np.int64)
            self._add(budget, separation.support_rows(budget, nothing, np.zeros(problem.n_units)))

    def run(self) -> Outcome:
        """Solve and cut until a decision keeps all budgets, the time is over, or nothing is left."""
        rounds = 0
        while not self.search.over:
            rounds += 1
            outcome, problem = self._solved()
            note = f"{len(self.rows)} cuts, {rounds} rounds"
            if outcome.status is Status.INFEASIBLE:
                return self._empty(note, outcome)
            bound = outcome.bound
            if outcome.status is Status.OPTIMAL and outcome.decision is not None:
                bound = problem.value(outcome.decision) - outcome.error - problem.float_error()
            self.search.raise_bound(min(bound, self.search.value))
            if outcome.decision is None or self._cut(outcome.decision):
                continue
            self.search.offer(outcome.decision)
            if outcome.status is Status.OPTIMAL:
                return self.search.outcome(note, finished=True, error=outcome.error)
        return self.search.outcome(f"{len(self.rows)} cuts, {rounds} rounds")

    def _empty(self, note: str, outcome: Outcome) -> Outcome:
        if self.search.decision is not None:
            raise SolverFailed(f"engine '{self.engine.name}' calls a problem with a decision infeasible; use another")
        return self.search.outcome(f"{note}; the cuts leave no decision ({outcome.note})", finished=True)

    def _solved(self) -> tuple[Outcome, PairedGrouping]:
        problem = self.problem.with_budgets(self._table())
        left = self.search.seconds_left
        limit = None if math.isinf(left) else max(SLICE * left, 1e-3)
        settled = problem.settled()
        options = replace(self.options, time_limit=limit, settings=self.engine.resolve({}))
        return settled or self.engine.compute(problem, options), problem

    def _table(self) -> BudgetTable:
        units, columns = self.problem.n_units, self.problem.n_groups + 1
        return BudgetTable(
            np.array([row[0] for _, row in self.rows]).reshape(-1, units),
            np.array([budget.groups for budget, _ in self.rows], np.float64).reshape(-1, columns),
            np.array([row[1] for _, row in self.rows]),
            tuple(f"{budget.name}, cut {number}" for number, (budget, _) in enumerate(self.rows)),
        )

    def _add(self, budget: JointBudget, rows: Any) -> None:
        for row in rows:
            self.rows.append((budget, row))
            if self.search.out_of_time:
                return

    def _cut(self, decision: np.ndarray) -> bool:
        """Cut off every set that breaks its budget; return whether one did."""
        before = len(self.rows)
        for budget in self.problem.joint:
            members = self.problem.members(decision, budget.groups)
            if budget.function.value(members) > budget.allowed:
                self._add(budget, separation.sharp_rows(budget, members))
        return len(self.rows) > before
