"""``pam-opt merge``: trained networks and their checkpoints become one multitask network, by a recipe."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pam_opt.cli.console import OUTPUT
from pam_opt.cli.progress import BarProgress
from pam_opt.recipes import Merged, check_out, merge_by_recipe, parse_recipe, read_recipe, with_source, write_merged
from pam_opt.tasks import combination_key


def merge_command(
    recipe: Annotated[Path, typer.Argument(help="YAML file: tasks with network and checkpoint, data, plan, weights.")],
    out: Annotated[Path, typer.Option(help="File to write, such as merged.safetensors.")],
    data: Annotated[str | None, typer.Option(help="'digits', .npz, image folder or zip; overrides the file.")] = None,
    calibration: Annotated[int | None, typer.Option(min=1, help="Training samples; overrides the file.")] = None,
) -> None:
    """Merge trained networks: print what every combination costs and how well each task does, before and after."""
    wanted = read_recipe(recipe)
    if data is not None:
        wanted = with_source(wanted, data, Path.cwd())
    if calibration is not None:
        wanted = parse_recipe(wanted.model_dump() | {"calibration": calibration}, "--calibration")
    check_out(out, wanted)
    merged = merge_by_recipe(wanted, BarProgress(OUTPUT))
    written = write_merged(merged, wanted, out)
    OUTPUT.print(_costs(merged, wanted.combinations))
    OUTPUT.print(_accuracies(merged))
    text = f"Written: {', '.join(str(path) for path in written)}"
    OUTPUT.print(text, markup=False, highlight=False, soft_wrap=True)


def _costs(merged: Merged, combinations: dict[str, float] | None) -> Table:
    table = _table("combination", "MACs of the parents", "merged", "merged / parents")
    parents = merged.parents.macs()
    for combination, macs in merged.system.macs().items():
        table.add_row(combination_key(combination), *_ratio(parents[combination], macs))
    table.add_section()
    expected = (system.expected_macs(combinations) for system in (merged.parents, merged.system))
    table.add_row("expected" if combinations else "expected, all equally likely", *_ratio(*expected))
    return table


def _ratio(before: float, after: float) -> tuple[str, str, str]:
    return f"{before:,.0f}", f"{after:,.0f}", f"{after / before:.2f}"


def _accuracies(merged: Merged) -> Table:
    table = _table("task", "test accuracy of the parent", "merged", "points")
    for task, before in merged.before.items():
        after = merged.after[task]
        table.add_row(task, f"{100 * before:.1f} %", f"{100 * after:.1f} %", f"{100 * (after - before):+.1f}")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(first, header_style="bold")
    for name in others:
        table.add_column(name, justify="right")
    return table
