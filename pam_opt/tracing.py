"""Trace a user's module into a layer graph, and into a network of one task on the group lattice."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import networkx as nx
import torch
from torch import fx, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from pam_opt.errors import UnsupportedModel
from pam_opt.macs import output_positions
from pam_opt.network import MultitaskNetwork
from pam_opt.operations import Operation, describe
from pam_opt.structure import Layer, Structure

SUPPORTED = "Linear, Conv2d, BatchNorm, element-wise activations, pooling, flatten, dropout, identity"


@dataclass(frozen=True)
class LayerGraph:
    """Hold the layers of one network and who reads whom.

    Parameters
    ----------
    graph : nodes are layer names and ``"input"``; an edge u -> v says that v reads u's units. Each layer's
        node has `layer` (a `Layer`), `units`, and `writers`: the modules whose outputs are tied to the same
        units (one in a chain; several where a sum or a depthwise convolution ties them).
    prelude : operations in front of the first layer
    inputs : channels or features of the input
    norms : batch norm modules of each layer, by their place: ``"norm"`` or the index in ``post``
    """

    graph: nx.DiGraph
    prelude: tuple[Operation, ...]
    inputs: int
    norms: dict[str, dict[str, nn.Module]]

    @property
    def layers(self) -> list[Layer]:
        """The layers in topological order, the head last."""
        return [self.graph.nodes[name]["layer"] for name in nx.topological_sort(self.graph) if name != "input"]

    def units(self, name: str) -> int:
        """Count the units of a layer."""
        return self.graph.nodes[name]["units"]

    def writer(self, name: str) -> nn.Conv2d | nn.Linear:
        """Return the module that writes a layer's units in a chain."""
        (module,) = self.graph.nodes[name]["writers"]
        return module


def trace(module: nn.Module, who: str = "the network") -> LayerGraph:
    """Read the layers of a module by ``torch.fx``.

    Parameters
    ----------
    module : a chain of the operations in `SUPPORTED`, written with modules or with functions
    who : what messages call the module

    Raises
    ------
    UnsupportedModel : a branch, an operation that is not known or cannot be tied to units; names the node
    """
    try:
        traced = fx.symbolic_trace(module)
    except Exception as err:
        raise UnsupportedModel(
            f"{who}: torch.fx cannot trace it ({err}); control flow that depends on values must go"
        ) from err
    builder = _ChainBuilder(who)
    for name, found in _chain(traced, who):
        builder.add(name, found)
    return builder.finish()


def network_of(module: nn.Module, task: str, input_shape: tuple[int, ...] | None = None) -> MultitaskNetwork:
    """Convert a parent into a `MultitaskNetwork` with the one task `task`: same function, weights copied.

    Raises
    ------
    UnsupportedModel : see `trace`; weights without values or not finite; an `input_shape` that does not fit
    """
    who = f"parent {task!r}"
    if not isinstance(module, nn.Module):
        raise UnsupportedModel(f"{who} is a {type(module).__name__}; give a torch.nn.Module")
    _check_finite(module, who)
    graph = trace(module, who)
    group = frozenset({task})
    layers = graph.layers
    widths = tuple({group: graph.units(layer.name)} for layer in layers)
    network = MultitaskNetwork.blank(
        Structure((task,), graph.inputs, graph.prelude, tuple(layers), widths, input_shape)
    )
    for index, layer in enumerate(layers):
        block = network.block(index, group)
        _copy_weights(graph.writer(layer.name), block.operation)
        for place, norm in graph.norms[layer.name].items():
            target = block.norm if place == "norm" else block.post[int(place)]
            assert target is not None
            target.load_state_dict(norm.state_dict())
    if input_shape is not None:
        output_positions(network.structure)
    return network.train(module.training)


@torch.no_grad()
def _copy_weights(source: nn.Conv2d | nn.Linear, target: nn.Conv2d | nn.Linear) -> None:
    """Copy the weights as they act, which parametrised modules (`weight_norm`) do not store as such."""
    target.weight.copy_(source.weight)
    if source.bias is not None:
        assert target.bias is not None
        target.bias.copy_(source.bias)


def _check_finite(module: nn.Module, who: str) -> None:
    for name, tensor in module.state_dict().items():
        if is_lazy(tensor) or tensor.is_meta:
            raise UnsupportedModel(f"{who}: weight {name!r} has no values yet; run the module once or load its weights")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UnsupportedModel(f"{who}: weight {name!r} holds NaN or infinite values; train it again or repair it")


