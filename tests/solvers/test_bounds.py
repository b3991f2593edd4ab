"""Every bound is a true bound: thousands of tiny problems of every kind, solved by trying everything.

The files of the kinds add what is special to them: bounds of single multipliers, of programmes, of larger sizes.
"""

import math

import pytest
from known import KNOWN

from pam_opt_solvers import SolverUnsuitable, Status, available, solve
from pam_opt_solvers.problems import PROBLEMS

PROGRAMS = {"cp_sat", "math_opt", "pulp", "scipy_milp"}
METHODS = {
    kind: [info.name for info in available(kind) if info.available and info.name not in PROGRAMS] for kind in PROBLEMS
}
COUNTS = dict.fromkeys(PROBLEMS, 300) | {"cluster_plan": 1000, "joint_pairing": 1000, "representatives": 2000}
"""Draws; thousands of the other kinds are in their own files."""


@pytest.mark.parametrize("kind", PROBLEMS)
def test_bounds_are_true(kind):
    """The problem's own bound on every draw, and that of one of the kind's methods, each in its turn."""
    solved, count = 0, COUNTS[kind]
    for seed in range(20_000, 20_000 + count):
        problem, best = KNOWN[kind].draw(seed)
        slack = 1e-9 * abs(best) + problem.float_error() if best < math.inf else 0.0
        assert problem.trivial_bound() <= best + slack, seed
        name = METHODS[kind][seed % len(METHODS[kind])]
        try:
            solution = solve(problem, name, seed=seed)
        except SolverUnsuitable:
            continue
        solved += 1
        assert solution.bound <= best + slack, (seed, name)
        assert (solution.status is not Status.INFEASIBLE) or best == math.inf, (seed, name)
        assert solution.decision is None or solution.value >= best - slack, (seed, name)
    assert solved > count / 3
