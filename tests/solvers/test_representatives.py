"""Representatives: the problem, its bounds against brute force, its solvers and its curve."""

import itertools
import math
import re

import numpy as np
import pytest
from representatives_instances import LINE, best_value, random_problem

from pam_opt_solvers import (
    Feature,
    PamOptError,
    ProblemError,
    Quota,
    Representatives,
    SolverUnsuitable,
    Status,
    load_problem,
    representatives_curve,
    solve,
)
from pam_opt_solvers.representatives.adding import Adding
from pam_opt_solvers.representatives.interchange import changes, state_of, swapped
from pam_opt_solvers.representatives.reduced import reduce
from pam_opt_solvers.representatives.relaxation import Multipliers, Relaxation
from pam_opt_solvers.representatives.scaled import Scaled
from pam_opt_solvers.representatives.selection import Rule, cheapest

INF = math.inf
HEURISTICS = ("greedy", "swaps", "importance")
OWN = (*HEURISTICS, "lagrangian")


def features(size: int, seed: int, rank: int = 8) -> np.ndarray:
    """Return importance times unexplained variance between correlated units."""
    rng = np.random.default_rng(seed)
    units = rng.standard_normal((200, rank)) @ rng.standard_normal((rank, size)) + rng.standard_normal((200, size))
    cost = rng.lognormal(0, 1, size)[:, None] * (1 - np.corrcoef(units, rowvar=False) ** 2)
    np.fill_diagonal(cost, 0.0)
    return np.maximum(cost, 0.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cost": np.array([[0.0, math.nan], [1.0, 0.0]])}, r"cost\[0, 1\] is nan"),
        ({"cost": np.array([[0.0, 1.0], [-INF, 0.0]])}, r"cost\[1, 0\] is -inf"),
        ({"cost": np.array([[0.0, 1e301], [1.0, 0.0]])}, "rescale"),
        ({"cost": np.zeros((2, 3))}, "square"),
        ({"cost": np.zeros(3)}, "shape"),
        ({"cost": [["a"]]}, "real numbers"),
        ({"n_kept": 6}, r"n_kept is 6; it must lie in 0\.\.5"),
        ({"n_kept": -1}, r"0\.\.5"),
        ({"n_kept": 1.5}, "integer"),
        ({"at_most": 1}, "at_most must be True or False"),
        ({"capacities": [1, 1]}, "capacities has 2 entries; there are 5 units"),
        ({"capacities": [1, 1, -1, 1, 1]}, r"capacities\[2\] is -1"),
        ({"capacities": [1.5] * 5}, "integers"),
        ({"groups": [[0]] * 5}, "1-D"),
        ({"groups": [0, 0, 0, 0, 2**40]}, r"groups\[4\]"),
        ({"forbidden": [0, 1, 0, 0, 0]}, "True and False"),
        ({"forbidden": [True]}, r"forbidden must be \(5,\)"),
        ({"importance": [1.0, INF, 0, 0, 0]}, "finite"),
        ({"importance": [1.0]}, "importance has shape"),
        ({"quotas": [1]}, "quotas must hold Quota"),
        ({"quotas": 3}, "quotas must be a sequence"),
        ({"quotas": Quota([0, 1], name="parent")}, "parent labels 2 units; there are 5"),
    ],
)
def test_malformed_problems_say_where(arguments, words):
    with pytest.raises(ProblemError, match=words):
        Representatives(**({"cost": LINE, "n_kept": 2} | arguments))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.5],), "integers"),
        (([-1],), r"labels\[0\] is -1"),
        (([0, 1], [1]), "has 1 entries; the labels need 2"),
        (([0, 1], -1), "least"),
        (([0, 1], 0, [1, -2]), r"most\[1\] is -2"),
        (([0, 1], "x"), "integers"),
        (([0, [1]],), "not a rectangular array"),
        (([0, 1], 0, None, 3), "name must be text"),
    ],
)
def test_malformed_quotas_say_where(arguments, words):
    with pytest.raises(ProblemError, match=words):
        Quota(*arguments)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ([1, 1, 3, 3], "5,"),
        ([1, 1, 3, 3, 9], "outside"),
        ([1.0, 1, 3, 3, 3], "integers"),
        ([1, 0, 3, 3, 3], "not kept"),
        ([1, 1, 2, 3, 3], "3 units kept instead of exactly 2"),
        ([1, 1, 3, 3, 1], "may not be represented"),
        ([0, 0, 3, 3, 3], "1 kept units of parent class 1"),
        ([1, 1, 4, 4, 4], "capacity"),
        (None, "integers"),
        ("rubbish", "integers"),
        ([[1], [2, 3]], "list|integers"),
        ([], "integers"),
    ],
)
def test_violations_are_named(decision, words):
    cost = LINE.copy()
    cost[4, 1] = INF
    quota = Quota([0, 1, 0, 1, 1], least=[0, 2], name="parent")
    problem = Representatives(cost, 2, capacities=[5, 5, 5, 2, 1], quotas=(quota,))
    assert problem.violations([1, 1, 3, 3, 3]) == ()
    assert any(re.search(words, text) for text in problem.violations(decision))
    with pytest.raises(ProblemError):
        problem.check(decision)


