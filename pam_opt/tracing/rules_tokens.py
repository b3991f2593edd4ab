"""Rules of tokens: axes that are swapped, layer norm, one token out of all."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from pam_opt.operations import Operation
from pam_opt.tracing.calls import Call, after, state_of
from pam_opt.tracing.registry import function_rule, module_rule
from pam_opt.tracing.rules_heads import Folded, permute_folded
from pam_opt.tracing.values import ONE, Layout, Value

_PERMUTED = {
    (Layout.ROWS, (0, 2, 1)): (Layout.TOKENS, "swap_rows"),
    (Layout.TOKENS, (0, 2, 1)): (Layout.ROWS, "swap_rows"),
    (Layout.MAP, (0, 2, 3, 1)): (Layout.LAST, "channels_last"),
    (Layout.LAST, (0, 3, 1, 2)): (Layout.MAP, "channels_first"),
}


@function_rule("permute", torch.permute)
def permute(call: Call, input: Any, *dims: Any) -> Any:
    """Read a new order of axes that is one of the known layouts."""
    order = tuple(dims[0]) if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims
    if isinstance(input, Folded):
        return permute_folded(call, input, order)
    value = call.need_units(input)
    count = value.layout.dimensions or 0
    known = _PERMUTED.get((value.layout, tuple(axis % count for axis in order)))
    if known is None:
        call.refuse(f"puts the axes of {value.layout.value} into the order {order}, which is not supported")
    layout, kind = known
    return replace(call.apply(value, Operation(kind)), layout=layout)


@function_rule("transpose", "swapaxes", torch.transpose, torch.swapaxes)
def transpose(call: Call, input: Any, dim0: int, dim1: int) -> Any:
    """Read two axes that are swapped."""
    count = len(input.axes) if isinstance(input, Folded) else call.need_units(input).layout.dimensions or 0
    order = list(range(count))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute(call, input, *order)


@module_rule(nn.LayerNorm)
def layer_norm(call: Call, module: nn.LayerNorm, input: Value) -> Value:
    """Read a layer norm over the channels on the last axis."""
    value = call.need_units(input, Layout.TOKENS, Layout.LAST, Layout.VECTOR)
    if tuple(module.normalized_shape) != (value.channels,):
        call.refuse(f"normalises {tuple(module.normalized_shape)}, but {value.channels} channels come in")
    first, *others = value.segments
    if others:
        call.refuse("normalises a concatenation; put a linear layer, or no concatenation, in front")
    weights = state_of(module, value.channels)
    weight, bias = (weights.tensors.get(name) for name in ("weight", "bias"))
    tensors = {
        "weight": torch.ones(value.channels) if weight is None else weight,
        "bias": torch.zeros(value.channels) if bias is None else bias,
    }
    segment = call.norm_layer(first, replace(weights, tensors=tensors), {"eps": module.eps})
    return after(value, segment, value.layout, value.extent)


def one_token(call: Call, input: Any, index: int) -> Value:
    """Read ``x[:, i]``."""
    value = call.need_units(input, Layout.TOKENS)
    picked = call.apply(value, Operation("one_token", {"index": index}))
    return after(value, picked.segments, Layout.VECTOR, ONE)
