"""Paired grouping: what it accepts, its file, its relation to pairings and groupings, sets that grow, joint budgets."""

import math

import numpy as np
import pytest
from grouping_instances import INF
from paired_grouping_instances import ALONE, KEPT, PAIR, PAIRS, best_value, tiny

from pam_opt_solvers import Grouping, PairedGrouping, Pairing, ProblemError, SolverUnsuitable, Status, solve
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget
from pam_opt_solvers.problems.gaussian_information import GaussianInformation
from pam_opt_solvers.problems.grouping import subsets


def layer(seed, first=20, second=20, part=0.2):
    """Return a layer of two parents with twins, costs of dropping, and budgets of joint information."""
    rng = np.random.default_rng(seed)
    units = first + second
    common = rng.normal(size=(8, units)) + 0.5 * np.tile(rng.normal(size=(8, max(first, second))), 2)[:, :units]
    within = common.T @ common / 8
    budgets = []
    for task in range(2):
        means = rng.normal(size=(2, units)) * rng.random(units)
        centred = means - means.mean(axis=0)
        overall = within + centred.T @ centred / 2
        function = GaussianInformation(overall, np.stack([within, within]), np.full(2, 0.5), 0.1)
        flags = np.append(~PAIR[:, task], False)
        limit = part * function.value(np.arange(units))
        budgets.append(JointBudget(flags, function, limit, f"task {task}"))
    importance = rng.random(units) ** 3
    own = np.repeat([0, 1], [first, second])
    alone = importance[:, None] * ~PAIR[:, own].T + 0.3 * np.array([0.0, 2 / 3, 2 / 3, 1.0])
    return PairedGrouping(PAIR, alone, 0.3 + rng.random((first, second)) ** 2, joint=tuple(budgets))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alone": ALONE[:2]}, "alone has shape"),
        ({"alone": np.where(ALONE == 1, np.nan, ALONE)}, "alone.* is nan"),
        ({"pair_cost": np.array([1.0, 2.0])}, "pair_cost has shape"),
        ({"pair_cost": -np.array([[INF], [1.0]])}, "pair_cost"),
        ({"groups": PAIR[[0, 1, 1, 3]]}, "serve the same tasks"),
        ({"budgets": 3}, "must be a BudgetTable"),
        ({"budgets": BudgetTable(np.ones((1, 3)), np.ones((1, 4)), np.ones(1))}, "rates of the budgets"),
        ({"joint": (3,)}, "joint"),
    ],
)
def test_bad_input_is_refused_in_words(change, message):
    given = {"groups": PAIR, "alone": ALONE, "pair_cost": PAIRS} | change
    with pytest.raises(ProblemError, match=message):
        PairedGrouping(**given)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ([0, 0], "must be"),
        ([[0, 0, 0]], "must be"),
        ([0.5, 0, 0], "must be"),
        ([0, 0, 7], "groups and partners are 0 to 6"),
        ([5, 4, 0], "of its own parent"),
        ([6, 0, 0], "does not merge with it"),
        ([6, 6, 4], "unit 1 merges with unit 2, which does not"),
        ([1, 1, 1], "budget 'computed' is 3"),
    ],
)
def test_violations_are_said_in_words(decision, message):
    broken = PairedGrouping(PAIR, ALONE, PAIRS, KEPT).violations(decision)
    assert any(message in text for text in broken), broken


def test_a_problem_comes_back_from_its_file(tmp_path):
    problem = layer(1, 3, 2)
    path = problem.save(tmp_path / "problem.npz")
    loaded = PairedGrouping.load(path)
    decision = solve(problem, "regrow").decision
    assert loaded.value(decision) == problem.value(decision)
    assert repr(loaded) == repr(problem)


@pytest.mark.parametrize("seed", range(30))
def test_without_budgets_it_is_a_pairing_in_which_single_units_cost_their_best_group(seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 8, 2)
    alone, cost = rng.normal(size=(rows + columns, 4)), rng.normal(size=(rows, columns))
    best = alone.min(axis=1)
    solution = solve(PairedGrouping(PAIR, alone, cost))
    assert solution.status is Status.OPTIMAL
    assert solution.value == pytest.approx(solve(Pairing(cost, best[:rows], best[rows:])).value)


@pytest.mark.parametrize("seed", range(20))
def test_without_pairs_it_is_a_grouping(seed):
    rng = np.random.default_rng(seed)
    alone, weights = rng.random((8, 4)), rng.random((2, 8))
    rates, limits = (rng.random((2, 5)) < 0.5).astype(float), weights.sum(axis=1) * 0.4
    paired = PairedGrouping(PAIR, alone, np.full((5, 3), INF), BudgetTable(weights, rates, limits))
    plain = Grouping(PAIR, alone, BudgetTable(weights, rates[:, :4], limits))
    first, second = (solve(problem, "math_opt") for problem in (paired, plain))
    assert first.status is second.status
    if first.decision is not None:
        assert first.value == pytest.approx(second.value, abs=1e-9)


def test_regrowing_is_mostly_optimal_and_claims_no_more_than_it_proves():
    found = []
    for seed in range(40):
        problem = tiny(seed, joint=seed % 2 == 0)
        best, solution = best_value(problem), solve(problem, "regrow")
        slack = 1e-9 * abs(best) + problem.float_error() if best < math.inf else 0.0
        assert solution.bound <= best + slack
        if solution.decision is None:
            assert best == math.inf or solution.status is not Status.INFEASIBLE
            continue
        assert solution.status is not Status.OPTIMAL or solution.value <= best + slack
        found.append(solution.value <= best + slack)
    assert sum(found) > 0.8 * len(found)


@pytest.mark.parametrize("seed", range(6))
def test_growing_sets_anew_is_no_worse_than_two_steps(seed):
    problem = layer(seed)
    two_steps, once, many = (solve(problem, name).value for name in ("greedy", "regrow:one", "regrow"))
    assert many <= once + 1e-9
    assert once <= two_steps + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_cuts_prove_small_layers_and_regrowing_comes_close(seed):
    problem = layer(seed, 3, 3)
    exact, quick = solve(problem, "cuts"), solve(problem, "regrow")
    assert exact.status is Status.OPTIMAL
    assert exact.value == pytest.approx(best_value(problem), rel=1e-6)
    assert exact.value <= quick.value + 1e-9
    assert quick.value <= 1.1 * exact.value


def test_cuts_return_a_decision_within_the_limit_on_large_layers():
    solution = solve(layer(3), "cuts", time_limit=3.0)
    assert solution.decision is not None
    assert solution.bound <= solution.value


def test_joint_budgets_have_no_programme():
    with pytest.raises(SolverUnsuitable, match="cuts"):
        solve(layer(0, 3, 3), "math_opt")


@pytest.mark.parametrize("seed", range(8))
def test_prices_meet_a_budget_of_computed_units_close_to_the_optimum(seed):
    rng = np.random.default_rng(seed)
    alone = np.concatenate([rng.random((30, 1)), np.zeros((30, 3))], axis=1)
    row = np.array([[0.0, 2 / 3, 2 / 3, 1.0, 0.5]])
    table = BudgetTable(np.ones((1, 30)), row, np.array([12.0]), ("computed",))
    problem = PairedGrouping(subsets(2), alone, rng.random((15, 15)), table)
    exact, quick = solve(problem, "math_opt"), solve(problem, "regrow")
    assert exact.status is Status.OPTIMAL
    assert quick.bound <= exact.value + 1e-9
    assert quick.value <= 1.1 * exact.value
