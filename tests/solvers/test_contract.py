"""What every solver of the table must do, an outsider's included: one suite over all problems with known optima.

A solver that another package announces is found and tested like ours::

    pip install your-package && python -m pytest tests/solvers/test_contract.py -k your_solver
"""

import itertools
import math
import re

import numpy as np
import pytest
from known import EDGES, KNOWN

from pam_opt_solvers import Feature, Pairing, ProblemError, Solution, SolverUnsuitable, Status, api, available, solve
from pam_opt_solvers import load_problem as load
from pam_opt_solvers.problems import PROBLEMS
from pam_opt_solvers.registry import built_in, load_place, place_of

READY = [info for kind in PROBLEMS for info in available(kind) if info.available]
SOLVERS = [
    (info.problem, name) for info in READY for name in ([f"{info.name}:{e}" for e in info.engines] or [info.name])
]
EXACT = {(info.problem, info.name) for info in READY if info.exact}
DRAWS = range(6)


def cases(problems):
    """Return (kind, solver, case) of all solvers, for the cases that ``problems`` gives for a kind."""
    return [
        pytest.param(kind, name, case, id=f"{kind}-{name}-{case}") for kind, name in SOLVERS for case in problems(kind)
    ]


def is_exact(kind: str, name: str) -> bool:
    return (kind, name.partition(":")[0]) in EXACT


def solver(kind: str, name: str):
    return load_place(place_of(name.partition(":")[0], kind))()


def attempt(problem, name: str, **options) -> Solution | None:
    """Solve; ``None`` where the solver refuses, which it may only in words that name solvers that can."""
    lacking = solver(problem.kind, name).unsupported(problem)
    try:
        solution = solve(problem, name, **options)
    except SolverUnsuitable as err:
        refusal = str(err)
    else:
        refusal = ""
    if refusal:
        assert_rightful(refusal, problem, name, lacking)
        return None
    assert not lacking, "what a solver does not support it must refuse"
    solution.check()
    assert_trajectory(solution)
    return solution


def assert_rightful(refusal: str, problem, name: str, lacking) -> None:
    assert lacking or ":" in name, "without an engine, a solver takes whatever has its features"
    assert all(feature.value in refusal for feature in lacking)
    could = {info.name for info in READY if info.problem == problem.kind and problem.features <= info.features}
    assert not could or could & set(re.findall(r"\w+", refusal)), "a refusal names who can"


def assert_trajectory(solution: Solution) -> None:
    values = [value for _, value, _ in solution.trajectory if not math.isnan(value)]
    bounds = [bound for _, _, bound in solution.trajectory]
    seconds = [second for second, _, _ in solution.trajectory]
    assert values == sorted(values, reverse=True)
    assert bounds == sorted(bounds)
    assert seconds == sorted(seconds)


def assert_true(solution: Solution, best: float, exact: bool, slack: float) -> None:
    """Check all claims of a solution against the optimum; +inf = there is no decision."""
    if best == math.inf:
        assert_infeasible(solution, exact)
        return
    assert solution.status is not Status.INFEASIBLE
    assert solution.bound <= best + slack
    if solution.decision is None:
        assert solution.status in (Status.NO_DECISION, Status.TIME_LIMIT_EMPTY)
    else:
        assert solution.value >= max(best - slack, solution.bound)
    if solution.status is Status.OPTIMAL:
        assert solution.value <= best + slack
        assert solution.gap == 0.0
    assert solution.status in (Status.OPTIMAL, Status.ROUNDED) or not exact


def assert_infeasible(solution: Solution, exact: bool) -> None:
    assert solution.decision is None
    assert math.isnan(solution.value)
    assert math.isnan(solution.gap)
    assert solution.status in (Status.INFEASIBLE, Status.NO_DECISION)
    assert (solution.bound == math.inf) or solution.status is Status.NO_DECISION
    assert solution.status is Status.INFEASIBLE or not exact


# --- the table


@pytest.mark.parametrize("kind", PROBLEMS)
def test_every_kind_is_in_the_table(kind):
    known = KNOWN[kind]
    assert set(EDGES) <= known.feasible.keys()
    assert bool(known.infeasible) != known.always_feasible
    assert any((info.problem, info.name) in EXACT for info in READY)
    problems = [problem for problem, _ in known.feasible.values()]
    for feature in set().union(*(problem.features for problem in problems)):
        assert any(feature in info.features and info.exact for info in READY if info.problem == kind), feature


def test_every_feature_is_taken_by_an_exact_solver():
    for feature in Feature:
        assert any(info.exact and feature in info.features for info in READY)


@pytest.mark.parametrize(("kind", "name"), SOLVERS)
def test_every_solver_takes_a_sample(kind, name):
    assert any(attempt(problem, name) for problem in KNOWN[kind].samples) or name == "math_opt:glop"


@pytest.mark.parametrize("kind", PROBLEMS)
def test_problems_keep_the_contract_too(kind, tmp_path):
    """They survive rubbish and files, and never call a feasible problem infeasible or a bound too high."""
    known = KNOWN[kind]
    wanted = list(known.feasible.values()) + [(problem, math.inf) for problem in known.infeasible.values()]
    for problem, best in wanted + [known.draw(seed) for seed in range(40)]:
        assert problem.trivial_bound() <= best + 1e-9 * min(abs(best), 1e300)
        assert best < math.inf or not problem.certainly_feasible()
        settled = problem.settled()
        assert settled is None or (settled.decision is None) == (best == math.inf)
        assert problem.float_error() >= 0 <= problem.magnitude
        assert problem.features <= problem.asks
        for rubbish in (None, "rubbish", [[0], [1, 2]], [0.5], [[[-7]]]):
            assert problem.violations(rubbish)
            with pytest.raises(ProblemError):
                problem.value(rubbish)
        again = load(problem.save(tmp_path / "problem.npz"))
        assert repr(again) == repr(problem)
        assert again.features == problem.features
        assert again.trivial_bound() == problem.trivial_bound()


