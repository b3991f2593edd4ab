"""Built-in network families: plain ``nn.Module``s, as a user would write them. One file a kind, one entry below."""

from collections.abc import Callable, Mapping

from torch import nn

from pam_opt.families.lenet5 import lenet5
from pam_opt.families.mlp import lenet_300_100, mlp
from pam_opt.families.mobilenet import mobilenet_v2
from pam_opt.families.resnet import resnet18, resnet20
from pam_opt.families.vgg import small_vgg, vgg11, vgg16
from pam_opt.families.vit import vit

FAMILIES: Mapping[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "lenet_300_100": lenet_300_100,
    "lenet5": lenet5,
    "small_vgg": small_vgg,
    "vgg11": vgg11,
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "mobilenet_v2": mobilenet_v2,
    "vit": vit,
}
"""Name in a configuration -> function (input_shape, outputs, **options) -> module."""
