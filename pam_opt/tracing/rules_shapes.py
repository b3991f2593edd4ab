"""Rules of what moves axes: flatten, view, mean over positions, squeeze and unsqueeze, sizes and indexing."""

import builtins
import operator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from pam_opt.operations import Operation
from pam_opt.tracing.calls import Call
from pam_opt.tracing.registry import function_rule, module_rule
from pam_opt.tracing.rules_heads import Folded, fill, fold, take, unfold
from pam_opt.tracing.rules_joins import take_channels
from pam_opt.tracing.rules_tokens import one_token
from pam_opt.tracing.values import ONE, Layout, Opaque, Size, Value

_SPATIAL = {Layout.MAP: {2, 3}, Layout.LAST: {1, 2}, Layout.TOKENS: {1}, Layout.ROWS: {2}}
_ALL = Operation("flatten", {"start_dim": 1, "end_dim": -1})
_TO_MAP = Operation("to_map")


@module_rule(nn.Flatten)
def flatten_module(call: Call, module: nn.Flatten, input: Value) -> Value:
    return flatten(call, input, module.start_dim, module.end_dim)


@function_rule(torch.flatten, "flatten")
def flatten(call: Call, input: Any, start_dim: int = 0, end_dim: int = -1) -> Value:
    """Read a flatten of everything but the samples, of the positions of a map, or of heads."""
    if isinstance(input, Folded) and (start_dim, end_dim) in ((2, -1), (2, 3), (-2, -1)):
        return _unfolded(call, input, (input.sizes[0], -1, -1))
    value = call.need(input)
    last = value.layout.dimensions and value.layout.dimensions - 1
    if (start_dim, end_dim if end_dim != last else -1) == (1, -1):
        return _flat(call, value)
    if value.layout is Layout.MAP and (start_dim % 4, end_dim % 4) == (2, 3):
        return _rows(call, value)
    if value.layout is Layout.LAST and (start_dim % 4, end_dim % 4) == (1, 2):
        operation = Operation("flatten", {"start_dim": 1, "end_dim": 2})
        return replace(call.apply(value, operation), layout=Layout.TOKENS)
    return call.refuse(
        "must flatten all but the batch dimension (start_dim=1), or the positions of a map (start_dim=2)"
    )


def _flat(call: Call, value: Value) -> Value:
    if value.layout in (Layout.VECTOR, Layout.FLAT):
        return value
    if value.layout in (Layout.TOKENS, Layout.LAST):
        call.refuse(f"flattens {value.layout.value}, which mixes the order of channels; take the mean or one token")
    flat = call.apply(value, _ALL)
    if value.layout is Layout.RAW:
        return flat
    return replace(flat, layout=Layout.VECTOR if value.extent.count == 1 else Layout.FLAT)


def _rows(call: Call, value: Value) -> Value:
    return replace(call.apply(value, Operation("flatten", {"start_dim": 2, "end_dim": -1})), layout=Layout.ROWS)


@module_rule(nn.Unflatten)
def unflatten_module(call: Call, module: nn.Unflatten, input: Value) -> Any:
    return unflatten(call, input, module.dim, module.unflattened_size)


def _unflatten(call: Call, value: Value, dim: Any, sizes: tuple[Any, ...]) -> Value:
    if dim not in (1, -1) or sizes not in ((value.channels, 1, 1), (-1, 1, 1)):
        call.refuse(f"unflattens axis {dim} into {sizes}; only (channels, 1, 1) is supported")
    return _to_map(call, value)


@function_rule("view", "reshape", torch.reshape)
def view(call: Call, input: Any, *sizes: Any, shape: Any = None) -> Any:
    """Read a view that flattens, that gives a vector positions again, or that folds heads out of channels."""
    wanted = shape if shape is not None else sizes
    wanted = tuple(wanted[0]) if len(wanted) == 1 and isinstance(wanted[0], tuple | list) else tuple(wanted)
    if isinstance(input, Folded):
        return _unfolded(call, input, wanted)
    value = call.need(input)
    result = _viewed(call, value, wanted) or fold(value, wanted)
    if result is None:
        call.refuse(
            f"makes {_shown(wanted)} of {value.layout.value}; only (batch, -1), (batch, channels * H * W), "
            "(batch, channels, -1) and (batch, channels, 1, 1) are supported"
        )
    return result


