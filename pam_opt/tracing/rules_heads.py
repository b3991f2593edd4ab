"""Rules of attention: ``nn.MultiheadAttention``, and heads that are folded out of the channels of tokens by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pam_opt.tracing.calls import Call, after, weights_of
from pam_opt.tracing.registry import function_rule, module_rule
from pam_opt.tracing.values import Layout, Opaque, Segment, Size, Value

SAMPLES, TOKENS = "samples", "tokens"


@dataclass(frozen=True)
class Folded:
    """Describe tokens whose channels are seen as several axes, such as (3, heads, size).

    Parameters
    ----------
    value : (N, tokens, channels)
    factors : sizes of these axes, the outermost first; their product is the number of channels
    axes : the order in which the axes lie: `SAMPLES`, `TOKENS`, or the index of a factor
    """

    value: Value
    factors: tuple[int, ...]
    axes: tuple[str | int, ...]

    @property
    def sizes(self) -> tuple[Any, ...]:
        """The sizes of the axes in their order."""
        known = {SAMPLES: Size(self.value, 0), TOKENS: Size(self.value, 1)}
        return tuple(self.factors[axis] if isinstance(axis, int) else known[axis] for axis in self.axes)


def fold(value: Value, sizes: tuple[Any, ...]) -> Folded | None:
    """See the channels of tokens as several axes; None if the sizes do not say so."""
    if value.layout is not Layout.TOKENS or value.is_raw or len(sizes) < 4 or not _are_tokens(sizes[:2]):
        return None
    factors = fill(value.channels, sizes[2:])
    return Folded(value, factors, (SAMPLES, TOKENS, *range(len(factors)))) if factors else None


def _are_tokens(sizes: tuple[Any, ...]) -> bool:
    samples, tokens = sizes
    return (isinstance(samples, Size) and samples.is_batch) and (
        tokens == -1 or (isinstance(tokens, Size) and tokens.axis == 1 and tokens.value.layout is Layout.TOKENS)
    )


def fill(channels: int, sizes: tuple[Any, ...]) -> tuple[int, ...] | None:
    """Put a number for the one -1 among sizes; None if they do not make so many channels."""
    if not all(isinstance(size, int) for size in sizes) or sizes.count(-1) > 1:
        return None
    known = prod(size for size in sizes if size != -1)
    if known < 1 or channels % known or (-1 not in sizes and known != channels):
        return None
    return tuple(channels // known if size == -1 else size for size in sizes)


def unfold(folded: Folded, sizes: tuple[Any, ...]) -> Value | None:
    """See several axes as the channels of tokens again; None if they do not lie in order."""
    in_order = folded.axes == (SAMPLES, TOKENS, *range(len(folded.factors)))
    fits = len(sizes) == 3 and sizes[2] in (-1, folded.value.channels) and _is_samples(sizes[0])
    return folded.value if in_order and fits else None


def _is_samples(size: Any) -> bool:
    return isinstance(size, Size) and size.is_batch


def permute_folded(call: Call, folded: Folded, order: tuple[int, ...]) -> Folded:
    """Put the axes into another order."""
    if sorted(axis % len(folded.axes) for axis in order) != list(range(len(folded.axes))):
        call.refuse(f"puts {len(folded.axes)} axes into the order {order}")
    return replace(folded, axes=tuple(folded.axes[axis] for axis in order))


def take(call: Call, folded: Folded, axis: int, index: int) -> Folded:
    """Take one of the parts of the outermost factor: a range of the channels."""
    if folded.axes[axis] != 0:
        call.refuse("takes a part of heads that does not lie in one piece; put queries, keys and values outermost")
    width = folded.value.channels // folded.factors[0]
    start = index % folded.factors[0] * width
    value = replace(folded.value, segments=folded.value.cut(start, start + width))
    axes = tuple(other - 1 if isinstance(other, int) else other for other in folded.axes if other != 0)
    return Folded(value, folded.factors[1:], axes)


@function_rule("unbind", torch.unbind)
def unbind(call: Call, input: Any, dim: int = 0) -> tuple[Folded, ...]:
    """Read queries, keys and values that one linear layer writes."""
    if not isinstance(input, Folded) or not isinstance(input.axes[dim], int):
        return call.refuse("cuts a tensor along positions or samples; only parts of the channels can be taken")
    return tuple(take(call, input, dim, index) for index in range(input.sizes[dim]))


@function_rule(functional.scaled_dot_product_attention)
def attention(
    call: Call,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Folded:
    """Read attention in every head by itself."""
    if attn_mask is not None or is_causal or enable_gqa or dropout_p:
        call.refuse("has a mask, dropout or grouped queries, which are not supported; leave them out")
    signals = (query, key, value)
    if not all(isinstance(part, Folded) and part.axes == (SAMPLES, 0, TOKENS, 1) for part in signals):
        call.refuse("needs (N, heads, tokens, size) folded out of the channels of (N, tokens, channels)")
    if len({part.factors for part in signals}) > 1:
        call.refuse(f"has heads of different sizes: {', '.join(str(part.factors) for part in signals)}")
    return replace(query, value=_attend(call, [part.value for part in signals], query.factors[0], scale))


def _attend(call: Call, signals: list[Value], heads: int, scale: float | None) -> Value:
    size = signals[0].channels // heads
    if any(segment.channels % size for value in signals for segment in value.segments):
        call.refuse("has heads that reach over a concatenation; concatenate behind the attention")
    settings = {"scale": scale}
    segments = call.join("attention", signals, settings, size=size)
    return after(signals[0], segments, Layout.TOKENS, signals[0].extent)


@module_rule(nn.MultiheadAttention)
def multihead_attention(
    call: Call,
    module: nn.MultiheadAttention,
    query: Any,
    key: Any,
    value: Any,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Opaque]:
    """Read an attention module as linear layers for queries, keys, values and output, with the attention between."""
    if key_padding_mask is not None or attn_mask is not None or is_causal:
        call.refuse("has a mask, which is not supported; leave it out")
    if not module.batch_first or module.dropout or module.bias_k is not None or module.add_zero_attn:
        call.refuse("needs batch_first=True, dropout=0, add_bias_kv=False and add_zero_attn=False")
    signals = [call.need_units(signal, Layout.TOKENS) for signal in (query, key, value)]
    projected = [
        _project(call, module, signal, name, weight, bias)
        for signal, name, weight, bias in zip(signals, ("q", "k", "v"), *_in_projections(module), strict=True)
    ]
    attended = _attend(call, projected, module.num_heads, None)
    out = module.out_proj
    return _project(call, module, attended, "out_proj", out.weight, out.bias), Opaque(f"the weights of {call.shown}")


def _in_projections(module: nn.MultiheadAttention) -> tuple[Sequence[Tensor], Sequence[Tensor | None]]:
    weights = (
        list(module.in_proj_weight.chunk(3))
        if module.in_proj_weight is not None
        else [module.q_proj_weight, module.k_proj_weight, module.v_proj_weight]
    )
    biases: list[Tensor | None] = [None] * 3
    return weights, list(module.in_proj_bias.chunk(3)) if module.in_proj_bias is not None else biases


def _project(call: Call, module: nn.Module, value: Value, name: str, weight: Tensor, bias: Tensor | None) -> Value:
    if value.channels != weight.shape[1]:
        call.refuse(f"takes {weight.shape[1]} channels, but {value.channels} come in")
    inside = replace(call, name=f"{call.name}.{name}")
    segment: Segment = inside.dense("linear", value, len(weight), weights_of(module, weight, bias), {}, 1)
    return after(value, segment, Layout.TOKENS, value.extent)
