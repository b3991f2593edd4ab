"""Units and what they read as rows of a regression: one row for each sample and output position."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from pam_opt.structure import Layer, Structure
from pam_opt.tasks import Group

_ROWS_PER_VALUE = 30
"""Rows of the regression per input value; more positions than that are not needed and cost time."""


def unit_rows(values: Tensor, layer: Layer, chosen: Tensor | None) -> Tensor:
    """Turn what a layer gives, channels wherever the layer has them, into (N x chosen positions, channels)."""
    if values.ndim == 2:
        return values
    flat = values if layer.kind == "linear" else values.flatten(2).transpose(1, 2)
    flat = flat if chosen is None else flat[:, chosen]
    return flat.reshape(-1, flat.shape[2])


def input_rows(x: Tensor, layer: Layer, chosen: Tensor | None) -> Tensor:
    """Return what each output position reads, (N x chosen positions, inputs x area)."""
    if layer.kind == "linear":
        return unit_rows(x, layer, chosen)
    settings = layer.settings
    kernel, dilation = settings["kernel_size"], settings["dilation"]
    x = functional.pad(x, _padding(settings))
    return unit_rows(functional.unfold(x, kernel, dilation=dilation, stride=settings["stride"]), layer, chosen)


def _padding(settings: Mapping[str, object]) -> list[int]:
    """Return (left, right, top, bottom) as ``functional.pad`` takes them."""
    padding = settings["padding"]
    if isinstance(padding, str):
        if padding == "valid":
            return [0, 0, 0, 0]
        kernel, dilation = settings["kernel_size"], settings["dilation"]
        assert isinstance(kernel, list)
        assert isinstance(dilation, list)
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [totals[1] // 2, totals[1] - totals[1] // 2, totals[0] // 2, totals[0] - totals[0] // 2]
    assert isinstance(padding, list)
    return [padding[1], padding[1], padding[0], padding[0]]


def append_one(rows: Tensor) -> Tensor:
    """Append the constant 1 to every row."""
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)


def rows_per_sample(values: int, samples: int) -> int:
    """Return how many output positions of each sample a regression on so many input values needs."""
    return math.ceil(_ROWS_PER_VALUE * values / samples)


def choose_positions(count: int, wanted: int, generator: torch.Generator) -> Tensor | None:
    """Draw output positions; None takes all."""
    return None if wanted >= count else torch.randperm(count, generator=generator)[:wanted]


def readable_values(structure: Structure, index: int, group: Group) -> Tensor:
    """Find the columns that `group` may read among all input values: input after input, groups in canonical order."""
    area, layer = structure.layers[index].kernel_area, structure.layers[index]
    allowed = [
        torch.full((structure.units(source, other) * area,), group <= other)
        for source in layer.inputs
        for other in structure.groups(source)
    ]
    return torch.cat(allowed).nonzero().flatten()
