"""Units and what they read as rows of a regression: one row for each sample and output position."""

import math
from collections.abc import Mapping
from typing import Any

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
    windows = _windows(functional.pad(x, _padding(layer.settings)).contiguous(), layer.settings)
    if chosen is None:
        return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
    width = windows.shape[3]
    return windows[:, :, chosen // width, chosen % width].transpose(1, 2).flatten(2).flatten(0, 1)


def _windows(x: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """View a padded map as (N, channels, rows, columns, kernel height, kernel width): nothing is copied."""
    sizes, strides = list(x.shape[:2]), list(x.stride()[:2])
    steps = zip(settings["kernel_size"], settings["dilation"], settings["stride"], x.shape[2:], strict=True)
    counts = [(size - dilation * (kernel - 1) - 1) // stride + 1 for kernel, dilation, stride, size in steps]
    moves = [step * stride for step, stride in zip(settings["stride"], x.stride()[2:], strict=True)]
    taps = [step * stride for step, stride in zip(settings["dilation"], x.stride()[2:], strict=True)]
    return x.as_strided([*sizes, *counts, *settings["kernel_size"]], [*strides, *moves, *taps])


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
