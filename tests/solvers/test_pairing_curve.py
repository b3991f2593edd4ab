"""The curve over the number of pairs against one exact solve for every number."""

import numpy as np
import pytest
from pairing_instances import random_problem

from pam_opt_solvers import Budget, Pairing, ProblemError, SolverUnsuitable, pairing_curve, solve


def test_every_count_is_optimal():
    for seed in range(400):
        drawn = random_problem(seed, 6)
        curve = pairing_curve(drawn)
        scale = max(1.0, drawn.magnitude)
        for count in range(min(drawn.shape) + 1):
            problem = Pairing(drawn.cost, drawn.single_rows, drawn.single_columns, n_pairs=count)
            best = solve(problem, "hungarian")
            if best.decision is None:
                assert count >= len(curve.values), seed
                continue
            assert curve.values[count] == pytest.approx(best.value, rel=1e-9, abs=1e-9 * scale), seed
            assert problem.value(curve.pairs(count)) == pytest.approx(best.value, rel=1e-9, abs=1e-9 * scale)


@pytest.mark.parametrize("shape", [(40, 40), (60, 30), (30, 60)])
def test_values_are_convex(shape):
    curve = pairing_curve(Pairing(np.random.default_rng(0).random(shape)))
    assert len(curve.values) == min(shape) + 1
    assert (np.diff(curve.values, 2) >= -1e-12).all()


def test_best_count_is_the_free_optimum():
    problem = Pairing(np.random.default_rng(1).random((30, 20)), np.full(30, 0.05), np.full(20, 0.02))
    curve = pairing_curve(problem)
    assert curve.values.min() == pytest.approx(solve(problem).value)
    assert problem.value(curve.pairs(curve.best)) == pytest.approx(curve.values[curve.best])


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (3, 0)])
def test_nothing_to_pair(shape):
    curve = pairing_curve(Pairing(np.zeros(shape), np.ones(shape[0])))
    assert curve.values.tolist() == [shape[0]]
    assert curve.pairs(0).shape == (0, 2)
    with pytest.raises(ProblemError, match=r"permit 0\.\.0"):
        curve.pairs(1)


def test_side_constraints_are_refused():
    with pytest.raises(SolverUnsuitable, match="linear budgets"):
        pairing_curve(Pairing(np.ones((2, 2)), budgets=(Budget(np.ones((2, 2)), 1.0, "x"),)))
