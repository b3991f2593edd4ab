"""Exact pairing as an integer programme by PuLP (MIT) with CBC (EPL 2.0).

Portable across PuLP 3.3 and 4: keyed variables, the solver by name, and the status read in one place.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from pam_opt_solvers.errors import SolverNotFound
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Problem
from pam_opt_solvers.program_solver import Model, ProgramSolver
from pam_opt_solvers.scaling import Scaling

BITS = 10
"""Costs are scaled to below 2**10: CBC reads 12 digits from a text file and works to absolute tolerances."""

TOLERANCE = 1e-7
INCREMENT = 1e-5
"""Of CBC: on one scaled reduced cost, and the least improvement of the whole sum that it looks for."""


@dataclass(frozen=True)
class _Native:
    model: Any
    variables: list[Any]


class Pulp(ProgramSolver):
    """Solve the programme with CBC through PuLP."""

    name = "pulp"
    backend = "pulp"
    distribution = "PuLP"
    description = "exact; integer programme by CBC through PuLP, for small problems"
    repeatable_under_limit = False
    uses_threads = True

    def _scale(self, program: IntegerProgram) -> Scaling:
        return program.scaled(BITS)

    def _write(self, program: IntegerProgram, scaling: Scaling, options: Options) -> _Native:
        import pulp

        model = pulp.LpProblem("pam_opt", pulp.LpMinimize)
        variables = _variables(model, program)
        model += pulp.lpDot(scaling.values.tolist(), variables)
        matrix, lows, highs = program.scaled_rows
        for row, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            if part.start == part.stop:
                if not low <= 0 <= high:
                    model += pulp.lpSum(variables[:1]) <= -1  # a row of nothing that wants something
                continue
            total = pulp.lpDot(matrix.data[part].tolist(), [variables[v] for v in matrix.indices[part]])
            if low == high:
                model += total == high
                continue
            if np.isfinite(high):
                model += total <= high
            if np.isfinite(low):
                model += total >= low
        return _Native(model, variables)

    def _run(self, model: Model, problem: Problem, options: Options) -> Outcome:
        native = model.native
        status = _status(native.model, native.model.solve(_cbc(options)))
        if status is Status.INFEASIBLE and options.time_limit is not None and problem.certainly_feasible():
            status = Status.TIME_LIMIT_EMPTY  # what CBC calls infeasible if the limit ends its first relaxation
        if status is Status.INFEASIBLE:
            return self.infeasible(model)
        if status is Status.TIME_LIMIT_EMPTY:
            return Outcome(status)
        decision = model.decision([variable.value() or 0.0 for variable in native.variables])
        if status is Status.TIME_LIMIT and problem.violations(decision):
            return Outcome(Status.TIME_LIMIT_EMPTY)  # the limit left a fractional point
        return Outcome(status, decision, error=model.scaling.tolerated(TOLERANCE, INCREMENT))


def _variables(model: Any, program: IntegerProgram) -> list[Any]:
    """Add the variables kind by kind: binary, whole, continuous; upper bounds differ among the last two."""
    binary = program.integer & (program.upper == 1)
    keyed = model.add_variable_dicts("b", np.flatnonzero(binary).tolist(), cat="Binary")
    for upper in np.unique(program.upper[~binary]):
        for whole, cat in ((True, "Integer"), (False, "Continuous")):
            chosen = ~binary & (program.upper == upper) & (program.integer == whole)
            name = f"{cat[0].lower()}{upper:g}".replace("+", "")
            indices = np.flatnonzero(chosen).tolist()
            keyed |= model.add_variable_dicts(name, indices, lowBound=0, upBound=float(upper), cat=cat)
    return [keyed[index] for index in range(len(program.upper))]


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