def _unfolded(call: Call, folded: Folded, sizes: tuple[Any, ...]) -> Value:
    value = unfold(folded, sizes)
    if value is None:
        call.refuse(f"makes {_shown(sizes)} of heads that do not lie behind (batch, tokens) in their order")
    return value


@function_rule("unflatten", torch.unflatten)
def unflatten(call: Call, input: Value, dim: int, sizes: Any) -> Any:
    """Read heads that are folded out of the channels of tokens, or what gives a vector positions again."""
    value = call.need_units(input, Layout.VECTOR, Layout.TOKENS)
    if value.layout is Layout.VECTOR:
        return _unflatten(call, value, dim, tuple(sizes))
    factors = fill(value.channels, tuple(sizes)) if dim in (-1, 2) else None
    folded = fold(value, (Size(value, 0), -1, *factors)) if factors else None
    return folded or call.refuse(f"unflattens axis {dim} of {value.layout.value} into {sizes}")


def _viewed(call: Call, value: Value, sizes: tuple[Any, ...]) -> Value | None:
    if not sizes or not (_is_batch(sizes[0]) or (sizes[0] == -1 and sizes[1:] and -1 not in sizes[1:])):
        return None
    inner = sizes[1:]
    if len(inner) == 1 and (inner[0] == -1 or _fits_flat(value, inner[0])):
        return _flat(call, value)
    if len(inner) == 3 and inner[1:] == (1, 1) and inner[0] in (value.channels, -1) and _is_single(value):
        return _to_map(call, value)
    if len(inner) == 2 and inner[0] == value.channels and inner[1] == -1 and value.layout is Layout.MAP:
        return _rows(call, value)
    return None


def _fits_flat(value: Value, size: Any) -> bool:
    if not isinstance(size, int) or size < 1 or value.layout in (Layout.TOKENS, Layout.LAST):
        return False
    if value.is_raw:
        return True
    positions, left = divmod(size, value.channels)
    if left or value.extent.count not in (None, positions):
        return False
    value.extent.count = positions
    return True


def _is_batch(size: Any) -> bool:
    return isinstance(size, Size) and size.is_batch


def _is_single(value: Value) -> bool:
    return not value.is_raw and (value.layout is Layout.VECTOR or value.extent.count == 1)


def _to_map(call: Call, value: Value) -> Value:
    if value.layout is Layout.MAP:
        return value
    return replace(call.apply(value, _TO_MAP), layout=Layout.MAP, extent=ONE)


def _shown(sizes: tuple[Any, ...]) -> str:
    names = (
        "batch" if _is_batch(size) else f"size {size.axis}" if isinstance(size, Size) else str(size) for size in sizes
    )
    return "(" + ", ".join(names) + ")"


@function_rule(torch.mean, "mean")
def mean(call: Call, input: Value, dim: Any = None, keepdim: bool = False) -> Value:
    """Read a mean over all positions."""
    value = call.need(input, Layout.MAP, Layout.LAST, Layout.TOKENS, Layout.ROWS)
    axes = {dim} if isinstance(dim, int) else set(dim or ())
    count = value.layout.dimensions
    if count is None or {axis % count for axis in axes} != _SPATIAL[value.layout]:
        call.refuse(f"takes the mean over {dim} of {value.layout.value}; only over all positions is supported")
    if value.layout is Layout.MAP:
        pooled = replace(call.apply(value, Operation("adaptive_avg_pool2d", {"output_size": 1})), extent=ONE)
        return pooled if keepdim else _flat(call, pooled)
    if keepdim:
        call.refuse("keeps the dimension of the tokens; leave keepdim out")
    operation = Operation("mean_rows" if value.layout is Layout.ROWS else "mean_tokens")
    return replace(call.apply(value, operation), layout=Layout.VECTOR, extent=ONE)


