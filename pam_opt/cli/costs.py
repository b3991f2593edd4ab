"""``pam-opt costs``: what every combination of a saved network costs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pam_opt.cli.console import OUTPUT
from pam_opt.cli.shapes import parse_shape
from pam_opt.macs import costs
from pam_opt.storage import load
from pam_opt.tasks import combination_key


def costs_command(
    network: Annotated[Path, typer.Argument(help="Network file written by pam-opt.")],
    input_shape: Annotated[str | None, typer.Option(help="Shape of one sample, such as 1,28,28.")] = None,
) -> None:
    """Print the MACs of every combination of tasks of a saved network."""
    table = costs(load(network), parse_shape(input_shape))
    shown = Table("combination", header_style="bold")
    shown.add_column("MACs", justify="right")
    for combination, macs in table.macs.items():
        shown.add_row(combination_key(combination), f"{macs:,}")
    shown.add_section()
    shown.add_row("expected, all equally likely", f"{table.expected:,.1f}")
    OUTPUT.print(shown)
