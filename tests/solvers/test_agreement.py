"""Random problems of every kind: exact solvers agree with an oracle and each other, heuristics never beat them."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pairing_instances import optimum, random_problem

from pam_opt_solvers import Pairing, Status, available, solve

SEEDS = st.integers(0, 2**32 - 1)
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
READY = {info.name for info in available("pairing") if info.available}
FAST = sorted({"hungarian", "min_cost_flow", "ortools_assignment"} & READY)
SLOW = sorted(
    {"cp_sat", "math_opt:highs", "math_opt:glop", "pulp", "networkx"} & (READY | {"math_opt:highs", "math_opt:glop"})
)


def agrees(problem: Pairing, name: str, best: float) -> None:
    solution = solve(problem, name)
    solution.check()
    if math.isnan(best):
        assert solution.status is Status.INFEASIBLE
        return
    assert solution.status in (Status.OPTIMAL, Status.ROUNDED)
    size = math.fsum(abs(problem.terms(solution.pairs)))
    slack = 2e-6 * size if solution.status is Status.OPTIMAL else solution.value - solution.bound
    assert best - 1e-12 * size <= solution.value <= best + slack
    assert solution.bound <= best + 1e-12 * size


@settings(max_examples=3000, **QUIET)
@given(SEEDS)
def test_fast_solvers_find_the_optimum(seed):
    problem = random_problem(seed, 4)
    best = optimum(problem)
    assert math.isnan(best) or problem.trivial_bound() <= best
    for name in FAST:
        agrees(problem, name, best)


@settings(max_examples=2000, **QUIET)
@given(SEEDS)
def test_fast_solvers_agree_on_larger_problems(seed):
    problem = random_problem(seed, 14)
    best = solve(problem, FAST[0]).value
    for name in FAST[1:]:
        agrees(problem, name, best)


@pytest.mark.parametrize("name", SLOW)
@settings(max_examples=300, **QUIET)
@given(seed=SEEDS)
def test_slow_solvers_agree(name, seed):
    problem = random_problem(seed, 6)
    agrees(problem, name, solve(problem, "hungarian").value)


@settings(max_examples=500, **QUIET)
@given(SEEDS)
def test_heuristics_never_beat_the_optimum(seed):
    problem = random_problem(seed, 8)
    best = solve(problem, "hungarian")
    for name in ("greedy", "random"):
        found = solve(problem, name, seed=1)
        found.check()
        if found.pairs is not None:
            assert found.value >= best.value - 1e-12 * abs(problem.terms(best.pairs)).sum()
            assert found.bound <= found.value


@settings(max_examples=150, **QUIET)
@given(SEEDS)
def test_permuted_rows_permute_the_pairs(seed):
    rng = np.random.default_rng(seed)
    cost = rng.random((int(rng.integers(1, 9)), int(rng.integers(1, 9))))
    order = rng.permutation(len(cost))
    for name in [*FAST, "greedy"]:
        before, after = solve(Pairing(cost), name), solve(Pairing(cost[order]), name)
        back = sorted((int(order[row]), int(column)) for row, column in after.pairs)
        assert back == [tuple(pair) for pair in before.pairs.tolist()]
