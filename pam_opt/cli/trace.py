"""``pam-opt trace``: the layers of a network, what is tied, and what cannot be regrouped and why."""

from pathlib import Path
from typing import Annotated

import networkx as nx
import typer

from pam_opt.atomic import write_atomic
from pam_opt.cli.console import OUTPUT
from pam_opt.cli.modules import build_module
from pam_opt.cli.shapes import parse_shape
from pam_opt.tracing import LayerGraph, describe_layers, trace


def trace_command(
    model: Annotated[str, typer.Argument(help="module:callable without arguments, or a family.")],
    input_shape: Annotated[str | None, typer.Option(help="Shape of one sample, for a family.")] = None,
    outputs: Annotated[int, typer.Option(min=1, help="Outputs of a family's head.")] = 10,
    draw: Annotated[Path | None, typer.Option(help="Draw the layers to this file, .png, .pdf or .svg.")] = None,
) -> None:
    """Print the layers of a network: what each reads, its units, its ties, and why it is kept."""
    graph = trace(build_module(model, parse_shape(input_shape), outputs), model)
    OUTPUT.print(describe_layers(graph), markup=False, highlight=False, soft_wrap=True)
    if draw is not None:
        draw_layers(graph, draw)
        OUTPUT.print(f"Written: {draw}", markup=False, highlight=False, soft_wrap=True)


def draw_layers(graph: LayerGraph, path: Path) -> None:
    """Draw the layer graph from top to bottom: tied layers have one colour, kept ones a dark edge.

    Raises
    ------
    StorageError : the file cannot be written
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    shown = graph.graph
    for depth, names in enumerate(nx.topological_generations(shown)):
        for name in names:
            shown.nodes[name]["depth"] = -depth
    places = nx.multipartite_layout(shown, subset_key="depth", align="horizontal")
    spaces = {name: graph.ties(name)[0] for name in shown if name != "input"}
    numbers = {first: number for number, first in enumerate(dict.fromkeys(spaces.values()))}
    colours = [colormaps["tab20"](numbers[spaces[name]] % 20) if name in spaces else "white" for name in shown]
    edges = ["black" if shown.nodes[name].get("kept") else "lightgrey" for name in shown]
    depth = len({data["depth"] for _, data in shown.nodes(data=True)})
    figure = Figure(figsize=(8, max(3.0, 0.6 * depth)), layout="constrained")
    axes = figure.add_subplot()
    labels = {name: name if name == "input" else f"{name}\n{graph.units(name)}" for name in shown}
    nx.draw_networkx(shown, places, ax=axes, labels=labels, node_color=colours, edgecolors=edges, font_size=6)
    axes.set_axis_off()
    kind = path.suffix.lstrip(".") or "png"
    write_atomic(path, lambda temporary: figure.savefig(temporary, format=kind, dpi=150))
