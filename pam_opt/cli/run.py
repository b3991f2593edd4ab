"""``pam-opt run``: a study from a configuration file."""

from pathlib import Path
from typing import Annotated

import typer

from pam_opt.cli.console import ERRORS, OUTPUT
from pam_opt.cli.progress import BarProgress
from pam_opt.cli.summary import write_and_print
from pam_opt.report import read_results
from pam_opt.study.config import StudyConfig, parse_config, read_config
from pam_opt.study.runner import run_study


def run_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the study.")],
    data: Annotated[str | None, typer.Option(help="'digits', .npz, image folder or zip; overrides the file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for everything the run writes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Run this seed only.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
) -> None:
    """Run a study: train the parents, run every method, write results, plans, networks and figures."""
    study = read_config(config)
    if data is not None:
        study = study.model_copy(update={"data": study.data.model_copy(update={"source": data})})
    if seed is not None:
        study = parse_config(study.model_dump() | {"seeds": (seed,)}, "--seed")
    run_and_report(study, out if out is not None else Path("runs") / study.name, resume)


def run_and_report(study: StudyConfig, out: Path, resume: bool) -> None:
    """Run a study and print what came out; an interrupt says how to go on."""
    try:
        paths = run_study(study, out, resume=resume, progress=BarProgress(OUTPUT))
    except KeyboardInterrupt:
        text = f"Interrupted. What is finished lies in {out}; the same command with --resume goes on."
        ERRORS.print(text, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(130) from None
    written = write_and_print([read_results(path) for path in paths], out)
    text = f"\nWritten: {', '.join(str(path) for path in [*paths, *written])}"
    OUTPUT.print(text, markup=False, soft_wrap=True, highlight=False)
