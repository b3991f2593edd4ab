"""``pam-opt export``: a saved network as files for other runtimes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pam_opt.cli.console import OUTPUT
from pam_opt.cli.shapes import parse_shape
from pam_opt.errors import ConfigError
from pam_opt.exporting import FORMATS, Exported, export, export_combinations
from pam_opt.storage import load
from pam_opt.tasks import combination_key


def export_command(
    network: Annotated[Path, typer.Argument(help="Network file written by pam-opt.")],
    out: Annotated[Path, typer.Option(help="File to write, such as net.onnx or net.pt2.")],
    tasks: Annotated[str | None, typer.Option(help="Tasks, such as a,b; default: all.")] = None,
    format: Annotated[str, typer.Option(help=f"{' or '.join(FORMATS)}.")] = "onnx",
    all_combinations: Annotated[
        bool, typer.Option("--all-combinations", help="One file for every combination: net.a+b.onnx.")
    ] = False,
    call_macs: Annotated[
        float, typer.Option(min=0.0, help="Zero MACs that one operation less may cost; inf = one a layer.")
    ] = 0.0,
    input_shape: Annotated[str | None, typer.Option(help="Shape of one sample, such as 1,28,28.")] = None,
) -> None:
    """Export combinations of tasks; every file is run and compared with the network before it is there."""
    if all_combinations and tasks is not None:
        raise ConfigError("--all-combinations exports every combination; leave --tasks out")
    loaded, shape = load(network), parse_shape(input_shape)
    if all_combinations:
        _print(export_combinations(loaded, out, format=format, call_macs=call_macs, input_shape=shape))
    else:
        chosen = None if tasks is None else [task.strip() for task in tasks.split(",")]
        _print([export(loaded, out, chosen, format=format, call_macs=call_macs, input_shape=shape)])


def _print(written: Iterable[Exported]) -> None:
    table = Table("combination", "file", header_style="bold")
    for name in ("nodes", "MACs"):
        table.add_column(name, justify="right")
    table.add_column("open sizes")
    table.add_column("largest difference", justify="right")
    for one in written:
        sizes = (f"{one.nodes:,}", f"{one.macs:,}", ", ".join(one.dynamic), f"{one.difference:.1g}")
        table.add_row(combination_key(one.tasks), str(one.path), *sizes)
    OUTPUT.print(table)
