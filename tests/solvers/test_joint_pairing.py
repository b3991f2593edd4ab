"""The joint pairing: what it accepts, its bound, its programme, and whether planted permutations are found."""

import itertools
import math

import numpy as np
import pytest
from joint_instances import ONES, chain, decisions, optimum, random_problem, small, stream

from pam_opt_solvers import (
    FIXED,
    JointPairing,
    LayerPair,
    ProblemError,
    SolverUnsuitable,
    Status,
    available,
    load_problem,
    solve,
)
from pam_opt_solvers.joint_pairing.descent import descend
from pam_opt_solvers.joint_pairing.frank_wolfe import climb
from pam_opt_solvers.joint_pairing.matching import Matching
from pam_opt_solvers.joint_pairing.product_dual import ProductDual
from pam_opt_solvers.joint_pairing.starts import random_start, soft_start
from pam_opt_solvers.problems.gilmore_lawler import pair_costs
from pam_opt_solvers.problems.joint_program import products

INF, NAN = math.inf, math.nan
HEURISTICS = [
    "greedy",
    "coordinate_descent",
    "coordinate_descent:signatures",
    "frank_wolfe",
    "frank_wolfe:barycentre",
    "lagrangian",
]
PROGRAMS = ["cp_sat", "math_opt:highs", "math_opt:scip", "pulp", "scipy_milp"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[1.0, NAN]], [[1.0, 2.0]]), r"first\[0, 1\] is nan; weights must be finite"),
        (([[1.0]], [[-INF]]), r"second\[0, 0\] is -inf"),
        (([[1e150]], [[0.0]]), r"1e\+150; .*within 1e\+149"),
        (([[1e-300]], [[0.0]]), r"square vanishes in float64; rescale"),
        ((ONES, np.ones((2, 3))), r"\(2, 2, 1\) and second \(2, 3, 1\).*pad"),
        ((np.ones(2), np.ones(2)), "1 dimensions; .*bias as"),
        ((np.ones((2, 2, 3, 3)),) * 2, "4 dimensions; .*flatten the kernel"),
        ((ONES.astype(complex), ONES), "complex"),
        (([["a"]], [[1.0]]), "real numbers"),
        (([[1.0], [1.0, 2.0]], ONES), "rectangular"),
        ((ONES, ONES, -2), r"rows_space is -2; .*-1 for a side that is fixed"),
        ((ONES, ONES, 0, 1.5), r"columns_space is 1\.5"),
        ((ONES, ONES, None), "rows_space is None"),
        ((ONES, ONES, True), "rows_space is True"),
    ],
)
def test_malformed_layers_say_where(arguments, words):
    with pytest.raises(ProblemError, match=words):
        LayerPair(*arguments)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sizes": (3,)}, r"layers\[0\] has 2 rows, but its space 0 has 3 units"),
        ({"sizes": ()}, r"layers\[0\] names space 0 for its rows; there are 0 spaces"),
        ({"sizes": 2}, "sizes must be a sequence"),
        ({"sizes": (-1,)}, r"sizes\[0\] is -1"),
        ({"sizes": (2.0,)}, r"sizes\[0\] must be an integer"),
        ({"layers": ONES}, r"layers\[0\] is ndarray; expected a LayerPair"),
        ({"layers": None}, "layers must be a sequence"),
        ({"linear": (None, None)}, r"linear holds 2 entries for 1 spaces"),
        ({"linear": (np.ones((2, 3)),)}, r"linear\[0\] has shape \(2, 3\)"),
        ({"linear": (np.array([[0, INF], [0, 0]]),)}, r"linear\[0\]\[0, 1\] is inf; it must be finite"),
        ({"linear": (np.array([[0, 0], [NAN, 0]]),)}, r"linear\[0\]\[1, 0\] is nan"),
        ({"linear": (np.full((2, 2), 1e301),)}, r"1e\+301"),
    ],
)
def test_malformed_problems_say_where(changes, words):
    with pytest.raises(ProblemError, match=words):
        small(**changes)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ([0, 0], "space 0 is no permutation: unit 0"),
        ([0, 2], "unit 1 is not there exactly once"),
        ([-1, 0], "unit 1"),
        ([0], r"\(2,\) integers"),
        ([[0, 1]], r"\(2,\) integers"),
        ([0.0, 1.0], "float64"),
        (None, "object"),
        ([[0], [0, 1]], "one flat array"),
        ("ab", "integers"),
    ],
)
def test_rubbish_is_no_decision(decision, words):
    with pytest.raises(ProblemError, match=words):
        small().check(decision)


