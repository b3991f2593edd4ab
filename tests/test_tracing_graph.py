"""Tracing of networks with branches: the function is preserved, ties are found, costs are right, refusals name the node."""

import copy

import pytest
import torch
from networks import randomise_norms
from torch.utils.flop_counter import FlopCounterMode
from traced_modules import MODULES, SHAPE

import pam_opt as pam
from pam_opt.tracing import network_of, trace


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
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.randn(1, *SHAPE))
    table = pam.costs(network_of(module, "t", SHAPE))
    assert table.macs[frozenset("t")] == counter.get_total_flops() / 2


@pytest.mark.parametrize("name", MODULES)
def test_the_graph_says_who_reads_whom(name):
    graph = trace(build(name))
    for layer in graph.layers:
        assert layer.name in graph.ties(layer.name)
        assert {graph.units(other) for other in graph.ties(layer.name)} == {graph.units(layer.name)}
