"""The network on the group lattice: any combination runs, and groups read only what the lattice allows."""

from dataclasses import replace

import pytest
import torch
from networks import NAMES, SHAPES, group, make_tasks, merged_example, random_lattice, random_parent

import pam_opt as pam
from pam_opt.errors import PlanError, TaskError, UnsupportedModel
from pam_opt.structure import canonical
from pam_opt.tasks import combinations


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("tasks", ["a", "ab", "abc"])
def test_each_combination_gives_the_outputs_of_the_full_run(family, tasks):
    network = random_lattice(family, tasks, seed=len(tasks))
    x = torch.randn(5, *SHAPES[family])
    with torch.no_grad():
        full = network(x)
        assert list(full) == list(tasks)
        for combination in combinations(tasks):
            outputs = network(x, tasks=combination)
            assert set(outputs) == combination
            for task, value in outputs.items():
                torch.testing.assert_close(value, full[task], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
@pytest.mark.parametrize("seed", range(3))
def test_a_group_reads_exactly_the_groups_that_contain_it(family, seed):
    network = random_lattice(family, "abc", seed)
    x = torch.rand(4, *SHAPES[family]) + 0.5
    with torch.no_grad():
        values = network.advance(0, network.enter(x))
        for index in range(1, len(network.layers)):
            # Noise instead of signals, so that no unit is silent by chance.
            signals = {g: torch.rand_like(signal) + 0.1 for g, signal in values[index - 1].items()}
            values = {**values, index - 1: signals}
            usual = _pre(network, index, values)
            for source in signals:
                silenced = {**signals, source: torch.zeros_like(signals[source])}
                changed = _pre(network, index, {**values, index - 1: silenced})
                for reader, value in usual.items():
                    assert torch.equal(changed[reader], value) == (not reader <= source)
            values = network.advance(index, values)


def _pre(network, index, values):
    return {g: block.pre(network.inputs_of(index, g, values)) for g, block in network.blocks(index)}


@pytest.mark.parametrize("tasks", ["ab", "abc"])
def test_units_of_other_tasks_change_nothing(tasks):
    network = random_lattice("lenet5", tasks, seed=4)
    x = torch.randn(3, *SHAPES["lenet5"])
    with torch.no_grad():
        before = network(x)["a"]
        for index in range(len(network.layers)):
            for g, block in network.blocks(index):
                if "a" not in g:
                    for parameter in block.parameters():
                        parameter.fill_(float("nan"))
        assert torch.equal(network(x, tasks=["a"])["a"], before)
        assert torch.equal(network(x)["a"], before)


def test_canonical_order_puts_large_groups_first():
    groups = [group("b"), group("ac"), group("abc"), group("a"), group("ab")]
    assert canonical(groups) == [group("abc"), group("ab"), group("ac"), group("a"), group("b")]


def test_a_single_parent_is_the_same_function():
    for family in NAMES:
        module = random_parent(family)
        network = pam.single(module, make_tasks(1)[0])
        x = torch.randn(4, *SHAPES[family])
        torch.testing.assert_close(network(x)["a"], module(x))


def test_training_reaches_every_unit_that_a_head_depends_on():
    network = random_lattice("small_vgg", "abc", seed=1).train()
    sum(output.square().sum() for output in network(torch.randn(6, *SHAPES["small_vgg"])).values()).backward()
    widths = network.structure.widths
    live = set(widths[-1])
    for index in reversed(range(len(widths))):
        if index + 1 < len(widths):
            live = {g for g in widths[index] if any(reader <= g for reader in live)}
        for g, block in network.blocks(index):
            assert all((p.grad is not None) == (g in live) for p in block.parameters())


@pytest.mark.parametrize(
    ("tasks", "words"), [(["z"], "unknown task names \\['z'\\]"), ([], "no task asked for"), ("ab", "unknown")]
)
def test_unknown_tasks_are_refused(tasks, words):
    network = merged_example("mlp", 2)
    with pytest.raises(TaskError, match=words):
        network(torch.zeros(1, 1, 4, 4), tasks=tasks)


@pytest.mark.parametrize(
    ("family", "shape"), [("mlp", (2, 1, 4, 5)), ("lenet5", (2, 3, 8, 8)), ("lenet5", (1, 8, 8)), ("mlp", (16,))]
)
def test_inputs_of_the_wrong_shape_are_refused(family, shape):
    with pytest.raises(UnsupportedModel, match="does not fit"):
        merged_example(family, 2)(torch.zeros(shape))


def test_units_that_would_read_nothing_are_refused():
    structure = merged_example("mlp", 2, problem="exclusive").structure
    widths = (structure.widths[0], {group("ab"): 3}, structure.widths[-1])
    with pytest.raises(PlanError, match=r"'linear2'.*'a\+b' would read nothing.*'linear1'"):
        pam.MultitaskNetwork(replace(structure, widths=widths))
    headless = (*structure.widths[:-1], {group("a"): 3})
    with pytest.raises(PlanError, match="one head for each"):
        pam.MultitaskNetwork(replace(structure, widths=headless))
