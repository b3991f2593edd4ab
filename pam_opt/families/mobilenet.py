"""MobileNetV2: inverted residuals, whose depthwise convolutions work on more channels than the residual stream has."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from pam_opt.families._checks import check_flag, check_probability, chosen_widths, image_shape


class Stage(NamedTuple):
    """One row of table 2 of the paper: expansion, channels, blocks, stride of the first block."""

    expansion: int
    channels: int
    blocks: int
    stride: int


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Expand by 1 x 1, convolve depthwise, project by 1 x 1 without activation; add the input where shapes allow.

    Parameters
    ----------
    inputs, units : channels read and written
    expansion : the depthwise convolution has so many times the channels read; 1 leaves the first convolution out
    stride : of the depthwise convolution
    """

    def __init__(self, inputs: int, units: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        expand = _conv(inputs, inner, 1) if expansion > 1 else ()
        self.layers = nn.Sequential(
            *expand,
            *_conv(inner, inner, 3, stride, groups=inner),
            nn.Conv2d(inner, units, 1, bias=False),
            nn.BatchNorm2d(units),
        )
        self.residual = stride == 1 and inputs == units

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, inputs, H, W) and return (N, units, H / stride, W / stride)."""
        return x + self.layers(x) if self.residual else self.layers(x)


def mobilenet_v2(
    input_shape: Sequence[int],
    outputs: int,
    *,
    width: float = 1.0,
    widths: Sequence[int] | None = None,
    dropout: float = 0.2,
    imagenet: bool = False,
) -> nn.Sequential:
    """Build MobileNetV2 [1].

    Deviation: multiplied numbers of channels are rounded to whole ones, not to multiples of 8.

    Parameters
    ----------
    input_shape : (C, H, W)
    width : multiplies all numbers of channels
    widths : channels of the stem, the seven stages and the last convolution themselves, in place of `width`
    dropout : probability, in front of the head
    imagenet : the strides of the paper, which shrink the image to 1/32 (3.5 M parameters and 0.30 G MACs at 224 x 224
        and 1000 outputs); otherwise stem and second stage do not shrink it, for small images

    Raises
    ------
    ConfigError : impossible options, or an image that is too small

    [1] Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, arXiv:1801.04381
    """
    check_flag("imagenet", imagenet)
    check_probability("dropout", dropout)
    first, *inner, last = chosen_widths((32, *(stage.channels for stage in STAGES), 1280), width, widths)
    channels, _, _ = image_shape(input_shape, 32 if imagenet else 8)
    stages = STAGES if imagenet else (STAGES[0], STAGES[1]._replace(stride=1), *STAGES[2:])
    blocks, inputs = [], first
    for stage, units in zip(stages, inner, strict=True):
        for block in range(stage.blocks):
            blocks.append(InvertedResidual(inputs, units, stage.expansion, stage.stride if block == 0 else 1))
            inputs = units
    return nn.Sequential(
        *_conv(channels, first, 3, 2 if imagenet else 1),
        *blocks,
        *_conv(inputs, last, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(last, outputs),
    )


def _conv(inputs: int, units: int, kernel: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, units, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(units), nn.ReLU6()
