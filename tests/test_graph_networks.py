"""Networks with branches on the lattice, built by hand: combinations, costs, removal of units."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.macs import output_positions, unit_macs
from pam_opt.network import MultitaskNetwork
from pam_opt.operations import Operation
from pam_opt.structure import INPUT, Layer, Structure, require_chain
from pam_opt.surgery import remove_units

A, B, AB = frozenset("a"), frozenset("b"), frozenset("ab")
SHAPE = (2, 8, 8)
RELU, POOL, FLAT = Operation("relu"), Operation("adaptive_avg_pool2d", {"output_size": 1}), Operation("flatten", {})
CONV = {"kernel_size": [3, 3], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1]}
WIDTHS = {
    "stream": {AB: 3, A: 2, B: 2},
    "inner": {AB: 2, A: 1, B: 3},
    "gate": {AB: 1, A: 1, B: 1},
    "heads": {A: 4, B: 3},
}


def conv(name, inputs, ties, post=(), kind="conv2d", features=1, size=1):
    norm = Operation("batch_norm2d", {"eps": 1e-5, "momentum": 0.1}, size)
    return Layer(name, kind, CONV, False, features, norm, tuple(post), tuple(inputs), ties, size)


def linear(name, inputs, ties, post=(), size=1, features=1):
    return Layer(name, "linear", {}, True, features, None, tuple(post), tuple(inputs), ties, size)


def join(kind, inputs, ties, post=(), size=1):
    return Layer(kind, kind, {}, False, 1, None, tuple(post), tuple(inputs), ties, size)


def residual() -> Structure:
    """A residual block, a depthwise convolution, squeeze and excitation, and a head that reads two spaces."""
    layers = (
        conv("stem", [INPUT], 0, [RELU]),
        conv("inner", [0], 1, [RELU]),
        conv("outer", [1], 0),
        join("add", [2, 0], 0, [RELU]),
        conv("depthwise", [3], 0, [RELU], "unit_conv2d"),
        join("pass", [4], 0, [POOL, FLAT]),
        linear("squeeze", [5], 6, [RELU]),
        linear("excite", [6], 0, [Operation("sigmoid"), Operation("to_map")]),
        join("multiply", [4, 7], 0, [POOL, FLAT]),
        join("pass", [1], 1, [POOL, FLAT]),
        linear("head", [8, 9], 10),
    )
    spaces = {0: "stream", 1: "inner", 6: "gate", 10: "heads"}
    return Structure(("a", "b"), 2, (), layers, tuple(WIDTHS[spaces[layer.ties]] for layer in layers), SHAPE)


@pytest.fixture
def network() -> MultitaskNetwork:
    torch.manual_seed(0)
    network = MultitaskNetwork(residual())
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return network.eval()


def test_tied_layers_are_one_space():
    structure = residual()
    assert structure.spaces == (0, 1, 6)
    assert structure.tied(2) == [0, 2, 3, 4, 5, 7, 8]
    assert not structure.is_chain
    with pytest.raises(PlanError, match="'outer'"):
        require_chain(structure, "this", "use that")


def test_gates_stand_at_the_last_weights_before_every_way_out():
    structure = residual()
    # The stem is read by the inner convolution; the stream behind the sum only through the depthwise one.
    assert [structure.gates(space) for space in structure.spaces] == [(0, 4), (1,), (6,)]


def test_combinations_compute_what_all_tasks_do(network):
    x = torch.randn(3, *SHAPE)
    full = network(x)
    for task in "ab":
        torch.testing.assert_close(network(x, tasks=[task])[task], full[task])


def test_costs_are_those_of_the_flop_counter(network):
    x = torch.randn(1, *SHAPE)
    for combination, macs in pam.costs(network).macs.items():
        with FlopCounterMode(display=False) as counter:
            network(x, tasks=combination)
        assert macs == counter.get_total_flops() / 2


def test_unit_macs_is_what_a_removal_saves(network):
    structure, table = network.structure, pam.costs(network)
    saved = unit_macs(structure, output_positions(structure), table.probabilities)
    for (space, group), expected in saved.items():
        mask = torch.ones(structure.widths[space][group], dtype=torch.bool)
        mask[0] = False
        if mask.any():
            smaller = remove_units(network, {(space, group): mask})
            assert table.expected - pam.costs(smaller).expected == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_removal_equals_silence(network, seed):
    """Units that give nothing at their gates, and whose own readers within the space add nothing, may as well go."""
    generator = torch.Generator().manual_seed(seed)
    structure, x = network.structure, torch.randn(3, *SHAPE)
    keep = {}
    for space in structure.spaces:
        for group, units in structure.widths[space].items():
            mask = torch.rand(units, generator=generator) < 0.6
            mask[0] = True
            keep[space, group] = mask
    handles = []
    for space in structure.spaces:
        for index in structure.gates(space):
            for group, block in network.blocks(index):
                mask = (
                    keep[space, group]
                    .float()
                    .reshape(-1, *[1] * (2 if structure.layers[index].kind != "linear" else 0))
                )
                handles.append(block.pre.register_forward_hook(lambda _m, _i, out, mask=mask: out * mask))
    silenced = network(x)
    for handle in handles:
        handle.remove()
    smaller = remove_units(network, keep)(x)
    for task in "ab":
        torch.testing.assert_close(smaller[task], silenced[task], atol=1e-5, rtol=1e-5)


def test_tied_layers_need_the_same_groups():
    structure = residual()
    widths = list(structure.widths)
    widths[4] = {AB: 3, A: 1, B: 2}
    with pytest.raises(PlanError, match="'depthwise' writes the units of 'stem'"):
        MultitaskNetwork(replace(structure, widths=tuple(widths)))


def test_what_is_kept_is_not_shareable_nor_what_reads_it():
    structure = residual()
    layers = [replace(layer, kept="why" if index == 1 else "") for index, layer in enumerate(structure.layers)]
    kept = replace(structure, layers=tuple(layers))
    # The stream reads the inner units in one of its writers, and the gate's units read the stream.
    assert not any(kept.shareable)
    assert all(structure.shareable[:-1])