def test_value_is_the_sum_of_squares():
    problem = small(linear=(np.array([[0.5, 7.0], [0.25, 0.0]]),))
    assert problem.value([1, 0]) == 7.25
    assert problem.value([0, 1]) == 34.5
    assert [part.tolist() for part in problem.split([1, 0])] == [[1, 0]]
    assert problem.describe(problem.normalise([1, 0])) == "2 of 2 units in 1 spaces change places"


def test_value_with_ties_on_both_sides():
    for seed in range(20):
        problem = random_problem(seed)
        decision = next(iter(decisions(problem)))[::1]
        parts, total = problem.split(decision), 0.0
        for layer in problem.layers:
            rows, columns = (
                np.arange(n) if s < 0 else parts[s] for s, n in zip(layer.spaces, layer.shape, strict=False)
            )
            for i, k in np.ndindex(*layer.shape[:2]):
                total += ((layer.first[i, k] - layer.second[rows[i], columns[k]]) ** 2).sum()
        for costs, part in zip(problem.costs, parts, strict=True):
            total += 0.0 if costs is None else costs[np.arange(len(part)), part].sum()
        assert problem.value(decision) == pytest.approx(total)


def test_bound_is_true_on_thousands():
    for seed in range(2200):
        problem = random_problem(seed)
        assert problem.trivial_bound() <= optimum(problem), seed


def test_bound_is_exact_without_interplay():
    rng = np.random.default_rng(0)
    layer = LayerPair(rng.random((6, 4)), rng.random((6, 4)), rows_space=0)
    problem = JointPairing((6,), (layer,), (rng.random((6, 6)),))
    assert problem.trivial_bound() == pytest.approx(optimum(problem))
    assert solve(problem).status is Status.OPTIMAL


@pytest.mark.parametrize("name", HEURISTICS)
def test_heuristics_on_small_ones(name):
    ratio = []
    for seed in range(60):
        problem = random_problem(seed)
        solution, best = solve(problem, name, seed=seed), optimum(problem)
        solution.check()
        slack = 1e-9 * math.fsum(abs(problem.terms(solution.decision)))
        assert solution.bound <= best <= solution.value + slack
        ratio.append(solution.value <= best + slack)
    assert np.mean(ratio) > (0.5 if name == "greedy" else 0.9)


@pytest.mark.parametrize("name", PROGRAMS)
def test_exact_solvers_agree_with_enumeration(name):
    for seed in range(1000, 1008):
        problem = random_problem(seed)
        solution, best = solve(problem, name), optimum(problem)
        assert solution.status in (Status.OPTIMAL, Status.ROUNDED), seed
        assert solution.value == pytest.approx(best, rel=1e-5, abs=1e-9)
        assert solution.bound <= best + 1e-12 * abs(best)


def test_the_dual_bound_is_true_and_closes():
    proven = 0
    for seed in range(2000, 2120):
        problem = random_problem(seed)
        solution, best = solve(problem, "lagrangian"), optimum(problem)
        assert solution.bound <= best, seed
        proven += solution.status is Status.OPTIMAL
    assert proven > 100


def test_noisy_streams_are_proven_optimal():
    problem, permutations = stream(12, 2, 0.5, 0)
    solution = solve(problem, "lagrangian")
    assert solution.status is Status.OPTIMAL
    np.testing.assert_array_equal(solution.decision, permutations)


def test_multipliers_at_any_moment_give_a_true_bound():
    for seed in range(100):
        problem = random_problem(seed)
        dual, best = ProductDual(products(problem, 10_000), 100), optimum(problem)
        for temperature in (10.0, 1.0, 1e-3):
            dual.climb(temperature, lambda: False)
            assert dual.bound()[0] <= best, seed


def test_a_large_programme_is_refused():
    problem, _ = stream(32, 1, 0.1, 0)
    with pytest.raises(SolverUnsuitable, match=r"1,050,624 choices and products.*'frank_wolfe'"):
        solve(problem, "scipy_milp")
    with pytest.raises(SolverUnsuitable, match="at most 4,000,000"):
        solve(stream(64, 1, 0.1, 0)[0], "lagrangian")


def test_coordinate_descent_never_rises():
    for seed in range(120):
        problem, rng = random_problem(seed), np.random.default_rng(seed)
        start = random_start(problem.sizes, rng)
        steps = iter(range(10_000))
        values = []
        for limit in range(6):  # stopped after ever more steps, from the same start
            steps = iter([False] * limit + [True] * 1000)
            found = descend(Matching(problem), start, np.random.default_rng(7), lambda steps=steps: next(steps))
            values.append(problem.value(problem.join(found)))
        slack = 1e-12 * max(map(abs, values))
        assert values[0] == problem.value(problem.join(start))
        assert all(after <= before + slack for before, after in itertools.pairwise(values)), seed


