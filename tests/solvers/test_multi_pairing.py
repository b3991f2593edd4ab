"""`MultiPairing`: known optima, true bounds against brute force, its programmes, invariances, bad input."""

import itertools
import math

import numpy as np
import pytest
from multi_pairing_instances import INF, optimum, planted, random_problem, slow_value, symmetric

from pam_opt_solvers import (
    MultiPairing,
    Pairing,
    ProblemError,
    SolverUnsuitable,
    Status,
    available,
    load_problem,
    solve,
)
from pam_opt_solvers.highs import minimise
from pam_opt_solvers.multi_pairing import programs
from pam_opt_solvers.multi_pairing.lagrangian import Ascent
from pam_opt_solvers.multi_pairing.rematching import Rematching
from pam_opt_solvers.multi_pairing.triples import Triples
from pam_opt_solvers.search import Search

OWN = (
    "column_generation",
    "lagrangian",
    "triangle_cuts",
    "matching",
    "local_search",
    "cyclic",
    "sequential",
    "greedy",
    "star",
)
LINE = np.abs(np.subtract.outer([0.0, 5.0, 5.1, 0.1, 0.2, 5.2], [0.0, 5.0, 5.1, 0.1, 0.2, 5.2]))
TWINS = [0, 1, 1, 0, 0, 1]


def is_true(solution, best: float, slack: float) -> bool:
    """Whether a solution's claims hold against the optimal value (NaN = no decision)."""
    if math.isnan(best):
        return solution.status in (Status.INFEASIBLE, Status.NO_DECISION)
    if solution.status is Status.INFEASIBLE or solution.bound > best + slack:
        return False
    return solution.status is not Status.OPTIMAL or solution.value <= best + 1e3 * slack


def test_value_counts_pairs_and_lone_units():
    problem = MultiPairing(LINE, [2, 2, 2], single=np.full(6, 2.0))
    assert problem.value(TWINS) == pytest.approx(0.8)
    assert problem.value([0, 1, 1, 0, 2, 3]) == pytest.approx(0.1 + 0.1 + 4.0)
    assert problem.value(range(6)) == 12.0
    assert problem.describe(np.array([0, 1, 1, 0, 2, 3])) == "2 clusters, 2 single units"


@pytest.mark.parametrize("name", [name for name in OWN if name != "matching"])
def test_every_solver_finds_the_twins(name):
    solution = solve(MultiPairing(LINE, [2, 2, 2]), name)
    assert solution.decision.tolist() == TWINS
    assert solution.value == pytest.approx(0.8)


def test_labels_are_canonical_by_first_appearance():
    problem = MultiPairing(LINE, [2, 2, 2])
    assert problem.normalise([7, -3, -3, 7, 7, -3]).tolist() == TWINS
    assert problem.value([7, -3, -3, 7, 7, -3]) == problem.value(TWINS)


@pytest.mark.parametrize("seed", range(60))
def test_two_parents_are_a_pairing(seed):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 6, 2)
    block = rng.normal(size=(m, n))
    block[rng.random((m, n)) < 0.1] = INF
    cost = np.block([[np.zeros((m, m)), block], [block.T, np.zeros((n, n))]])
    single = rng.normal(size=m + n) if seed % 2 else None
    pairing = solve(Pairing(block, *(() if single is None else (single[:m], single[m:]))), "hungarian")
    problem = MultiPairing(cost, [m, n], single)
    for name in ("sequential", "matching", "auto"):
        solution = solve(problem, name)
        if pairing.decision is None:
            assert solution.status is Status.INFEASIBLE
        else:
            assert (solution.status, solution.value) == (Status.OPTIMAL, pytest.approx(pairing.value))


@pytest.mark.parametrize("block", range(10))
def test_all_solvers_are_true_on_tiny_problems(block):
    for seed in range(6 * block, 6 * block + 6):
        problem = random_problem(seed)
        best = optimum(problem)
        for name in OWN:
            try:
                solution = solve(problem, name)
            except SolverUnsuitable:
                continue
            assert is_true(solution, best, 1e-9 * problem.magnitude), (seed, name, best, solution)
            if name in ("column_generation", "triangle_cuts", "matching") and not math.isnan(best):
                assert solution.value == pytest.approx(best, rel=1e-6, abs=1e-6 * problem.magnitude), (seed, name)


