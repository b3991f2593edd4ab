"""Grouping: what it accepts, its file, known optima, true bounds on thousands of instances, joint budgets by cuts."""

import itertools
import math

import numpy as np
import pytest
from grouping_instances import COST, INF, LOSS, PAIR, best_value, information, no_room, tiny

from pam_opt_solvers import (
    Grouping,
    PamOptError,
    ProblemError,
    SolverUnsuitable,
    Status,
    available,
    load_problem,
    solve,
)
from pam_opt_solvers.grouping import dual, separation
from pam_opt_solvers.grouping.normal import Normal
from pam_opt_solvers.problems.budgets import BudgetTable, JointBudget, information_budgets
from pam_opt_solvers.problems.gaussian_information import GaussianInformation
from pam_opt_solvers.problems.grouping import subsets
from pam_opt_solvers.problems.set_functions import SetFunction

METHODS = ["lagrangian", "ratio", "greedy", "greedy:least_cost", "cuts", "decomposition"]
PROGRAMS = ["math_opt", "cp_sat", "pulp", "scipy_milp"]


class Count(SetFunction):
    """The square of the number of members above a first one: monotone, and neither sub- nor supermodular."""

    kind = "count"

    def __init__(self, size):
        self._size = size

    @property
    def size(self):
        return self._size

    def value(self, members):
        return float(max(len(members) - 1, 0) ** 2)

    def arrays(self):
        return {}


def middling(seed, units=60, tasks=3):
    """Return a feasible grouping in which all budgets bind: losing information and serving tasks both cost."""
    rng = np.random.default_rng(seed)
    groups = subsets(tasks)
    amounts = np.exp(rng.normal(-1.0, 1.0, (tasks, units)))
    cost = 0.3 * (amounts.T @ (~groups).T) + rng.random((units, 1)) * groups.sum(axis=1)
    alone = ~groups & (groups.sum(axis=1) <= 1)[:, None]
    limits = np.where(alone, 0.03 * amounts.sum(axis=1), INF)
    return Grouping(groups, cost, information_budgets(groups, amounts, limits))