@pytest.mark.parametrize("name", ["greedy", "coordinate_descent", "frank_wolfe"])
def test_chains_are_always_recovered(name):
    for seed in range(60):
        width = 8 + seed * 56 // 59
        noise, area = (0.0, 0.2)[seed % 2], (1, 9)[seed % 3 == 0]
        problem, permutations = chain([6, width, width, width, 5], noise, seed, area)
        np.testing.assert_array_equal(solve(problem, name, seed=seed).decision, permutations)


def test_a_planted_chain_is_proven_optimal():
    problem, _ = chain([6, 20, 20, 5], 0.0, 0)
    solution = solve(problem)
    assert solution.status is Status.OPTIMAL
    assert solution.value == solution.bound == 0.0


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_residual_streams_are_recovered(noise):
    found = 0
    for seed in range(30, 50):
        problem, permutations = stream(seed, 3, noise, seed)
        found += bool(
            (solve(problem, "frank_wolfe", seed=seed, options={"starts": "1"}).decision == permutations).all()
        )
    assert found >= 18


def test_residual_streams_defeat_one_coordinate_descent():
    found = 0
    for seed in range(30, 50):
        problem, permutations = stream(seed, 3, 0.5, seed)
        one = solve(problem, "coordinate_descent", seed=seed, options={"starts": "1"})
        found += bool((one.decision == permutations).all())
    assert found <= 4


def test_a_space_on_both_sides_of_a_layer_is_recovered():
    rng = np.random.default_rng(0)
    for seed in range(10):
        permutation, first = rng.permutation(30), rng.standard_normal((30, 30))
        second = np.empty((30, 30))
        second[np.ix_(permutation, permutation)] = first
        problem = JointPairing((30,), (LayerPair(first, second, 0, 0),))
        np.testing.assert_array_equal(solve(problem, seed=seed).decision, permutation)


def test_frank_wolfe_never_ends_below_its_start():
    for seed in range(50):
        problem = random_problem(seed)
        matching = Matching(problem)
        start = soft_start(pair_costs(problem), INF)
        assert all(np.allclose(w.sum(axis=0), 1) and np.allclose(w.sum(axis=1), 1) for w in start)
        for part, size in zip(climb(matching, start, lambda: False), problem.sizes, strict=True):
            assert sorted(part) == list(range(size))


def test_soft_starts_are_doubly_stochastic():
    rng = np.random.default_rng(0)
    for costs in (rng.random((9, 9)), np.zeros((4, 4)), 1e300 * rng.random((5, 5)), np.zeros((0, 0)), np.ones((1, 1))):
        for temperature in (0.3, 3.0, 30.0, INF):
            (weights,) = soft_start([costs], temperature)
            np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-9)
            np.testing.assert_allclose(weights.sum(axis=1), 1, atol=0.2)


def test_renumbering_the_second_parent_changes_nothing():
    for seed in range(30):
        problem, rng = random_problem(seed), np.random.default_rng(seed)
        numbers = random_start(problem.sizes, rng)
        renamed = []
        for layer in problem.layers:
            rows, columns = (None if s < 0 else numbers[s] for s in layer.spaces)
            renamed.append(LayerPair(layer.first, layer.moved(rows, columns), *layer.spaces))
        linear = tuple(None if c is None else c[:, p] for c, p in zip(problem.costs, numbers, strict=True))
        other = JointPairing(problem.sizes, tuple(renamed), linear)
        scale = 1e-9 * (1 + problem.magnitude)
        assert other.trivial_bound() == pytest.approx(problem.trivial_bound(), rel=1e-9, abs=scale)
        assert optimum(other) == pytest.approx(optimum(problem), rel=1e-12, abs=scale * 1e-3)


