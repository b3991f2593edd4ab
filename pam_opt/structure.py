"""The structure of a network on the group lattice: layers, and how many units of each group they have. No weights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from pam_opt import joins
from pam_opt.errors import PlanError
from pam_opt.operations import Operation
from pam_opt.tasks import Group, check_name, combination_key

Widths = dict[Group, int]
"""Number of units of every group of one layer; groups without units are left out."""


INPUT = -1
"""Stands for the network's input, behind the prelude, among the layers that a layer reads."""

DENSE = frozenset({"conv2d", "linear"})
"""Kinds that mix units: every unit they write reads all units that the lattice allows. All others keep units apart."""

JOINS = frozenset({"add", "subtract", "multiply", "attention"})
"""Kinds that join several signals of the same units, unit by unit; ``attention`` takes queries, keys and values."""

KINDS = DENSE | JOINS | {"unit_conv2d", "pass", "layer_norm"}
"""All kinds. ``unit_conv2d`` is a depthwise or grouped convolution, ``pass`` has only operations behind it, and
``layer_norm`` normalises the units of a group with the statistics of all units that the group may read."""


@dataclass(frozen=True)
class Layer:
    """Describe one step of the network: what all units that it writes have in common.

    Layers that write the same units are *tied*: a residual sum, a depthwise convolution and the convolution in front
    of it. They have the same groups, and the first of them stands for all (`Structure.spaces`).

    Parameters
    ----------
    name : qualified name of the module, or of the node of its graph
    kind : one of `KINDS`
    settings : for convolutions kernel_size, stride, padding, dilation; for others what they need
    bias : whether the operation adds a bias
    features : values that one input unit contributes to one output position, the kernel's area left out: H x W for a
        linear layer behind a flatten, the input units' `size` for a convolution, the input channels of one of its
        groups for a `unit_conv2d` (whose settings say how many `groups` a unit has, 1 if they do not); mostly 1
    norm : the batch norm that directly follows, if there is one; the pre-activation is its output
    post : the operations behind, in their order
    inputs : indices of the layers that it reads, `INPUT` for the network's input, in the order of its weights
    ties : index of the first layer that writes the same units; its own index where it is the first
    size : channels of one unit: 1, the head dimension of attention, channels per group of a grouped convolution
    kept : why the units cannot be regrouped, so that every task keeps its own; empty where they can
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    bias: bool
    features: int
    norm: Operation | None
    post: tuple[Operation, ...]
    inputs: tuple[int, ...]
    ties: int
    size: int = 1
    kept: str = ""

    @property
    def is_dense(self) -> bool:
        """Whether a unit reads all units that the lattice allows; otherwise it reads itself only."""
        return self.kind in DENSE

    @property
    def has_weights(self) -> bool:
        """Whether the operation has weights, and so a pre-activation that is measured."""
        return self.is_dense or self.kind == "unit_conv2d"

    @property
    def kernel_area(self) -> int:
        """Weights per (input unit, output channel): the kernel's area times `features`; 0 without weights."""
        if self.kind == "linear":
            return self.features
        if self.kind == "attention":
            return 2  # queries by keys, and their product by values
        if not self.has_weights:
            return 0
        height, width = self.settings["kernel_size"]
        return self.features * height * width

    def build_operation(self, inputs: int, units: int) -> nn.Module:
        """Build the module of `units` units that read `inputs` units."""
        if self.kind == "linear":
            return nn.Linear(inputs * self.features, units * self.size, bias=self.bias)
        if self.kind == "conv2d":
            return nn.Conv2d(inputs * self.features, units * self.size, bias=self.bias, **self.settings)
        if self.kind == "unit_conv2d":
            settings = {"groups": 1, **self.settings}
            settings["groups"] *= units
            return nn.Conv2d(self.features * settings["groups"], units * self.size, bias=self.bias, **settings)
        return joins.build(self.kind, self.settings, units, self.size)

    def to_json(self) -> dict[str, Any]:
        """Return the layer as JSON types; `from_json` reads it back."""
        return {
            "name": self.name,
            "kind": self.kind,
            "settings": dict(self.settings),
            "bias": self.bias,
            "features": self.features,
            "norm": self.norm.to_json() if self.norm else None,
            "post": [operation.to_json() for operation in self.post],
            "inputs": list(self.inputs),
            "ties": self.ties,
            "size": self.size,
            "kept": self.kept,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Layer":
        """Read what `to_json` wrote."""
        if data["kind"] not in KINDS:
            raise ValueError(f"unknown layer kind {data['kind']!r}")
        norm = Operation.from_json(data["norm"]) if data["norm"] else None
        if norm is not None and not norm.is_norm:
            raise ValueError(f"layer {data['name']!r}: {norm.kind!r} is no batch norm")
        return cls(
            str(data["name"]),
            data["kind"],
            dict(data["settings"]),
            bool(data["bias"]),
            int(data["features"]),
            norm,
            tuple(Operation.from_json(operation) for operation in data["post"]),
            tuple(int(index) for index in data["inputs"]),
            int(data["ties"]),
            int(data["size"]),
            str(data["kept"]),
        )


Source = tuple[int, Group]
"""Layer index, or `INPUT`, and group of a block of units that is read."""


@dataclass(frozen=True)
class Structure:
    """Describe a multitask network: everything but its weights.

    Parameters
    ----------
    tasks : task names, in the user's order
    inputs : channels or features of the input
    prelude : operations in front of the first layer
    layers : hidden layers, then the heads as last layer; every layer stands behind those that it reads
    widths : for each layer the number of units of every group, the same for tied layers; the heads are units of the
        groups ``{t}``
    input_shape : shape of one sample, where it is known
    """

    tasks: tuple[str, ...]
    inputs: int
    prelude: tuple[Operation, ...]
    layers: tuple[Layer, ...]
    widths: tuple[Widths, ...]
    input_shape: tuple[int, ...] | None = None

    @property
    def everything(self) -> Group:
        """The group of all tasks."""
        return frozenset(self.tasks)

    @cached_property
    def spaces(self) -> tuple[int, ...]:
        """Indices of the hidden layers whose units a plan decides on: the first of every set of tied layers."""
        return tuple(index for index, layer in enumerate(self.layers[:-1]) if layer.ties == index)

    def tied(self, index: int) -> list[int]:
        """List the layers that write the same units as layer `index`, itself too."""
        return [other for other, layer in enumerate(self.layers) if layer.ties == self.layers[index].ties]

    def readers(self, index: int) -> list[int]:
        """List the layers that read layer `index`."""
        return [other for other, layer in enumerate(self.layers) if index in layer.inputs]

    @cached_property
    def is_chain(self) -> bool:
        """Whether every layer has units of its own and reads all of the layer before and nothing else."""
        return all(_in_chain(index, layer) for index, layer in enumerate(self.layers))

    @cached_property
    def shareable(self) -> tuple[bool, ...]:
        """Whether units of a layer may serve several tasks: they can be regrouped, and there is something to read."""
        kept = {layer.ties for layer in self.layers if layer.kept}
        found = [layer.ties not in kept for layer in self.layers[:-1]] + [False]
        changed = True
        while changed:
            changed = False
            for index, layer in enumerate(self.layers):
                readable = any(source == INPUT or found[source] for source in layer.inputs)
                if found[layer.ties] and not (found[index] and readable):
                    for other in self.tied(index):
                        found[other] = False
                    changed = True
        return tuple(found)

    def gates(self, space: int) -> tuple[int, ...]:
        """List the layers of a space that have to give nothing for its units to be gone: where gates stand.

        These are the last weights in front of every way out of the space: all summands of a sum, one factor of a
        product, the values of an attention, the depthwise convolution rather than what it reads.
        """
        ways_out = [
            index
            for index in self.tied(space)
            if any(self.layers[reader].ties != space for reader in self.readers(index)) or not self.readers(index)
        ]
        return tuple(sorted({gate for index in ways_out for gate in self._last_weights(index)}))

    def _last_weights(self, index: int) -> set[int]:
        layer = self.layers[index]
        if layer.has_weights:
            return {index}
        if layer.kind == "multiply":
            return self._last_weights(layer.inputs[0])
        if layer.kind == "attention":
            return self._last_weights(layer.inputs[2])
        return {gate for source in layer.inputs for gate in self._last_weights(source)}

    def groups(self, index: int) -> list[Group]:
        """List the groups of a layer in canonical order; of `INPUT`, that of all tasks."""
        return [self.everything] if index == INPUT else canonical(self.widths[index])

    def units(self, index: int, group: Group) -> int:
        """Count the units of a group in a layer; of `INPUT`, its channels or features."""
        return self.inputs if index == INPUT else self.widths[index].get(group, 0)

    def sources(self, index: int, group: Group) -> list[Source]:
        """List what units of `group` in layer `index` read, input after input, groups in canonical order.

        A unit of group g is computed whenever any task of g runs, so it may read a unit of group h only if
        g is a subset of h. Where units are not mixed, every unit reads itself.
        """
        layer = self.layers[index]
        if layer.kind == "layer_norm":
            (source,) = layer.inputs
            return [(source, group), *((source, other) for other in self.groups(source) if group < other)]
        if not layer.is_dense:
            return [(source, group) for source in layer.inputs]
        return [(source, other) for source in layer.inputs for other in self.groups(source) if group <= other]

    def fan_in(self, index: int, group: Group) -> int:
        """Count the units that a unit of `group` in layer `index` reads."""
        if not self.layers[index].is_dense:
            return 1
        return sum(self.units(*source) for source in self.sources(index, group))

    def to_json(self) -> dict[str, Any]:
        """Return the structure as JSON types; `from_json` reads it back."""
        return {
            "tasks": list(self.tasks),
            "inputs": self.inputs,
            "prelude": [operation.to_json() for operation in self.prelude],
            "layers": [layer.to_json() for layer in self.layers],
            "widths": [{combination_key(group): count for group, count in widths.items()} for widths in self.widths],
            "input_shape": list(self.input_shape) if self.input_shape else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Structure":
        """Read what `to_json` wrote."""
        shape = data["input_shape"]
        return cls(
            tuple(check_name(name) for name in data["tasks"]),
            int(data["inputs"]),
            tuple(Operation.from_json(operation) for operation in data["prelude"]),
            tuple(Layer.from_json(layer) for layer in data["layers"]),
            tuple({frozenset(key.split("+")): int(n) for key, n in widths.items()} for widths in data["widths"]),
            tuple(int(size) for size in shape) if shape else None,
        )


def _in_chain(index: int, layer: Layer) -> bool:
    return layer.inputs == (index - 1,) and layer.ties == index and layer.is_dense and layer.size == 1


def require_chain(structure: Structure, what: str, instead: str) -> None:
    """Refuse networks with branches where only a chain of layers makes sense.

    Raises
    ------
    PlanError : names the first layer that is not part of a chain, and what to do instead
    """
    for index, layer in enumerate(structure.layers):
        if not _in_chain(index, layer):
            raise PlanError(
                f"{what} takes networks that are a chain of layers, and layer {layer.name!r} ({layer.kind}) makes a "
                f"branch; {instead}"
            )


def canonical(groups: Iterable[Group]) -> list[Group]:
    """Sort groups into the order in which their units are laid out: large groups first, then by name."""
    return sorted(groups, key=lambda group: (-len(group), combination_key(group)))
