"""Column subset selection: the problem, its bounds against brute force, its solvers, curve and file."""

import math

import numpy as np
import pytest
from column_subset_instances import (
    FEASIBLE,
    INFEASIBLE,
    RANK_ONE,
    TWINS,
    decisions,
    exact_value,
    optimum,
    random_problem,
)

from pam_opt_solvers import (
    ColumnSubset,
    ProblemError,
    Quota,
    SolverUnsuitable,
    Status,
    available,
    column_subset_curve,
    load_problem,
    solve,
)
from pam_opt_solvers.column_subset.curve import lower_envelope
from pam_opt_solvers.problems.gram_spectrum import moment_tail

NAMES = ["branch_and_bound", "swaps", "greedy", "importance", "random"]


def layer(seed: int, n: int, n_kept: int, rank: int = 5, **options) -> ColumnSubset:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(3 * n, rank)) @ rng.normal(size=(rank, n)) + 0.4 * rng.normal(size=(3 * n, n))
    return ColumnSubset(features.T @ features, n_kept, rng.random(n), **options)


def test_the_table():
    assert [info.name for info in available("column_subset")] == NAMES
    assert [info.name for info in available("column_subset") if info.exact] == ["branch_and_bound"]


@pytest.mark.parametrize("case", FEASIBLE)
@pytest.mark.parametrize("name", [*NAMES, "auto"])
def test_known_optima(name, case):
    problem, best = FEASIBLE[case]
    solution = solve(problem, name)
    solution.check()
    assert solution.value >= best * (1 - 1e-12) - 1e-300
    assert solution.bound <= solution.value
    assert solution.bound <= best * (1 + 1e-12)
    if name in ("branch_and_bound", "auto", "swaps"):
        assert solution.value == pytest.approx(best, rel=1e-9, abs=0)
    if name == "branch_and_bound":
        assert solution.status is Status.OPTIMAL


@pytest.mark.parametrize("case", INFEASIBLE)
@pytest.mark.parametrize("name", NAMES)
def test_infeasible_says_why(name, case):
    problem, words = INFEASIBLE[case]
    solution = solve(problem, name)
    assert solution.status is Status.INFEASIBLE
    assert solution.bound == math.inf
    assert words in solution.run.note


def test_values_are_those_of_rational_arithmetic():
    rng = np.random.default_rng(0)
    for _ in range(150):
        n = int(rng.integers(1, 7))
        features, weights = rng.integers(-3, 4, (int(rng.integers(1, 7)), n)), rng.integers(0, 4, n)
        kept = rng.permutation(n)[: rng.integers(n + 1)]
        problem = ColumnSubset(features.T @ features, len(kept), weights)
        exact = float(exact_value(features, weights, kept.tolist()))
        assert problem.value(kept) == pytest.approx(exact, rel=1e-11, abs=problem.float_error())


def test_values_are_those_of_ridge_regression():
    rng = np.random.default_rng(1)
    for ridge in (0.0, 0.3, 50.0):
        features, weights, kept = rng.normal(size=(30, 7)), rng.random(7), [1, 4, 5]
        padded = np.vstack([features[:, kept], math.sqrt(ridge) * np.eye(3)])
        targets = np.vstack([features, np.zeros((3, 7))])
        errors = targets - padded @ np.linalg.lstsq(padded, targets, rcond=None)[0]
        value = ColumnSubset(features.T @ features, 3, weights, ridge).value(kept)
        assert value == pytest.approx(float(weights @ (errors**2).sum(axis=0)), rel=1e-10)


def test_bounds_hold_and_proofs_are_right_on_thousands_of_tiny_problems():
    tight = 0
    for seed in range(2200):
        problem = random_problem(seed, 5)
        best = optimum(problem)
        assert problem.trivial_bound() <= best, seed
        if best < math.inf:
            assert problem.scaled.unscaled(moment_tail(problem.scaled, problem.n_kept)) <= best, seed
            solution = solve(problem, "branch_and_bound")
            assert solution.bound <= best, seed
            assert best <= solution.value <= best * (1 + 1e-9) + problem.float_error(), seed
            assert solution.status in (Status.OPTIMAL, Status.ROUNDED), seed
            tight += solution.status is Status.OPTIMAL
        else:
            assert problem.trivial_bound() == math.inf
    assert tight > 1200