# --- what it accepts


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Grouping(PAIR, np.array([[0, 1, 2, math.nan]])), r"cost\[0, 3\] is nan"),
        (lambda: Grouping(PAIR, np.array([[0, -INF, 2, 1]])), r"cost\[0, 1\] is -inf"),
        (lambda: Grouping(PAIR, np.zeros((2, 3))), r"cost has shape \(2, 3\)"),
        (lambda: Grouping(PAIR[[0, 1, 1]], np.zeros((2, 3))), "groups 1 and 2 serve the same tasks"),
        (lambda: Grouping(np.array([[0, 2]]), np.zeros((2, 1))), r"groups\[0, 1\] is 2"),
        (lambda: Grouping(PAIR, COST, "budgets"), "BudgetTable, not str"),
        (lambda: Grouping(PAIR, COST[:2], LOSS), r"weights of the budgets has shape \(1, 3\)"),
        (lambda: Grouping(PAIR[:3], COST[:, :3], LOSS), r"rates of the budgets has shape \(1, 4\)"),
        (lambda: Grouping(PAIR, COST, LOSS, ("joint",)), "JointBudget, not str"),
        (
            lambda: Grouping(PAIR, COST, LOSS, (JointBudget(PAIR[0], Count(3), 1.0),)),
            "2 groups; the problem has 3 and 4",
        ),
        (lambda: Grouping(PAIR, COST, LOSS, (JointBudget(PAIR[:, 0], Count(3), 1.0, "lost"),)), "called 'lost'"),
        (lambda: BudgetTable(np.array([[1.0, -2.0]]), np.ones((1, 1)), np.ones(1)), r"weights\[0, 1\] is -2"),
        (lambda: BudgetTable(np.ones((1, 1)), -np.ones((1, 1)), np.ones(1)), r"rates\[0, 0\] is -1"),
        (lambda: BudgetTable(np.array([[INF]]), np.ones((1, 1)), np.ones(1)), r"weights\[0, 0\] is inf"),
        (lambda: BudgetTable(np.ones((1, 1)), np.ones((1, 1)), np.array([math.nan])), r"limits\[0\] is nan"),
        (lambda: BudgetTable(np.ones((2, 1)), np.ones((1, 1)), np.ones(1)), r"weights has shape \(2, 1\)"),
        (lambda: BudgetTable(np.ones((1, 1)), np.ones((1, 1)), np.ones(1), ("a", "b")), "2 names for 1 budgets"),
        (lambda: JointBudget(PAIR[:, 0], Count(3), INF), "limit of a joint budget is inf"),
        (lambda: JointBudget(PAIR[:, 0], max, 1.0), "must be a SetFunction"),
        (lambda: JointBudget(np.array([0.5]), Count(3), 1.0), "True or False"),
        (lambda: subsets(17), "0 to 16"),
        (lambda: information_budgets(PAIR, -np.ones((2, 3)), np.ones((4, 2))), r"weights\[0, 0\] is -1"),
    ],
)
def test_malformed_problems_say_where(make, words):
    with pytest.raises(ProblemError, match=words):
        make()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.eye(2), np.stack([np.eye(2)] * 2), np.array([0.5, 0.6])), "sum to 1"),
        ((np.eye(2), np.stack([np.eye(2)] * 2), np.array([1.5, -0.5])), "at least 0"),
        ((np.eye(2), np.stack([2 * np.eye(2)] * 2), np.array([0.5, 0.5])), "smaller than the mean"),
        ((np.array([[1.0, 0.5], [0.0, 1.0]]), np.eye(2)[None], np.ones(1)), "not symmetric"),
        ((-np.eye(2), np.eye(2)[None], np.ones(1)), "negative eigenvalue"),
        ((np.eye(2), np.eye(2)[None], np.ones(1), 0.0), "variance above 0"),
        ((np.eye(2), np.eye(2)[None], np.ones(1), 1e-9), "raise the noise"),
        ((np.eye(2), np.eye(3)[None], np.ones(1)), r"class_covariances has shape \(1, 3, 3\)"),
        ((np.full((2, 2), math.nan), np.eye(2)[None], np.ones(1)), "nan"),
    ],
)
def test_malformed_information_says_why(arguments, words):
    with pytest.raises(ProblemError, match=words):
        GaussianInformation(*arguments)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ([0, 0, 1], "budget 'lost' is 2, above its limit 1"),
        ([0, 1], "shape"),
        ([0, 1, 4], "unit 2 is in group 4, but there are only 4"),
        ([0, 1, -1], "unit 2 is in group -1"),
        ([0.0, 1.0, 1.0], "integers"),
        (None, "integers"),
        ("rubbish", "integers"),
        ([[0, 1, 1]], "shape"),
    ],
)
def test_check_names_the_violation(decision, words):
    problem = Grouping(PAIR, COST, LOSS)
    with pytest.raises(ProblemError, match=words):
        problem.check(decision)


def test_a_forbidden_group_is_named():
    cost = COST.copy()
    cost[1, 3] = INF
    assert Grouping(PAIR, cost).violations([0, 3, 0]) == ("group 3 is forbidden to unit 1",)


def test_save_and_load_keep_everything(tmp_path):
    for seed in range(20):
        problem = tiny(seed, joint=True)
        loaded = load_problem(problem.save(tmp_path / "problem.npz"))
        assert isinstance(loaded, Grouping)
        for name, array in problem.arrays().items():
            assert np.array_equal(array, loaded.arrays()[name])
        decision = np.zeros(problem.shape[0], np.int64)
        assert loaded.violations(decision) == problem.violations(decision)


def test_damaged_files_say_what_is_wrong(tmp_path):
    arrays = next(made for seed in range(9) if len((made := tiny(seed, joint=True).arrays())["limits"]))
    path = tmp_path / "problem.npz"
    for changed, words in (
        ({"joint.0.function": np.array("unheard")}, "no set function is called 'unheard'"),
        ({"joint.0.function.noise": np.array(-1.0)}, "noise is -1"),
        ({"joint.0.function.extra": np.array(1.0)}, "cannot be made of"),
        ({"weights": -np.ones_like(arrays["weights"]) - 1}, "weights"),
    ):
        np.savez(path, schema=np.array("pam_opt.grouping/1"), **(arrays | changed))
        with pytest.raises(ProblemError, match=words):
            Grouping.load(path)
    del arrays["cost"]
    np.savez(path, **arrays)
    with pytest.raises(ProblemError, match="no array called 'cost'"):
        Grouping.load(path)


