"""What every solver of the table must do, an outsider's included: one suite over problems with known optima."""

import math

import numpy as np
import pytest
from pairing_instances import FEASIBLE, INFEASIBLE, SQUARE

from pam_opt_solvers import Feature, Pairing, Status, available, solve

READY = [info for info in available("pairing") if info.available]
NAMES = [name for info in READY for name in ([f"{info.name}:{e}" for e in info.engines] or [info.name])]
EXACT = {info.name for info in READY if info.exact}
REPEATABLE = np.random.default_rng(5).random((9, 7))


def is_exact(name: str) -> bool:
    return name.partition(":")[0] in EXACT


def test_the_whole_table_is_ready_here():
    assert {"hungarian", "min_cost_flow", "greedy", "random", "networkx"} <= {info.name for info in READY}


@pytest.mark.parametrize("case", FEASIBLE)
@pytest.mark.parametrize("name", NAMES)
def test_known_optimum(name, case):
    problem, best = FEASIBLE[case]
    solution = solve(problem, name)
    solution.check()
    slack = 1e-9 * max(abs(best), 1e-300)
    assert solution.bound <= best + slack
    if solution.pairs is None:
        assert solution.status is Status.NO_DECISION
        assert not is_exact(name)
    else:
        assert solution.value >= max(best - slack, solution.bound)
    if is_exact(name):
        assert solution.status is Status.OPTIMAL
        assert solution.value == pytest.approx(best, rel=1e-9)
        assert solution.gap == 0.0


@pytest.mark.parametrize("case", INFEASIBLE)
@pytest.mark.parametrize("name", NAMES)
def test_infeasible(name, case):
    solution = solve(INFEASIBLE[case], name)
    assert solution.pairs is None
    assert math.isnan(solution.value)
    assert solution.status in (Status.INFEASIBLE, Status.NO_DECISION)
    if is_exact(name):
        assert solution.status is Status.INFEASIBLE
        assert solution.bound == math.inf
    solution.check()


@pytest.mark.parametrize("name", NAMES)
def test_record(name):
    solution = solve(Pairing(REPEATABLE), name, seed=3)
    run = solution.run
    assert run.solver.startswith(name.partition(":")[0])
    assert run.seed == 3
    assert run.threads == 1
    assert run.repeatable
    assert run.backend
    assert solution.build_seconds >= 0 <= solution.solve_seconds
    assert run.solver in str(solution)
    assert (solution.pairs[1:, 0] > solution.pairs[:-1, 0]).all()
    assert solution.pairs.dtype == np.int64


@pytest.mark.parametrize("name", NAMES)
def test_same_call_same_pairs(name):
    first, second = (solve(Pairing(REPEATABLE), name, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.pairs, second.pairs)


@pytest.mark.parametrize("name", NAMES)
def test_a_generous_limit_changes_nothing(name):
    limited = solve(Pairing(SQUARE), name, time_limit=30)
    assert limited.status in (Status.OPTIMAL, Status.FEASIBLE)
    assert limited.value == solve(Pairing(SQUARE), name).value


@pytest.mark.parametrize("name", NAMES)
def test_problem_is_left_alone(name):
    cost = SQUARE.copy()
    solve(Pairing(cost, np.ones(3)), name)
    np.testing.assert_array_equal(cost, SQUARE)


def test_integer_backends_state_their_rounding():
    for name in ("min_cost_flow", "ortools_assignment", "cp_sat", "networkx"):
        note = solve(Pairing(REPEATABLE), name).run.note
        assert "scale 2**" in note
        assert "worst rounding error" in note


def test_costs_too_unlike_for_a_proof_are_said_to_be():
    cost = np.array([[1.0, 2.0, 1e300], [1.5, 1.75, 1e300], [3.0, 3.0, 1.0]]) * np.array([1, 1, 1.0])
    problem = Pairing(np.where(cost < 1e299, cost * 1e-3, cost))
    for name in sorted(EXACT):
        solution = solve(problem, name)
        assert solution.status in (Status.OPTIMAL, Status.ROUNDED)
        assert solution.bound <= 0.00375
        if solution.status is Status.ROUNDED:
            assert solution.gap > 0
            assert "+inf" in solution.status.value


def test_random_follows_its_seed_and_ignores_costs():
    plain, shifted = Pairing(REPEATABLE), Pairing(REPEATABLE.max() - REPEATABLE)
    draws = {solve(plain, "random", seed=seed).pairs.tobytes() for seed in range(20)}
    assert len(draws) > 10
    np.testing.assert_array_equal(solve(plain, "random").pairs, solve(shifted, "random").pairs)


def test_random_leaves_single_what_does_not_pay():
    solution = solve(Pairing(SQUARE + 10, np.zeros(3)), "random")
    assert solution.value == 0


def test_every_feature_is_taken_by_an_exact_solver():
    for feature in set(Feature) - {Feature.SET_FUNCTION}:
        assert any(info.exact and feature in info.features for info in available())
