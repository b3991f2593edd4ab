"""``pam-opt trace``: the layers of a network, what is tied, and what cannot be regrouped and why."""

from pathlib import Path
from typing import Annotated

import networkx as nx
import typer

from pam_opt.atomic import write_atomic
from pam_opt.cli.console import OUTPUT
from pam_opt.cli.shapes import parse_shape
from pam_opt.named_modules import build_module
from pam_opt.structure import JOINS
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

    shown, places = graph.graph, _places(graph)
    spaces = {name: graph.ties(name)[0] for name in shown if name != "input"}
    numbers = {first: number for number, first in enumerate(dict.fromkeys(spaces.values()))}
    colours = [colormaps["tab20"](numbers[spaces[name]] % 20) if name in spaces else "white" for name in shown]
    edges = ["black" if shown.nodes[name].get("kept") else "lightgrey" for name in shown]
    width, height = (1 + max(abs(place[axis]) for place in places.values()) for axis in (0, 1))
    figure = Figure(figsize=(max(5.0, 2.6 * width), max(3.0, 0.32 * height)), layout="constrained")
    axes = figure.add_subplot()
    options = {"ax": axes, "node_size": 60}
    nx.draw_networkx_nodes(shown, places, node_color=colours, edgecolors=edges, **options)
    nx.draw_networkx_edges(shown, places, arrowsize=7, edge_color="grey", **options)
    for name, (x, y) in places.items():
        label = name if name == "input" else f"{name}  {graph.units(name)}"
        side, align = (-7, "right") if x == 0 else (7, "left")
        axes.annotate(label, (x, y), (side, 0), textcoords="offset points", ha=align, va="center", fontsize=7)
    axes.set_xlim(-0.8, width)
    axes.set_axis_off()
    kind = path.suffix.lstrip(".") or "png"
    write_atomic(path, lambda temporary: figure.savefig(temporary, format=kind, dpi=150))


def _places(graph: LayerGraph) -> dict[str, tuple[float, float]]:
    """Place sums and what starts a stream on the left, so that skips are straight lines beside their branches."""
    places: dict[str, tuple[float, float]] = {}
    for depth, names in enumerate(nx.topological_generations(graph.graph)):
        taken = -1
        for name in sorted(names, key=lambda name: not _in_stream(graph, name)):
            taken = max(taken + 1, 0 if _in_stream(graph, name) else 1)
            places[name] = (taken, -depth)
    return places


def _in_stream(graph: LayerGraph, name: str) -> bool:
    if name == "input":
        return True
    nodes, tied = graph.graph.nodes, graph.ties(name)
    joined = any(nodes[other]["layer"].kind in JOINS for other in tied)
    return joined and (name == tied[0] or not nodes[name]["layer"].has_weights)
