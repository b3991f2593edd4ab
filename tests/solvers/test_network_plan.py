"""How much every layer shares: costs against the definition, solvers against all plans, bounds, frontier, bad input."""

import itertools
import math

import numpy as np
import pytest
from network_instances import every_plan, lattice, small, two_parents, with_budget

from pam_opt_solvers import (
    NetworkPlan,
    ProblemError,
    SolverUnsuitable,
    Status,
    all_groups,
    available,
    load_problem,
    network_frontier,
    run_probabilities,
    solve,
)
from pam_opt_solvers.network_plan.envelope import least_lines

INF = np.inf
HEURISTICS = ("lagrangian", "greedy", "uniform")
PROGRAMS = ("cp_sat", "math_opt", "scipy_milp")


@pytest.mark.parametrize("n_tasks", [2, 3])
def test_expected_macs_are_the_mean_of_the_combinations(n_tasks):
    rng = np.random.default_rng(n_tasks)
    groups = all_groups(n_tasks)
    size = len(groups)
    weights, macs = rng.random(size), rng.random(3)
    counts = [rng.integers(0, 9, (2, size)) for _ in range(2)]
    ends = rng.integers(0, 9, (2, size))
    loss = [np.zeros(2)] * 2
    plan = NetworkPlan(groups, run_probabilities(groups, weights), macs, *ends, counts, loss, loss_budget=0.0)
    units = [ends[0], counts[0][1], counts[1][0], ends[1]]
    expected = 0.0
    for p, combination in zip(weights / weights.sum(), groups, strict=True):
        for k, before, after in zip(macs, units, units[1:], strict=False):
            for g, h in itertools.product(range(size), repeat=2):
                if (groups[g] & combination).any() and (groups[g] <= groups[h]).all():
                    expected += p * k * after[g] * before[h]
    assert plan.expected_macs([1, 0]) == pytest.approx(expected, rel=1e-12)


def test_edge_losses_are_paid_for_every_pair_of_units():
    plan = small(edge_loss=[[9.0, 9.0], [0.5, 0.25], [9.0, 9.0]])
    # One shared pair leaves 1 and 2 exclusive units, whose edges to the second layer's 2 shared units are cut.
    assert plan.total_loss([1, 2]) == 1.0 + 3.0 + 2 * (1 * 0.5 + 2 * 0.25)


def test_run_probabilities():
    np.testing.assert_allclose(run_probabilities(all_groups(2)), [2 / 3, 2 / 3, 1])
    np.testing.assert_allclose(run_probabilities(all_groups(3))[[0, 3, 6]], [4 / 7, 6 / 7, 1])


def test_least_of_many_lines():
    rng = np.random.default_rng(0)
    for _ in range(500):
        n, m = rng.integers(1, 9, 2)
        slopes, values, points = (rng.integers(-4, 5, size).astype(float) for size in (n, n, m))
        matrix = values + slopes * points[:, None]
        least, chosen = least_lines(slopes, values, points)
        np.testing.assert_array_equal(least, matrix.min(axis=1))
        np.testing.assert_array_equal(matrix[np.arange(m), chosen], least)


