"""Networks with branches on random lattices: tied layers have the same groups."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from networks import SHAPES, random_parent, randomise_norms

import pam_opt as pam
from pam_opt.tracing import network_of


def branched_lattice(family: str, tasks: Sequence[str], seed: int) -> pam.MultitaskNetwork:
    """Give every space that may be shared units of all tasks and of each alone, every other one of each alone."""
    rng = np.random.default_rng(seed)
    traced = network_of(random_parent(family), tasks[0], SHAPES[family]).structure
    alone = [frozenset({task}) for task in tasks]
    spaces = {}
    for space in (*traced.spaces, len(traced.layers) - 1):
        (units,) = traced.widths[space].values()
        if traced.layers[space].kept or space == len(traced.layers) - 1:
            spaces[space] = dict.fromkeys(alone, units)
        else:
            groups = [*([frozenset(tasks)] if traced.shareable[space] else []), *alone]
            spaces[space] = {group: int(rng.integers(1, 4)) for group in groups}
    widths = tuple(spaces[layer.ties] for layer in traced.layers)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = pam.MultitaskNetwork(replace(traced, tasks=tuple(tasks), widths=widths))
        randomise_norms(network)
    return network.eval()
