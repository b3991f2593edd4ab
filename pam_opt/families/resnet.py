"""Residual networks of basic blocks: two 3 x 3 convolutions beside a shortcut."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from pam_opt.families._checks import check_flag, chosen_widths, image_shape


class BasicBlock(nn.Module):
    """Add two convolutions to what they read, or to its projection where size or channels change.

    Parameters
    ----------
    inputs, units : channels read and written
    stride : of the first convolution and of the projection
    """

    def __init__(self, inputs: int, units: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, units, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(units)
        self.conv2 = nn.Conv2d(units, units, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(units)
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != units:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, units, 1, stride=stride, bias=False), nn.BatchNorm2d(units))

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, inputs, H, W) and return (N, units, H / stride, W / stride)."""
        inner = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """Run a stem, stages of basic blocks, global average pooling and a linear head.

    Parameters
    ----------
    stem : (N, C, H, W) -> (N, first width, H', W')
    widths : channels of each stage; every stage but the first halves the image
    blocks : basic blocks in each stage
    outputs : of the head
    """

    def __init__(self, stem: nn.Module, first: int, widths: Sequence[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(
            *(
                _stage(inputs, units, blocks, stride=1 if index == 0 else 2)
                for index, (inputs, units) in enumerate(pairwise([first, *widths]))
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, C, H, W) and return (N, outputs)."""
        return self.head(self.pool(self.stages(self.stem(x))).flatten(1))


def resnet18(
    input_shape: Sequence[int],
    outputs: int,
    *,
    width: float = 1.0,
    widths: Sequence[int] | None = None,
    imagenet: bool = False,
) -> ResNet:
    """Build ResNet-18 [1]: four stages of two basic blocks, 64 to 512 channels.

    Parameters
    ----------
    input_shape : (C, H, W)
    width : multiplies all numbers of channels
    widths : channels of the four stages themselves, in place of `width`
    imagenet : the stem of the paper, a 7 x 7 convolution and a max-pool that shrink the image to a quarter (11.7 M
        parameters and 1.81 G MACs at 224 x 224 and 1000 outputs); otherwise one 3 x 3 convolution for small images

    Raises
    ------
    ConfigError : impossible options, or an image that is too small

    [1] He, Zhang, Ren and Sun, Deep residual learning for image recognition, arXiv:1512.03385
    """
    check_flag("imagenet", imagenet)
    units = chosen_widths((64, 128, 256, 512), width, widths)
    channels, _, _ = image_shape(input_shape, 32 if imagenet else 8)
    stem = _stem(channels, units[0], kernel=7, stride=2) if imagenet else _stem(channels, units[0])
    if imagenet:
        stem.append(nn.MaxPool2d(3, stride=2, padding=1))
    return ResNet(stem, units[0], units, 2, outputs)


def resnet20(
    input_shape: Sequence[int], outputs: int, *, width: float = 1.0, widths: Sequence[int] | None = None
) -> ResNet:
    """Build ResNet-20 for small images [1, section 4.2]: three stages of three basic blocks, 16, 32 and 64 channels.

    Deviation: where the channels grow, the shortcut is a projection (option B of the paper, 1 x 1 convolution and batch
    norm), not a padded identity (option A): 272 K parameters in place of 270 K.

    Parameters
    ----------
    input_shape : (C, H, W)
    width : multiplies all numbers of channels
    widths : channels of the three stages themselves, in place of `width`

    Raises
    ------
    ConfigError : impossible options, or an image of fewer than 4 x 4 pixels

    [1] He, Zhang, Ren and Sun, Deep residual learning for image recognition, arXiv:1512.03385
    """
    units = chosen_widths((16, 32, 64), width, widths)
    channels, _, _ = image_shape(input_shape, 4)
    return ResNet(_stem(channels, units[0]), units[0], units, 3, outputs)


def _stem(channels: int, units: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, units, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(units), nn.ReLU())


def _stage(inputs: int, units: int, blocks: int, stride: int) -> nn.Sequential:
    following = (BasicBlock(units, units, 1) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(inputs, units, stride), *following)