@pytest.mark.parametrize("make", [two_parents, lattice])
def test_bounds_and_values_against_all_plans(make):
    for seed in range(1000):
        problem, best = with_budget(make, seed)
        assert problem.trivial_bound() <= best + 1e-12 * abs(best)
        assert problem.certainly_feasible() == (best < INF)
        name = "branch_and_bound" if seed % 3 == 0 else HEURISTICS[seed // 3 % 3]
        solution = solve(problem, name)
        solution.check()
        assert solution.bound <= best + 1e-12 * abs(best)
        if name == "branch_and_bound":
            assert solution.status is (Status.OPTIMAL if best < INF else Status.INFEASIBLE)
        if best == INF:
            assert solution.status is Status.INFEASIBLE
            assert "budget" in solution.run.note
        elif solution.decision is None:
            assert name == "uniform"
        else:
            assert solution.value >= best - 1e-9 * abs(best)
            if name == "branch_and_bound":
                assert solution.value == pytest.approx(best, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("make", [two_parents, lattice])
def test_programs_agree(make, name):
    for seed in range(5000, 5012):
        problem, best = with_budget(make, seed)
        solution = solve(problem, name)
        if best == INF:
            assert solution.status is Status.INFEASIBLE
        else:
            assert solution.status is Status.OPTIMAL
            assert solution.value == pytest.approx(best, rel=1e-6, abs=1e-9)
            assert solution.bound <= best + 1e-12


def test_a_medium_plan_is_proven_and_no_heuristic_is_better():
    rng = np.random.default_rng(7)
    widths = [(48, 64)] * 6
    curves = [np.cumsum(np.append(0, np.sort(rng.lognormal(0, 1, 48)))) for _ in widths]
    for budget in ({"loss_budget": 100.0}, {"macs_budget": 2e5}):
        problem = NetworkPlan.of_two_parents(widths, curves, rng.integers(1, 20, 7), 3, (10, 10), **budget)
        exact = solve(problem)
        assert exact.status is Status.OPTIMAL
        assert exact.run.solver == "branch_and_bound"
        near = solve(problem, "lagrangian")
        assert near.gap < 0.05
        for other in (near, solve(problem, "greedy"), solve(problem, "uniform")):
            assert other.decision is None or other.value >= exact.value * (1 - 1e-8)
        assert exact.value >= near.bound


def test_anytime():
    rng = np.random.default_rng(1)
    problem = NetworkPlan.of_two_parents(
        [(2000, 2000)] * 12,
        [np.cumsum(np.append(0, rng.random(2000)))] * 12,
        rng.random(13),
        3,
        (2, 2),
        loss_budget=900.0,
    )
    solution = solve(problem, "branch_and_bound", time_limit=1.0)
    assert solution.decision is not None
    values = [value for _, value, _ in solution.trajectory if not math.isnan(value)]
    bounds = [bound for *_, bound in solution.trajectory]
    assert values == sorted(values, reverse=True)
    assert bounds == sorted(bounds)


def test_same_call_same_plan():
    problem, _ = with_budget(two_parents, 3)
    for info in available():
        if info.problem == "network_plan" and info.available:
            first, second = (solve(problem, info.name, seed=5).decision for _ in range(2))
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("make", [two_parents, lattice])
def test_the_frontier_has_every_plan_that_is_not_beaten(make):
    for seed in range(10):
        problem = make(np.random.default_rng(seed), loss_budget=0.0)
        _, macs, loss = every_plan(problem)
        frontier = network_frontier(problem, points=500)
        assert (np.diff(frontier.loss) > 0).all()
        assert (np.diff(frontier.expected_macs) < 0).all()
        for budget in loss:
            least = macs[loss <= budget].min()
            assert frontier.macs_bound(budget) <= least * (1 + 1e-12)
            chosen = frontier.best(budget + 1e-9)
            assert problem.expected_macs(chosen) == pytest.approx(least, rel=1e-6, abs=1e-9)


def test_the_frontier_of_many_options_stops_at_its_points():
    rng = np.random.default_rng(0)
    curves = [np.cumsum(np.append(0, np.sort(rng.random(200)))) for _ in range(5)]
    problem = NetworkPlan.of_two_parents([(200, 200)] * 5, curves, np.ones(6), 3, (2, 2), macs_budget=0.0)
    frontier = network_frontier(problem, points=21)
    assert len(frontier.loss) == 21
    assert frontier.loss[0] == 0
    assert frontier.gaps.max() < 0.05
    assert frontier.best(-1.0) is None


def test_no_layers_and_no_choice():
    nothing = NetworkPlan.of_two_parents(np.zeros((0, 2)), [], [2.0], 3, (1, 1), loss_budget=0.0)
    assert solve(nothing).value == pytest.approx(2 * 3 * 2 * 2 / 3)
    assert network_frontier(nothing).expected_macs.tolist() == [nothing.value([])]
    assert solve(NetworkPlan.of_two_parents(np.zeros((0, 2)), [], [2.0], 3, (1, 1), macs_budget=1.0)).decision is None
    assert solve(small(loss=[[0.0], [0.25]])).value > 0
    assert solve(small(loss=[[0.0], [2.0]])).status is Status.INFEASIBLE


def test_forbidden_options():
    only = small(loss=[[INF, INF, 1.0], [INF, 0.5, 3.0]])
    assert solve(only).decision.tolist() == [2, 1]
    assert "option 0 of layer 1 is forbidden" in only.violations([2, 0])[0]
    barred = small(loss=[[0.0, 1.0], [INF, INF]])
    assert solve(barred).status is Status.INFEASIBLE
    assert "every option of layer 1" in solve(barred).run.note
    with pytest.raises(ProblemError, match="every option of layer 1"):
        network_frontier(barred)


@pytest.mark.parametrize("name", ["branch_and_bound", *HEURISTICS])
@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e290])
def test_extreme_scales(name, scale):
    plain, scaled = (
        small(),
        small(loss=[scale * np.array([0.0, 1, 4]), scale * np.array([0, 0.5, 3])], loss_budget=1.5 * scale),
    )
    assert solve(scaled, name).decision.tolist() == solve(plain, name).decision.tolist()
    scaled = small(macs=[scale, 2 * scale, scale])
    assert solve(scaled, name).decision.tolist() == solve(plain, name).decision.tolist()


