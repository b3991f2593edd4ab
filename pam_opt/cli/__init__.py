"""The command line: ``pam-opt``. One file a command."""

import sys

import typer

from pam_opt.cli.bench import bench_app
from pam_opt.cli.console import ERRORS, spell_out
from pam_opt.cli.costs import costs_command
from pam_opt.cli.demo import demo_command
from pam_opt.cli.export import export_command
from pam_opt.cli.instances import instances_app
from pam_opt.cli.merge import merge_command
from pam_opt.cli.profile import profile_command
from pam_opt.cli.report import report_command
from pam_opt.cli.run import run_command
from pam_opt.cli.solve import solve_command
from pam_opt.cli.solvers import solvers_command
from pam_opt.cli.trace import trace_command
from pam_opt.errors import PamOptError

app = typer.Typer(
    help="Merge single-task networks into one multitask network, optimally, and prune it for every combination.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo_command)
app.command("run")(run_command)
app.command("report")(report_command)
app.command("merge")(merge_command)
app.command("costs")(costs_command)
app.command("export")(export_command)
app.command("profile")(profile_command)
app.command("trace")(trace_command)
app.command("solve")(solve_command)
app.command("solvers")(solvers_command)
app.add_typer(bench_app, name="bench")
app.add_typer(instances_app, name="instances")


def main() -> None:
    """Run the command line; errors a user can cause end in one sentence and exit code 1."""
    spell_out()
    try:
        app(standalone_mode=True)
    except PamOptError as err:
        ERRORS.print(f"[bold red]Error[/] ({type(err).__name__}):", end=" ")
        ERRORS.print(str(err), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
