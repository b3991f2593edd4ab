"""``pam-opt instances``: what solvers are measured on, made up or taken from trained parents."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pam_opt.cli.console import ERRORS, OUTPUT
from pam_opt.cli.progress import BarProgress
from pam_opt.errors import ConfigError
from pam_opt.study.instances import EXPORTS, Wanted, export_instances
from pam_opt_solvers.instances import Family, read_catalogue

FAMILIES = Path("benchmarks/instances")

instances_app = typer.Typer(no_args_is_help=True, help="List instance families, or export real instances.")


@instances_app.command("list")
def list_command(
    folder: Annotated[Path, typer.Argument(help="Folder of instance families.")] = FAMILIES,
) -> None:
    """List the families of a folder: problem, sizes, severities and what they mean."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {str(folder)!r}; name one with instance families, such as {FAMILIES}")
    catalogue = read_catalogue(folder)
    table = Table(header_style="bold")
    for name in ("problem", "family", "sizes", "severities", "what it is"):
        table.add_column(name, overflow="fold")
    for family in sorted(catalogue.families.values(), key=lambda family: (family.problem, family.name)):
        table.add_row(*_row(family))
    OUTPUT.print(table)
    for reason in catalogue.broken.values():
        ERRORS.print(f"Skipped: {reason}", markup=False, highlight=False, soft_wrap=True)


def _row(family: Family) -> tuple[str, ...]:
    sizes = f"{', '.join(map(str, family.sizes))} {family.unit}"
    severities = f"{', '.join(f'{severity:g}' for severity in family.severities)}: {family.dial}"
    return family.problem.replace("_", " "), family.name, sizes, severities, family.description


@instances_app.command("export")
def export_command(
    experiment: Annotated[Path, typer.Argument(help="Folder that 'pam-opt run' wrote; its parents are trained.")],
    out: Annotated[Path, typer.Option(help="Folder for the instance files.")],
    data: Annotated[str, typer.Option(help="The data of the experiment: 'digits', .npz, folder or zip.")] = "digits",
    problem: Annotated[list[str] | None, typer.Option(help=f"{', '.join(EXPORTS)}; repeat; default: all.")] = None,
    width: Annotated[list[float] | None, typer.Option(help="Units to keep, part of a parent's; repeat.")] = None,
    layer: Annotated[list[str] | None, typer.Option(help="Name of a layer; repeat; default: all.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seed of the experiment; repeat; default: all.")] = None,
) -> None:
    """Write the problems that the trained parents of an experiment pose, layer by layer, for any solver."""
    wanted = Wanted(
        tuple(problem) if problem else tuple(EXPORTS), tuple(width) if width else (0.5,), tuple(layer or ())
    )
    paths = export_instances(experiment, out, data=data, wanted=wanted, seeds=seed, progress=BarProgress(OUTPUT))
    for path in paths:
        OUTPUT.print(str(path), markup=False, highlight=False, soft_wrap=True)
    text = f"{len(paths)} instances. Next: pam-opt solve FILE, or 'files: {out}/*.npz' in a benchmark."
    OUTPUT.print(text, markup=False, highlight=False, soft_wrap=True)
