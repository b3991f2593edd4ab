"""The structure of a network on the group lattice: layers, and how many units of each group they have. No weights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from pam_opt.operations import Operation
from pam_opt.tasks import Group, check_name, combination_key

Widths = dict[Group, int]
"""Number of units of every group of one layer; groups without units are left out."""


@dataclass(frozen=True)
class Layer:
    """Describe what all units of a layer have in common.

    Parameters
    ----------
    name : qualified name of the first module that writes the units
    kind : ``conv2d`` or ``linear``
    settings : for ``conv2d`` kernel_size, stride, padding, dilation
    bias : whether the operation adds a bias
    features : values that one input unit contributes to one output position: H x W for a linear layer
        behind a flatten, otherwise 1
    norm : the batch norm that directly follows, if there is one; the pre-activation is its output
    post : the operations behind, in their order
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    bias: bool
    features: int
    norm: Operation | None
    post: tuple[Operation, ...]

    @property
    def kernel_area(self) -> int:
        """Weights per (input unit, output unit): the kernel's area, or `features` for a linear layer."""
        if self.kind == "linear":
            return self.features
        height, width = self.settings["kernel_size"]
        return height * width

    def build_operation(self, inputs: int, units: int) -> nn.Module:
        """Build the convolution or linear module from `inputs` units to `units` units."""
        if self.kind == "linear":
            return nn.Linear(inputs * self.features, units, bias=self.bias)
        return nn.Conv2d(inputs, units, bias=self.bias, **self.settings)

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
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Layer":
        """Read what `to_json` wrote."""
        if data["kind"] not in ("conv2d", "linear"):
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
        )


@dataclass(frozen=True)
class Structure:
    """Describe a multitask network: everything but its weights.

    Parameters
    ----------
    tasks : task names, in the user's order
    inputs : channels or features of the input
    prelude : operations in front of the first layer
    layers : hidden layers, then the heads as last layer
    widths : for each layer the number of units of every group; the heads are units of the groups ``{t}``
    input_shape : shape of one sample, where it is known
    """

    tasks: tuple[str, ...]
    inputs: int
    prelude: tuple[Operation, ...]
    layers: tuple[Layer, ...]
    widths: tuple[Widths, ...]
    input_shape: tuple[int, ...] | None = None

    def sources(self, index: int, group: Group) -> list[Group] | None:
        """List the groups of the layer before that `group` may read, in canonical order; None for the input.

        A unit of group g is computed whenever any task of g runs, so it may read a unit of group h only if
        g is a subset of h.
        """
        if index == 0:
            return None
        return [source for source in canonical(self.widths[index - 1]) if group <= source]

    def fan_in(self, index: int, group: Group) -> int:
        """Count the units that a unit of `group` in layer `index` reads."""
        sources = self.sources(index, group)
        return self.inputs if sources is None else sum(self.widths[index - 1][source] for source in sources)

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


def canonical(groups: Iterable[Group]) -> list[Group]:
    """Sort groups into the order in which their units are laid out: large groups first, then by name."""
    return sorted(groups, key=lambda group: (-len(group), combination_key(group)))
