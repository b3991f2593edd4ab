"""Modules that act on every unit by itself and that torch does not have as such."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Affine(nn.Module):
    """Multiply by a number and add one."""

    def __init__(self, factor: float, offset: float) -> None:
        super().__init__()
        self.factor, self.offset = factor, offset

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.offset if self.offset else x * self.factor


class AvgPoolWidth(nn.Module):
    """Pool with a square kernel as wide as the map: ``avg_pool2d(x, x.size(3))``; global for square maps."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, x.size(3))


class ToMap(nn.Module):
    """Give vectors (N, channels) a single position: (N, channels, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, 1, 1))


class Unsqueeze(nn.Module):
    """Add an axis of a single position at the end."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1)


class MeanRows(nn.Module):
    """Take the mean over positions, (N, channels, positions)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(-1)


class MeanTokens(nn.Module):
    """Take the mean over tokens, (N, tokens, channels), or over the positions of (N, H, W, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(tuple(range(1, x.ndim - 1)))


class ChannelShuffle(nn.Module):
    """Deal the channels of every group out in turn, as ``nn.ChannelShuffle`` does; takes any number of channels."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        width = -(-x.shape[1] // self.groups)
        return torch.cat([x[:, first::width] for first in range(width)], dim=1)


class SwapRows(nn.Module):
    """Swap positions and channels: (N, channels, positions) to (N, tokens, channels), and back."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class ChannelsLast(nn.Module):
    """Put channels behind positions: (N, channels, H, W) to (N, H, W, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class ChannelsFirst(nn.Module):
    """Put channels in front of positions: (N, H, W, channels) to (N, channels, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


class OneToken(nn.Module):
    """Take one token of (N, tokens, channels)."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.index]


class _PerUnit(nn.Module):
    """Hold one value for every channel and position.

    Parameters
    ----------
    values : channels times positions
    positions : sizes of the axes of positions, 1 where all positions have the same value
    last : whether channels lie behind positions
    """

    def __init__(self, values: int, positions: Sequence[int], last: bool) -> None:
        super().__init__()
        self.positions, self.last = tuple(positions), last
        self.weight = nn.Parameter(torch.zeros(values))

    def constant(self) -> Tensor:
        """Return the values on the axes of a sample."""
        shaped = self.weight.view(-1, *self.positions)
        return shaped.movedim(0, -1) if self.last else shaped


class Scale(_PerUnit):
    """Multiply every channel by a value of its own, such as ``LayerScale``."""

    def forward(self, x: Tensor) -> Tensor:
        return x * self.constant()


class Shift(_PerUnit):
    """Add a value of its own to every channel and position, such as a position embedding."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.constant()


class PrependTokens(nn.Module):
    """Put tokens of its own, such as a class token, in front of all others.

    Parameters
    ----------
    values : channels times `count`
    count : number of tokens
    """

    def __init__(self, values: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.weight = nn.Parameter(torch.zeros(values))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.weight.view(-1, self.count).t()
        return torch.cat([tokens.expand(len(x), -1, -1), x], dim=1)
