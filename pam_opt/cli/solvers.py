"""``pam-opt solvers``: which solvers there are, whether they run here, and what each cannot take."""

from typing import Annotated

import typer
from rich.table import Table

from pam_opt.cli.console import OUTPUT
from pam_opt.errors import ConfigError
from pam_opt_solvers import SolverInfo, available
from pam_opt_solvers.problems import PROBLEMS


def solvers_command(
    problem: Annotated[str | None, typer.Argument(help="Kind of problem, such as 'pairing'; all without.")] = None,
) -> None:
    """List the solvers of each problem: available or why not, version, what it cannot take."""
    if problem is not None and problem not in PROBLEMS:
        raise ConfigError(f"no problem is called {problem!r}; the problems are {', '.join(PROBLEMS)}")
    for kind in PROBLEMS if problem is None else [problem]:
        OUTPUT.print(_table(kind))


def _table(kind: str) -> Table:
    table = Table(title=kind, title_justify="left", title_style="bold", header_style="bold")
    for name in ("solver", "here", "backend", "proves", "what it is", "cannot take"):
        table.add_column(name, overflow="fold")
    for info in available(kind):
        table.add_row(*_row(info))
    return table


def _row(info: SolverInfo) -> tuple[str, ...]:
    name = info.name + (f" (:{', :'.join(info.engines)})" if info.engines else "")
    here = "[green]yes[/]" if info.available else f"[red]no[/]: {info.reason}"
    lacking = sorted(feature.value for feature in PROBLEMS[info.problem].asks - info.features)
    backend = f"{info.backend} {info.version}"
    return name, here, backend, "yes" if info.exact else "no", info.description, ", ".join(lacking)
