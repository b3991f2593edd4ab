"""Small networks with branches, built by hand: a residual stream, a depthwise bottleneck, and data for them."""

from dataclasses import replace

import numpy as np
import torch
from networks import make_data, make_tasks, randomise_norms

import pam_opt as pam
from pam_opt.network import MultitaskNetwork
from pam_opt.operations import Operation
from pam_opt.structure import INPUT, Layer, Structure

SHAPE = (2, 6, 6)
_THREE = {"kernel_size": [3, 3], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1]}
_ONE = {"kernel_size": [1, 1], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
RELU = (Operation("relu"),)
POOL = (
    Operation("relu"),
    Operation("adaptive_avg_pool2d", {"output_size": 1}),
    Operation("flatten", {"start_dim": 1, "end_dim": -1}),
)


def conv(name, inputs, ties, post=(), settings=_THREE, kind="conv2d", kept=""):
    norm = Operation("batch_norm2d", {"eps": 1e-5, "momentum": 0.1})
    return Layer(name, kind, settings, False, 1, norm, post, inputs, ties, 1, kept)


def linear(name, inputs, ties, post=()):
    return Layer(name, "linear", {}, True, 1, None, post, inputs, ties)


def add(name, inputs, ties, post=RELU):
    return Layer(name, "add", {}, False, 1, None, post, inputs, ties)


def residual(kept: str = "") -> tuple[Layer, ...]:
    """A stem and two blocks on one stream; the second block's inner layer may be kept per task."""
    return (
        conv("stem", (INPUT,), 0, RELU),
        conv("inner1", (0,), 1, RELU),
        conv("outer1", (1,), 0),
        add("add1", (0, 2), 0),
        conv("inner2", (3,), 4, RELU, kept=kept),
        conv("outer2", (4,), 0),
        add("add2", (3, 5), 0, POOL),
        linear("head", (6,), 7),
    )


def depthwise(kept: str = "") -> tuple[Layer, ...]:
    """An inverted residual block: expand, depthwise, project; and a layer that reads both, and that may be kept."""
    return (
        conv("stem", (INPUT,), 0, RELU),
        conv("expand", (0,), 1, RELU, _ONE),
        conv("depthwise", (1,), 1, RELU, kind="unit_conv2d"),
        conv("project", (2,), 0, (), _ONE),
        add("add", (0, 3), 0),
        conv("both", (4, 2), 5, POOL, _ONE, kept=kept),
        linear("head", (5,), 6),
    )


NETWORKS = {"residual": residual, "depthwise": depthwise}
WIDTHS = {"residual": {0: 6, 1: 4, 4: 5}, "depthwise": {0: 4, 1: 7, 5: 6}}
SPACES = {"residual": ["stem", "inner1", "inner2"], "depthwise": ["stem", "expand", "both"]}


def parent(kind: str, task: str, seed: int, *, wider: int = 0, kept: str = "", outputs: int = 3) -> MultitaskNetwork:
    """Build a network of one task with random weights."""
    layers = NETWORKS[kind](kept)
    counts = {**{space: units + wider for space, units in WIDTHS[kind].items()}, len(layers) - 1: outputs}
    widths = tuple({frozenset({task}): counts[layer.ties]} for layer in layers)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MultitaskNetwork(Structure((task,), SHAPE[0], (), layers, widths, SHAPE))
        randomise_norms(network)
    return network.eval()


def permuted(network: MultitaskNetwork, task: str, seed: int) -> tuple[MultitaskNetwork, dict[int, np.ndarray]]:
    """Copy a network for another task with the units of every space in another order; the function stays.

    Returns
    -------
    copy, orders : for each space the unit of `network` that stands at each place of the copy
    """
    structure, rng = network.structure, np.random.default_rng(seed)
    (own,) = structure.tasks
    widths = tuple({frozenset({task}): layer[frozenset({own})]} for layer in structure.widths)
    copy = MultitaskNetwork.blank(replace(structure, tasks=(task,), widths=widths)).eval()
    last = len(structure.layers) - 1
    orders = {space: rng.permutation(structure.widths[space][frozenset({own})]) for space in structure.spaces}
    same = {last: np.arange(structure.widths[last][frozenset({own})]), INPUT: np.arange(structure.inputs)}
    for index, layer in enumerate(structure.layers):
        old, new = network.block(index, frozenset({own})), copy.block(index, frozenset({task}))
        rows, columns, start = (orders | same)[layer.ties], [], 0
        for source in layer.inputs if layer.is_dense else ():
            order = (orders | same)[source if source == INPUT else structure.layers[source].ties]
            columns, start = [*columns, order + start], start + len(order)
        state = {key: value if value.ndim == 0 else value[rows] for key, value in old.state_dict().items()}
        if columns:
            state["pre.0.weight"] = state["pre.0.weight"][:, np.concatenate(columns)]
        new.load_state_dict(state)
    return copy, orders


def example(kind: str, count: int = 2, *, kept: str = "", wider: int = 0):
    """Return tasks, parents of which the second is `wider`, and data."""
    tasks = make_tasks(count)
    parents = {
        task.name: parent(kind, task.name, seed, wider=wider if seed == 1 else 0, kept=kept)
        for seed, task in enumerate(tasks)
    }
    return tasks, parents, make_data(SHAPE, tasks)


def merged(kind: str, count: int = 2, *, share: float = 1.0, kept: str = "") -> pam.MultitaskNetwork:
    """Merge parents of a kind by pairing."""
    tasks, parents, data = example(kind, count, kept=kept)
    plan = pam.plan(parents, data, tasks=tasks, share=share)
    return pam.merge(parents, plan, weights="average").eval()
