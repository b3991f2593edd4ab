"""The layer graph: layers, who reads whom, which layers are tied, and what is kept."""

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx
from torch import nn

from pam_opt.operations import Operation
from pam_opt.structure import INPUT, Layer
from pam_opt.tracing.layers import Layers
from pam_opt.tracing.steps import Weights


@dataclass(frozen=True)
class LayerGraph:
    """Hold the layers of one network and who reads whom.

    Parameters
    ----------
    graph : nodes are layer names and ``"input"``; an edge u -> v says that v reads u's units. Each layer's node has
        `layer` (a `Layer`), `units`, `ties` (names of the layers that write the same units, itself too), `kept` (why
        its units cannot be regrouped, or "") and `writers`: the modules of these layers that have weights
    prelude : operations in front of the first layer
    inputs : channels or features of the input
    weights : layer name -> place -> weights; places are ``"operation"``, ``"norm"`` or the index in ``post``
    """

    graph: nx.DiGraph
    prelude: tuple[Operation, ...]
    inputs: int
    weights: Mapping[str, Mapping[str, Weights]]

    @property
    def layers(self) -> list[Layer]:
        """The layers in topological order, the head last."""
        return [self.graph.nodes[name]["layer"] for name in self.graph if name != "input"]

    def units(self, name: str) -> int:
        """Count the units of a layer."""
        return self.graph.nodes[name]["units"]

    def ties(self, name: str) -> tuple[str, ...]:
        """Name the layers that write the same units, in order."""
        return self.graph.nodes[name]["ties"]

    def module(self, name: str, place: str = "operation") -> nn.Module:
        """Return the module that a layer's weights come from."""
        return self.weights[name][place].module


def build_graph(found: Layers) -> LayerGraph:
    """Draw the graph of layers."""
    names = [draft.layer.name for draft in found.drafts]
    graph = nx.DiGraph()
    graph.add_node("input")
    for draft in found.drafts:
        tied = [other for other in found.drafts if other.layer.ties == draft.layer.ties]
        graph.add_node(
            draft.layer.name,
            layer=draft.layer,
            units=draft.units,
            ties=tuple(other.layer.name for other in tied),
            kept=draft.layer.kept,
            writers=tuple(other.weights["operation"].module for other in tied if "operation" in other.weights),
        )
        for source in draft.layer.inputs:
            graph.add_edge("input" if source == INPUT else names[source], draft.layer.name)
    return LayerGraph(graph, found.prelude, found.inputs, {draft.layer.name: draft.weights for draft in found.drafts})


def describe_layers(graph: LayerGraph) -> str:
    """Write one line for every layer: what it reads, its units, its ties, and why it is kept."""
    rows = [("layer", "kind", "units", "reads", "behind it", "tied to", "kept")]
    for layer in graph.layers:
        name = layer.name
        first, *others = graph.ties(name)
        units = str(graph.units(name)) + (f" x {layer.size}" if layer.size > 1 else "")
        reads = ", ".join(graph.graph.predecessors(name))
        behind = ", ".join(operation.kind for operation in (*((layer.norm,) if layer.norm else ()), *layer.post))
        tied = f"{len(others)} more" if name == first and others else first if others else ""
        rows.append((name, layer.kind, units, reads, behind, tied, layer.kept))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