def test_heuristics_and_curves_respect_brute_force():
    for seed in range(3000, 3300):
        problem = random_problem(seed, 7)
        best = optimum(problem)
        for name in ("greedy", "swaps", "importance", "random"):
            solution = solve(problem, name, seed=seed)
            assert solution.bound <= best, (seed, name)
            assert solution.decision is None if best == math.inf else solution.value >= best, (seed, name)
        if problem.quota is None and best < math.inf:
            curve, p = column_subset_curve(problem), problem.n_kept
            assert curve.bounds[p] <= best <= curve.values[p] + problem.float_error(), seed
            exact = problem.value(curve.decision(p))
            assert curve.values[p] == pytest.approx(exact, rel=1e-9, abs=2 * problem.float_error()), seed


@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_greedy_is_greedy(ridge):
    problem, chosen = layer(3, 30, 12, ridge=ridge), []
    for count in range(1, 13):
        step = ColumnSubset(problem.gram, count, problem.weights, ridge)
        others = [unit for unit in range(30) if unit not in chosen]
        chosen.append(min(others, key=lambda unit: step.value([*chosen, unit])))
    np.testing.assert_array_equal(solve(problem, "greedy").decision, np.sort(chosen))
    np.testing.assert_array_equal(column_subset_curve(problem).order[:12], chosen)


def test_greedy_keeps_its_precision_where_the_spectrum_decays():
    rng = np.random.default_rng(4)
    basis = np.linalg.qr(rng.normal(size=(80, 80)))[0]
    features = basis * np.exp(-np.arange(80) / 4) @ rng.normal(size=(80, 80))
    problem = ColumnSubset(features.T @ features, 40)
    curve = column_subset_curve(problem)
    for p in (5, 15, 25, 32):
        assert curve.values[p] == pytest.approx(ColumnSubset(problem.gram, p).value(curve.decision(p)), rel=1e-3)
    assert (curve.values >= curve.bounds).all()


def test_swaps_end_where_no_exchange_helps():
    better = 0
    for seed in range(40):
        quota = Quota(np.arange(14) % 3, 1, 4) if seed % 2 else None
        problem = layer(seed, 14, 5, rank=3, quota=quota)
        greedy, swaps = solve(problem, "greedy"), solve(problem, "swaps")
        better += swaps.value < greedy.value
        assert swaps.value <= greedy.value
        kept = set(swaps.decision.tolist())
        exchanges = [sorted(kept - {out} | {unit}) for out in kept for unit in set(range(14)) - kept]
        values = [problem.value(units) for units in exchanges if not problem.violations(units)]
        assert min(values) >= swaps.value * (1 - 1e-8)
    assert better > 5


@pytest.mark.parametrize("options", [{}, {"ridge": 5.0}, {"quota": Quota(np.arange(18) % 3, 2, 4)}])
def test_branch_and_bound_proves_whole_layers(options):
    problem = layer(5, 18, 8, **options)
    solution = solve(problem, "branch_and_bound")
    assert solution.status is Status.OPTIMAL
    assert solution.value <= solve(problem, "swaps").value
    smaller = layer(5, 12, 5, **({} if "quota" in options else options))
    assert solve(smaller, "branch_and_bound").value == pytest.approx(optimum(smaller), rel=1e-9)


def test_branch_and_bound_stopped_early_has_a_decision_and_a_true_bound():
    problem = layer(6, 40, 16, rank=10)
    solution = solve(problem, "branch_and_bound", time_limit=1.5)
    assert solution.status is Status.TIME_LIMIT
    assert problem.trivial_bound() <= solution.bound < solution.value
    bounds = [bound for _, _, bound in solution.trajectory]
    assert bounds == sorted(bounds)


