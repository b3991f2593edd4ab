"""Exact integer programming by HiGHS (MIT) through ``scipy.optimize.milp``: a second road to the same solver."""

from typing import Any

import numpy as np

from pam_opt_solvers.highs import INFEASIBLE, LIMIT, OPTIMAL, minimise
from pam_opt_solvers.integer_program import IntegerProgram
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Problem
from pam_opt_solvers.program_solver import Model, ProgramSolver
from pam_opt_solvers.scaling import Scaling

BITS = 10
"""Costs are scaled to below 2**10, as HiGHS works to absolute tolerances."""

TOLERANCE = 1e-7
INCREMENT = 1e-6
"""Of HiGHS: on one scaled reduced cost, and the absolute gap at which it stops."""


class ScipyMilp(ProgramSolver):
    """Solve the programme by ``scipy.optimize.milp``."""

    name = "scipy_milp"
    backend = "scipy"
    module = "scipy.optimize"
    description = "exact; integer programme by HiGHS through scipy"

    def _scale(self, program: IntegerProgram) -> Scaling:
        return program.scaled(BITS)

    def _write(self, program: IntegerProgram, scaling: Scaling, options: Options) -> Any:
        return None  # the programme as it is

    def _run(self, model: Model, problem: Problem, options: Options) -> Outcome:
        found = minimise(model.program, model.scaling.values, time_limit=options.time_limit)
        if found.status == INFEASIBLE:
            return self.infeasible(model)
        if found.status not in (OPTIMAL, LIMIT):
            raise RuntimeError(f"HiGHS ended with status {found.status}: {found.message}")
        error = model.scaling.tolerated(TOLERANCE, INCREMENT)
        dual = -np.inf if found.mip_dual_bound is None else float(found.mip_dual_bound)
        bound = model.scaling.to_value(dual) - error
        if found.x is None:
            return Outcome(Status.TIME_LIMIT_EMPTY, bound=bound)
        status = Status.OPTIMAL if found.status == OPTIMAL else Status.TIME_LIMIT
        return Outcome(status, model.decision(found.x), bound, error)