def test_features():
    assert Representatives(LINE, 2).features == frozenset()
    assert Representatives(LINE, 2, capacities=[3] * 5).features == frozenset()
    assert Representatives(LINE, 2, capacities=[2] * 5).features == {Feature.CAPACITIES}
    assert Representatives(LINE, 2, groups=[0, 0, 1, 1, 1]).features == {Feature.FORBIDDEN}
    assert Representatives(LINE, 2, quotas=Quota([0] * 5)).features == {Feature.QUOTAS}


def test_bounds_and_values_against_brute_force():
    """Tiny problems with every option on and off: bounds are true, proofs hold, heuristics are valid."""
    rng = np.random.default_rng(0)
    for number in range(200):
        problem = random_problem(rng, 5)
        best = best_value(problem)
        assert problem.trivial_bound() <= best + 1e-12
        for solver in OWN if number % 4 == 0 else ("lagrangian",):
            solution = solve(problem, solver)
            assert solution.bound <= best + 1e-9, (problem, solver)
            if solution.decision is not None:
                assert solution.value >= best - 1e-9
            if solution.status.proven:
                assert solution.value == pytest.approx(best, abs=1e-9) or (math.isnan(solution.value) and best == INF)
            assert solution.status.proven or solver != "lagrangian"


def test_any_multipliers_give_a_bound():
    """Random multipliers, and reduced costs that leave an optimal decision in, on 2000 tiny problems."""
    rng, tested = np.random.default_rng(9), 0
    while tested < 2000:
        problem = random_problem(rng, 5)
        best = best_value(problem)
        if problem.settled() is not None:
            continue
        tested += 1
        scaled = Scaled.of(problem)
        relaxation = Relaxation.of(scaled)
        start = relaxation.start(rng.normal(0.2, 0.5, problem.size))
        least, most = (tuple(rng.random(len(part)) for part in start.least) for _ in range(2))
        point = relaxation.at(Multipliers(start.units, least, most))
        assert scaled.original_bound(point.bound) <= best
        if best < INF and point.selection is not None and tested % 4 == 0:
            value = np.ldexp(best, -scaled.exponent) + 1e-9
            remaining = reduce(relaxation, point, value)
            kept_columns = np.where(remaining.keepable, 0.0, INF)
            cost = np.where(remaining.pairs, problem.permitted, INF)
            np.fill_diagonal(cost, np.diagonal(problem.permitted) + kept_columns)
            certain = np.flatnonzero(remaining.certain)
            cost[certain] = np.where(np.eye(problem.size, dtype=bool)[certain], cost[certain], INF)
            left = Representatives(cost, problem.n_kept, problem.at_most, problem.capacities, quotas=problem.quotas)
            assert best_value(left) == pytest.approx(best, abs=1e-9)


def test_selection_is_the_cheapest_and_its_thresholds_are_bounds():
    rng = np.random.default_rng(3)
    for _ in range(300):
        size, classes = int(rng.integers(1, 7)), 3
        labels, least = rng.integers(0, classes, size), rng.integers(0, 2, classes)
        rule = Rule(
            int(rng.integers(1, size + 1)), bool(rng.random() < 0.5), labels, least, least + rng.integers(0, 3, 3)
        )
        weights = rng.integers(-4, 5, size).astype(float)
        sets = [np.isin(np.arange(size), kept) for kept in _subsets(size, rule)]
        found = cheapest(weights, rule)
        if found is None:
            assert not sets
            continue
        best = weights[found.chosen].sum()
        assert best == min(weights[kept].sum() for kept in sets)
        for unit in range(size):
            forced = min((weights[kept].sum() for kept in sets if kept[unit] != found.chosen[unit]), default=INF)
            at_least = weights[unit] - found.enter[unit], found.leave[unit] - weights[unit]
            assert forced >= best + at_least[int(found.chosen[unit])] - 1e-12


