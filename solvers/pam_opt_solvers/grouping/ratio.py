"""Greedy by ratio: cheapest groups first, then the moves that cost least per excess they take from the budgets.

If that ends in a dead end, the start is each unit's group of least use instead. Single moves that save cost follow.
"""

import numpy as np

from pam_opt_solvers.grouping.moves import State, improve_singly, repair
from pam_opt_solvers.grouping.normal import Normal
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.features import Feature
from pam_opt_solvers.problems.grouping import Grouping
from pam_opt_solvers.solver import Solver


class Ratio(Solver[Normal]):
    """Repair the cheapest choice by the least cost per excess removed."""

    name = "ratio"
    takes = frozenset({"grouping"})
    exact = False
    features = frozenset({Feature.FORBIDDEN})
    description = "heuristic; cheapest groups, then least cost per budget excess removed; a baseline"

    def _build(self, problem: Grouping, options: Options) -> Normal:
        return Normal.of(problem)

    def _run(self, model: Normal, problem: Grouping, options: Options) -> Outcome:
        free = np.zeros(len(model.kept))
        for start in (model.extra.argmin(axis=1), problem.least_use()):
            state = State(model, start)
            if repair(state, free):
                while improve_singly(state):
                    state.refresh()
                return Outcome(Status.FEASIBLE, state.decision)
        over = ", ".join(f"'{problem.linear.names[b]}'" for b in model.kept[state.use > 1.0])
        return Outcome(Status.NO_DECISION, note=f"no move takes more from the budgets that are passed: {over}")

    def worst_seconds(self, problem: Grouping) -> float:
        """Return a generous time for repair rounds, each one look at every move and budget."""
        return 1e-5 * problem.cost.size * (1 + len(problem.linear)) + 0.1
