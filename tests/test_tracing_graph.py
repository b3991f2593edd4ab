"""Tracing of networks with branches: function, ties and costs; refusals that name the node and its module."""

import copy

import pytest
import torch
from networks import randomise_norms
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from traced_modules import MODULES, SHAPE, Written, conv, net

import pam_opt as pam
from pam_opt.errors import UnsupportedModel
from pam_opt.structure import INPUT
from pam_opt.tracing import describe_layers, network_of, trace


def build(name):
    """Build a module with random weights, norms too."""
    with torch.random.fork_rng():
        torch.manual_seed(sorted(MODULES).index(name))
        module = MODULES[name]()
        randomise_norms(module)
    return module.eval()


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_the_function_is_preserved(name):
    module = build(name)
    x = torch.randn(3, *SHAPE)
    network = network_of(module, "t", SHAPE)
    assert not network.training
    assert not module.training
    close(network(x)["t"], module(x))
    close(network_of(copy.deepcopy(module).train(), "t").train()(x)["t"], copy.deepcopy(module).train()(x))


@pytest.mark.parametrize("name", MODULES)
def test_costs_are_those_of_the_module(name):
    module = build(name)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # others are not counted on a CPU
        module(torch.randn(1, *SHAPE))
    table = pam.costs(network_of(module, "t", SHAPE))
    assert table.macs[frozenset("t")] == counter.get_total_flops() / 2


@pytest.mark.parametrize("name", MODULES)
def test_the_graph_says_who_reads_whom(name):
    graph = trace(build(name))
    for layer in graph.layers:
        assert layer.name in graph.ties(layer.name)
        assert {graph.units(other) for other in graph.ties(layer.name)} == {graph.units(layer.name)}


def test_a_stream_is_one_space():
    graph = trace(build("pre_activation"))
    stream = graph.ties("stem.0")
    assert stream[0] == "stem.0"
    assert {"conv1", "conv2", "add", "add_1"} <= set(stream)
    kinds = {layer.name: layer.kind for layer in graph.layers}
    assert kinds["add"] == "add"
    assert [layer.kind for layer in graph.layers].count("pass") == 2
    assert graph.layers[0].inputs == (INPUT,)


def test_a_cut_layer_has_its_rows():
    module = build("gated_linear_unit")
    graph = trace(module)
    parts = [layer.name for layer in graph.layers if layer.name.startswith("conv[")]
    assert parts == ["conv[0:5]", "conv[5:10]"]
    rows = [graph.weights[part]["operation"].rows()["weight"] for part in parts]
    torch.testing.assert_close(torch.cat(rows), module.get_parameter("conv.weight"))
    assert graph.ties(parts[0]) == (*parts, "mul")


def test_units_are_the_groups_of_what_ties_them():
    graph = trace(build("coarse_units"))
    assert {graph.units(name) for name in graph.ties("stem.0")} == {2}
    assert {layer.size for layer in graph.layers[:-1]} == {2}
    heads = trace(build("folded_heads"))
    assert heads.units("block.attention.qkv[0:8]") == 2
    assert heads.graph.nodes["block.attention.proj"]["layer"].features == 4


def test_what_mixes_units_in_order_is_kept():
    graph = trace(build("local_response"))
    kept = {layer.name for layer in graph.layers if layer.kept}
    assert kept == set(graph.ties("stem.0"))
    assert "node 'norm' (LocalResponseNorm) mixes neighbouring channels" in graph.graph.nodes["stem.0"]["kept"]


def test_the_layers_are_described():
    graph = trace(build("squeeze_and_excitation"))
    lines = describe_layers(graph).splitlines()
    assert lines[0].split() == ["layer", "kind", "units", "reads", "behind", "it", "tied", "to", "kept"]
    assert [line.split()[0] for line in lines[1:]] == [
        layer.name for layer in trace(build("squeeze_and_excitation")).layers
    ]


def test_what_tracing_does_not_see_is_found_by_running():
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    module[0].register_forward_hook(lambda part, args, output: torch.add(output, 1))
    with pytest.raises(UnsupportedModel, match="gives another output than the module"):
        network_of(module, "t", (4,))


def test_the_random_state_stays():
    module = build("residual")
    torch.manual_seed(3)
    network_of(module, "t", SHAPE)
    found = torch.rand(1)
    torch.manual_seed(3)
    assert found == torch.rand(1)


REFUSED = {
    "channels": (
        net(lambda self, x: x + self.inner(x), 4, inner=conv(4, 3)),
        r"node 'add' \(add\) joins 4 channels \(N, channels, H, W\) with 3",
    ),
    "a norm over the samples": (
        net(lambda self, x: functional.normalize(x), 4),
        r"node '\w+' \(\w+\).*not supported",
    ),
    "a spatial gate": (
        net(lambda self, x: x * x.mean(1, keepdim=True), 4),
        r"node 'mean' \(mean\) takes the mean over 1",
    ),
    "a group over a concatenation": (
        net(lambda self, x: self.inner(torch.cat([self.one(x), x], 1)), 8, one=conv(4, 2), inner=conv(6, 6, groups=2)),
        r"node 'inner' \(Conv2d\) has groups of 3 channels that reach over a concatenation",
    ),
    "a convolution inside": (
        net(lambda self, x: self.inner(x), 4, inner=nn.Sequential(nn.ConvTranspose2d(4, 4, 2))),
        r"node 'inner.0' \(ConvTranspose2d\) is not supported; supported: Linear",
    ),
    "two preparations": (
        Written(
            lambda self, x: self.head(torch.cat([self.a(x).mean((2, 3)), self.b(torch.relu(x)).mean((2, 3))], 1)),
            a=conv(2, 3),
            b=conv(2, 3),
            head=nn.Linear(6, 2),
        ),
        r"node 'a' \(Conv2d\) reads the input prepared otherwise",
    ),
    "a cut inside a group": (
        net(lambda self, x: torch.cat(self.inner(x).split([1, 3], 1), 1), 4, inner=conv(4, 4, groups=2)),
        r"node 'inner' \(Conv2d\) is cut at channel 1, inside a group of 2 channels",
    ),
    "a mask": (
        net(lambda self, x: x * (x > 0), 4),
        r"node 'gt' \(gt\) with arguments \(0,\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_node(name):
    module, words = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=words) as caught:
        trace(module.eval(), "parent 'a'")
    assert str(caught.value).startswith("parent 'a'")