@pytest.mark.parametrize("name", NAMES)
def test_units_of_measurement_and_order_change_nothing(name):
    problem, order = layer(7, 15, 6), np.random.default_rng(0).permutation(15)
    scale = 10.0 ** np.random.default_rng(1).integers(-120, 120, 15)
    solution = solve(problem, name)
    rescaled = ColumnSubset(problem.gram * scale[:, None] * scale, 6, problem.weights / scale / scale)
    assert solve(rescaled, name).value == pytest.approx(solution.value, rel=1e-9)
    if name != "random":
        permuted = ColumnSubset(problem.gram[np.ix_(order, order)], 6, problem.weights[order])
        assert solve(permuted, name).value == pytest.approx(solution.value, rel=1e-9)
    np.testing.assert_array_equal(solve(problem, name).decision, solution.decision)


def test_powers_of_two_change_no_digit():
    problem = layer(8, 10, 4)
    scaled = ColumnSubset(problem.gram * 2.0**-300, 4, problem.weights * 2.0**310)
    for kept in list(decisions(problem))[:20]:
        assert scaled.value(kept) == problem.value(kept) * 2.0**10


def test_random_is_blind_and_seeded():
    problem = layer(9, 20, 5)
    draws = {tuple(solve(problem, "random", seed=seed).decision) for seed in range(5)}
    assert len(draws) > 1


def test_importance_takes_the_largest():
    problem = ColumnSubset(np.diag([4.0, 1.0, 2.0, 3.0]), 2, np.array([1.0, 9.0, 1.0, 2.0]))
    np.testing.assert_array_equal(solve(problem, "importance").decision, [1, 3])


def test_curve_and_its_envelope():
    problem = layer(10, 25, 0, forbidden=np.arange(25) < 3)
    curve = column_subset_curve(problem)
    assert len(curve.values) == len(curve.bounds) == 23
    assert set(curve.order) == set(range(3, 25))
    assert (np.diff(curve.values) <= 0).all()
    assert curve.values[0] == pytest.approx(math.fsum(problem.magnitudes()))
    assert (curve.envelope <= curve.values).all()
    assert (np.diff(curve.envelope, 2) >= -1e-9 * curve.values[0]).all()
    with pytest.raises(ProblemError, match=r"0\.\.22"):
        curve.decision(23)


def test_lower_envelope():
    np.testing.assert_allclose(lower_envelope(np.array([4.0, 4.0, 2.0, 1.9, 0.0])), [4.0, 3.0, 2.0, 1.0, 0.0])
    np.testing.assert_array_equal(lower_envelope(np.array([3.0])), [3.0])


def test_a_curve_takes_no_quota():
    with pytest.raises(ProblemError, match="quota"):
        column_subset_curve(ColumnSubset(TWINS, 1, quota=Quota([0, 0, 1], 0)))


def test_float32_statistics_are_taken():
    features = np.random.default_rng(2).normal(size=(20, 50)).astype(np.float32)
    problem = ColumnSubset((features.T @ features) * (1 + 1e-7 * np.tri(50, dtype=np.float32)), 25)
    assert 0 < problem.scaled.lift < 1e-4
    solution = solve(problem, "greedy")
    assert 0 <= solution.bound <= solution.value < 1e-3 * np.trace(problem.gram)


