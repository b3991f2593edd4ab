"""Tables of layer times that are made up: a second a MAC, but for layers that are dearer."""

import itertools
from collections.abc import Mapping

import pam_opt as pam
from pam_opt.latency import Grid, Machine, Profile, layer_shapes
from pam_opt.macs import output_positions

MACHINE = Machine("toy", 2, 1, "0", 4)


def macs_profile(network: pam.MultitaskNetwork, dear: Mapping[str, float] | None = None) -> Profile:
    """Let every layer take a second a MAC, or, by its name, as many more as `dear` says; prediction is then `costs`."""
    structure = network.structure
    grids = {}
    for shape, places in zip(layer_shapes(structure), output_positions(structure), strict=True):
        rate = shape.layer.kernel_area * shape.layer.size * places * (dear or {}).get(shape.layer.name, 1.0)
        grids[shape.key] = Grid({(i, o): rate * i * o for i, o in itertools.product((1, 40), (1, 40))})
    return Profile(MACHINE, grids)
