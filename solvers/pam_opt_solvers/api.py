"""``solve``: the one call that users make."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pam_opt_solvers.automatic import automatic
from pam_opt_solvers.errors import ProblemError, SolverNotFound
from pam_opt_solvers.judge import judge
from pam_opt_solvers.limited import compute_limited
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Problem
from pam_opt_solvers.registry import load_place, place_of, usable
from pam_opt_solvers.solution import Run, Solution
from pam_opt_solvers.solver import Solver

IN_PROCESS_PART = 0.5
"""A run whose safe estimate is below this part of its limit stays in this process."""


def solve(
    problem: Problem,
    solver: str = "auto",
    *,
    time_limit: float | None = None,
    seed: int = 0,
    threads: int = 1,
    options: Mapping[str, str] | None = None,
) -> Solution:
    """Solve a problem of any kind and say what is proven of the result.

    Parameters
    ----------
    problem : what to decide
    solver : a name from ``available()``, ``name:engine`` where a solver has several, or ``auto``
    time_limit : seconds for building and solving, > 0. A solver that might not keep it runs in a process of
        its own, which is ended at most 0.5 s after the limit; starting that process (about 0.3 s) is not
        counted
    seed : of randomised solvers
    threads : for solvers that can use several
    options : settings of the solver by name, e.g. ``{"engine": "glop"}``

    Raises
    ------
    ProblemError, SolverNotFound, SolverUnsuitable, SolverFailed
        each says what to do. Infeasibility and a reached limit are no errors but a ``status``

    Examples
    --------
    >>> import numpy as np
    >>> solution = solve(Pairing(np.array([[1.0, 9.0], [9.0, 2.0]])))
    >>> solution.value, solution.status.name
    (3.0, 'OPTIMAL')
    """
    if not isinstance(problem, Problem):
        raise ProblemError(f"solve() takes a problem, not {type(problem).__name__}; wrap a cost matrix: Pairing(cost)")
    if not isinstance(solver, str):
        raise SolverNotFound(f"solver must be a name, not {solver!r}; see pam_opt_solvers.available()")
    name, why = (solver, "") if solver != "auto" else automatic(problem)
    name, _, engine = name.partition(":")
    place = place_of(name, problem.kind)
    chosen = load_place(place)()
    asked = Options(time_limit, seed, threads, {} if options is None else options)
    asked = _resolved(chosen, asked, engine)
    _require(chosen, problem.kind)
    if chosen.unsupported(problem):
        chosen.refuse(problem, usable(problem.kind))
    outcome = problem.settled() or _compute(chosen, place, problem, asked)
    return judge(problem, outcome, _record(chosen, asked, outcome, why))


def _resolved(solver: Solver[Any], asked: Options, engine: str) -> Options:
    settings = solver.resolve(dict(asked.settings) | _engine(solver, engine))
    return replace(asked, settings=settings, threads=asked.threads if solver.uses_threads else 1)


def _engine(solver: Solver[Any], engine: str) -> dict[str, str]:
    if not engine:
        return {}
    if not solver.settings:
        raise ProblemError(f"solver '{solver.name}' has no engines; write it without ':{engine}'")
    return {next(iter(solver.settings)): engine}


def _require(solver: Solver[Any], kind: str) -> None:
    if solver.missing():
        ready = ", ".join(other.name for other in usable(kind))
        raise SolverNotFound(f"solver '{solver.name}' {solver.missing()}; ready to run: {ready}")


def _compute(solver: Solver[Any], place: str, problem: Problem, options: Options) -> Outcome:
    if options.time_limit is None or solver.worst_seconds(problem) <= IN_PROCESS_PART * options.time_limit:
        solver.warm_up()
        return solver.compute(problem, options)
    return compute_limited(solver, place, problem, options)


def _record(solver: Solver[Any], options: Options, outcome: Outcome, why: str) -> Run:
    stopped = outcome.status in (Status.TIME_LIMIT, Status.TIME_LIMIT_EMPTY)
    free_of_limit = options.time_limit is None or solver.repeatable_under_limit
    engine = "".join(f":{value}" for value in list(options.settings.values())[:1])
    return Run(
        solver=solver.name + engine,
        backend=solver.distribution or solver.backend or "pam-opt",
        version=solver.version(),
        seed=options.seed,
        threads=options.threads,
        options=dict(options.settings),
        repeatable=not stopped and free_of_limit and options.threads == 1,
        note="; ".join(text for text in (why, outcome.note) if text),
    )