@pytest.mark.parametrize("block", range(10))
def test_bounds_are_true_on_thousands_of_tiny_problems(block):
    for seed in range(1000 + 220 * block, 1220 + 220 * block):
        problem = random_problem(seed, most_units=6)
        best = optimum(problem)
        ceiling = INF if math.isnan(best) else best + 1e-12 * problem.magnitude
        assert problem.trivial_bound() <= ceiling, seed
        settled = problem.settled()
        if settled is not None:
            assert math.isnan(best) if settled.decision is None else problem.value(settled.decision) <= ceiling, seed
        elif problem.n_parents == 3 and not problem.within:
            assert climbed_bound(problem) <= ceiling, seed


def climbed_bound(problem: MultiPairing) -> float:
    """Return the bound of a short Lagrangian climb."""
    search = Search(problem, None)
    ascent = Ascent(problem, Rematching(problem), Triples.of(problem))
    ascent.climb(search, 12, math.inf)
    return search.bound


@pytest.mark.parametrize("seed", range(40))
def test_both_programmes_have_the_same_optimum(seed):
    problem = random_problem(seed, most_units=6)
    if problem.settled() is not None:
        return
    best = optimum(problem)
    scale = 100.0 / problem.magnitude
    for write in (programs.cluster_program, programs.pair_program):
        program = write(problem)
        found = minimise(program, program.objective * scale) if program.matrix.shape[1] else None
        if math.isnan(best):
            assert found is None or found.x is None
        else:
            decision = program.decode(np.rint(found.x).astype(np.int64))
            assert problem.value(decision) == pytest.approx(best, abs=1e-6 * problem.magnitude)


@pytest.mark.parametrize(("n_parents", "solver"), [(3, "column_generation"), (4, "local_search"), (5, "cyclic")])
def test_planted_clusters_are_found(n_parents, solver):
    problem, labels = planted(12, n_parents, seed=3)
    solution = solve(problem, solver, time_limit=20)
    assert np.array_equal(solution.decision, labels)
    assert solution.bound <= solution.value


def test_column_generation_proves_a_noisy_problem_that_scipy_agrees_on():
    rng = np.random.default_rng(5)
    cost = np.triu(rng.random((36, 36)), 1)
    problem = MultiPairing(cost + cost.T, [12, 12, 12])
    ours, theirs = solve(problem, "column_generation"), solve(problem, "scipy_milp")
    assert ours.status is theirs.status is Status.OPTIMAL
    assert ours.value == pytest.approx(theirs.value, rel=1e-9)


@pytest.mark.parametrize("single", [None, 0.4])
def test_column_generation_takes_unequal_parents_and_singles(single):
    rng = np.random.default_rng(6)
    cost = np.triu(rng.random((27, 27)), 1)
    problem = MultiPairing(cost + cost.T, [11, 7, 9], None if single is None else np.full(27, single))
    ours, theirs = solve(problem, "column_generation"), solve(problem, "scipy_milp")
    assert ours.status is theirs.status is Status.OPTIMAL
    assert ours.value == pytest.approx(theirs.value, rel=1e-9)


def test_star_is_blind_to_the_costs_between_others():
    # The unit of parent 0 is a little nearer to the wrong ones, which are far from each other.
    cost = np.array([[0, 0, 1.1, 1.0, 1.1, 1.0], [0, 0, 1.0, 1.1, 1.0, 1.1], [1.1, 1.0, 0, 0, 0, 9.0],
                     [1.0, 1.1, 0, 0, 9.0, 0], [1.1, 1.0, 0, 9.0, 0, 0], [1.0, 1.1, 9.0, 0, 0, 0]])  # fmt: skip
    cost[2, 5] = cost[5, 2] = cost[3, 4] = cost[4, 3] = 0.0
    cost[2, 4] = cost[4, 2] = cost[3, 5] = cost[5, 3] = 9.0
    problem = MultiPairing(cost, [2, 2, 2])
    assert solve(problem, "star").value > 20 > solve(problem, "column_generation").value