def _subsets(size: int, rule: Rule) -> list[tuple[int, ...]]:
    counts = range(rule.n_kept + 1) if rule.at_most else [rule.n_kept]
    sets = [kept for p in counts for kept in itertools.combinations(range(size), p)]
    per_class = [np.bincount(rule.labels[list(kept)], minlength=3) for kept in sets]
    return [k for k, c in zip(sets, per_class, strict=True) if (c >= rule.least).all() and (c <= rule.most).all()]


def test_changes_are_exact():
    """Every swap, addition and removal changes the value by what is predicted, and states move without drift."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        size = int(rng.integers(3, 9))
        cost = rng.integers(-3, 9, (size, size)).astype(float)
        cost[rng.random((size, size)) < 0.2] = INF
        np.fill_diagonal(cost, rng.integers(0, 3, size))
        scaled = Scaled.of(Representatives(cost, 2))
        kept = rng.permutation(size)[: int(rng.integers(2, size))]
        state = state_of(scaled, kept)
        found = changes(scaled, state)
        for place in range(len(kept)):
            after = state_of(scaled, np.delete(kept, place))
            assert state.value + found.drop[place] == pytest.approx(after.value)
            for unit in set(range(size)) - set(kept.tolist()):
                moved = swapped(scaled, state, place, unit)
                assert state.value + found.swap[unit, place] == pytest.approx(moved.value)
                fresh = state_of(scaled, moved.kept)
                np.testing.assert_allclose((moved.first, moved.second), (fresh.first, fresh.second))
        for unit in set(range(size)) - set(kept.tolist()):
            after = state_of(scaled, np.append(kept, unit))
            assert state.value + found.add[unit] == pytest.approx(after.value)
            assert Adding(scaled, kept).changes[unit] == pytest.approx(found.add[unit])


@pytest.mark.parametrize("solver", OWN)
def test_edges(solver):
    empty = solve(Representatives(np.zeros((0, 0)), 0), solver)
    assert (empty.status, empty.value) == (Status.OPTIMAL, 0.0)
    one = solve(Representatives(np.array([[2.0]]), 1), solver)
    assert (one.status, one.value) == (Status.OPTIMAL, 2.0)
    assert solve(Representatives(LINE, 0), solver).status is Status.INFEASIBLE
    assert solve(Representatives(LINE, 2, forbidden=[True] * 5), solver).status is Status.INFEASIBLE
    assert solve(Representatives(LINE, 5), solver).value == 0.0
    ties = solve(Representatives(np.zeros((6, 6)), 2), solver)
    assert (ties.status, ties.value) == (Status.OPTIMAL, 0.0)
    nobody = np.where(np.eye(4, dtype=bool), 0.0, INF)
    assert solve(Representatives(nobody, 3), solver).status is Status.INFEASIBLE
    quota = Quota([0, 0, 1, 1, 1], least=2)
    assert solve(Representatives(LINE, 3, quotas=quota), solver).status is Status.INFEASIBLE


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e298])
@pytest.mark.parametrize("solver", OWN)
def test_costs_of_any_size(solver, scale):
    plain = solve(Representatives(LINE, 2), "lagrangian")
    solution = solve(Representatives(LINE * scale, 2), solver)
    assert solution.bound <= solution.value
    if solver == "lagrangian":
        assert solution.status is Status.OPTIMAL
        assert solution.value == pytest.approx(plain.value * scale)


def test_one_huge_cost_among_small_ones_ends_honestly():
    cost = LINE.copy()
    cost[0, 1] = 1e300
    solution = solve(Representatives(cost, 2), "lagrangian")
    assert solution.bound <= 3.0 <= solution.value or solution.value == 3.0


@pytest.mark.parametrize("solver", OWN)
def test_same_seed_same_decision(solver):
    problem = Representatives(features(40, 0), 10)
    first, second = (solve(problem, solver, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.decision, second.decision)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"capacities": np.full(30, 4)},
        {"quotas": (Quota(np.arange(30) % 3, least=2, most=3), Quota(np.arange(30) // 15, most=6))},
        {"forbidden": np.arange(30) % 4 == 0, "groups": np.arange(30) // 15},
    ],
)
def test_exact_solvers_agree_and_heuristics_stay_above(options):
    problem = Representatives(features(30, 2), 8, **options)
    best = solve(problem, "lagrangian")
    other = solve(problem, "scipy_milp")
    assert best.status is other.status is Status.OPTIMAL
    assert best.value == pytest.approx(other.value, rel=1e-6)
    for solver in HEURISTICS:
        solution = solve(problem, solver)
        assert solution.decision is None or solution.value >= best.value - 1e-9


def test_larger_programmes_are_reduced_and_keep_the_optimum():
    problem = Representatives(features(90, 3), 20)
    program = problem.integer_program()
    assert program.size[1] < 2000
    assert solve(problem, "scipy_milp").value == pytest.approx(solve(problem, "lagrangian").value, rel=1e-6)


def test_lagrangian_proves_128_units_and_beats_swaps():
    problem = Representatives(features(128, 4), 32)
    swaps, lagrangian = solve(problem, "swaps"), solve(problem, "lagrangian")
    assert lagrangian.status is Status.OPTIMAL
    assert lagrangian.value <= swaps.value


def test_time_limit_is_kept_with_a_decision_and_a_bound():
    cost = np.random.default_rng(0).random((300, 300))
    np.fill_diagonal(cost, 0.0)
    solution = solve(Representatives(cost, 60), "lagrangian", time_limit=1.0)
    assert solution.status is Status.TIME_LIMIT
    assert 0 < solution.bound <= solution.value
    assert solution.build_seconds + solution.solve_seconds < 2.0
    values = [value for _, value, _ in solution.trajectory if not math.isnan(value)]
    bounds = [bound for _, _, bound in solution.trajectory]
    assert values == sorted(values, reverse=True)
    assert bounds == sorted(bounds)


def test_a_tiny_time_limit_ends_in_a_status():
    problem = Representatives(features(60, 5), 15)
    for solver in ("swaps", "lagrangian"):
        assert solve(problem, solver, time_limit=1e-6).status in (Status.TIME_LIMIT, Status.TIME_LIMIT_EMPTY)


def test_importance_is_taken_from_the_problem():
    problem = Representatives(LINE, 2, importance=[0, 1, 0, 0, 2])
    assert solve(problem, "importance").decision.tolist() == [1, 1, 4, 4, 4]


def test_curve_bounds_every_count():
    cost = features(14, 6)
    cost[3, :] = np.where(np.arange(14) == 3, 0.0, INF)
    curve = representatives_curve(Representatives(cost, 1))
    assert curve.counts.tolist() == list(range(1, 15))
    assert curve.values[0] == INF or curve.decisions[0, 3] == 3
    for count, value, bound, decision in zip(curve.counts, curve.values, curve.bounds, curve.decisions, strict=True):
        problem = Representatives(cost, int(count))
        best = solve(problem, "lagrangian")
        if best.decision is None:
            assert value == INF
            assert (decision == -1).all()
            continue
        assert bound <= best.value + 1e-9 <= value + 2e-9
        assert value == pytest.approx(problem.value(decision))
    finite = np.isfinite(curve.values)
    envelope = curve.convex()[finite]
    assert (envelope <= curve.values[finite] + 1e-12).all()
    assert (np.diff(envelope, 2) >= -1e-9).all()


def test_curve_of_some_counts_and_bad_ones():
    problem = Representatives(features(30, 7), 3)
    curve = representatives_curve(problem, [5, 20, 10, 5])
    assert curve.counts.tolist() == [5, 10, 20]
    assert (curve.gaps < 0.02).all()
    assert len(representatives_curve(problem, []).values) == 0
    assert len(representatives_curve(Representatives(np.zeros((0, 0)), 0)).values) == 0
    for counts in ([0], [31], [1.5]):
        with pytest.raises(ProblemError, match="count"):
            representatives_curve(problem, counts)
    with pytest.raises(ProblemError, match="time_limit"):
        representatives_curve(problem, time_limit=0.0)
    for options in ({"at_most": True}, {"capacities": [1] * 30}, {"quotas": Quota([0] * 30)}):
        with pytest.raises(SolverUnsuitable, match="solve each count"):
            representatives_curve(Representatives(problem.cost, 3, **options))


def test_round_trip(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(30):
        problem = random_problem(rng)
        read = load_problem(problem.save(tmp_path / f"{number}.npz"))
        assert isinstance(read, Representatives)
        assert repr(read) == repr(problem)
        assert read.arrays().keys() == problem.arrays().keys()
        for name, array in problem.arrays().items():
            np.testing.assert_array_equal(read.arrays()[name], array)


def test_files_that_are_no_problem(tmp_path):
    np.savez(tmp_path / "bare.npz", cost=LINE, schema=np.array("pam_opt.representatives/1"))
    with pytest.raises(PamOptError, match="n_kept"):
        Representatives.load(tmp_path / "bare.npz")
    np.savez(tmp_path / "bad.npz", cost=LINE[:2], n_kept=1, schema=np.array("pam_opt.representatives/1"))
    with pytest.raises(PamOptError, match="square"):
        Representatives.load(tmp_path / "bad.npz")
