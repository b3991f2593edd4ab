"""Multilayer perceptrons."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from pam_opt.families._checks import check_widths


def mlp(input_shape: Sequence[int], outputs: int, *, widths: Sequence[int] = (64, 32)) -> nn.Sequential:
    """Build a multilayer perceptron with ReLU on flattened input.

    Raises
    ------
    ConfigError : impossible widths
    """
    check_widths(widths)
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
