"""``pam-opt report``: the summary of a study from its finished seeds, without training."""

from pathlib import Path
from typing import Annotated

import typer

from pam_opt.cli.console import OUTPUT
from pam_opt.cli.summary import write_and_print
from pam_opt.report import missing_seeds, read_finished
from pam_opt.study.folder import make_folder


def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder that 'pam-opt run' wrote, or still writes.")],
    out: Annotated[Path | None, typer.Option(help="Folder for tables and figures; default: FOLDER itself.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Method that costs are related to, or 'parents'; for studies of several budgets.")
    ] = None,
) -> None:
    """Write tables, figures and results.parquet of a study anew from its finished seeds; nothing is trained."""
    results = read_finished(folder)
    target = folder if out is None else out
    make_folder(target)
    written = write_and_print(results, target, baseline)
    if missing := missing_seeds(results):
        _say(f"\nNot finished, and left out: seed {', '.join(map(str, missing))}")
    _say(f"\nWritten: {', '.join(map(str, written))}")


def _say(text: str) -> None:
    OUTPUT.print(text, markup=False, highlight=False, soft_wrap=True)
