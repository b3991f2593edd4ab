"""VGG networks with batch norm: chains of 3 x 3 convolutions in stages, each stage ending in a 2 x 2 max-pool."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate, pairwise

from torch import nn

from pam_opt.errors import ConfigError
from pam_opt.families._checks import check_probability, check_widths, chosen_widths, image_shape

_VGG11 = (64, 128, 256, 256, 512, 512, 512, 512)
_VGG16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


def vgg11(
    input_shape: Sequence[int],
    outputs: int,
    *,
    width: float = 1.0,
    widths: Sequence[int] | None = None,
    linear: Sequence[int] = (512,),
    dropout: float = 0.0,
) -> nn.Sequential:
    """Build VGG-11 (configuration A of [1]) with batch norm; options and sizes as of `vgg16`.

    [1] Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, arXiv:1409.1556
    """
    return _vgg(input_shape, outputs, chosen_widths(_VGG11, width, widths), (1, 1, 2, 2, 2), linear, dropout)


def vgg16(
    input_shape: Sequence[int],
    outputs: int,
    *,
    width: float = 1.0,
    widths: Sequence[int] | None = None,
    linear: Sequence[int] = (512,),
    dropout: float = 0.0,
) -> nn.Sequential:
    """Build VGG-16 (configuration D of [1]) with batch norm behind every convolution.

    The defaults are the form that is usual for 32 x 32 pixels. The ImageNet form of the paper, with batch norm 138.4 M
    parameters and 15.5 G MACs, is ``vgg16((3, 224, 224), 1000, linear=(4096, 4096), dropout=0.5)``.
    Deviation: convolutions have no bias, for the batch norm behind has one.

    Parameters
    ----------
    input_shape : (C, H, W), at least 32 x 32 pixels
    width : multiplies the convolutions' numbers of channels
    widths : channels of the 13 convolutions themselves, in place of `width`
    linear : units of the hidden linear layers
    dropout : probability, behind every hidden linear layer

    Raises
    ------
    ConfigError : impossible options, or an image that is too small

    [1] Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, arXiv:1409.1556
    """
    return _vgg(input_shape, outputs, chosen_widths(_VGG16, width, widths), (2, 2, 3, 3, 3), linear, dropout)


def small_vgg(
    input_shape: Sequence[int],
    outputs: int,
    *,
    widths: Sequence[int] = (32, 32, 64, 64, 128, 128),
    linear: int = 128,
) -> nn.Sequential:
    """Build a VGG-like network: pairs of 3 x 3 convolutions with batch norm, each pair ending in a 2 x 2 max-pool.

    Raises
    ------
    ConfigError : impossible widths, an odd number of them, or an image that is too small
    """
    check_widths([*widths, linear])
    if len(widths) % 2 or not widths:
        raise ConfigError(f"small_vgg takes pairs of convolutions, not {len(widths)} widths")
    return _vgg(input_shape, outputs, widths, (2,) * (len(widths) // 2), (linear,), 0.0)


def _vgg(
    input_shape: Sequence[int],
    outputs: int,
    widths: Sequence[int],
    stages: Sequence[int],
    linear: Sequence[int],
    dropout: float,
) -> nn.Sequential:
    """Build convolutions of `widths` channels in `stages` of so many, then hidden linear layers and the head."""
    shrink = 2 ** len(stages)
    channels, height, width = image_shape(input_shape, shrink)
    check_widths(linear)
    check_probability("dropout", dropout)
    pooled = set(accumulate(stages))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (fan_in, units) in enumerate(pairwise([channels, *widths]), start=1):
        layers[f"conv{index}"] = nn.Conv2d(fan_in, units, 3, padding=1, bias=False)
        layers[f"norm{index}"] = nn.BatchNorm2d(units)
        layers[f"relu{index}"] = nn.ReLU()
        if index in pooled:
            layers[f"pool{index}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    sizes = [widths[-1] * (height // shrink) * (width // shrink), *linear]
    for index, (fan_in, units) in enumerate(pairwise(sizes), start=1):
        layers[f"linear{index}"] = nn.Linear(fan_in, units)
        layers[f"relu_linear{index}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{index}"] = nn.Dropout(dropout)
    layers["head"] = nn.Linear(sizes[-1], outputs)
    return nn.Sequential(layers)