def test_within_is_a_matching_in_a_general_graph():
    place = np.array([0.0, 0.1, 5.0, 9.0, 5.1, 9.1])
    cost = np.abs(place[:, None] - place)
    assert solve(MultiPairing(cost, [3, 3], within=True), "matching").decision.tolist() == [0, 0, 1, 2, 1, 2]
    assert solve(MultiPairing(cost, [3, 3]), "matching").decision.tolist() != [0, 0, 1, 2, 1, 2]


def test_same_seed_gives_the_same_decision():
    problem, _ = planted(20, 4, seed=1, noise=1.5)
    first, again = (solve(problem, "local_search", seed=7) for _ in range(2))
    assert np.array_equal(first.decision, again.decision)


def test_anytime_solvers_keep_a_trajectory_and_their_limit():
    problem, _ = planted(24, 3, seed=1, noise=1.5)
    solution = solve(problem, "lagrangian", time_limit=2.0)
    values = [value for _, value, _ in solution.trajectory if not math.isnan(value)]
    bounds = [bound for _, _, bound in solution.trajectory]
    assert values == sorted(values, reverse=True)
    assert bounds == sorted(bounds)


@pytest.mark.parametrize("sizes", [(0, 0), (0, 3), (1, 1), (1, 1, 1), (1, 0, 2), (3, 0, 0, 1)])
@pytest.mark.parametrize("single", [None, -1.0, 1.0])
@pytest.mark.parametrize("within", [False, True])
def test_smallest_sizes(sizes, single, within):
    n_units = sum(sizes)
    problem = MultiPairing(
        np.full((n_units, n_units), 0.5), sizes, None if single is None else [single] * n_units, within
    )
    best = optimum(problem)
    for info in available("multi_pairing"):
        try:
            solution = solve(problem, info.name)
        except SolverUnsuitable:
            continue
        assert is_true(solution, best, 1e-9), info.name
        if solution.decision is not None:
            assert solution.value == slow_value(problem, solution.decision)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e298])
def test_costs_of_any_size(scale):
    rng = np.random.default_rng(2)
    cost = np.abs(symmetric(rng, 9)) + 0.5
    want = optimum(MultiPairing(cost, [3, 3, 3]))
    for name in ("column_generation", "triangle_cuts", "local_search", "cyclic"):
        solution = solve(MultiPairing(cost * scale, [3, 3, 3]), name)
        assert solution.value == pytest.approx(want * scale, rel=1e-6), name


def test_ties_everywhere():
    for problem in (
        MultiPairing(np.ones((12, 12)), [4, 4, 4]),
        MultiPairing(np.zeros((12, 12)), [4, 4, 4], np.ones(12)),
    ):
        solution = solve(problem, "column_generation")
        assert solution.status is Status.OPTIMAL
        assert solution.value == (12.0 if problem.single is None else 0.0)


@pytest.mark.parametrize("name", OWN)
def test_all_forbidden(name):
    forbidden = np.full((6, 6), INF)
    for sizes in ([2, 2, 2], [3, 3]):
        for single in (None, np.full(6, 1.5)):
            try:
                solution = solve(MultiPairing(forbidden, sizes, single), name)
            except SolverUnsuitable:
                continue
            assert solution.status is (Status.INFEASIBLE if single is None else Status.OPTIMAL)


def test_infeasibility_that_lines_do_not_show_is_proved():
    # Two units of parent 0 both need the same unit of parent 1 to reach parent 2.
    cost = np.ones((9, 9))
    for u, v in itertools.product((0, 1, 2), (3, 4, 5)):
        if v != 3 and u < 2:
            cost[u, v] = cost[v, u] = INF
    problem = MultiPairing(cost, [3, 3, 3])
    for name in ("column_generation", "triangle_cuts"):
        assert solve(problem, name).status is Status.INFEASIBLE, name
    for name in ("cyclic", "sequential", "greedy", "star", "local_search", "lagrangian"):
        assert solve(problem, name).status in (Status.NO_DECISION, Status.INFEASIBLE), name


