"""Optimisation problems of merging networks, and solvers for them behind one call. Never imports torch.

>>> import numpy as np
>>> from pam_opt_solvers import Pairing, solve
>>> solve(Pairing(np.array([[1.0, 9.0], [9.0, 2.0]]))).pairs.tolist()
[[0, 0], [1, 1]]
"""

from pam_opt_solvers.api import solve
from pam_opt_solvers.column_subset.curve import ColumnSubsetCurve, column_subset_curve
from pam_opt_solvers.errors import PamOptError, ProblemError, SolverFailed, SolverNotFound, SolverUnsuitable
from pam_opt_solvers.network_plan.frontier import Frontier, network_frontier
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.pairing.curve import PairingCurve, pairing_curve
from pam_opt_solvers.problems import (
    FIXED,
    ClusterPlan,
    ColumnSubset,
    Feature,
    Grouping,
    JointPairing,
    LayerPair,
    MultiPairing,
    NetworkPlan,
    PairedGrouping,
    Pairing,
    Problem,
    Quota,
    Representatives,
    load_problem,
)
from pam_opt_solvers.problems.budget import Budget
from pam_opt_solvers.problems.lattice import all_groups, run_probabilities
from pam_opt_solvers.registry import SolverInfo, available
from pam_opt_solvers.representatives.curve import RepresentativesCurve, representatives_curve
from pam_opt_solvers.solution import Run, Solution
from pam_opt_solvers.solution_file import StoredSolution, load_solution, save_solution
from pam_opt_solvers.solver import Solver

__all__ = [
    "FIXED",
    "Budget",
    "ClusterPlan",
    "ColumnSubset",
    "ColumnSubsetCurve",
    "Feature",
    "Frontier",
    "Grouping",
    "JointPairing",
    "LayerPair",
    "MultiPairing",
    "NetworkPlan",
    "Options",
    "Outcome",
    "PairedGrouping",
    "Pairing",
    "PairingCurve",
    "PamOptError",
    "Problem",
    "ProblemError",
    "Quota",
    "Representatives",
    "RepresentativesCurve",
    "Run",
    "Solution",
    "Solver",
    "SolverFailed",
    "SolverInfo",
    "SolverNotFound",
    "SolverUnsuitable",
    "Status",
    "StoredSolution",
    "all_groups",
    "available",
    "column_subset_curve",
    "load_problem",
    "load_solution",
    "network_frontier",
    "pairing_curve",
    "representatives_curve",
    "run_probabilities",
    "save_solution",
    "solve",
]
