"""LeNet-5."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from pam_opt.families._checks import check_widths, image_shape


def lenet5(input_shape: Sequence[int], outputs: int, *, widths: Sequence[int] = (6, 16, 120, 84)) -> nn.Sequential:
    """Build PAM's LeNet-5: two 5 x 5 convolutions with same padding and two linear layers.

    Raises
    ------
    ConfigError : impossible widths, or an image of fewer than 4 x 4 pixels
    """
    channels, height, width = image_shape(input_shape, 4)
    check_widths(widths, 4)
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