def test_save_and_load(tmp_path):
    for number, problem in enumerate((random_problem(3), MultiPairing(LINE, [3, 3], np.arange(6.0), within=True))):
        again = load_problem(problem.save(tmp_path / f"{number}.npz"))
        assert isinstance(again, MultiPairing)
        assert again.within == problem.within
        assert np.array_equal(again.cost, problem.cost)
        assert np.array_equal(again.sizes, problem.sizes)
        assert np.array_equal(again.alone, problem.alone)


NAN = np.where(np.eye(4) + np.eye(4)[::-1] > 0, np.nan, 1.0)
UNEVEN = np.arange(16.0).reshape(4, 4)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((NAN, [2, 2]), "nan"),
        ((np.full((4, 4), -INF), [2, 2]), "-inf"),
        ((np.full((4, 4), 1e301), [2, 2]), "rescale"),
        ((np.ones((4, 3)), [2, 2]), "shape"),
        ((np.ones((4, 4)), [2, 3]), "5 units"),
        ((UNEVEN, [2, 2]), r"cost\[0, 1\] is 1.0 and cost\[1, 0\] is 4.0"),
        ((np.ones((4, 4)), [4]), "at least 2"),
        ((np.ones((4, 4)), [5, -1]), "0 or more"),
        ((np.ones((4, 4)), [2.0, 2.0]), "integers"),
        ((np.ones((4, 4)), [[2, 2]]), "integers"),
        ((np.ones((4, 4)), [[2], [2, 3]]), "integers"),
        ((np.ones((4, 4)), "22"), "integers"),
        ((np.ones((4, 4)), [2, 2], [1.0, 2.0]), "single has shape"),
        ((np.ones((4, 4)), [2, 2], [1.0, 2.0, INF, 0.0]), r"single\[2\]"),
        ((np.ones((4, 4)), [2, 2], [1.0, 2.0, np.nan, 0.0]), r"single\[2\]"),
        ((np.ones((4, 4)), [2, 2], None, "yes"), "within"),
        ((np.array([["a"] * 4] * 4), [2, 2]), "real numbers"),
    ],
)
def test_bad_problems_are_refused_in_words(arguments, text):
    with pytest.raises(ProblemError, match=text):
        MultiPairing(*arguments)


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        ([0, 0, 1, 1, 2, 2], "2 units of parent 0"),
        ([0, 1, 0, 1, 2, 3], "only 1 or 3"),
        ([0, 1, 2, 3, 4, 5], "0 complete clusters instead of 2"),
        ([0, 1, 1], "integers"),
        ([[0, 1, 1], [0, 0, 1]], "integers"),
        ([0.0, 1, 1, 0, 0, 1], "integers"),
        ("rubbish", "integers"),
        ([[1], [1, 2]], "rectangular"),
        (None, "integers"),
        ([0, 1, 0, 1, 0, 1], "units 0 and 2 are forbidden"),
    ],
)
def test_bad_decisions_are_named(decision, text):
    cost = np.array(LINE)
    cost[0, 2] = cost[2, 0] = INF
    problem = MultiPairing(cost, [2, 2, 2])
    assert any(text in broken for broken in problem.violations(decision)), problem.violations(decision)
    with pytest.raises(ProblemError):
        problem.value(decision)


def test_absurd_programmes_are_refused_with_a_way_out():
    problem = MultiPairing(np.ones((600, 600)), [200, 200, 200])
    with pytest.raises(SolverUnsuitable, match="column_generation"):
        problem.integer_program()
    with pytest.raises(SolverUnsuitable, match="local_search"):
        solve(problem, "triangle_cuts")
    with pytest.raises(SolverUnsuitable, match="within"):
        solve(MultiPairing(LINE, [2, 2, 2], within=True), "column_generation")


def test_damaged_files_are_refused(tmp_path):
    path = MultiPairing(LINE, [2, 2, 2]).save(tmp_path / "problem.npz")
    arrays = dict(np.load(path)) | {"within": np.array([1, 2])}
    np.savez(path, **arrays)
    with pytest.raises(ProblemError, match="within"):
        load_problem(path)
    del arrays["sizes"], arrays["within"]
    np.savez(path, **arrays)
    with pytest.raises(ProblemError, match="sizes"):
        load_problem(path)
