"""Rules of sums, differences, products, concatenation and cutting along channels."""

import operator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pam_opt.operations import Operation
from pam_opt.tracing.calls import Call, after
from pam_opt.tracing.registry import function_rule
from pam_opt.tracing.rules_constants import per_unit, prepend_tokens
from pam_opt.tracing.values import Extent, Layout, Value

_BY_NUMBERS = int | float


@function_rule(operator.add, torch.add, "add", in_place=(operator.iadd, "add_"))
def add(call: Call, input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Read a sum of signals or with a number."""
    if isinstance(input, _BY_NUMBERS) and isinstance(other, _BY_NUMBERS):
        return input + alpha * other
    if isinstance(other, _BY_NUMBERS):
        return affine(call, input, 1.0, float(alpha * other))
    if isinstance(input, _BY_NUMBERS):
        return affine(call, other, float(alpha), float(input))
    if isinstance(input, Tensor) or isinstance(other, Tensor):
        signal, constant = (input, other) if isinstance(other, Tensor) else (other, input)
        if alpha != 1:
            call.refuse("multiplies a parameter by alpha; write the product")
        return per_unit(call, "shift", signal, constant)
    return _join(call, "add", input, _scaled(call, other, alpha))


@function_rule(operator.sub, torch.sub, torch.subtract, "sub", in_place=(operator.isub, "sub_"))
def subtract(call: Call, input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Read a difference of signals or with a number."""
    if isinstance(input, _BY_NUMBERS) and isinstance(other, _BY_NUMBERS):
        return input - alpha * other
    if isinstance(other, _BY_NUMBERS):
        return affine(call, input, 1.0, float(-alpha * other))
    if isinstance(input, _BY_NUMBERS):
        return affine(call, other, float(-alpha), float(input))
    if isinstance(other, Tensor):
        return per_unit(call, "shift", input, -alpha * other)
    if isinstance(input, Tensor):
        return per_unit(call, "shift", affine(call, other, float(-alpha), 0.0), input)
    return _join(call, "subtract", input, _scaled(call, other, alpha))


def _scaled(call: Call, value: Any, factor: float) -> Any:
    return value if factor == 1 else affine(call, value, float(factor), 0.0)


@function_rule(operator.mul, torch.mul, torch.multiply, "mul", in_place=(operator.imul, "mul_"))
def multiply(call: Call, input: Any, other: Any) -> Any:
    """Read a product of signals or with a number; the larger map is the first factor."""
    if isinstance(input, _BY_NUMBERS) and isinstance(other, _BY_NUMBERS):
        return input * other
    if isinstance(other, _BY_NUMBERS):
        return affine(call, input, float(other), 0.0)
    if isinstance(input, _BY_NUMBERS):
        return affine(call, other, float(input), 0.0)
    if isinstance(input, Tensor) or isinstance(other, Tensor):
        signal, constant = (input, other) if isinstance(other, Tensor) else (other, input)
        return per_unit(call, "scale", signal, constant)
    if isinstance(input, Value) and isinstance(other, Value) and input.extent.count == 1:
        input, other = other, input
    return _join(call, "multiply", input, other)


@function_rule(operator.truediv, torch.div, "div", in_place=(operator.itruediv, "div_"))
def divide(call: Call, input: Any, other: Any) -> Any:
    """Read a division by a number."""
    if isinstance(other, Tensor):
        return per_unit(call, "scale", input, 1 / other)
    if not isinstance(other, _BY_NUMBERS) or other == 0:
        call.refuse("divides by a signal, or by zero; only numbers other than 0 are supported")
    return input / other if isinstance(input, _BY_NUMBERS) else affine(call, input, 1 / other, 0.0)


@function_rule(operator.neg, torch.neg, "neg")
def negate(call: Call, input: Any) -> Value:
    """Read a change of sign."""
    return affine(call, input, -1.0, 0.0)


@function_rule(operator.floordiv)
def floor_divide(call: Call, input: Any, other: Any) -> Any:
    """Compute with sizes."""
    if not isinstance(input, int) or not isinstance(other, int):
        call.refuse("divides what is no known number of channels; write the number")
    return input // other


def affine(call: Call, value: Any, factor: float, offset: float) -> Value:
    """Record a multiplication by a number and a sum with one."""
    found = call.need(value)
    return call.apply(found, Operation("affine", {"factor": factor, "offset": offset}))


def _join(call: Call, kind: str, left: Any, right: Any) -> Value:
    one, two = _signal(call, left), _signal(call, right)
    if one.layout is not two.layout or one.channels != two.channels:
        call.refuse(
            f"joins {one.channels} channels {one.layout.value} with {two.channels} channels {two.layout.value}; "
            "both need the same channels on the same axes"
        )
    return after(one, call.join(kind, (one, two)), one.layout, _joint_extent(one, two))


def _signal(call: Call, value: Any) -> Value:
    found = call.need(value)
    if found.is_raw:
        call.refuse("joins the network's own input, whose channels are no units; join what a layer makes of it")
    return found


def _joint_extent(one: Value, two: Value) -> Extent:
    """Say how many positions come out: (H, W) and (1, 1) give (H, W), and what is not known may be (1, 1)."""
    if one.extent is two.extent or two.extent.count == 1:
        return one.extent
    return two.extent if one.extent.count == 1 else Extent()


@function_rule(torch.cat, torch.concat, torch.concatenate)
def concatenate(call: Call, tensors: Any, dim: int = 0) -> Value:
    """Read a concatenation of channels."""
    if not isinstance(tensors, tuple | list) or not tensors:
        call.refuse("needs a list of tensors")
    if len(tensors) == 2 and isinstance(tensors[0], Tensor) and dim == 1:
        return prepend_tokens(call, tensors[0], call.need(tensors[1]))
    values = [call.need(value) for value in tensors]
    known = [value for value in values if value.layout is not Layout.RAW]
    if not known:
        return call.refuse("concatenates the network's input with itself; do it in the preparation of the data")
    layout = known[0].layout
    if any(value.layout is not layout for value in known) or not layout.is_channels(dim):
        shown = ", ".join(value.layout.value for value in values)
        call.refuse(f"concatenates {shown} along axis {dim}; only channels of the same axes are concatenated")
    extent = _same_extent(call, values, layout)
    return after(known[0], tuple(segment for value in values for segment in value.segments), layout, extent)


def _same_extent(call: Call, values: list[Value], layout: Layout) -> Extent:
    """Check that all channels have the same number of positions, which torch checks for maps only."""
    extents = [value.extent for value in values]
    if layout is not Layout.FLAT:
        return next((extent for extent in extents if extent.count is not None), extents[0])
    if any(
        extent is not extents[0] and (extent.count is None or extent.count != extents[0].count) for extent in extents
    ):
        call.refuse("concatenates flattened maps whose sizes may differ; concatenate them before the flatten")
    return extents[0]


@function_rule(torch.chunk, "chunk")
def chunk(call: Call, input: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    """Read a cut of the channels into equal parts."""
    value = _cuttable(call, input, dim)
    width = -(-value.channels // chunks)
    return _parts(value, [*range(0, value.channels, width), value.channels])


@function_rule(torch.split, "split")
def split(call: Call, input: Value, split_size_or_sections: Any, dim: int = 0) -> tuple[Value, ...]:
    """Read a cut of the channels by size or sizes."""
    value = _cuttable(call, input, dim)
    sizes = split_size_or_sections
    if isinstance(sizes, int):
        return _parts(value, [*range(0, value.channels, sizes), value.channels])
    if not all(isinstance(size, int) and size > 0 for size in sizes) or sum(sizes) != value.channels:
        call.refuse(f"cuts {value.channels} channels into {sizes}")
    return _parts(value, [0, *(sum(sizes[: place + 1]) for place in range(len(sizes)))])


def _cuttable(call: Call, input: Any, dim: int) -> Value:
    value = call.need_units(input, Layout.MAP, Layout.VECTOR, Layout.TOKENS, Layout.LAST)
    if not value.layout.is_channels(dim):
        call.refuse(f"cuts axis {dim} of {value.layout.value}; only channels can be cut")
    return value


def _parts(value: Value, bounds: list[int]) -> tuple[Value, ...]:
    return tuple(replace(value, segments=value.cut(start, stop)) for start, stop in pairwise(bounds))


def take_channels(call: Call, input: Any, part: slice) -> Value:
    """Read ``x[:, a:b]``: a range of the channels."""
    value = call.need_units(input, Layout.MAP, Layout.VECTOR)
    if not all(bound is None or isinstance(bound, int) for bound in (part.start, part.stop, part.step)):
        call.refuse("cuts channels at places that are not known; write numbers")
    start, stop, step = part.indices(value.channels)
    if step != 1 or stop <= start:
        call.refuse(f"takes the channels {part}; only whole, non-empty ranges are supported")
    return replace(value, segments=value.cut(start, stop))
