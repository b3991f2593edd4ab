"""Exact integer programming by OR-Tools CP-SAT (Apache 2.0) on integer costs and rows.

Repeatable only with one thread and without a time limit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Problem
from pam_opt_solvers.program_solver import Model, ProgramSolver
from pam_opt_solvers.scaling import Scaling

MOST_BITS = 44
SUM_BITS = 60
"""The backend wants the sum over all variables, used or not, inside int64."""

ROW_BITS = 36
"""Of the coefficients of rows that are not small whole numbers: fine enough for every tolerance on budgets."""


WHOLE = 1e-6
"""By which a limit may miss a whole number and still count as it."""


@dataclass(frozen=True)
class _Native:
    model: Any
    variables: list[Any]


class CpSat(ProgramSolver):
    """Hand the programme to CP-SAT; rows that choose one of several become clauses of their own kind."""

    name = "cp_sat"
    backend = "ortools"
    module = "ortools.sat.python.cp_model"
    description = "exact on integer costs; OR-Tools CP-SAT, for small problems"
    repeatable_under_limit = False
    uses_threads = True

    def _scale(self, program: IntegerProgram) -> Scaling:
        units = int(program.upper.sum())
        return program.integers(min(MOST_BITS, SUM_BITS - units.bit_length()))

    def _write(self, program: IntegerProgram, scaling: Scaling, options: Options) -> _Native:
        from ortools.sat.python import cp_model

        model = cp_model.CpModel()
        variables = [
            model.new_bool_var("") if upper == 1 else model.new_int_var(0, int(upper), "") for upper in program.upper
        ]
        for row in _rows(program):
            _add_row(model, row, variables, cp_model)
        model.minimize(cp_model.LinearExpr.weighted_sum(variables, scaling.integers.tolist()))
        return _Native(model, variables)

    def _run(self, model: Model, problem: Problem, options: Options) -> Outcome:
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.linearization_level = 2  # all rows in the relaxation: 10 times faster and more
        solver.parameters.num_workers = options.threads
        solver.parameters.random_seed = options.seed
        if options.time_limit is not None:
            solver.parameters.max_time_in_seconds = options.time_limit
        found = solver.solve(model.native.model)
        if found == cp_model.INFEASIBLE:
            return self.infeasible(model)
        error, note = model.scaling.error, model.scaling.note
        bound = model.scaling.to_value(solver.best_objective_bound) - error
        if found == cp_model.UNKNOWN:
            return Outcome(Status.TIME_LIMIT_EMPTY, bound=bound, note=note)
        if found not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            raise RuntimeError(f"CP-SAT ended with {solver.status_name(found)}: {model.native.model.validate()}")
        status = Status.OPTIMAL if found == cp_model.OPTIMAL else Status.TIME_LIMIT
        decision = model.decision([solver.value(variable) for variable in model.native.variables])
        return Outcome(status, decision, bound, error, note)


@dataclass(frozen=True)
class _Row:
    columns: NDArray[np.int64]
    coefficients: NDArray[np.int64]
    low: float
    high: float
    chooses: bool  # a sum of Booleans


def _rows(program: IntegerProgram) -> list[_Row]:
    """Return the rows with whole coefficients, those that are not whole scaled and rounded."""
    matrix, low, high = program.scaled_rows
    exponents = np.where(program.small_integers, 0, ROW_BITS)
    rows = []
    for row, (start, end) in enumerate(zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)):
        columns, coefficients = matrix.indices[start:end], matrix.data[start:end]
        scale = 2.0 ** exponents[row]
        whole = np.rint(coefficients * scale).astype(np.int64)
        chooses = bool((coefficients == 1).all() and (program.upper[columns] == 1).all())
        # A limit of 3.7 on whole numbers is one of 3; a scaled one is only rounded.
        slack = WHOLE if exponents[row] == 0 else 0.5
        limits = np.ceil(low[row] * scale - slack), np.floor(high[row] * scale + slack)
        rows.append(_Row(columns, whole, *limits, chooses))
    return rows


def _add_row(model: Any, row: _Row, variables: list[Any], cp_model: Any) -> None:
    members = [variables[column] for column in row.columns]
    if row.chooses and row.high == 1 and row.low in (1, -np.inf):
        (model.add_exactly_one if row.low == 1 else model.add_at_most_one)(members)
        return
    total = cp_model.LinearExpr.weighted_sum(members, row.coefficients.tolist())
    low = int(row.low) if np.isfinite(row.low) else None
    high = int(row.high) if np.isfinite(row.high) else None
    if low is not None and high is not None:
        model.add_linear_constraint(total, low, high)
    elif high is not None:
        model.add(total <= high)
    elif low is not None:
        model.add(total >= low)
