"""Rules of parameters that stand by themselves: scales, shifts, position embeddings, class tokens."""

from typing import Any

from torch import Tensor, nn

from pam_opt.operations import Operation
from pam_opt.tracing.calls import Call, after
from pam_opt.tracing.registry import function_rule
from pam_opt.tracing.steps import Weights
from pam_opt.tracing.values import Extent, Layout, Size, Value


def per_unit(call: Call, kind: str, value: Any, constant: Tensor) -> Value:
    """Record ``scale`` or ``shift`` of every channel, alike in all positions or not."""
    found = call.need_units(value, Layout.MAP, Layout.LAST, Layout.TOKENS, Layout.ROWS, Layout.VECTOR)
    dimensions = (found.layout.dimensions or 0) - 1
    tensor = constant[0] if constant.ndim == dimensions + 1 and constant.shape[0] == 1 else constant
    if tensor.ndim > dimensions:
        call.refuse(f"combines {found.layout.value} with a constant of shape {tuple(constant.shape)}, one per sample")
    tensor = tensor.reshape((1,) * (dimensions - tensor.ndim) + tuple(tensor.shape))
    last = found.layout.channel_axis == -1
    tensor = tensor.movedim(-1, 0) if last else tensor
    if tensor.shape[0] not in (1, found.channels):
        call.refuse(
            f"combines {found.channels} channels {found.layout.value} with a constant of shape {tuple(constant.shape)}"
        )
    flat = tensor.expand(found.channels, *tensor.shape[1:]).reshape(-1)
    positions = list(tensor.shape[1:])
    return _record(
        call, Operation(kind, {"positions": positions, "last": last}, len(flat) // found.channels), found, flat
    )


def _record(call: Call, operation: Operation, value: Value, flat: Tensor) -> Value:
    weights = Weights(nn.ParameterList(), {"weight": flat}, 0, value.channels, operation.features)
    return call.apply_weights(value, operation, weights)


@function_rule("expand")
def expand(call: Call, input: Any, *sizes: Any) -> Tensor:
    """Read a parameter that is repeated for every sample."""
    wanted = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    if not isinstance(input, Tensor) or not wanted or not _keeps(input, wanted):
        call.refuse("expands otherwise than a parameter (1, ...) over the batch")
    return input


def _keeps(tensor: Tensor, sizes: Any) -> bool:
    samples = (isinstance(sizes[0], Size) and sizes[0].is_batch) or sizes[0] == -1
    same = all(size in (-1, own) for size, own in zip(sizes[1:], tensor.shape[1:], strict=False))
    return samples and same and len(sizes) == tensor.ndim and tensor.shape[0] == 1


def prepend_tokens(call: Call, tokens: Tensor, value: Value) -> Value:
    """Read ``cat([token, x], 1)``: tokens of its own in front of all others."""
    found = call.need_units(value, Layout.TOKENS)
    if tokens.ndim != 3 or tokens.shape[0] != 1 or tokens.shape[2] != found.channels:
        call.refuse(f"puts tokens of shape {tuple(tokens.shape)} in front of {found.channels} channels")
    flat = tokens[0].t().reshape(-1)
    count = tokens.shape[1]
    operation = Operation("prepend_tokens", {"count": count}, count)
    return after(found, _record(call, operation, found, flat).segments, Layout.TOKENS, Extent())
