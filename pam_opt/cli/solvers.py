"""``pam-opt solvers``: which solvers there are, whether they run here, and what each can do."""

from rich.table import Table

from pam_opt.cli.console import OUTPUT
from pam_opt_solvers import available


def solvers_command() -> None:
    """List the solvers: available or why not, version, what each can do."""
    table = Table(header_style="bold")
    for name in ("problem", "solver", "here", "backend", "proves", "takes", "what it is"):
        table.add_column(name, overflow="fold")
    for info in available():
        name = info.name + (f" (:{', :'.join(info.engines)})" if info.engines else "")
        here = "[green]yes[/]" if info.available else f"[red]no[/]: {info.reason}"
        takes = ", ".join(sorted(feature.name.lower().replace("_", " ") for feature in info.features))
        table.add_row(
            info.problem.replace("_", " "),
            name,
            here,
            f"{info.backend} {info.version}",
            "yes" if info.exact else "no",
            takes,
            info.description,
        )
    OUTPUT.print(table)
