"""The steps of a traced module, before they become layers: every unit-wise operation is still by itself."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from pam_opt.operations import Operation
from pam_opt.structure import DENSE, INPUT
from pam_opt.tracing.values import Segment

UNIT_WISE = "unit-wise"
"""Kind of the steps that become a batch norm or an operation behind a layer."""


@dataclass(frozen=True)
class Weights:
    """Hold the weights of a step: rows `start` to `stop` of tensors whose rows are output channels.

    Parameters
    ----------
    module : where they come from
    tensors : names of the target's tensors -> source; scalars are copied whole
    start, stop : range of channels
    values : rows per channel, such as H x W behind a flatten
    """

    module: nn.Module
    tensors: dict[str, Tensor]
    start: int
    stop: int
    values: int = 1

    def cut(self, start: int, stop: int) -> "Weights":
        """Take channels `start` to `stop` of these."""
        return Weights(self.module, self.tensors, self.start + start, self.start + stop, self.values)

    def rows(self) -> dict[str, Tensor]:
        """Return the tensors' rows in use."""
        part = slice(self.start * self.values, self.stop * self.values)
        return {name: tensor if tensor.ndim == 0 else tensor[part] for name, tensor in self.tensors.items()}


@dataclass(frozen=True)
class Step:
    """Describe one step of the traced module.

    Parameters
    ----------
    name : module path, or name of the node
    shown : how messages name it
    kind : a kind of layer, or `UNIT_WISE`
    inputs : what it reads; for a dense step the segments of one value, else one range of each signal
    channels : that it writes; 0 on the network's input
    parts : the largest number of units that it can be cut into: its groups, its heads, mostly its channels
    settings, bias : of the layer
    positions : values per channel that a dense step reads, H x W behind a flatten
    operation : of a unit-wise step, for one channel
    weights : of a step that has any
    kept : why its units must stay in order, all together; empty if they need not
    random : whether every call draws numbers, so that two calls on the same signal differ
    """

    name: str
    shown: str
    kind: str
    inputs: tuple[Segment, ...]
    channels: int
    parts: int
    settings: dict[str, Any] = field(default_factory=dict)
    bias: bool = False
    positions: int = 1
    operation: Operation | None = None
    weights: Weights | None = None
    kept: str = ""
    random: bool = False

    @property
    def is_dense(self) -> bool:
        """Whether it mixes all channels that it reads."""
        return self.kind in DENSE

    @property
    def on_input(self) -> bool:
        """Whether it acts on the network's input, whose channels are not known."""
        return self.channels == 0


class Tape:
    """Record steps in the order in which they run; the same operation on the same signal is one step."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.input_channels: int | None = None

    def record(self, step: Step) -> int:
        """Append a step, unless there is one that does the same, and return its index."""
        for index, other in enumerate(self.steps):
            if _same(step, other):
                return index
        self.steps.append(step)
        return len(self.steps) - 1


def _same(step: Step, other: Step) -> bool:
    return (
        step.kind == other.kind == UNIT_WISE
        and step.weights is None
        and not step.random
        and step.inputs == other.inputs
        and step.operation == other.operation
    )


def reads_input(segment: Segment, steps: list[Step]) -> bool:
    """Whether a segment is the network's input, or what unit-wise operations made of it."""
    return segment.step == INPUT or steps[segment.step].on_input