def test_a_budget_for_each_group_and_task():
    limits = np.full((4, 2), INF)
    limits[1, 1] = limits[0, 0] = 1.5
    table = information_budgets(PAIR, np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), limits)
    assert table.names == ("task 0 in group {}", "task 1 in group {0}")
    assert table.use(np.array([0, 1, 1])).tolist() == [1.0, 11.0]


# --- known optima


@pytest.mark.parametrize("solver", METHODS + PROGRAMS)
def test_known_optimum(solver):
    """Two units would be dropped for free, but one only may be: the one that is dearer to keep."""
    solution = solve(Grouping(PAIR, COST, LOSS), solver)
    assert solution.decision is not None
    assert solution.decision.tolist() == ([0, 1, 1] if solver != "greedy" else solution.decision.tolist())
    assert solution.bound <= 2.0 <= solution.value
    solution.check()


@pytest.mark.parametrize("solver", ["lagrangian", "cuts", "decomposition", *PROGRAMS])
def test_infeasible_budgets_are_explained(solver):
    """Every group costs one of two budgets, and neither has room for half of the units."""
    solution = solve(Grouping(PAIR, np.arange(32.0).reshape(8, 4), no_room()), solver)
    assert solution.status is Status.INFEASIBLE
    assert solution.bound == INF
    if solver in PROGRAMS:
        assert "budget 'dropped'" in solution.run.note
        assert "budget 'kept'" in solution.run.note
        assert "idle" not in solution.run.note


def test_what_settles_infeasibility_is_named():
    table = BudgetTable(np.array([[1.0, 9.0]]), np.ones((1, 4)), np.array([5.0]), ("macs",))
    note = solve(Grouping(PAIR, np.zeros((2, 4)), table)).run.note
    assert "unit 1 has no group" in note
    assert "'macs'" in note


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e12, 1e290])
@pytest.mark.parametrize("solver", ["lagrangian", "ratio", "greedy", "cuts", "decomposition"])
def test_costs_of_any_size(solver, scale):
    problem = Grouping(PAIR, COST * scale, LOSS)
    solution = solve(problem, solver)
    assert solution.bound <= 2.0 * scale * (1 + 1e-9)
    assert solution.value >= 2.0 * scale * (1 - 1e-9)
    if solver == "lagrangian":
        assert solution.value == pytest.approx(2.0 * scale)


@pytest.mark.parametrize("solver", ["lagrangian", "ratio", "greedy", "scipy_milp"])
def test_budgets_of_any_size(solver):
    for scale in (1e-290, 1.0, 1e290):
        table = BudgetTable(LOSS.weights * scale, LOSS.rates, LOSS.limits * scale)
        assert solve(Grouping(PAIR, COST, table), solver).bound <= 2.0
    mixed = BudgetTable(np.array([[1e300, 1.0, 1e-300]]), np.array([[1e300, 0.0, 0.0, 0.0]]), np.array([1.0]))
    assert solve(Grouping(PAIR, COST, mixed), solver).decision is not None


def test_auto_takes_every_form():
    assert solve(Grouping(PAIR, COST, LOSS)).run.solver.startswith("math_opt")
    assert solve(tiny(3, joint=True)).run.solver.startswith("decomposition")
    assert solve(middling(0, 600), time_limit=0.7).run.solver == "lagrangian"


def test_programs_refuse_joint_budgets_and_name_who_could():
    problem = tiny(0, joint=True)
    with pytest.raises(SolverUnsuitable, match="cuts"):
        solve(problem, "scipy_milp")
    with pytest.raises(SolverUnsuitable, match="cuts"):
        problem.integer_program()
    assert {"cuts", "decomposition", "greedy", "lagrangian", "ratio"} <= {info.name for info in available("grouping")}


# --- true bounds


def _agree(problem, best, solver):
    solution = solve(problem, solver)
    slack = 1e-9 * abs(best) if math.isfinite(best) else 0.0
    if best == INF:
        assert solution.status in (Status.INFEASIBLE, Status.NO_DECISION)
        return solution
    assert solution.status is not Status.INFEASIBLE
    assert solution.bound <= best + slack
    assert solution.decision is None or solution.value >= best - slack
    if solution.status is Status.OPTIMAL:
        assert solution.value == pytest.approx(best, rel=1e-6, abs=1e-6 * problem.magnitude)
    return solution


