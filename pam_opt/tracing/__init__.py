"""Trace a user's module into a layer graph, and into a network of one task on the group lattice.

The way of a module: ``torch.fx`` gives nodes, rules (`registry`, ``rules_*``) read them into steps (`steps`) that know
ranges of channels and never shapes (`values`); ranges that are read by themselves are cut (`cuts`); steps that write
the same units are tied (`ties`); what acts unit by unit goes behind layers (`layers`); the graph shows it (`graph`);
and the weights are copied (`weights`).
"""

from dataclasses import replace

from torch import nn

from pam_opt.errors import UnsupportedModel
from pam_opt.macs import output_positions
from pam_opt.network import MultitaskNetwork
from pam_opt.structure import Structure
from pam_opt.tracing.cuts import cut_steps, live_steps
from pam_opt.tracing.graph import LayerGraph, build_graph, describe_layers
from pam_opt.tracing.layers import build_layers
from pam_opt.tracing.reading import read
from pam_opt.tracing.rules_units import SUPPORTED
from pam_opt.tracing.values import Layout
from pam_opt.tracing.weights import check_finite, check_same, copy_weights

__all__ = ["SUPPORTED", "LayerGraph", "describe_layers", "network_of", "trace"]


def trace(module: nn.Module, who: str = "the network", input_shape: tuple[int, ...] | None = None) -> LayerGraph:
    """Read the layers of a module by ``torch.fx``: branches, sums, products, concatenations, cuts.

    Every call of a module that is called twice becomes a layer of its own, with the same weights at first.

    Parameters
    ----------
    module : made of what `SUPPORTED` names, written with modules or with functions
    who : what messages call the module
    input_shape : of one sample, where it is known; says whether a first linear layer reads vectors or tokens

    Raises
    ------
    UnsupportedModel : an operation that is not known or cannot be tied to units; names the node and the module path
    """
    tape, value = read(module, who, None if input_shape is None else len(input_shape))
    if value.layout not in (Layout.VECTOR, Layout.RAW):
        raise UnsupportedModel(
            f"{who}: its last layer {tape.steps[-1].name!r} is no plain Linear head: it ends in {value.layout.value}; "
            "end in (N, outputs)"
        )
    steps, result = live_steps(tape.steps, value.segments)
    steps, result = cut_steps(steps, result, who)
    return build_graph(build_layers(steps, result, tape.input_channels, who))


def network_of(module: nn.Module, task: str, input_shape: tuple[int, ...] | None = None) -> MultitaskNetwork:
    """Convert a parent into a `MultitaskNetwork` with the one task `task`: same function, weights copied.

    Where the input shape is given, both are run on random samples and compared.

    Raises
    ------
    UnsupportedModel : see `trace`; weights without values or not finite; an `input_shape` that does not fit; a
        converted network that computes something else
    """
    who = f"parent {task!r}"
    if not isinstance(module, nn.Module):
        raise UnsupportedModel(f"{who} is a {type(module).__name__}; give a torch.nn.Module")
    check_finite(module, who)
    graph = trace(module, who, input_shape)
    group = frozenset({task})
    layers = graph.layers
    widths = tuple({group: graph.units(layer.name)} for layer in layers)
    network = MultitaskNetwork.blank(Structure((task,), graph.inputs, graph.prelude, tuple(layers), widths))
    copy_weights(graph, network, group)
    if input_shape is not None:
        network.structure = replace(network.structure, input_shape=input_shape)
        output_positions(network.structure)
        check_same(module, network, input_shape, who)
    return network.train(module.training)
