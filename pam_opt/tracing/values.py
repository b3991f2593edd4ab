"""What flows between the nodes of a traced module: ranges of channels, and on which axes they lie."""

from dataclasses import dataclass, field
from enum import Enum

from pam_opt.structure import INPUT


class Layout(Enum):
    """On which axes channels and positions lie; the text is what messages show."""

    RAW = "as the user gives it"
    MAP = "(N, channels, H, W)"
    ROWS = "(N, channels, positions)"
    FLAT = "(N, channels * positions)"
    VECTOR = "(N, channels)"
    TOKENS = "(N, tokens, channels)"
    LAST = "(N, H, W, channels)"

    @property
    def channel_axis(self) -> int:
        """The axis of the channels: 1 or the last."""
        return -1 if self in (Layout.TOKENS, Layout.LAST) else 1

    @property
    def dimensions(self) -> int | None:
        """Count the axes; None where the layout is not known."""
        return None if self is Layout.RAW else self.value.count(",") + 1

    def is_channels(self, axis: int) -> bool:
        """Whether `axis`, which may be negative, is that of the channels."""
        dimensions = self.dimensions
        return axis == self.channel_axis or (dimensions is not None and (axis - self.channel_axis) % dimensions == 0)


@dataclass(eq=False)
class Extent:
    """Stand for a number of positions, H x W or tokens, that may not be known: equal only to itself.

    Parameters
    ----------
    count : the number, if it is known without the input's shape
    """

    count: int | None = None


ONE = Extent(1)


@dataclass(frozen=True)
class Segment:
    """Name a range of the channels that a step writes.

    Parameters
    ----------
    step : index of the step, or `INPUT`
    start, stop : first channel, and the one behind the last; both 0 where the step acts on the network's input
    """

    step: int
    start: int = 0
    stop: int = 0

    @property
    def channels(self) -> int:
        """Count the channels."""
        return self.stop - self.start


@dataclass(frozen=True)
class Value:
    """Describe a tensor without its shape.

    Parameters
    ----------
    segments : whose channels lie one after the other
    layout : the axes
    extent : the number of positions of every channel; the same object stands for the same number
    """

    segments: tuple[Segment, ...]
    layout: Layout
    extent: Extent = field(default=ONE)

    @property
    def is_raw(self) -> bool:
        """Whether it is the network's input, or what unit-wise operations made of it."""
        return self.layout is Layout.RAW or not all(segment.channels for segment in self.segments)

    @property
    def channels(self) -> int:
        """Count the channels; those of the network's input are 0."""
        return sum(segment.channels for segment in self.segments)

    def cut(self, start: int, stop: int) -> "tuple[Segment, ...]":
        """Take a range of the channels."""
        found, offset = [], 0
        for segment in self.segments:
            low, high = max(start, offset), min(stop, offset + segment.channels)
            if low < high:
                found.append(Segment(segment.step, segment.start + low - offset, segment.start + high - offset))
            offset += segment.channels
        return tuple(found)


@dataclass(frozen=True)
class Size:
    """Stand for the size of one axis that is not known: 0 is the batch."""

    value: Value
    axis: int

    @property
    def is_batch(self) -> bool:
        """Whether it is the number of samples."""
        return self.axis == 0


@dataclass(frozen=True)
class Opaque:
    """Stand for what no rule knows but nothing may ever read; it is refused where it is used."""

    label: str


def raw_input(dimensions: int | None) -> Value:
    """Make the network's input, of whose shape at most the number of axes of a sample is known."""
    layouts = {1: Layout.VECTOR, 2: Layout.TOKENS, 3: Layout.MAP}
    layout = Layout.RAW if dimensions is None else layouts.get(dimensions, Layout.RAW)
    return Value((Segment(INPUT),), layout, ONE if layout is Layout.VECTOR else Extent())