def test_no_integer_programme():
    with pytest.raises(SolverUnsuitable, match="no linear formulation"):
        ColumnSubset(TWINS, 1).integer_program()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.array([[1.0, math.nan], [0.0, 1.0]]), 1), r"gram\[0, 1\] is nan; it must be finite"),
        ((np.array([[1.0, 0.0], [0.0, math.inf]]), 1), r"gram\[1, 1\] is inf"),
        ((np.eye(2) * 1e301, 1), "rescale"),
        ((np.zeros((2, 3)), 1), "must be square"),
        ((np.zeros(3), 1), r"shape \(3,\)"),
        ((np.array([[1.0, 0.5], [0.4, 1.0]]), 1), r"not symmetric: gram\[0, 1\] is 0.5 and gram\[1, 0\] is 0.4"),
        ((np.diag([1.0, -2.0]), 1), r"gram\[1, 1\] is -2.0; a variance cannot be negative"),
        ((np.array([[1.0, 3.0], [3.0, 1.0]]), 1), "not positive semidefinite"),
        ((np.array([[1.0, 1.5], [1.5, 1.0]]), 1), "least eigenvalue is -0.5"),
        ((np.array([[0.0, 0.1], [0.1, 1.0]]), 1), r"gram\[0, 0\] is 0, but gram\[0, 1\] is 0.1"),
        ((TWINS - 0.5, 1), "not positive semidefinite"),
        ((TWINS, 4), r"n_kept is 4; it must lie in 0\.\.3"),
        ((TWINS, 1.5), "integer"),
        ((TWINS, 1, np.array([1.0, -1.0, 0.0])), r"weights\[1\] is -1.0; importances"),
        ((TWINS, 1, np.array([1.0, math.nan, 0.0])), r"weights\[1\] is nan"),
        ((TWINS, 1, np.ones(2)), r"weights has shape \(2,\)"),
        ((TWINS * 1e200, 1, np.full(3, 1e200)), r"weights\[0\] \* gram\[0, 0\] is above"),
        ((TWINS, 1, None, -1.0), "ridge is -1; it must be at least 0"),
        ((TWINS, 1, None, math.nan), "ridge is nan"),
        ((TWINS, 1, None, math.inf), "ridge is inf"),
        ((TWINS, 1, None, "much"), "ridge must hold real numbers"),
        ((TWINS, 1, None, 0.0, np.zeros(2, bool)), r"forbidden must be \(3,\)"),
        ((TWINS, 1, None, 0.0, np.zeros(3)), "True and False"),
        ((TWINS, 1, None, 0.0, None, [0, 0, 1]), "must be a Quota"),
        ((TWINS, 1, None, 0.0, None, Quota([0, 1])), "labels 2 units; there are 3"),
    ],
)
def test_malformed_problems_say_where(arguments, words):
    with pytest.raises(ProblemError, match=words):
        ColumnSubset(*arguments)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ([0], "1 units kept instead of exactly 2"),
        ([0, 0], "unit 0 is kept more than once"),
        ([0, 3], "unit 3 lies outside"),
        ([-1, 0], "unit -1 lies outside"),
        ([0, 2], "unit 2 may not be kept"),
        ([0.0, 1.0], "integers"),
        ([[0, 1]], "integers"),
        (["a", "b"], "integers"),
        ([[0], [1, 2]], "list of unit indices"),
        (None, "integers"),
    ],
)
def test_check_names_the_violation(decision, words):
    problem = ColumnSubset(TWINS, 2, forbidden=np.array([False, False, True]))
    with pytest.raises(ProblemError, match=words):
        problem.check(decision)


def test_check_names_the_quota():
    with pytest.raises(ProblemError, match="2 kept units of parent class 0"):
        ColumnSubset(TWINS, 2, quota=Quota([0, 0, 1], 0, 1, "parent")).check([0, 1])


@pytest.mark.parametrize("seed", range(6))
def test_round_trip(tmp_path, seed):
    problem = random_problem(seed + 40, 6)
    read = load_problem(problem.save(tmp_path / "problem.npz"))
    assert isinstance(read, ColumnSubset)
    assert repr(read) == repr(problem)
    assert [read.value(kept) for kept in decisions(read)] == [problem.value(kept) for kept in decisions(problem)]


def test_a_bare_file_needs_gram_and_count(tmp_path):
    schema = np.array(ColumnSubset.schema())
    np.savez(tmp_path / "bare.npz", gram=RANK_ONE, n_kept=1, schema=schema)
    assert load_problem(tmp_path / "bare.npz").value([0]) == 0.0
    np.savez(tmp_path / "poor.npz", gram=RANK_ONE, schema=schema)
    with pytest.raises(ProblemError, match=r"poor\.npz.*n_kept"):
        load_problem(tmp_path / "poor.npz")
    np.savez(tmp_path / "wrong.npz", gram=-RANK_ONE, n_kept=[1, 2], schema=schema)
    with pytest.raises(ProblemError, match=r"wrong\.npz"):
        load_problem(tmp_path / "wrong.npz")


@pytest.mark.parametrize("name", NAMES)
def test_the_least_time_limit_ends_in_a_sentence(name):
    solution = solve(layer(11, 60, 20), name, time_limit=1e-9)
    assert solution.status in (Status.TIME_LIMIT, Status.TIME_LIMIT_EMPTY, Status.FEASIBLE)
    assert solution.bound >= 0
    solution.check()
