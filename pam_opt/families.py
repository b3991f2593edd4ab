"""Built-in network families: plain ``nn.Sequential`` modules, as a user would write them."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from pam_opt.errors import ConfigError


def mlp(input_shape: Sequence[int], outputs: int, *, widths: Sequence[int] = (64, 32)) -> nn.Sequential:
    """Build a multilayer perceptron with ReLU on flattened input."""
    _check_widths(widths)
    sizes = [math.prod(input_shape), *widths]
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for index, (fan_in, width) in enumerate(pairwise(sizes), start=1):
        layers[f"linear{index}"] = nn.Linear(fan_in, width)
        layers[f"relu{index}"] = nn.ReLU()
    layers["head"] = nn.Linear(sizes[-1], outputs)
    return nn.Sequential(layers)


def lenet_300_100(input_shape: Sequence[int], outputs: int) -> nn.Sequential:
    """Build LeNet-300-100 (LeCun et al. 1998), the network of MTZ's MNIST experiment."""
    return mlp(input_shape, outputs, widths=(300, 100))


def lenet5(input_shape: Sequence[int], outputs: int, *, widths: Sequence[int] = (6, 16, 120, 84)) -> nn.Sequential:
    """Build PAM's LeNet-5: two 5 x 5 convolutions with same padding and two linear layers."""
    channels, height, width = _image_shape(input_shape, 4)
    _check_widths(widths, 4)
    conv1, conv2, linear1, linear2 = widths
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, conv1, 5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(conv1, conv2, 5, padding=2),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            linear1=nn.Linear(conv2 * (height // 4) * (width // 4), linear1),
            relu3=nn.ReLU(),
            linear2=nn.Linear(linear1, linear2),
            relu4=nn.ReLU(),
            head=nn.Linear(linear2, outputs),
        )
    )


def small_vgg(
    input_shape: Sequence[int],
    outputs: int,
    *,
    widths: Sequence[int] = (32, 32, 64, 64, 128, 128),
    linear: int = 128,
) -> nn.Sequential:
    """Build a VGG-like network: pairs of 3 x 3 convolutions with batch norm, each pair ending in a 2 x 2 max-pool."""
    _check_widths([*widths, linear])
    if len(widths) % 2 or not widths:
        raise ConfigError(f"small_vgg takes pairs of convolutions, not {len(widths)} widths")
    channels, height, width = _image_shape(input_shape, 2 ** (len(widths) // 2))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (fan_in, units) in enumerate(pairwise([channels, *widths]), start=1):
        layers[f"conv{index}"] = nn.Conv2d(fan_in, units, 3, padding=1, bias=False)
        layers[f"norm{index}"] = nn.BatchNorm2d(units)
        layers[f"relu{index}"] = nn.ReLU()
        if index % 2 == 0:
            layers[f"pool{index}"] = nn.MaxPool2d(2)
    shrink = 2 ** (len(widths) // 2)
    layers["flatten"] = nn.Flatten()
    layers["linear1"] = nn.Linear(widths[-1] * (height // shrink) * (width // shrink), linear)
    layers["relu_linear1"] = nn.ReLU()
    layers["head"] = nn.Linear(linear, outputs)
    return nn.Sequential(layers)


def _check_widths(widths: Sequence[int], count: int | None = None) -> None:
    if not isinstance(widths, Sequence) or isinstance(widths, str):
        raise ConfigError(f"widths {widths!r} must be a list of numbers of units")
    if any(not isinstance(width, int) or width < 1 for width in widths):
        raise ConfigError(f"widths {list(widths)}: every layer needs a whole number of units, at least 1")
    if count is not None and len(widths) != count:
        raise ConfigError(f"widths {list(widths)}: this family has {count} hidden layers")


def _image_shape(input_shape: Sequence[int], least: int) -> tuple[int, int, int]:
    """Return (channels, height, width) after checking that the pooling leaves something of the image."""
    if len(input_shape) != 3 or min(input_shape[1:]) < least:
        raise ConfigError(
            f"input shape {tuple(input_shape)}: this family takes images of at least {least} x {least} pixels; use "
            "another family, or a larger image_size"
        )
    channels, height, width = input_shape
    return channels, height, width


FAMILIES = {"mlp": mlp, "lenet_300_100": lenet_300_100, "lenet5": lenet5, "small_vgg": small_vgg}
"""Name in a configuration -> function (input_shape, outputs, **options) -> module."""