def test_bounds_are_true_and_heuristics_never_lie():
    found = []
    for seed in range(2200):
        problem = tiny(seed)
        best = best_value(problem)
        assert problem.trivial_bound() <= best
        assert best < INF or not problem.certainly_feasible()
        solution = _agree(problem, best, "lagrangian")
        found.append(best == INF or solution.value <= best + 1e-9 * abs(best))
        if seed < 400:
            _agree(problem, best, "ratio")
            _agree(problem, best, "greedy")
    assert np.mean(found) > 0.99


@pytest.mark.parametrize("solver", PROGRAMS)
def test_programs_find_the_optimum(solver):
    for seed in range(40):
        problem = tiny(seed)
        best = best_value(problem)
        wanted = (Status.INFEASIBLE,) if best == INF else (Status.OPTIMAL, Status.ROUNDED)
        assert _agree(problem, best, solver).status in wanted


@pytest.mark.parametrize(("solver", "count"), [("cuts", 200), ("cuts:cp_sat", 30), ("cuts:pulp", 20), ("greedy", 200)])
def test_joint_budgets_against_all_decisions(solver, count):
    for seed in range(count):
        problem = tiny(seed, joint=True)
        best = best_value(problem)
        solution = _agree(problem, best, solver)
        if solver != "greedy":
            wanted = (Status.INFEASIBLE,) if best == INF else (Status.OPTIMAL, Status.ROUNDED)
            assert solution.status in wanted
            assert best == INF or solution.value == pytest.approx(best, rel=1e-6, abs=1e-6 * problem.magnitude)


def test_every_price_gives_a_true_bound():
    rng = np.random.default_rng(0)
    for seed in range(300):
        problem = tiny(seed)
        if problem.settled() is None:
            normal, best = Normal.of(problem), best_value(problem)
            prices = rng.exponential(size=(5, len(normal.kept))) * 10.0 ** rng.integers(-3, 6)
            assert all(dual.bound(normal, price) <= best for price in prices)
            assert best == INF or not any(dual.proves_infeasible(normal, price) for price in prices)


# --- larger ones


def test_lagrangian_is_close_and_repeatable():
    problem = middling(3, 100)
    first, second = (solve(problem, "lagrangian", seed=1) for _ in range(2))
    assert first.decision is not None
    assert np.array_equal(first.decision, second.decision)
    assert first.gap < 2e-2
    reference = solve(problem, "scipy_milp", time_limit=1)
    assert first.bound <= reference.value * (1 + 1e-9)
    assert reference.bound <= first.value * (1 + 1e-9)
    bounds = np.array([bound for _, _, bound in first.trajectory])
    assert (np.diff(bounds) >= 0).all()


def test_baselines_are_worse_but_valid():
    for seed in range(2):
        problem = middling(seed)
        best = solve(problem, "lagrangian").value
        for solver in ("ratio", "greedy", "greedy:least_cost"):
            solution = solve(problem, solver)
            assert solution.status is Status.FEASIBLE
            assert solution.value >= best * (1 - 5e-3)


def test_tiny_time_limits_end_in_a_sentence():
    problem = middling(1)
    value = solve(problem, "ratio").value
    for solver in METHODS:
        assert solve(problem, solver, time_limit=1e-6).bound <= value


# --- PAM's shape


def test_greedy_is_the_rule_of_pam():
    """One budget for each task over the groups that do not serve it, and the groups none, each alone, all."""
    rng = np.random.default_rng(7)
    groups = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], bool)
    amounts = rng.random((3, 40))
    alpha = 8.0
    table = BudgetTable(amounts, (~groups).T.astype(float), np.full(3, alpha))
    decision = solve(Grouping(groups, rng.random((40, 5)), table), "greedy").decision
    order = np.argsort(amounts, axis=1)
    grown = [
        set(row[: np.searchsorted(np.cumsum(values[row]), alpha, side="right")])
        for row, values in zip(order, amounts, strict=True)
    ]
    dropped = set.intersection(*grown)
    expected = np.full(40, 4)
    expected[list(dropped)] = 0
    for task in range(3):
        others = set.intersection(*(grown[other] for other in range(3) if other != task))
        expected[list(others - dropped)] = 1 + task
    assert decision is not None
    assert np.array_equal(decision, expected)