def _chain(traced: fx.GraphModule, who: str) -> list[tuple[str, nn.Module]]:
    """List (name, module) from input to output; refuse what is not a chain."""
    chain: list[tuple[str, nn.Module]] = []
    current: fx.Node | None = None
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            if current is not None:
                raise UnsupportedModel(f"{who}: a second input {node.name!r}; networks take one input tensor")
            current = node
        elif node.op == "output":
            if node.args[0] is not current:
                raise UnsupportedModel(
                    f"{who}: its output is {node.args[0]!r}, not the one tensor {current} at its end"
                )
        elif _is_shape(node):
            continue
        elif current is None or node.all_input_nodes[:1] != [current] or not _one_signal(node):
            raise UnsupportedModel(
                f"{who}: node {node.name!r} ({_label(traced, node)}) makes a branch: it reads "
                f"{[str(source) for source in node.all_input_nodes]}, but only a chain is supported"
            )
        else:
            chain.append((_name(node), _module(traced, node, who)))
            current = node
    return chain


def _is_shape(node: fx.Node) -> bool:
    """Whether a node only asks for a size, as in ``x.view(x.size(0), -1)``."""
    if node.op == "call_method" and node.target == "size":
        return True
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] == "shape"
    first = node.args[0] if node.args else None
    return node.target is operator.getitem and isinstance(first, fx.Node) and _is_shape(first)


def _one_signal(node: fx.Node) -> bool:
    return all(_is_shape(source) for source in node.all_input_nodes[1:])


