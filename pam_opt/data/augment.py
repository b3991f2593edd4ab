"""Random crops and flips of a whole batch at once."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Augment = Callable[[Tensor, torch.Generator], Tensor]


def crop(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image of (B, C, H, W) by up to 2 pixels; zeros, the mean of normalised data, move in."""
    return _shifted(x, 2, generator, flip=False)


def crop_flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to 4 pixels and mirror half of them, at random, left to right."""
    return _shifted(x, 4, generator, flip=True)


AUGMENTS: dict[str, Augment] = {"crop": crop, "crop-flip": crop_flip}


def _shifted(x: Tensor, padding: int, generator: torch.Generator, *, flip: bool) -> Tensor:
    count, _, height, width = x.shape
    top, left = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator)
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = functional.pad(x, (padding,) * 4).permute(0, 2, 3, 1)
    image = torch.arange(count)[:, None, None]
    index = (part.to(x.device) for part in (image, rows[:, :, None], columns[:, None, :]))
    return padded[tuple(index)].permute(0, 3, 1, 2).contiguous()
