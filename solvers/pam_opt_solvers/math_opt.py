"""Exact integer programming by OR-Tools MathOpt (Apache 2.0): HiGHS (MIT), SCIP (Apache 2.0) or, for linear, GLOP.

GLOP's simplex method returns a vertex of the linear relaxation; it takes only programmes whose vertices are whole.
"""

import datetime
from types import MappingProxyType
from typing import Any

import numpy as np

from pam_opt_solvers.errors import SolverUnsuitable
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Problem
from pam_opt_solvers.program_solver import Model, ProgramSolver
from pam_opt_solvers.scaling import Scaling

BITS = 10
"""Costs are scaled to below 2**10: backends take 1e20 for infinity and 1e-7 for nothing."""

TOLERANCE = 1e-7
"""Of the backends, on one scaled reduced cost."""

ENGINES = {"highs": "HIGHS", "scip": "GSCIP", "glop": "GLOP"}


class MathOpt(ProgramSolver):
    """Solve the programme with HiGHS, SCIP or GLOP through MathOpt."""

    name = "math_opt"
    backend = "ortools"
    module = "ortools.math_opt.python.mathopt"
    description = "exact; integer programme by HiGHS (default) or SCIP, linear programme by GLOP"
    settings = MappingProxyType({"engine": tuple(ENGINES)})

    def _scale(self, program: IntegerProgram) -> Scaling:
        return program.scaled(BITS)

    def _write(self, program: IntegerProgram, scaling: Scaling, options: Options) -> Any:
        from ortools.math_opt.python import mathopt

        whole = options.settings["engine"] != "glop"
        if not whole and not program.whole_vertices:
            raise SolverUnsuitable(
                "math_opt:glop solves linear programmes only, and the relaxation of this problem need not be whole; "
                "use math_opt:highs or math_opt:scip"
            )
        return mathopt.Model.from_model_proto(_proto(program, scaling, whole))

    def _run(self, model: Model, problem: Problem, options: Options) -> Outcome:
        from ortools.math_opt.python import mathopt

        engine = options.settings["engine"]
        result = mathopt.solve(model.native, mathopt.SolverType[ENGINES[engine]], params=_parameters(options))
        reason, error = result.termination.reason, model.scaling.tolerated(TOLERANCE)
        if reason in (mathopt.TerminationReason.INFEASIBLE, mathopt.TerminationReason.INFEASIBLE_OR_UNBOUNDED):
            return self.infeasible(model)  # all variables are bounded
        bound = model.scaling.to_value(result.termination.objective_bounds.dual_bound) - error
        if reason == mathopt.TerminationReason.OPTIMAL:
            return Outcome(Status.OPTIMAL, _decision(model, result), bound, error)
        if reason == mathopt.TerminationReason.FEASIBLE and engine != "glop":
            return Outcome(Status.TIME_LIMIT, _decision(model, result), bound, error)
        if result.termination.limit == mathopt.Limit.TIME:
            return Outcome(Status.TIME_LIMIT_EMPTY, bound=bound)
        raise RuntimeError(f"MathOpt ended with {reason}: {result.termination.detail}")


def _decision(model: Model, result: Any) -> Any:
    return model.decision(result.variable_values(list(model.native.variables())))


def _parameters(options: Options) -> Any:
    from ortools.math_opt.python import mathopt

    limit = None if options.time_limit is None else datetime.timedelta(seconds=options.time_limit)
    # MathOpt refuses what an engine does not know: gaps for GLOP, threads for HiGHS.
    gap = None if options.settings["engine"] == "glop" else 0.0
    return mathopt.SolveParameters(
        time_limit=limit, random_seed=options.seed, absolute_gap_tolerance=gap, relative_gap_tolerance=gap
    )


def _proto(program: IntegerProgram, scaling: Scaling, whole: bool) -> Any:
    """Write the whole model at once; adding variable by variable takes longer than solving."""
    from ortools.math_opt import model_pb2

    proto = model_pb2.ModelProto()
    matrix, low, high = program.scaled_rows
    rows, count = program.size
    proto.variables.ids.extend(range(count))
    proto.variables.lower_bounds.extend([0.0] * count)
    proto.variables.upper_bounds.extend(program.upper.tolist())
    proto.variables.integers.extend((program.integer & whole).tolist())
    used = np.flatnonzero(scaling.values)
    proto.objective.linear_coefficients.ids.extend(used.tolist())
    proto.objective.linear_coefficients.values.extend(scaling.values[used].tolist())
    proto.linear_constraints.ids.extend(range(rows))
    proto.linear_constraints.lower_bounds.extend(low.tolist())
    proto.linear_constraints.upper_bounds.extend(high.tolist())
    entries = proto.linear_constraint_matrix
    entries.row_ids.extend(np.repeat(np.arange(rows), np.diff(matrix.indptr)).tolist())
    entries.column_ids.extend(matrix.indices.tolist())
    entries.coefficients.extend(matrix.data.tolist())
    return proto
