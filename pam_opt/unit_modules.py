"""Modules that act on every unit by itself and that torch does not have as such."""

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
