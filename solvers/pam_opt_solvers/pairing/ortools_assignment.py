"""Exact assignment by cost-scaling push-relabel (OR-Tools, Apache 2.0) on integer costs [1].

[1] A. V. Goldberg and R. Kennedy, "An efficient cost scaling algorithm for the assignment problem",
Mathematical Programming 71, 1995, doi:10.1007/BF01585996.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.pairing.reduction import integers, real_pairs, square_form
from pam_opt_solvers.problems.pairing import PLAIN, Pairing
from pam_opt_solvers.scaling import Scaling
from pam_opt_solvers.solver import Solver

BITS = 40
"""Costs up to 2**40: the backend multiplies them by the number of nodes, which must stay inside int64."""


@dataclass(frozen=True)
class Model:
    """The backend's object and its scaling."""

    assignment: Any
    scaling: Scaling


class OrtoolsAssignment(Solver[Model]):
    """Solve the square form of any pairing as a perfect matching of least integer cost."""

    name = "ortools_assignment"
    backend = "ortools"
    module = "ortools.graph.python.linear_sum_assignment"
    exact = True
    features = PLAIN
    description = "exact on integer costs; OR-Tools assignment, cost scaling"

    def _build(self, problem: Pairing, options: Options) -> Model:
        from ortools.graph.python.linear_sum_assignment import SimpleLinearSumAssignment

        square = square_form(problem)
        permitted = square < np.inf
        rows, columns = np.nonzero(permitted)
        scaling = integers(problem, square[permitted], BITS, terms=len(square))
        assignment: Any = SimpleLinearSumAssignment()
        assignment.add_arcs_with_cost(rows.astype(np.int32), columns.astype(np.int32), scaling.integers)
        return Model(assignment, scaling)

    def _run(self, model: Model, problem: Pairing, options: Options) -> Outcome:
        found = model.assignment.solve()
        if found == model.assignment.INFEASIBLE:
            return Outcome(Status.INFEASIBLE)
        if found != model.assignment.OPTIMAL:
            raise RuntimeError(f"OR-Tools assignment ended with {found}")
        rows = np.arange(model.assignment.num_nodes())
        columns = np.array([model.assignment.right_mate(row) for row in rows.tolist()], dtype=np.int64)
        pairs = real_pairs(problem, rows, columns)
        return Outcome(Status.OPTIMAL, pairs, error=model.scaling.error, note=model.scaling.note)

    def worst_seconds(self, problem: Pairing) -> float:
        """Return 1 microsecond for each of n^3 steps: far above what was seen."""
        return 1e-6 * float(sum(problem.shape)) ** 3 / 8 + 0.01