@function_rule(torch.unsqueeze, "unsqueeze")
def unsqueeze(call: Call, input: Value, dim: int) -> Value:
    """Read what gives a vector positions again, one axis at a time."""
    value = call.need_units(input, Layout.VECTOR, Layout.ROWS)
    if value.extent.count != 1 or dim not in (-1, value.layout.dimensions):
        call.refuse(f"adds axis {dim} to {value.layout.value}; only axes behind a vector are supported")
    if value.layout is Layout.VECTOR:
        return replace(call.apply(value, Operation("unsqueeze")), layout=Layout.ROWS)
    return replace(call.apply(value, Operation("unsqueeze")), layout=Layout.MAP)


@function_rule(torch.squeeze, "squeeze")
def squeeze(call: Call, input: Value, dim: Any = None) -> Value:
    """Read what removes the axes of a single position."""
    value = call.need_units(input, Layout.MAP, Layout.ROWS)
    count = value.layout.dimensions
    axes = {axis % count for axis in ((dim,) if isinstance(dim, int) else dim or ())} if count else set()
    if value.extent.count != 1 or not axes or not axes <= _SPATIAL[value.layout]:
        call.refuse(f"removes the axes {dim} of {value.layout.value}; only those of a single position can be removed")
    if axes == _SPATIAL[value.layout]:
        return _flat(call, value)
    return _rows(call, value)


@function_rule("expand_as")
def expand_as(call: Call, input: Value, other: Value) -> Value:
    """Read a broadcast, which sums and products do by themselves."""
    value, like = call.need_units(input), call.need_units(other)
    if value.layout is not like.layout or value.channels != like.channels:
        call.refuse(f"expands {value.layout.value} to {like.layout.value} with {like.channels} channels")
    return value


@function_rule("size")
def size(call: Call, input: Any, dim: int | None = None) -> Any:
    """Read the size of an axis, or of all."""
    if isinstance(input, Folded):
        return input.sizes if dim is None else input.sizes[dim]
    value = call.need(input)
    return _sizes(value) if dim is None else _size(value, dim)


@function_rule("dim")
def dim(call: Call, input: Value) -> Any:
    return call.need(input).layout.dimensions or Opaque("the number of axes of the input")


@function_rule(builtins.getattr)
def attribute(call: Call, input: Any, name: str) -> Any:
    """Read ``x.shape``; other attributes must not be used."""
    if isinstance(input, Folded) and name == "shape":
        return input.sizes
    if name == "shape":
        return _sizes(call.need(input))
    return call.need(input).layout.dimensions if name == "ndim" else Opaque(f"attribute {name!r}")


def _sizes(value: Value) -> tuple[Any, ...]:
    return tuple(_size(value, axis) for axis in range(value.layout.dimensions or 4))


def _size(value: Value, axis: int) -> Any:
    count = value.layout.dimensions
    place = axis % count if count else axis
    if not value.is_raw and value.layout is not Layout.FLAT and value.layout.is_channels(place):
        return value.channels
    return Size(value, place)


@function_rule(operator.getitem)
def get_item(call: Call, input: Any, index: Any) -> Any:
    """Read a part of a tuple, ``x[:, a:b]`` or ``x[:, :, None, None]``."""
    if isinstance(input, tuple):
        if not isinstance(index, int | slice):
            call.refuse(f"takes the part {index!r} of a tuple")
        return input[index]
    if isinstance(input, Folded) and isinstance(index, int):
        return take(call, input, 0, index)
    value = call.need(input)
    parts = index if isinstance(index, tuple) else (index,)
    if parts in ((..., None, None), (slice(None), slice(None), None, None)) and value.layout is Layout.VECTOR:
        return _to_map(call, call.need_units(value))
    if len(parts) > 1 and parts[0] == slice(None) and isinstance(parts[1], slice) and not any(map(_cuts, parts[2:])):
        return take_channels(call, value, parts[1])
    if len(parts) == 2 and parts[0] == slice(None) and isinstance(parts[1], int) and value.layout is Layout.TOKENS:
        return one_token(call, value, parts[1])
    return call.refuse(f"takes the part {index} of {value.layout.value}; only ranges of channels are supported")


def _cuts(part: Any) -> bool:
    return part is not ... and part != slice(None)
