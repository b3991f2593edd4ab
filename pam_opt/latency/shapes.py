"""What a layer's time depends on besides its numbers of units: a key of the table, and the module that is timed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pam_opt.errors import UnsupportedModel
from pam_opt.macs import output_positions
from pam_opt.network import JOINED, GroupLayer, MultitaskNetwork, Values, channel_axis, run_prelude
from pam_opt.structure import INPUT, Layer, Structure


@dataclass(frozen=True)
class LayerShape:
    """Describe one layer but for its units, as it is timed: batch norm folded in, what follows it included.

    Parameters
    ----------
    layer : its description
    signals : shapes of one sample of what it reads, as if of one unit each
    """

    layer: Layer
    signals: tuple[tuple[int, ...], ...]

    @property
    def key(self) -> str:
        """Name the shape: layers of the same key take the same time."""
        data: dict[str, Any] = self.layer.to_json()
        ignored = ("name", "inputs", "ties", "kept", "norm")
        kept = {name: value for name, value in data.items() if name not in ignored}
        kept["bias"] = self.layer.bias or self.layer.norm is not None
        return json.dumps({**kept, "signals": self.signals}, sort_keys=True)

    @property
    def reads(self) -> bool:
        """Whether the time depends on the units that are read beside those that are written."""
        return self.layer.is_dense

    def module(self, inputs: int, units: int) -> nn.Module:
        """Build the layer to be timed."""
        folded = replace(self.layer, norm=None, bias=self.layer.bias or self.layer.norm is not None)
        return GroupLayer(folded, inputs, units).eval()

    def inputs(self, batch: int, inputs: int, units: int) -> Tensor | list[Tensor]:
        """Draw what the layer reads."""
        count = inputs if self.reads else units
        axis = channel_axis(self.layer) if self.layer.kind != "layer_norm" else -1
        drawn = [_draw(batch, shape, axis, count) for shape in self.signals]
        return drawn if self.layer.kind in JOINED else drawn[0]


def _draw(batch: int, shape: Sequence[int], axis: int, units: int) -> Tensor:
    sizes = [batch, *shape]
    place = axis if len(sizes) == 4 or axis == -1 else -1
    sizes[place] *= units
    return torch.randn(sizes)


def layer_shapes(structure: Structure, input_shape: Sequence[int] | None = None) -> list[LayerShape]:
    """Describe every layer of a network as it is timed, by running one unit per layer on the meta device.

    Raises
    ------
    UnsupportedModel : the shape is missing, or does not fit
    """
    output_positions(structure, input_shape)
    shape = input_shape if input_shape is not None else structure.input_shape
    assert shape is not None
    one = frozenset({"one"})
    narrow = replace(structure, tasks=("one",), widths=({one: 1},) * len(structure.layers), input_shape=None)
    shapes: list[LayerShape] = []
    try:
        with torch.device("meta"), torch.no_grad():
            network = MultitaskNetwork(narrow).eval()
            values: Values = {INPUT: {one: run_prelude(structure, network.prelude, torch.empty(1, *shape))}}
            for index, layer in enumerate(structure.layers):
                shapes.append(LayerShape(layer, _signals(structure, network, index, values)))
                values = network.advance(index, values)
    except RuntimeError as err:
        raise UnsupportedModel(f"input shape {tuple(shape)} does not fit the network: {err}") from err
    return shapes


def _signals(
    structure: Structure, network: MultitaskNetwork, index: int, values: Values
) -> tuple[tuple[int, ...], ...]:
    layer, one = structure.layers[index], frozenset({"one"})
    read = network.inputs_of(index, one, values)
    if not layer.is_dense:
        return tuple(tuple(signal.shape[1:]) for signal in ([read] if isinstance(read, Tensor) else read))
    assert isinstance(read, Tensor)
    sizes = list(read.shape)
    sizes[channel_axis(layer)] = layer.features  # of one unit, however many are read
    return (tuple(sizes[1:]),)
