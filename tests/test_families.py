"""Families: sizes as published, one forward pass each, and refusals that say what to do."""

import pytest
import torch
from networks import SHAPES, random_parent
from torch.utils.flop_counter import FlopCounterMode

from pam_opt.errors import ConfigError
from pam_opt.families import FAMILIES

IMAGENET = (3, 224, 224)
VIT_B16 = {"patch": 16, "width": 768, "heads": 12, "hidden": 3072, "depth": 12, "class_token": True}
PUBLISHED = [
    # torchvision's vgg16_bn less the 4,224 biases that its batch norms make superfluous
    ("vgg16", IMAGENET, 1000, {"linear": (4096, 4096), "dropout": 0.5}, 138_361_768, 15_470_264_320),
    ("resnet18", IMAGENET, 1000, {"imagenet": True}, 11_689_512, 1_814_073_344),
    ("mobilenet_v2", IMAGENET, 1000, {"imagenet": True}, 3_504_872, 300_774_272),
    ("vit", IMAGENET, 1000, VIT_B16, 86_567_656, None),
    # option A has 269,722; the two projections and their norms come on top
    ("resnet20", (3, 32, 32), 10, {}, 269_722 + 16 * 32 + 32 * 64 + 2 * (32 + 64), None),
]


@pytest.mark.parametrize(("family", "shape", "outputs", "options", "parameters", "macs"), PUBLISHED)
def test_sizes_are_those_published(family, shape, outputs, options, parameters, macs):
    with torch.device("meta"), torch.no_grad():
        module = FAMILIES[family](shape, outputs, **options).eval()
        with FlopCounterMode(display=False) as counter:
            assert module(torch.empty(1, *shape)).shape == (1, outputs)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert macs is None or counter.get_total_flops() / 2 == macs


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_small_parents_run(family, wide):
    x = torch.randn(3, *SHAPES[family])
    assert random_parent(family, outputs=5, wide=wide)(x).shape == (3, 5)


@pytest.mark.parametrize("family", ["vgg11", "vgg16", "resnet18", "resnet20", "mobilenet_v2"])
def test_a_multiplier_scales_every_layer(family):
    full, half = (FAMILIES[family]((3, 32, 32), 10, width=width).state_dict() for width in (1.0, 0.5))
    convolutions = [name for name, weight in full.items() if weight.ndim == 4]
    assert convolutions
    assert all(2 * len(half[name]) == len(full[name]) for name in convolutions)


def test_a_class_token_is_one_more_token():
    module = FAMILIES["vit"]((2, 8, 8), 3, width=8, class_token=True)
    assert module.position.shape == (1, 5, 8)
    assert module(torch.randn(2, 2, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize(
    ("family", "shape", "options", "part"),
    [
        ("vgg11", (3, 16, 16), {}, "at least 32 x 32 pixels"),
        ("vgg11", (3, 32, 32), {"widths": [4] * 9}, "this family has 8 hidden layers"),
        ("vgg16", (3, 32, 32), {"linear": 512}, "widths 512 must be a list"),
        ("vgg16", (3, 32, 32), {"width": 0.0}, "width 0.0 multiplies all numbers of units; give a number above 0"),
        ("vgg16", (3, 32, 32), {"width": float("nan")}, "width nan"),
        ("vgg16", (3, 32, 32), {"dropout": 1.5}, "dropout 1.5 must be a probability, from 0 to 1"),
        ("mobilenet_v2", (3, 32, 32), {"dropout": "x"}, "dropout 'x' must be a probability"),
        ("resnet18", (3, 4, 4), {}, "at least 8 x 8 pixels"),
        ("resnet18", (3, 28, 28), {"imagenet": True}, "at least 32 x 32 pixels"),
        ("resnet18", (3, 32, 32), {"imagenet": "no"}, "imagenet 'no' must be true or false"),
        ("resnet20", (3, 32, 32), {"widths": [4, 4, 0]}, "every layer needs a whole number of units"),
        ("resnet20", (3, 32, 32), {"widths": [4, 4, 4], "width": 2}, "width 2 beside widths [4, 4, 4]: give one"),
        ("resnet20", (3, 32, 32), {"width": "wide"}, "width 'wide'"),
        ("mobilenet_v2", (3, 32, 32), {"widths": [4, 4]}, "this family has 9 hidden layers"),
        ("mobilenet_v2", (3, 4, 4), {}, "at least 8 x 8 pixels"),
        ("mobilenet_v2", (3, 32, 32), {"width": True}, "width True"),
        ("vit", (3, 32, 32), {"patch": 5}, "patches of 5 x 5 pixels do not tile it"),
        ("vit", (3, 32, 32), {"width": 10}, "width 10 with 4 heads"),
        ("vit", (3, 32, 32), {"depth": 0}, "depth 0 must be a whole number, at least 1"),
        ("vit", (3, 32, 32), {"class_token": 1}, "class_token 1 must be true or false"),
        ("vit", (16,), {}, "input shape (16,): this family takes images"),
    ],
)
def test_impossible_options_are_refused(family, shape, options, part):
    with pytest.raises(ConfigError) as caught:
        FAMILIES[family](shape, 3, **options)
    assert part in str(caught.value)
