"""Optimisation problems of merging networks, and solvers for them behind one call. Never imports torch.

>>> import numpy as np
>>> from pam_opt_solvers import Pairing, solve
>>> solve(Pairing(np.array([[1.0, 9.0], [9.0, 2.0]]))).pairs.tolist()
[[0, 0], [1, 1]]
"""

from pam_opt_solvers.api import solve
from pam_opt_solvers.errors import PamOptError, ProblemError, SolverFailed, SolverNotFound, SolverUnsuitable
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Feature, MultiPairing, Pairing, Problem, load_problem
from pam_opt_solvers.registry import SolverInfo, available
from pam_opt_solvers.solution import Run, Solution
from pam_opt_solvers.solver import Solver

__all__ = [
    "Feature",
    "MultiPairing",
    "Options",
    "Outcome",
    "Pairing",
    "PamOptError",
    "Problem",
    "ProblemError",
    "Run",
    "Solution",
    "Solver",
    "SolverFailed",
    "SolverInfo",
    "SolverNotFound",
    "SolverUnsuitable",
    "Status",
    "available",
    "load_problem",
    "solve",
]
