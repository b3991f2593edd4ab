"""Compact programs: the same outputs as the network, batch norms folded, as many MACs as asked for."""

from math import inf

import pytest
import torch
from branched_lattices import branched_lattice
from networks import NAMES, SHAPES, random_lattice
from torch import nn

import pam_opt as pam
from pam_opt.errors import TaskError, UnsupportedModel
from pam_opt.macs import costs, output_positions
from pam_opt.running import Program, arrange, compile_combination, program_macs
from pam_opt.tasks import combinations


@pytest.mark.parametrize("call_macs", [0.0, 300.0, inf])
@pytest.mark.parametrize("family", NAMES)
def test_programs_give_the_networks_outputs(family, call_macs):
    for seed in range(3):
        network, x = random_lattice(family, ["a", "b", "c"], seed), torch.randn(3, *SHAPES[family])
        for combination in combinations(network.tasks):
            with torch.no_grad():
                expected = network(x, combination)
            outputs = compile_combination(network, combination, call_macs=call_macs)(x)
            assert list(outputs) == list(expected)
            for task, output in outputs.items():
                torch.testing.assert_close(output, expected[task], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("call_macs", [0.0, inf])
@pytest.mark.parametrize("family", ["resnet20", "mobilenet_v2"])
def test_programs_of_networks_with_branches(family, call_macs):
    network, x = branched_lattice(family, ["a", "b"], 1), torch.randn(2, *SHAPES[family])
    for combination, macs in costs(network).macs.items():
        program = compile_combination(network, combination, call_macs=call_macs)
        with torch.no_grad():
            expected = network(x, combination)
        for task, output in program(x).items():
            scale = expected[task].abs().max()
            torch.testing.assert_close(output / scale, expected[task] / scale, atol=1e-5, rtol=1e-5)
        counted = program_macs(program, SHAPES[family])
        assert counted == macs if call_macs == 0 else counted >= macs


@pytest.mark.parametrize("family", NAMES)
def test_programs_compute_the_macs_of_the_combination(family):
    network = random_lattice(family, ["a", "b", "c"], 1)
    for combination, macs in costs(network).macs.items():
        assert program_macs(compile_combination(network, combination), SHAPES[family]) == macs


def test_calls_are_joined_as_far_as_their_zeros_are_worth():
    network = random_lattice("lenet5", ["a", "b", "c"], 0)
    everything, shape = frozenset("abc"), SHAPES["lenet5"]
    positions = output_positions(network.structure)
    calls, macs = [], []
    for call_macs in (0.0, 100.0, 1000.0, inf):
        calls.append(sum(map(len, arrange(network.structure, everything, positions, call_macs))))
        macs.append(program_macs(compile_combination(network, call_macs=call_macs), shape))
    assert calls == sorted(calls, reverse=True)
    assert calls[-1] == len(network.structure.layers)
    assert macs == sorted(macs)
    for index, blocks in enumerate(arrange(network.structure, everything)):
        assert sorted(len(block.groups) for block in blocks)
        assert {group for block in blocks for group in block.groups} == set(network.structure.groups(index))
        for block in blocks:
            assert all(tuple(network.structure.sources(index, group)) == block.sources for group in block.groups)


def test_programs_are_copies_without_norms():
    network = random_lattice("small_vgg", ["a", "b"], 0).train()
    x = torch.randn(2, *SHAPES["small_vgg"])
    program = compile_combination(network, "a")
    assert not any(isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) for module in program.modules())
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    before = program(x)["a"]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    torch.testing.assert_close(program(x)["a"], before)


def test_what_cannot_be_compiled_is_refused():
    network = random_lattice("mlp", ["a", "b"], 0)
    with pytest.raises(TaskError, match="unknown task names"):
        compile_combination(network, ["z"])
    with pytest.raises(UnsupportedModel, match="takes a MultitaskNetwork"):
        compile_combination(nn.Linear(2, 2))  # type: ignore[arg-type]


def lattice(family):
    if family in NAMES:
        return random_lattice(family, ["a", "b", "c"], 2)
    return branched_lattice(family, ["a", "b"], 2)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg", "resnet20", "mobilenet_v2", "vit"])
def test_compiled_networks_give_the_networks_outputs(family, channels_last):
    network, x = lattice(family), torch.randn(2, *SHAPES[family])
    fast = pam.compiled(network, channels_last=channels_last)
    assert fast.tasks == network.tasks
    for combination in combinations(network.tasks):
        with torch.no_grad():
            expected, outputs = network(x, combination), fast(x, combination)
        assert list(outputs) == list(expected)
        for task, output in outputs.items():
            scale = expected[task].abs().max()
            torch.testing.assert_close(output / scale, expected[task] / scale, atol=1e-5, rtol=1e-5)


def test_programs_are_built_once_for_each_combination():
    network = random_lattice("lenet5", ["a", "b"], 0)
    fast = pam.compiled(network, call_macs=inf)
    assert not fast.programs
    program = fast.program(["b", "a"])
    assert program is fast.program() is fast.program(("a", "b"))
    assert fast.program("a") is fast.program(["a"]) is not program
    fast(torch.randn(1, *SHAPES["lenet5"]), ["a"])
    assert len(fast.programs) == 2
    assert isinstance(program, Program)
    assert len(program.calls) == len(network.structure.layers)


def test_compiled_networks_share_nothing_with_the_network():
    network, x = random_lattice("small_vgg", ["a", "b"], 0).train(), torch.randn(2, *SHAPES["small_vgg"])
    fast = pam.compiled(network)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    before = fast(x, "a")["a"]
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.mul_(2)
    torch.testing.assert_close(fast(x, "a")["a"], before)
    fast(x, "b")  # built only now, from what the network was
    torch.testing.assert_close(fast(x)["a"], before)
    mine = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert not mine & {tensor.data_ptr() for tensor in fast.state_dict().values()}


def test_compiled_networks_refuse_what_does_not_fit():
    network = random_lattice("lenet5", ["a", "b"], 0)
    fast = pam.compiled(network)
    with pytest.raises(TaskError, match="unknown task names"):
        fast(torch.randn(1, *SHAPES["lenet5"]), ["z"])
    with pytest.raises(UnsupportedModel, match=r"input of shape \(1, 3\) does not fit"):
        fast(torch.randn(1, 3))
    with pytest.raises(UnsupportedModel, match="input of type list does not fit"):
        fast([1.0])  # type: ignore[arg-type]
    with pytest.raises(UnsupportedModel, match="float64"):
        fast(torch.randn(1, *SHAPES["lenet5"], dtype=torch.float64))
    with pytest.raises(UnsupportedModel, match="then compile that again"):
        fast.train()
    with pytest.raises(UnsupportedModel, match="compiled takes a MultitaskNetwork"):
        pam.compiled(nn.Linear(2, 2))  # type: ignore[arg-type]


def test_programs_are_handed_to_torch_compile_whole(monkeypatch):
    compiler, seen = torch.compile, []

    def eager(program):
        seen.append(program)
        return compiler(program, backend="eager", fullgraph=True)

    monkeypatch.setattr(torch, "compile", eager)
    network, x = random_lattice("lenet5", ["a", "b"], 0), torch.randn(2, *SHAPES["lenet5"])
    fast = pam.compiled(network, torch_compile=True)
    with torch.no_grad():
        first, second, expected = fast(x, "a"), fast(x, "a"), network(x, "a")
    assert len(seen) == 1
    torch.testing.assert_close(first["a"], expected["a"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(second["a"], first["a"])
