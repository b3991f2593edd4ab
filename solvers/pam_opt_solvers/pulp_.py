"""Exact pairing as an integer programme by PuLP (MIT) with CBC (EPL 2.0).

Portable across PuLP 3.3 and 4: keyed variables, the solver by name, and the status read in one place.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import SolverNotFound
from pam_opt_solvers.options import Options
from pam_opt_solvers.problems.pairing import Pairing
from pam_opt_solvers.reduction import Scaled, arcs, feasible, has_total, line_bounds, lines_of, scaled
from pam_opt_solvers.solution import Status
from pam_opt_solvers.solver import Outcome, Solver

BITS = 10
"""Costs are scaled to below 2**10: CBC reads 12 digits from a text file and works to absolute tolerances."""

TOLERANCE = 1e-7
INCREMENT = 1e-5
"""Of CBC: on one scaled reduced cost, and the least improvement of the whole sum that it looks for."""


@dataclass(frozen=True)
class Model:
    """The backend's model, its variables, the pair (a, 2) of each, and the scaling."""

    model: Any
    variables: list[Any]
    pairs: NDArray[np.int64]
    scaling: Scaled


class Pulp(Solver[Model]):
    """Solve the assignment programme with CBC through PuLP."""

    name = "pulp"
    backend = "pulp"
    distribution = "PuLP"
    exact = True
    description = "exact; integer programme by CBC through PuLP, for small problems"
    stops_itself = True
    repeatable_under_limit = False
    uses_threads = True

    def _build(self, problem: Pairing, options: Options) -> Model:
        import pulp

        rows, columns, weights = arcs(problem)
        scaling = scaled(problem, weights, BITS)
        model = pulp.LpProblem("pairing", pulp.LpMinimize)
        keyed = model.add_variable_dicts("x", range(len(weights)), cat="Binary")
        variables = [keyed[arc] for arc in range(len(weights))]
        model += pulp.lpDot(scaling.values.tolist(), variables)
        lines = lines_of(rows, problem.shape[0]) + lines_of(columns, problem.shape[1])
        if has_total(problem):
            lines.append(list(range(len(weights))))
        for members, low, high in zip(lines, *line_bounds(problem), strict=True):
            count = pulp.lpSum(variables[arc] for arc in members)
            if members:
                model += count == high if low == high else count <= high
        return Model(model, variables, np.column_stack([rows, columns]), scaling)

    def _run(self, model: Model, problem: Pairing, options: Options) -> Outcome:
        status = _status(model.model, model.model.solve(_cbc(options)))
        if status is Status.INFEASIBLE and options.time_limit is not None and feasible(problem):
            status = Status.TIME_LIMIT_EMPTY  # what CBC calls infeasible if the limit ends its first relaxation
        if status in (Status.INFEASIBLE, Status.TIME_LIMIT_EMPTY):
            return Outcome(status)
        values = np.array([variable.value() or 0.0 for variable in model.variables])
        pairs = model.pairs[values > 0.5]
        if status is Status.TIME_LIMIT and problem.violations(pairs):
            return Outcome(Status.TIME_LIMIT_EMPTY)  # the limit left a fractional point
        error = model.scaling.tolerated(TOLERANCE) + float(np.ldexp(INCREMENT, -model.scaling.exponent))
        return Outcome(status, pairs, error=error)


def _cbc(options: Options) -> Any:
    """Return CBC as this version of PuLP calls it."""
    import pulp

    threads = options.threads if options.threads > 1 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.3 announces 4, which this function expects
        present = pulp.listSolvers(True)
        for name in ("COIN_CMD", "PULP_CBC_CMD"):
            if name in present:
                limits = {"timeLimit": options.time_limit, "threads": threads}
                return pulp.getSolver(name, msg=False, gapRel=0.0, gapAbs=0.0, **limits)
    raise SolverNotFound("PuLP is installed without CBC (pip install 'pulp[cbc]'); use 'hungarian' or 'math_opt'")


def _status(model: Any, returned: Any) -> Status:
    """Read the status of PuLP 4 (what it returns) or 3 (the model); values mean nothing without it."""
    if hasattr(returned, "has_solution"):
        # The gaps asked for are 0, so that within them is within the increment.
        optimal, solution = returned.status.name in ("Optimal", "GapLimit"), returned.has_solution
        infeasible, text = returned.status.name == "Infeasible", returned.status.name
    else:
        optimal, solution = model.sol_status == 1, model.sol_status in (1, 2)
        infeasible, text = model.status == -1, f"status {model.status}"
    if optimal or infeasible:
        return Status.OPTIMAL if optimal else Status.INFEASIBLE
    if solution:
        return Status.TIME_LIMIT
    if text in ("status 0", "TimeLimit", "Stopped", "NotSolved"):
        return Status.TIME_LIMIT_EMPTY
    raise RuntimeError(f"CBC ended with {text}")
