"""``pam-opt solve``: one solver on one instance file."""

from pathlib import Path
from typing import Annotated

import typer

from pam_opt.cli.console import OUTPUT
from pam_opt.errors import ConfigError
from pam_opt_solvers import load_problem, load_solution, save_solution, solve


def solve_command(
    instance: Annotated[
        Path, typer.Argument(help="Instance file of any problem, .npz; one with only a 'cost' matrix is a pairing.")
    ],
    solver: Annotated[str, typer.Option(help="Name from 'pam-opt solvers'.")] = "auto",
    time_limit: Annotated[float | None, typer.Option(help="Seconds.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of randomised solvers.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads, for solvers that can use several.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the solution, decision included, to this .npz.")] = None,
    check: Annotated[
        Path | None, typer.Option(help="Solve nothing: check a solution that --out wrote against the instance.")
    ] = None,
) -> None:
    """Solve one instance of any problem and print what is proven of the result, or check a solution of it."""
    problem = load_problem(instance)
    if check is not None and out is not None:
        raise ConfigError("--check solves nothing, so there is no solution for --out; give one of the two")
    if check is not None:
        _say(load_solution(check).check(problem))
        return
    solution = solve(problem, solver, time_limit=time_limit, seed=seed, threads=threads)
    _say(solution.summary())
    if out is not None:
        _say(f"Written: {save_solution(solution, out)}")


def _say(text: str) -> None:
    OUTPUT.print(text, markup=False, highlight=False, soft_wrap=True)
