"""``pam-opt solve``: one solver on one instance file."""

from pathlib import Path
from typing import Annotated

import typer

from pam_opt.cli.console import OUTPUT
from pam_opt_solvers import load_problem, solve


def solve_command(
    instance: Annotated[
        Path, typer.Argument(help="Instance file of any problem, .npz; one with only a 'cost' matrix is a pairing.")
    ],
    solver: Annotated[str, typer.Option(help="Name from 'pam-opt solvers'.")] = "auto",
    time_limit: Annotated[float | None, typer.Option(help="Seconds.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of randomised solvers.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads, for solvers that can use several.")] = 1,
) -> None:
    """Solve one instance of any problem and print what is proven of the result."""
    problem = load_problem(instance)
    solution = solve(problem, solver, time_limit=time_limit, seed=seed, threads=threads)
    OUTPUT.print(solution.summary(), markup=False, highlight=False, soft_wrap=True)