# --- every solver on every problem


@pytest.mark.parametrize(("kind", "name", "case"), cases(lambda kind: KNOWN[kind].feasible))
def test_known_optimum(kind, name, case):
    problem, best = KNOWN[kind].feasible[case]
    solution = attempt(problem, name)
    if solution is not None:
        assert_true(solution, best, is_exact(kind, name), 1e-9 * max(abs(best), 1e-300))
        if is_exact(kind, name):
            assert solution.status is Status.OPTIMAL


@pytest.mark.parametrize(("kind", "name", "case"), cases(lambda kind: KNOWN[kind].infeasible))
def test_infeasible(kind, name, case):
    solution = attempt(KNOWN[kind].infeasible[case], name)
    if solution is not None:
        assert_infeasible(solution, is_exact(kind, name))


@pytest.mark.parametrize(("kind", "name", "case"), cases(lambda kind: DRAWS))
def test_drawn(kind, name, case):
    problem, best = KNOWN[kind].draw(case)
    solution = attempt(problem, name)
    if solution is not None:
        size = 0.0 if solution.decision is None else math.fsum(abs(problem.terms(solution.decision)))
        assert_true(solution, best, is_exact(kind, name), 2e-6 * size + problem.float_error())


@pytest.mark.parametrize(("kind", "name"), SOLVERS)
def test_record_and_repetition(kind, name):
    for problem in KNOWN[kind].samples:
        first, second = (attempt(problem, name, seed=3) for _ in range(2))
        if first is None or second is None:
            continue
        run = first.run
        assert run.solver.startswith(name)
        assert (run.seed, run.threads, run.repeatable) == (3, 1, True)
        assert run.backend
        assert first.build_seconds >= 0 <= first.solve_seconds
        assert run.solver in str(first)
        assert first.status.value in str(first)
        np.testing.assert_array_equal(first.decision, second.decision)
        assert (first.value, first.bound, first.status) == (second.value, second.bound, second.status)
        if first.decision is not None:
            assert first.decision.dtype == np.int64
            assert not first.decision.flags.writeable
            np.testing.assert_array_equal(problem.normalise(first.decision), first.decision)


@pytest.mark.parametrize(("kind", "name"), SOLVERS)
def test_a_generous_limit_changes_nothing(kind, name, monkeypatch):
    """In this process; `test_a_process_of_its_own` sends one of ours a kind, and every outsider's, through another."""
    monkeypatch.setattr(api, "IN_PROCESS_PART", math.inf)
    for problem in KNOWN[kind].samples:
        free, limited = attempt(problem, name), attempt(problem, name, time_limit=30.0)
        if free is not None and limited is not None:
            assert (limited.status, limited.value) == (free.status, free.value)


@pytest.mark.parametrize(
    ("kind", "name"),
    [pair for pair in SOLVERS if pair[1].partition(":")[0] not in built_in(pair[0])]
    + [next(group) for _, group in itertools.groupby(SOLVERS, key=lambda pair: pair[0])],
)
def test_a_process_of_its_own(kind, name, monkeypatch):
    monkeypatch.setattr(api, "IN_PROCESS_PART", -math.inf)
    problem = next(p for p in KNOWN[kind].samples if not solver(kind, name).unsupported(p))
    away, here = solve(problem, name, time_limit=30.0), solve(problem, name)
    assert (away.status, away.value) == (here.status, here.value)
    np.testing.assert_array_equal(away.decision, here.decision)


@pytest.mark.parametrize(("kind", "name"), SOLVERS)
def test_the_problem_is_left_alone(kind, name):
    for problem in KNOWN[kind].samples:
        before = {key: array.copy() for key, array in problem.arrays().items()}
        attempt(problem, name)
        for key, array in problem.arrays().items():
            np.testing.assert_array_equal(array, before[key])


# --- what only some promise


def test_integer_backends_state_their_rounding():
    for name in ("min_cost_flow", "ortools_assignment", "cp_sat", "networkx"):
        note = solve(KNOWN["pairing"].samples[0], name).run.note
        assert "scale 2**" in note
        assert "worst rounding error" in note


def test_costs_too_unlike_for_a_proof_are_said_to_be():
    cost = np.array([[1.0, 2.0, 1e300], [1.5, 1.75, 1e300], [3.0, 3.0, 1.0]]) * np.array([1, 1, 1.0])
    problem = Pairing(np.where(cost < 1e299, cost * 1e-3, cost))
    for kind, name in sorted(EXACT):
        if kind == "pairing":
            solution = solve(problem, name)
            assert solution.status in (Status.OPTIMAL, Status.ROUNDED)
            assert solution.bound <= 0.00375
            if solution.status is Status.ROUNDED:
                assert solution.gap > 0
                assert "+inf" in solution.status.value


@pytest.mark.parametrize("kind", ["pairing", "column_subset"])
def test_random_follows_its_seed(kind):
    problem = KNOWN[kind].samples[0]
    assert len({solve(problem, "random", seed=seed).decision.tobytes() for seed in range(20)}) > 10


def test_random_ignores_costs_but_leaves_single_what_does_not_pay():
    (problem,) = KNOWN["pairing"].samples
    shifted = Pairing(problem.cost.max() - problem.cost)
    np.testing.assert_array_equal(solve(problem, "random").pairs, solve(shifted, "random").pairs)
    assert solve(Pairing(problem.cost + 10, np.zeros(7)), "random").value == 0
