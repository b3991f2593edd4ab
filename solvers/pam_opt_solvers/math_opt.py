"""Exact pairing as a linear programme by OR-Tools MathOpt (Apache 2.0): HiGHS (MIT) or GLOP (Apache 2.0).

``min sum w_ij x_ij`` with every row and column sum at most 1 (exactly 1, or the total k, where required).
HiGHS gets it as an integer programme. Its matrix is totally unimodular (a fixed total keeps the vertices
whole), so the linear programme has an integral optimal vertex, which the simplex method of GLOP returns [1].

[1] A. Schrijver, "Combinatorial Optimization", Springer 2003, chapter 18.
"""

import datetime
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.options import Options
from pam_opt_solvers.problems.pairing import Pairing
from pam_opt_solvers.reduction import Scaled, arcs, has_total, line_bounds, scaled
from pam_opt_solvers.solution import Status
from pam_opt_solvers.solver import Outcome, Solver

BITS = 10
"""Costs are scaled to below 2**10: backends take 1e20 for infinity and 1e-7 for nothing."""

TOLERANCE = 1e-7
"""Of the backends, on one scaled reduced cost."""


@dataclass(frozen=True)
class Model:
    """The backend's model, the pair (a, 2) of each variable, and the scaling."""

    model: Any
    pairs: NDArray[np.int64]
    scaling: Scaled


class MathOpt(Solver[Model]):
    """Solve the assignment programme with HiGHS or GLOP through MathOpt."""

    name = "math_opt"
    backend = "ortools"
    module = "ortools.math_opt.python.mathopt"
    exact = True
    description = "exact; integer programme by HiGHS, or linear programme by GLOP (math_opt:glop)"
    settings = MappingProxyType({"engine": ("highs", "glop")})
    stops_itself = True

    def _build(self, problem: Pairing, options: Options) -> Model:
        from ortools.math_opt.python import mathopt

        rows, columns, weights = arcs(problem)
        scaling = scaled(problem, weights, BITS)
        integral = options.settings["engine"] == "highs"
        model = mathopt.Model.from_model_proto(_proto(problem, rows, columns, scaling.values, integral))
        return Model(model, np.column_stack([rows, columns]), scaling)

    def _run(self, model: Model, problem: Pairing, options: Options) -> Outcome:
        from ortools.math_opt.python import mathopt

        engine = mathopt.SolverType[options.settings["engine"].upper()]
        result = mathopt.solve(model.model, engine, params=_parameters(options))
        reason, error = result.termination.reason, model.scaling.tolerated(TOLERANCE)
        if reason == mathopt.TerminationReason.INFEASIBLE:
            return Outcome(Status.INFEASIBLE)
        dual = result.termination.objective_bounds.dual_bound
        bound = model.scaling.to_value(problem, dual) - error
        if reason == mathopt.TerminationReason.OPTIMAL:
            return Outcome(Status.OPTIMAL, _pairs(model, result), bound, error)
        if reason == mathopt.TerminationReason.FEASIBLE and options.settings["engine"] == "highs":
            return Outcome(Status.TIME_LIMIT, _pairs(model, result), bound, error)
        if result.termination.limit == mathopt.Limit.TIME:
            return Outcome(Status.TIME_LIMIT_EMPTY, bound=bound)
        raise RuntimeError(f"MathOpt ended with {reason}: {result.termination.detail}")


def _pairs(model: Model, result: Any) -> NDArray[np.int64]:
    values = np.array(result.variable_values(list(model.model.variables())))
    return model.pairs[values > 0.5]


def _parameters(options: Options) -> Any:
    from ortools.math_opt.python import mathopt

    limit = None if options.time_limit is None else datetime.timedelta(seconds=options.time_limit)
    # MathOpt refuses what an engine does not know: gaps for GLOP, threads for HiGHS.
    gap = 0.0 if options.settings["engine"] == "highs" else None
    return mathopt.SolveParameters(
        time_limit=limit, random_seed=options.seed, absolute_gap_tolerance=gap, relative_gap_tolerance=gap
    )


def _proto(problem: Pairing, rows: Any, columns: Any, costs: NDArray[np.float64], integral: bool) -> Any:
    """Write the whole model at once; adding variable by variable takes longer than solving."""
    from ortools.math_opt import model_pb2

    proto = model_pb2.ModelProto()
    arc_ids, count = np.arange(len(costs)), len(costs)
    proto.variables.ids.extend(arc_ids.tolist())
    proto.variables.lower_bounds.extend([0.0] * count)
    proto.variables.upper_bounds.extend([1.0] * count)
    proto.variables.integers.extend([integral] * count)
    used = np.flatnonzero(costs)
    proto.objective.linear_coefficients.ids.extend(used.tolist())
    proto.objective.linear_coefficients.values.extend(costs[used].tolist())
    low, high = line_bounds(problem)
    proto.linear_constraints.ids.extend(range(len(low)))
    proto.linear_constraints.lower_bounds.extend(low)
    proto.linear_constraints.upper_bounds.extend(high)
    _fill_matrix(proto.linear_constraint_matrix, problem, rows, columns)
    return proto


def _fill_matrix(matrix: Any, problem: Pairing, rows: Any, columns: Any) -> None:
    lines = [rows, columns + problem.shape[0]]
    if has_total(problem):
        lines.append(np.full(len(rows), sum(problem.shape)))
    line_ids = np.concatenate(lines)
    arc_ids = np.tile(np.arange(len(rows)), len(lines))
    order = np.lexsort((arc_ids, line_ids))
    matrix.row_ids.extend(line_ids[order].tolist())
    matrix.column_ids.extend(arc_ids[order].tolist())
    matrix.coefficients.extend([1.0] * len(line_ids))
