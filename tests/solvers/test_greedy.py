"""The fast greedy makes exactly the choices of the plain one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairing_instances import random_problem

from pam_opt_solvers import Pairing, Status, solve
from pam_opt_solvers.pairing.greedy import greedy_pairs


def plain_greedy(weights: np.ndarray, ceiling: float) -> list[tuple[int, int]]:
    weights, pairs = weights.copy(), []
    while weights.size:
        row, column = np.unravel_index(weights.argmin(), weights.shape)
        if not weights[row, column] < ceiling:
            break
        pairs.append((int(row), int(column)))
        weights[row, :] = weights[:, column] = np.inf
    return pairs


@settings(max_examples=800, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_same_pairs_as_plain_greedy(seed):
    problem = random_problem(seed, 12)
    expected = plain_greedy(problem.weights, problem.ceiling)
    found = sorted(map(tuple, greedy_pairs(problem.weights, problem.ceiling).tolist()))
    assert found == sorted(expected)
    solution = solve(problem, "greedy")
    if solution.pairs is not None:
        wanted = expected if problem.required is None else expected[: problem.required]
        assert solution.pairs.tolist() == sorted(map(list, wanted))


@pytest.mark.parametrize("kind", ["random", "ties", "few values", "ordered", "sparse"])
def test_same_pairs_on_larger_matrices(kind):
    rng = np.random.default_rng(1)
    weights = {
        "random": rng.random((90, 70)),
        "ties": np.ones((60, 60)),
        "few values": rng.integers(0, 3, (80, 60)).astype(float),
        "ordered": np.add.outer(rng.random(70), rng.random(70)),
        "sparse": np.where(rng.random((80, 80)) < 0.95, np.inf, rng.random((80, 80))),
    }[kind]
    found = sorted(map(tuple, greedy_pairs(weights, np.inf).tolist()))
    assert found == sorted(plain_greedy(weights, np.inf))


def test_a_dead_end_is_not_called_infeasible():
    solution = solve(Pairing(np.array([[1.0, 2.0], [3.0, np.inf]])), "greedy")
    assert solution.status is Status.NO_DECISION
    assert solution.pairs is None
    assert "1 of 2 pairs" in solution.run.note
    assert solution.bound <= 5.0
