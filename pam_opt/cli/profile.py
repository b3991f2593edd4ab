"""``pam-opt profile``: layer times on this machine, and what they predict for every combination."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pam_opt.cli.console import ERRORS, OUTPUT
from pam_opt.cli.progress import BarProgress
from pam_opt.cli.shapes import parse_shape
from pam_opt.latency import Machine, latency_costs, measure_profile
from pam_opt.latency.profile import cache_folder
from pam_opt.macs import costs
from pam_opt.named_modules import build_module
from pam_opt.network import MultitaskNetwork
from pam_opt.storage import load
from pam_opt.tasks import combination_key
from pam_opt.tracing import network_of


def profile_command(
    network: Annotated[str, typer.Argument(help="Network file written by pam-opt, module:callable, or a family.")],
    input_shape: Annotated[str | None, typer.Option(help="Shape of one sample, such as 1,28,28.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples per run.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    cache: Annotated[Path | None, typer.Option(help="Folder of the measured times; default: the user's.")] = None,
) -> None:
    """Measure how long this machine takes for the layers of a network; what is measured already is kept."""
    shape = parse_shape(input_shape)
    chosen = _network(network, shape)
    machine, folder = Machine.here(batch, threads), cache or cache_folder()
    try:
        with BarProgress(OUTPUT).stage("Measuring layers") as update:
            profile = measure_profile(
                chosen.structure, machine, input_shape=shape, folder=folder, progress=lambda *state: update(*state)
            )
    except KeyboardInterrupt:
        text = f"Interrupted. What is measured lies in {folder}; the same command goes on."
        ERRORS.print(text, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(130) from None
    predicted, counted = latency_costs(chosen, profile, shape), costs(chosen, shape)
    table = Table("combination", header_style="bold")
    for name in (f"predicted ms, batch {batch}", "MACs"):
        table.add_column(name, justify="right")
    for one, seconds in predicted.seconds.items():
        table.add_row(combination_key(one), f"{1e3 * seconds:.3f}", f"{counted.macs[one]:,}")
    OUTPUT.print(table)
    OUTPUT.print(f"Written: {folder / machine.file_name}", markup=False, highlight=False, soft_wrap=True)


def _network(text: str, shape: tuple[int, ...] | None) -> MultitaskNetwork:
    """Read a saved network, or build one of a single task."""
    return load(text) if Path(text).is_file() else network_of(build_module(text, shape), "task", shape)