def test_exchanging_the_parents_keeps_the_optimum():
    for seed in range(30):
        problem = random_problem(seed)
        layers = tuple(LayerPair(layer.second, layer.first, *layer.spaces) for layer in problem.layers)
        linear = tuple(None if c is None else c.T for c in problem.costs)
        other = JointPairing(problem.sizes, layers, linear)
        assert optimum(other) == pytest.approx(optimum(problem), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", HEURISTICS + PROGRAMS)
@pytest.mark.parametrize(
    "problem",
    [
        JointPairing((), ()),
        JointPairing((0,), ()),
        JointPairing((1, 0), (LayerPair(np.ones((1, 0)), np.ones((1, 0)), 0, 1),)),
        JointPairing((1,), (LayerPair(ONES[:1, :1], 2 * ONES[:1, :1], 0, 0),)),
        JointPairing((), (LayerPair(ONES, 3 * ONES),)),
    ],
)
def test_nothing_to_decide(problem, name):
    solution = solve(problem, name)
    assert solution.status is Status.OPTIMAL
    assert solution.value == sum(float(np.square(p.first - p.second).sum()) for p in problem.layers)


@pytest.mark.parametrize("name", [*HEURISTICS, "scipy_milp"])
@pytest.mark.parametrize(
    ("problem", "best"),
    [
        (JointPairing((3,), ()), 0.0),
        (JointPairing((3, 0), (LayerPair(np.ones((3, 0)), np.ones((3, 0)), 0, 1),)), 0.0),
        (JointPairing((3, 3), (LayerPair(np.ones((3, 3)), np.ones((3, 3)), 0, 1),)), 0.0),
        (JointPairing((2, 2), (LayerPair(np.zeros((2, 2)), np.zeros((2, 2)), 0, 1),)), 0.0),
        (JointPairing((2,), (LayerPair(1e149 * np.eye(2), 1e149 * np.eye(2)[::-1], 0),)), 0.0),
        (JointPairing((2,), (LayerPair(1e-130 * np.eye(2), 1e-130 * np.eye(2)[::-1], 0),)), 0.0),
        (JointPairing((2,), (), (1e300 * np.array([[1.0, -1.0], [-1.0, 1.0]]),)), -2e300),
        (JointPairing((2,), (), (1e-300 * np.array([[1.0, 2.0], [2.0, 1.0]]),)), 2e-300),
    ],
)
def test_extremes(problem, best, name):
    solution = solve(problem, name)
    assert solution.value == pytest.approx(best, rel=1e-9, abs=0.0)
    assert solution.bound <= best


@pytest.mark.parametrize("name", HEURISTICS)
def test_same_seed_same_decision(name):
    problem, _ = stream(8, 2, 2.0, 1)
    first, second = (solve(problem, name, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.decision, second.decision)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("coordinate_descent", chain([64] * 10, 0.5, 0)[0]), ("frank_wolfe", chain([64] * 10, 0.5, 0)[0])],
)
def test_a_tiny_limit_ends_soon(name, problem):
    solution = solve(problem, name, time_limit=1e-3)
    assert solution.status in (Status.TIME_LIMIT, Status.TIME_LIMIT_EMPTY)
    assert solution.solve_seconds < 0.6


def test_a_limit_leaves_decision_and_bound():
    problem, _ = stream(24, 3, 2.0, 0)
    solution = solve(problem, "lagrangian", time_limit=0.4)
    assert solution.status is Status.TIME_LIMIT
    assert solution.decision is not None
    assert problem.trivial_bound() <= solution.bound < solution.value


def test_improvements_are_on_record():
    problem, _ = stream(20, 2, 0.5, 3)
    solution = solve(problem, "frank_wolfe")
    values = [value for _, value, _ in solution.trajectory if not math.isnan(value)]
    assert values[-1] == solution.value
    assert all(after <= before for before, after in itertools.pairwise(values))


def test_file_keeps_everything(tmp_path):
    problem = random_problem(11)
    read = load_problem(problem.save(tmp_path / "joint.npz"))
    assert isinstance(read, JointPairing)
    assert read.sizes == problem.sizes
    assert [layer.spaces for layer in read.layers] == [layer.spaces for layer in problem.layers]
    decision = next(iter(decisions(problem)))
    assert read.value(decision) == problem.value(decision)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sizes": None}, "holds no array called 'sizes'"),
        ({"first_0": None}, "holds no array called 'first_0'"),
        ({"sizes": np.ones(2)}, "sizes must be"),
        ({"spaces": np.zeros((1, 3), int)}, r"spaces \(layers, 2\)"),
        ({"second_0": np.full((2, 1, 1), NAN)}, r"layers\[0\]: second\[0, 0, 0\] is nan"),
    ],
)
def test_damaged_files_are_named(tmp_path, changes, words):
    arrays = {name: value for name, value in (small().arrays() | changes).items() if value is not None}
    np.savez(tmp_path / "bad.npz", schema=np.array(JointPairing.schema()), **arrays)
    with pytest.raises(ProblemError, match=words) as caught:
        load_problem(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


def test_the_table_and_auto():
    names = {info.name for info in available("joint_pairing")}
    assert {"frank_wolfe", "coordinate_descent", "greedy", "cp_sat", "math_opt"} <= names
    assert solve(small()).run.note.startswith("auto: lagrangian")
    assert solve(stream(40, 1, 0.1, 0)[0]).run.note.startswith("auto: frank_wolfe")
    assert FIXED == -1
    assert repr(small()) == "JointPairing(1 spaces of 2 units, 2 layers)"
