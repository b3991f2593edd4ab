"""The same part of every layer's options: the control that plans nothing layer by layer."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems.network_plan import NetworkPlan
from pam_opt_solvers.solver import Solver

_STEPS = 1024
"""Parts of the options that are tried: 0, 1/1024, ..., 1."""


class Uniform(Solver[NDArray[np.int64]]):
    """Try one part of all layers' permitted options after the other; keep the best that meets the budget."""

    name = "uniform"
    takes = frozenset({"network_plan"})
    exact = False
    description = "heuristic; the same share in every layer; a control"

    def _build(self, problem: NetworkPlan, options: Options) -> NDArray[np.int64]:
        # In the order of the problem's lists, which is the user's, not that of the chains.
        permitted = [np.flatnonzero(loss < np.inf) for loss in problem.loss]
        longest = max(map(len, permitted))
        parts = np.linspace(0.0, 1.0, min(_STEPS, longest - 1) + 1)
        return np.stack([kept[np.rint(parts * (len(kept) - 1)).astype(np.int64)] for kept in permitted], axis=1)

    def _run(self, model: NDArray[np.int64], problem: NetworkPlan, options: Options) -> Outcome:
        cost = problem.expected_macs if problem.minimises_macs else problem.total_loss
        values = np.array([cost(plan) for plan in model])
        for index in np.argsort(values, kind="stable"):
            if not problem.violations(model[index]):
                return Outcome(Status.FEASIBLE, model[index])
        return Outcome(Status.NO_DECISION, note=f"none of {len(model)} common shares meets the budget")
