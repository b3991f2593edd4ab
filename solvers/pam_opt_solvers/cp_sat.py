"""Exact pairing by OR-Tools CP-SAT (Apache 2.0) on integer costs: slow here, but takes side constraints.

Repeatable only with one thread and without a time limit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.problems.pairing import Pairing
from pam_opt_solvers.reduction import Scaled, arcs, has_total, integers, lines_of
from pam_opt_solvers.solution import Status
from pam_opt_solvers.solver import Outcome, Solver

MOST_BITS = 44
SUM_BITS = 60
"""The backend wants the sum over all variables, used or not, inside int64."""


@dataclass(frozen=True)
class Model:
    """The backend's model and variables, the pair (a, 2) of each variable, and the scaling."""

    model: Any
    variables: list[Any]
    pairs: NDArray[np.int64]
    scaling: Scaled


class CpSat(Solver[Model]):
    """Choose pairs by one Boolean each, at most one (or exactly one) in every row and column."""

    name = "cp_sat"
    backend = "ortools"
    module = "ortools.sat.python.cp_model"
    exact = True
    description = "exact on integer costs; OR-Tools CP-SAT, for small problems"
    stops_itself = True
    repeatable_under_limit = False
    uses_threads = True

    def _build(self, problem: Pairing, options: Options) -> Model:
        from ortools.sat.python import cp_model

        rows, columns, weights = arcs(problem)
        bits = min(MOST_BITS, SUM_BITS - len(weights).bit_length())
        costs, scaling = integers(problem, weights, bits)
        model = cp_model.CpModel()
        variables = [model.new_bool_var("") for _ in range(len(weights))]
        for lines, length in ((rows, problem.shape[0]), (columns, problem.shape[1])):
            add = model.add_exactly_one if problem.required == length else model.add_at_most_one
            for members in lines_of(lines, length):
                add([variables[arc] for arc in members])
        if has_total(problem):
            model.add(cp_model.LinearExpr.sum(variables) == problem.required)
        model.minimize(cp_model.LinearExpr.weighted_sum(variables, costs.tolist()))
        return Model(model, variables, np.column_stack([rows, columns]), scaling)

    def _run(self, model: Model, problem: Pairing, options: Options) -> Outcome:
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.linearization_level = 2  # all rows and columns in the relaxation: 10 times faster and more
        solver.parameters.num_workers = options.threads
        solver.parameters.random_seed = options.seed
        if options.time_limit is not None:
            solver.parameters.max_time_in_seconds = options.time_limit
        found = solver.solve(model.model)
        if found == cp_model.INFEASIBLE:
            return Outcome(Status.INFEASIBLE)
        error, note = model.scaling.error, model.scaling.note
        bound = model.scaling.to_value(problem, solver.best_objective_bound) - error
        if found == cp_model.UNKNOWN:
            return Outcome(Status.TIME_LIMIT_EMPTY, bound=bound, note=note)
        if found not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            raise RuntimeError(f"CP-SAT ended with {solver.status_name(found)}: {model.model.validate()}")
        status = Status.OPTIMAL if found == cp_model.OPTIMAL else Status.TIME_LIMIT
        used = np.array([solver.boolean_value(variable) for variable in model.variables], dtype=bool)
        return Outcome(status, model.pairs[used], bound, error, note)