def _name(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name


def _label(traced: fx.GraphModule, node: fx.Node) -> str:
    if node.op == "call_module":
        return type(traced.get_submodule(str(node.target))).__name__
    return getattr(node.target, "__name__", str(node.target))


def _module(traced: fx.GraphModule, node: fx.Node, who: str) -> nn.Module:
    if node.op == "call_module":
        return traced.get_submodule(str(node.target))
    make = _FUNCTIONS.get(node.target)
    keywords = {key: value for key, value in node.kwargs.items() if key != "input"}
    try:
        module = make(*node.args[1:], **keywords) if make else None
    except TypeError:
        module = None
    if module is None:
        raise UnsupportedModel(
            f"{who}: node {node.name!r} calls {_label(traced, node)} with {node.args[1:]} {keywords or ''}, "
            f"which is not supported; supported: {SUPPORTED}"
        )
    return module


def _view(*sizes: Any) -> nn.Module | None:
    flat = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    return nn.Flatten() if len(flat) == 2 and flat[1] == -1 and _is_batch_size(flat[0]) else None


def _is_batch_size(size: Any) -> bool:
    """Whether a node is ``x.size(0)`` or ``x.shape[0]``."""
    return isinstance(size, fx.Node) and size.args[1:] == (0,)


def _flatten(start_dim: int = 0, end_dim: int = -1) -> nn.Module:
    return nn.Flatten(start_dim, end_dim)


def _plain(module: type[nn.Module]) -> Callable[..., nn.Module]:
    def make(inplace: bool = False) -> nn.Module:
        return module()

    return make


def _max_pool(
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> nn.Module | None:
    return None if return_indices else nn.MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)


def _dropout(p: float = 0.5, training: Any = True, inplace: bool = False) -> nn.Module:
    return nn.Dropout(p)


_FUNCTIONS: dict[Any, Callable[..., nn.Module | None]] = {
    functional.relu: _plain(nn.ReLU),
    torch.relu: _plain(nn.ReLU),
    "relu": _plain(nn.ReLU),
    functional.relu6: _plain(nn.ReLU6),
    functional.gelu: lambda approximate="none": nn.GELU(approximate),
    functional.silu: _plain(nn.SiLU),
    functional.leaky_relu: lambda negative_slope=0.01, inplace=False: nn.LeakyReLU(negative_slope),
    torch.tanh: _plain(nn.Tanh),
    "tanh": _plain(nn.Tanh),
    torch.sigmoid: _plain(nn.Sigmoid),
    "sigmoid": _plain(nn.Sigmoid),
    torch.flatten: _flatten,
    "flatten": _flatten,
    "view": _view,
    "reshape": _view,
    functional.max_pool2d: _max_pool,
    torch.max_pool2d: _max_pool,
    functional.avg_pool2d: lambda kernel_size, stride=None, padding=0: nn.AvgPool2d(kernel_size, stride, padding),
    functional.adaptive_avg_pool2d: lambda output_size: nn.AdaptiveAvgPool2d(output_size),
    functional.dropout: _dropout,
}


class _ChainBuilder:
    """Collect a chain's modules into layers, one convolution or linear module after the other."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.graph = nx.DiGraph()
        self.graph.add_node("input")
        self.prelude: list[Operation] = []
        self.norms: dict[str, dict[str, nn.Module]] = {}
        self.inputs = 0
        self.current: str | None = None
        self.flat = False
        self.features = 1

    def add(self, name: str, module: nn.Module) -> None:
        if isinstance(module, nn.Identity):
            return
        if isinstance(module, nn.Conv2d | nn.Linear):
            self._add_layer(name, module)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            self._add_norm(name, module)
        else:
            operation = describe(module)
            if operation is None:
                self._refuse(name, module, f"is not supported; supported: {SUPPORTED}")
            self._append(name, module, operation)

    def finish(self) -> LayerGraph:
        if self.current is None:
            raise UnsupportedModel(f"{self.who}: it has no Linear or Conv2d module")
        head = self.graph.nodes[self.current]["layer"]
        if head.kind != "linear" or head.norm is not None:
            raise UnsupportedModel(f"{self.who}: its last layer {self.current!r} is no plain Linear head; end in one")
        return LayerGraph(self.graph, tuple(self.prelude), self.inputs, self.norms)

    def _add_layer(self, name: str, module: nn.Conv2d | nn.Linear) -> None:
        if name in self.graph:
            self._refuse(name, module, "runs twice; shared modules are not supported")
        if 0 in module.weight.shape:
            self._refuse(name, module, f"has weights of shape {tuple(module.weight.shape)}: no units, or none to read")
        inputs, units, layer = self._describe_layer(name, module)
        if self.current is None:
            self.inputs = inputs
        self.graph.add_node(name, layer=layer, units=units, writers=(module,))
        self.graph.add_edge(self.current or "input", name)
        self.norms[name] = {}
        self.current, self.features = name, 1
        self.flat = layer.kind == "linear"

    def _describe_layer(self, name: str, module: nn.Conv2d | nn.Linear) -> tuple[int, int, Layer]:
        bias = module.bias is not None
        before = self.graph.nodes[self.current]["units"] if self.current else None
        if isinstance(module, nn.Conv2d):
            if module.groups != 1 or module.padding_mode != "zeros":
                self._refuse(name, module, "has groups or a padding mode other than zeros")
            if self.flat or before not in (None, module.in_channels):
                self._refuse(name, module, f"takes {module.in_channels} channels, which its input does not give")
            names = ("kernel_size", "stride", "padding", "dilation")
            settings = {key: _jsonable(getattr(module, key)) for key in names}
            return module.in_channels, module.out_channels, self._layer(name, "conv2d", settings, bias, 1)
        if before is None:
            return module.in_features, module.out_features, self._layer(name, "linear", {}, bias, 1)
        if not self.flat or module.in_features % before:
            self._refuse(
                name,
                module,
                f"takes {module.in_features} features, but {before} units come in; flatten first",
            )
        features = module.in_features // before
        return before, module.out_features, self._layer(name, "linear", {}, bias, features)

    def _layer(self, name: str, kind: str, settings: dict[str, Any], bias: bool, features: int) -> Layer:
        index = len(self.graph) - 1
        return Layer(name, kind, settings, bias, features, None, (), (index - 1,), index)

    def _add_norm(self, name: str, module: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        if self.current is None:
            self._refuse(name, module, "stands in front of the first layer; put normalisation into the data")
        if not module.affine or not module.track_running_stats or module.momentum is None:
            self._refuse(name, module, "needs affine=True, track_running_stats=True and a momentum")
        layer, units = self.graph.nodes[self.current]["layer"], self.graph.nodes[self.current]["units"]
        if module.num_features % units:
            self._refuse(name, module, f"normalises {module.num_features} features of {units} units")
        operation = describe(module, module.num_features // units)
        assert operation is not None
        if layer.norm is None and not layer.post:
            self.graph.nodes[self.current]["layer"] = replace(layer, norm=operation)
            self.norms[self.current]["norm"] = module
        else:
            self.norms[self.current][str(len(layer.post))] = module
            self._append(name, module, operation)

    def _append(self, name: str, module: nn.Module, operation: Operation) -> None:
        if operation.kind == "flatten":
            if operation.settings != {"start_dim": 1, "end_dim": -1}:
                self._refuse(name, module, "must flatten all but the batch dimension (start_dim=1)")
            self.flat = True
        if self.current is None:
            self.prelude.append(operation)
            return
        layer = self.graph.nodes[self.current]["layer"]
        self.graph.nodes[self.current]["layer"] = replace(layer, post=(*layer.post, operation))

    def _refuse(self, name: str, module: nn.Module, why: str) -> NoReturn:
        raise UnsupportedModel(f"{self.who}: node {name!r} ({type(module).__name__}) {why}")


def _jsonable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
