"""The call itself: names, options, limits, outsiders' solvers and what happens when one misbehaves."""

import importlib.metadata
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from pairing_instances import SQUARE

from pam_opt_solvers import (
    Pairing,
    ProblemError,
    SolverFailed,
    SolverNotFound,
    SolverUnsuitable,
    Status,
    available,
    registry,
    solve,
)

TOYS = ("Diagonal", "Sleepy", "Quick", "Broken", "Dying", "Liar", "Denier", "Missing", "NoSolver")


@pytest.fixture
def toys(monkeypatch):
    """Announce the toy solvers as another package would."""
    entries = [(name.lower(), f"toy_solvers:{name}") for name in TOYS]
    entries += [("absent", "no_such_module:Solver"), ("hungarian", "toy_solvers:Liar")]
    points = [importlib.metadata.EntryPoint(name, place, registry.GROUP) for name, place in entries]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)


def test_auto_says_what_it_picked():
    solution = solve(Pairing(SQUARE))
    assert solution.run.solver == "hungarian"
    assert solution.run.note.startswith("auto: hungarian")


def test_unknown_names_list_close_ones():
    with pytest.raises(SolverNotFound, match="did you mean 'hungarian'"):
        solve(Pairing(SQUARE), "hungarain")
    with pytest.raises(SolverNotFound, match="name"):
        solve(Pairing(SQUARE), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"time_limit": 0}, "time_limit is 0"),
        ({"time_limit": -1.0}, "time_limit is -1"),
        ({"time_limit": math.nan}, "time_limit is nan"),
        ({"time_limit": math.inf}, "None for no limit"),
        ({"time_limit": "1"}, "number of seconds"),
        ({"threads": 0}, "threads is 0"),
        ({"threads": -2}, "threads"),
        ({"threads": 1.5}, "integer"),
        ({"seed": -1}, "seed"),
        ({"seed": "x"}, "seed"),
        ({"options": {"engine": "glop"}}, "no option 'engine'"),
        ({"options": [1]}, "map names to values"),
        ({"solver": "math_opt:simplex"}, "permitted: highs, scip, glop"),
        ({"solver": "greedy:fast"}, "no engines"),
    ],
)
def test_wrong_arguments_are_problem_errors(arguments, words):
    with pytest.raises(ProblemError, match=words):
        solve(Pairing(SQUARE), **arguments)


def test_a_bare_matrix_is_refused_with_the_remedy():
    with pytest.raises(ProblemError, match=r"Pairing\(cost\)"):
        solve(SQUARE)  # type: ignore[arg-type]


def test_engines_by_name_and_by_option():
    assert solve(Pairing(SQUARE), "math_opt").run.solver == "math_opt:highs"
    assert solve(Pairing(SQUARE), "math_opt:glop").run.options == {"engine": "glop"}
    assert solve(Pairing(SQUARE), "math_opt", options={"engine": "glop"}).run.solver == "math_opt:glop"


def test_numpy_numbers_are_taken():
    solution = solve(Pairing(SQUARE), "cp_sat", time_limit=np.int64(20), seed=np.int32(4), threads=np.int64(2))
    assert solution.run.seed == 4
    assert solution.run.threads == 2
    assert not solution.run.repeatable


def test_an_outsiders_solver_is_found(toys):
    table = {info.name: info for info in available("pairing")}
    assert table["diagonal"].available
    assert solve(Pairing(SQUARE), "diagonal").value == 6.0
    assert "cannot load" in table["absent"].reason
    assert "no subclass" in table["nosolver"].reason
    assert solve(Pairing(SQUARE), "hungarian").value == 5.0, "built-in names cannot be replaced"


def test_a_missing_backend_says_what_to_install(toys):
    table = {info.name: info for info in available("pairing")}
    assert not table["missing"].available
    with pytest.raises(SolverNotFound, match=r"pip install no_such_package_at_all.*hungarian"):
        solve(Pairing(SQUARE), "missing")


def test_refusal_names_solvers_that_could(toys):
    with pytest.raises(SolverUnsuitable, match=r"diagonal.*stay single.*hungarian"):
        solve(Pairing(SQUARE, np.ones(3)), "diagonal")


def test_backend_errors_and_false_decisions_are_wrapped(toys):
    with pytest.raises(SolverFailed, match="inside the backend") as caught:
        solve(Pairing(SQUARE), "broken")
    assert isinstance(caught.value.__cause__, IndexError)
    with pytest.raises(SolverFailed, match="row 0 is in more than one pair"):
        solve(Pairing(SQUARE), "liar")
    with pytest.raises(SolverFailed, match="infeasible, which it is not"):
        solve(Pairing(SQUARE), "denier")


def test_errors_come_back_from_the_process(toys):
    with pytest.raises(SolverFailed, match="inside the backend"):
        solve(Pairing(SQUARE), "broken", time_limit=20)
    with pytest.raises(SolverFailed, match=r"'dying' died \(signal 6\)"):
        solve(Pairing(SQUARE), "dying", time_limit=20)


def test_the_limit_holds_against_a_solver_that_ignores_it(toys):
    started = time.perf_counter()
    solution = solve(Pairing(SQUARE), "sleepy", time_limit=0.5)
    assert time.perf_counter() - started < 15
    assert solution.status is Status.TIME_LIMIT_EMPTY
    assert solution.pairs is None
    assert math.isnan(solution.value)
    assert solution.bound == Pairing(SQUARE).trivial_bound()
    assert 0.5 <= solution.solve_seconds < 1.5
    assert not solution.run.repeatable


def test_a_short_limit_is_not_eaten_by_starting_the_process(toys):
    assert solve(Pairing(SQUARE), "quick", time_limit=0.2).value == 6.0


def test_small_polynomial_problems_stay_in_process(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert solve(Pairing(SQUARE), time_limit=0.1).value == 5.0


@pytest.mark.parametrize("name", ["math_opt", "pulp", "networkx", "cp_sat"])
def test_backends_are_stopped_at_the_limit(name):
    problem = Pairing(np.random.default_rng(0).random((150, 150)))
    solution = solve(problem, name, time_limit=0.3)
    assert solution.build_seconds + solution.solve_seconds < 2.5
    solution.check()
    assert solution.status in (Status.OPTIMAL, Status.TIME_LIMIT, Status.TIME_LIMIT_EMPTY)
    assert solution.bound >= problem.trivial_bound() - 1e-9


def test_the_table_imports_no_backend_and_nothing_imports_torch():
    code = (
        "import sys, pam_opt_solvers as p; p.available();"
        "print([m for m in ('torch', 'ortools', 'pulp', 'networkx', 'scipy') if m in sys.modules])"
    )
    import os

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
