"""``pam-opt bench``: solvers against instances, and the report of what came out."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pam_opt.bench import BenchResult, Ending, read_bench_config, run_bench
from pam_opt.bench.backends import Request, make_backend
from pam_opt.cli.console import ERRORS, OUTPUT
from pam_opt.cli.progress import BarProgress
from pam_opt.report.bench import write_report


class _RunByDefault(TyperGroup):
    """``bench CONFIG`` is ``bench run CONFIG``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


bench_app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Run solvers against instances (bench CONFIG), or report on such a run (bench report DIR).",
)


@bench_app.command("run")
def run_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the benchmark.")],
    out: Annotated[Path | None, typer.Option(help="Folder for everything the run writes.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Cells at once on this machine; overrides the file.")] = None,
    backend: Annotated[str, typer.Option(help="local, dask or slurm.")] = "local",
    scheduler: Annotated[str | None, typer.Option(help="Address of the Dask scheduler.")] = None,
) -> None:
    """Run every solver on every instance with every seed; 'run' may be left out."""
    bench = read_bench_config(config)
    folder = out if out is not None else Path("runs") / bench.name
    where = make_backend(backend, Request(bench, folder, jobs, scheduler))
    try:
        result = run_bench(bench, folder, resume=resume, backend=where, progress=BarProgress(OUTPUT))
    except KeyboardInterrupt:
        text = f"Interrupted. Finished cells lie in {folder}; the same command with --resume goes on."
        ERRORS.print(text, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(130) from None
    _say(_summary(result))
    _say(f"Next: pam-opt bench report {folder}")


@bench_app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder that 'pam-opt bench' wrote.")],
    out: Annotated[Path | None, typer.Option(help="Folder for page and figures; default: 'report' inside.")] = None,
) -> None:
    """Write one HTML page with figures, tables and a conclusion, and the figures as PDF and PNG."""
    report = write_report(folder, out if out is not None else folder / "report")
    for path, reason in report.damaged.items():
        _say(f"Skipped record {path.name}: {reason}")
    for paragraph in report.conclusion:
        _say(f"{paragraph}\n")
    _say(f"Written: {report.page} and {len(report.figures)} files of figures beside it")


def _summary(result: BenchResult) -> str:
    counts = ", ".join(f"{result.endings[ending]} {ending.value}" for ending in Ending if result.endings[ending])
    skipped = f"; {len(result.skipped)} instance files skipped" if result.skipped else ""
    return f"{result.endings.total()} cells ({result.kept} kept, {result.ran} run): {counts}{skipped}."


def _say(text: Any) -> None:
    OUTPUT.print(text, markup=False, highlight=False, soft_wrap=True)