# --- set functions


def test_information_is_monotone_and_its_shortcuts_agree():
    rng = np.random.default_rng(2)
    for _ in range(20):
        function = information(rng, 7, int(rng.integers(1, 4)))
        members = np.sort(rng.choice(7, int(rng.integers(0, 6)), replace=False))
        assert function.added(members) == pytest.approx(SetFunction.added(function, members), abs=1e-9)
        assert function.removed(members) == pytest.approx(SetFunction.removed(function, members), abs=1e-9)
        assert (function.added(members) >= function.value(members) - 1e-9).all()
        growth = function.grow()
        for unit in members:
            growth.add(int(unit))
        assert growth.candidates() == pytest.approx(function.added(members), abs=1e-9)


def test_supports_are_below_and_tight():
    rng = np.random.default_rng(3)
    sets = [np.array(chosen, np.int64) for size in range(7) for chosen in itertools.combinations(range(6), size)]
    for _ in range(10):
        function = information(rng, 6, 2)
        values = np.array([function.value(chosen) for chosen in sets])
        for members in sets[::7]:
            for support in function.supports(members, rng.random(6)):
                lines = np.array([support.constant + support.coefficients[chosen].sum() for chosen in sets])
                assert (lines <= values + 1e-9).all()
                assert support.coefficients[members].sum() + support.constant >= function.value(members) - 1e-6


@pytest.mark.parametrize("make", [lambda rng: information(rng, 6, 2), lambda rng: Count(6)])
def test_rows_cut_off_what_breaks_the_budget_and_nothing_else(make):
    rng = np.random.default_rng(4)
    sets = [np.array(chosen, np.int64) for size in range(7) for chosen in itertools.combinations(range(6), size)]
    for _ in range(10):
        function = make(rng)
        budget = JointBudget(PAIR[:, 0], function, 0.4 * function.value(np.arange(6)))
        kept = [chosen for chosen in sets if not budget.broken(chosen)]
        for members in sets[::5]:
            if not budget.broken(members):
                continue
            rows = list(separation.sharp_rows(budget, members))
            assert any(coefficients[members].sum() > limit + 0.5 for coefficients, limit in rows)
            for coefficients, limit in rows:
                assert all(coefficients[chosen].sum() <= limit + 1e-9 for chosen in kept)
            for coefficients, limit in separation.broken_rows(budget, rng.random(6)):
                assert all(coefficients[chosen].sum() <= limit + 1e-9 for chosen in kept)


def test_covers_are_extended_to_cliques():
    """Any two units break the budget, so one row says that at most one unit is in."""
    budget = JointBudget(PAIR[:, 0], Count(5), 0.5)
    rows = list(separation.sharp_rows(budget, np.array([0, 1, 2])))
    assert any(coefficients.tolist() == [1.0] * 5 and limit == 1.0 for coefficients, limit in rows)


def test_cuts_take_any_monotone_function():
    """Four units may be dropped together at most; the four that gain most are."""
    cost = np.zeros((8, 4))
    cost[:, 1:] = np.arange(1.0, 9.0)[:, None]
    budget = JointBudget(np.array([True, False, False, False]), Count(8), 9.0)
    solution = solve(Grouping(PAIR, cost, None, (budget,)), "cuts")
    assert solution.status is Status.OPTIMAL
    assert solution.value == 10.0


def test_cuts_report_bounds_and_decisions_under_a_limit():
    rng = np.random.default_rng(1)
    function = information(rng, 40, 2)
    joint = (JointBudget(PAIR.sum(axis=1) == 0, function, 0.05 * function.value(np.arange(40)), "dropped"),)
    problem = Grouping(PAIR, rng.random((40, 1)) * PAIR.sum(axis=1), None, joint)
    solution = solve(problem, "cuts", time_limit=1.5)
    greedy = solve(problem, "greedy")
    assert solution.decision is not None
    assert solution.bound > problem.trivial_bound()
    assert solution.value <= greedy.value
    assert not problem.violations(solution.decision)


def test_errors_are_ours():
    with pytest.raises(PamOptError):
        solve(Grouping(PAIR, COST, LOSS), "hungarian")
