"""One call of a traced module, as its rule sees it: what it refuses, and the steps that it records."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NoReturn

from torch import Tensor, nn

from pam_opt.errors import UnsupportedModel
from pam_opt.operations import Operation
from pam_opt.structure import INPUT
from pam_opt.tracing.steps import UNIT_WISE, Step, Tape, Weights
from pam_opt.tracing.values import Extent, Layout, Segment, Value


@dataclass(frozen=True)
class Call:
    """Record what one node does.

    Parameters
    ----------
    who : what messages call the network
    name : module path, or the node's name
    shown : node, module path and type, for messages
    tape : the steps so far
    """

    who: str
    name: str
    shown: str
    tape: Tape

    def refuse(self, why: str) -> NoReturn:
        """Raise `UnsupportedModel` that names the node and its module."""
        raise UnsupportedModel(f"{self.who}: {self.shown} {why}")

    def need(self, value: Any, *layouts: Layout) -> Value:
        """Check that an argument is a tensor of one of the layouts, or the raw input."""
        if not isinstance(value, Value):
            self.refuse(f"reads {value!r}, which is not a tensor computed from the input")
        if value.layout not in (*layouts, Layout.RAW) and layouts:
            wanted = " or ".join(layout.value for layout in layouts)
            self.refuse(f"takes {wanted}, but {value.layout.value} comes in")
        return value

    def need_units(self, value: Any, *layouts: Layout) -> Value:
        """Check as `need` does, and that the tensor is not the network's input, whose channels are fixed."""
        found = self.need(value, *layouts)
        if found.is_raw:
            self.refuse("stands in front of the first layer; put it into the preparation of the data")
        return found

    def apply(self, value: Value, operation: Operation, *, random: bool = False) -> Value:
        """Record a unit-wise operation without weights, on every segment by itself; the layout stays."""
        segments = tuple(self._record_unit(segment, operation, random=random) for segment in value.segments)
        return replace(value, segments=segments)

    def apply_weights(self, value: Value, operation: Operation, weights: Weights) -> Value:
        """Record a unit-wise operation with weights; every segment takes its part of them."""
        segments, offset = [], 0
        for segment in value.segments:
            part = weights.cut(offset, offset + segment.channels)
            segments.append(self._record_unit(segment, operation, part))
            offset += segment.channels
        return replace(value, segments=tuple(segments))

    def apply_norm_groups(self, value: Value, groups: int, operation: Operation, weights: Weights | None) -> Value:
        """Record an operation on groups of channels, cut into the segments that hold whole groups."""
        width = value.channels // groups
        segments, offset = [], 0
        for segment in value.segments:
            if segment.channels % width:
                self.refuse(f"has groups of {width} channels that reach over a concatenation; concatenate behind it")
            part = weights.cut(offset, offset + segment.channels) if weights else None
            segments.append(self._record_unit(segment, operation, part, parts=segment.channels // width))
            offset += segment.channels
        return replace(value, segments=tuple(segments))

    def apply_whole(self, value: Value, operation: Operation, why: str) -> Value:
        """Record an operation that mixes channels in a fixed order: the units behind it are kept per task."""
        if len(value.segments) != 1:
            self.refuse(f"{why} of a concatenation; apply it before the concatenation, or leave it out")
        return replace(value, segments=(self._record_unit(value.segments[0], operation, kept=f"{self.shown} {why}"),))

    def dense(
        self, kind: str, value: Value, channels: int, weights: Weights, settings: dict[str, Any], positions: int
    ) -> Segment:
        """Record a layer that mixes all channels of a value."""
        step = self._step(kind, value.segments, channels, channels)
        bias = weights.tensors.get("bias") is not None
        return self._record(replace(step, weights=weights, settings=settings, positions=positions, bias=bias))

    def unit_conv(
        self, segment: Segment, channels: int, groups: int, weights: Weights, settings: dict[str, Any]
    ) -> Segment:
        """Record a convolution whose groups of channels do not mix."""
        step = self._step("unit_conv2d", (segment,), channels, groups)
        return self._record(replace(step, weights=weights, settings=settings, bias="bias" in weights.tensors))

    def join(
        self, kind: str, values: Sequence[Value], settings: dict[str, Any] | None = None, size: int = 1
    ) -> tuple[Segment, ...]:
        """Record a layer that joins signals, `size` channels by `size`; cut finer where their segments differ."""
        bounds = sorted({bound for value in values for bound in _bounds(value)})
        found = []
        for start, stop in pairwise(bounds):
            inputs = tuple(self._only(value.cut(start, stop)) for value in values)
            step = self._step(kind, inputs, stop - start, (stop - start) // size)
            found.append(self._record(replace(step, settings=settings or {})))
        return tuple(found)

    def norm_layer(self, segment: Segment, weights: Weights, settings: dict[str, Any]) -> Segment:
        """Record a layer norm over all channels of a segment."""
        step = self._step("layer_norm", (segment,), segment.channels, segment.channels)
        return self._record(replace(step, weights=weights, settings=settings))

    def _only(self, segments: tuple[Segment, ...]) -> Segment:
        (segment,) = segments
        return segment

    def _step(self, kind: str, inputs: tuple[Segment, ...], channels: int, parts: int) -> Step:
        return Step(self.name, self.shown, kind, inputs, channels, parts)

    def _record(self, step: Step) -> Segment:
        return Segment(self.tape.record(step), 0, step.channels)

    def _record_unit(
        self,
        segment: Segment,
        operation: Operation,
        weights: Weights | None = None,
        *,
        random: bool = False,
        parts: int | None = None,
        kept: str = "",
    ) -> Segment:
        step = self._step(UNIT_WISE, (segment,), segment.channels, parts or segment.channels)
        return self._record(replace(step, operation=operation, weights=weights, random=random, kept=kept))


def _bounds(value: Value) -> list[int]:
    bounds = [0]
    for segment in value.segments:
        bounds.append(bounds[-1] + segment.channels)
    return bounds


def state_of(module: nn.Module, channels: int, values: int = 1) -> Weights:
    """Read a module's parameters and buffers, all rows."""
    return Weights(module, dict(module.state_dict()), 0, channels, values)


def weights_of(module: nn.Module, weight: Tensor, bias: Tensor | None) -> Weights:
    """Hold weight and bias as they act, which parametrised modules (`weight_norm`) do not store as such."""
    tensors = {"weight": weight.detach()} | ({"bias": bias.detach()} if bias is not None else {})
    return Weights(module, tensors, 0, len(weight))


def after(value: Value, segments: Segment | tuple[Segment, ...], layout: Layout, extent: Extent) -> Value:
    """Make the value that a layer writes."""
    return Value((segments,) if isinstance(segments, Segment) else segments, layout, extent)


def reads_raw(value: Value) -> bool:
    """Whether a part of a value is the network's input."""
    return any(segment.step == INPUT or not segment.channels for segment in value.segments)