def test_mixed_scales_end_in_an_honest_answer():
    for losses in ([[0.0, 1e-300, 1e290], [0.0, 1.0, 1e5]], [[0.0, 1e290, 2e290], [0.0, 1e-300, 1.0]]):
        for budget in (0.0, 1e-300, 1.0, 1e290):
            problem = small(loss=losses, loss_budget=budget)
            _plans, macs, loss = every_plan(problem)
            best = macs[loss <= problem.allowed].min()
            solution = solve(problem)
            assert solution.bound <= best * (1 + 1e-9)
            assert solution.value >= best * (1 - 1e-9)


def test_ties_everywhere():
    problem = small(loss=[np.zeros(3), np.zeros(3)], macs=np.zeros(3))
    for info in available():
        if info.problem == "network_plan" and info.available:
            assert solve(problem, info.name).value == 0.0


def test_a_tiny_time_limit_is_kept():
    solution = solve(small(), "branch_and_bound", time_limit=1e-9)
    assert solution.status in (Status.TIME_LIMIT_EMPTY, Status.TIME_LIMIT, Status.OPTIMAL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss_budget": None}, "give one of loss_budget and macs_budget"),
        ({"loss_budget": 1.0, "macs_budget": 1.0}, "give one of"),
        ({"loss_budget": math.nan}, "loss_budget is nan"),
        ({"loss_budget": "much"}, "loss_budget must hold real numbers"),
        ({"loss_budget": [1.0, 2.0]}, "loss_budget has shape"),
        ({"macs_budget": INF}, "macs_budget is inf"),
        ({"macs": [1.0, 2.0]}, "numbers of layers differ"),
        ({"macs": [1.0, -2.0, 1.0]}, r"macs must lie in 0\.\.1e\+300; it holds -2"),
        ({"macs": [1.0, math.nan, 1.0]}, r"macs\[1\] is nan"),
        ({"macs": [1.0, 1e300, 1.0]}, "rescale macs or losses"),
        ({"loss": [[0.0, math.nan], [0.0]]}, r"loss\[0\]\[1\] is nan"),
        ({"loss": [[0.0, -INF], [0.0]]}, r"loss\[0\]\[1\] is -inf"),
        ({"loss": [[0.0], []]}, "layer 1 has no options"),
        ({"loss": [[0.0]]}, "numbers of layers differ"),
        ({"loss": [[0.0], [0.0], [0.0]]}, "numbers of layers differ"),
        ({"loss": [[0.0, 1, 2, 3], [0.0]]}, r"loss\[0\] is for up to 3 pairs; parents of 2 and 3 units have at most 2"),
        ({"loss": [[[0.0]], [0.0]]}, r"loss\[0\] has shape"),
        ({"loss": 3.0}, "sequence"),
        ({"widths": [(2, 3)]}, "numbers of layers differ"),
        ({"widths": [(2, 3), (3, -2)]}, r"widths\[1, 1\] is -2; numbers of units are whole"),
        ({"widths": [(2, 3), (3, 2.5)]}, r"widths\[1, 1\] is 2\.5"),
        ({"widths": [2, 3]}, r"widths has shape \(2,\)"),
        ({"inputs": -1}, r"inputs\[0\] is -1"),
        ({"heads": (1, 1, 1)}, r"heads has shape \(3,\)"),
        ({"weights": [1.0, 1.0]}, r"weights has shape \(2,\)"),
        ({"weights": [1.0, -1.0, 1.0]}, "weights of combinations must be at least 0"),
        ({"weights": [0.0, 0.0, 0.0]}, "one above 0"),
        ({"edge_loss": np.ones((2, 2))}, r"edge_loss has shape \(2, 2\)"),
        ({"edge_loss": np.full((3, 2), INF)}, "edge_loss"),
    ],
)
def test_malformed_problems_say_where(changes, words):
    with pytest.raises(ProblemError, match=words):
        small(**changes)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ([0], r"\(2,\) integers"),
        ([0.0, 1.0], "integers"),
        ("plan", "integers"),
        (None, "integers"),
        ([[0], [1, 2]], "integers"),
        ([0, 3], "option 3 of layer 1 does not exist; it has 3"),
        ([-1, 0], "option -1 of layer 0"),
        ([2, 0], r"loss is 4, above the budget of 1\.5"),
    ],
)
def test_violations_in_words(decision, words):
    with pytest.raises(ProblemError, match=words):
        small().check(decision)


@pytest.mark.parametrize("groups", [[[1, 0], [1, 0]], [[2, 0]], [1, 0], np.zeros((0, 2)), [["a"]], [[0.5, 1.0]]])
def test_malformed_groups(groups):
    with pytest.raises(ProblemError, match="groups"):
        NetworkPlan(groups, [1.0], [1.0], [1], [1], (), (), loss_budget=0.0)


def test_too_many_tasks():
    with pytest.raises(ProblemError, match="n_tasks is 99"):
        all_groups(99)
    with pytest.raises(ProblemError, match="at least 1"):
        all_groups(0)


@pytest.mark.parametrize(("points", "words"), [(1, "at least 2"), (-3, "0..100000"), (2.5, "integer")])
def test_bad_frontiers(points, words):
    with pytest.raises(ProblemError, match=words):
        network_frontier(small(), points)
    with pytest.raises(ProblemError, match="time_limit"):
        network_frontier(small(), time_limit=0.0)


def test_solvers_of_other_problems_refuse():
    with pytest.raises(Exception, match="hungarian") as caught:
        solve(small(), "hungarian")
    assert isinstance(caught.value, SolverUnsuitable | LookupError)


@pytest.mark.parametrize("make", [two_parents, lattice])
def test_round_trip(tmp_path, make):
    for seed in range(10):
        problem, _ = with_budget(make, seed)
        read = load_problem(problem.save(tmp_path / "plan.npz"))
        assert isinstance(read, NetworkPlan)
        assert repr(read) == repr(problem)
        for name, array in problem.arrays().items():
            np.testing.assert_array_equal(read.arrays()[name], array)
        assert solve(read).value == solve(problem).value or solve(problem).decision is None


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("options", [1, 1]),
        ("options", [[1]]),
        ("counts", np.zeros((6, 2))),
        ("loss", np.zeros(5)),
        ("loss_budget", [1.0, 2]),
    ],
)
def test_damaged_files_are_named(tmp_path, name, array):
    arrays = small().arrays() | {name: np.asarray(array), "schema": np.array(NetworkPlan.schema())}
    np.savez(tmp_path / "damaged.npz", **arrays)
    with pytest.raises(ProblemError, match=r"damaged\.npz"):
        NetworkPlan.load(tmp_path / "damaged.npz")
