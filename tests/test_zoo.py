"""Every family and every exhibit of the zoo is traced, merged, permuted, costed and pruned, and stays what it is."""

from functools import cache

import pytest
import torch
from hand_plans import (
    permuted,
    plan_apart,
    plan_pairs,
    plan_twins,
    random_masks,
    renamed,
    units_of,
    without_reading,
)
from networks import SHAPES, assert_costs, assert_outputs, make_data, make_tasks, random_parent
from torch import Tensor, nn
from zoo import ZOO, zoo_module

import pam_opt as pam
from pam_opt.errors import UnsupportedModel
from pam_opt.families import FAMILIES
from pam_opt.surgery import remove_units
from pam_opt.tracing import network_of

REFUSED = {
    "SumWithInput": "'add' (add) joins the network's own input",
    "CutGroups": "'grouped.0' (Conv2d) reads a group of channels that others read in parts",
}
"""Exhibits that cannot be kept correct, and what the refusal names."""

LARGE = ("lenet_300_100",)
CASES = [name for name in (*FAMILIES, *ZOO) if name not in (*REFUSED, *LARGE)]
SHAPE_OF = {**SHAPES, **{name: exhibit.input_shape for name, exhibit in ZOO.items()}}
A, B = frozenset("a"), frozenset("b")


def parent(name: str, seed: int) -> nn.Module:
    """Build a module; seed 1 has other widths and another number of outputs."""
    if name in FAMILIES:
        return random_parent(name, seed, 3 + seed, wide=seed == 1)
    return zoo_module(name, seed, 4 + 4 * seed, 3 + seed)


@cache
def parents_of(name: str) -> dict[str, nn.Module]:
    return {"a": parent(name, 0), "b": parent(name, 1)}


@cache
def traced(name: str) -> dict[str, pam.MultitaskNetwork]:
    return {task: network_of(module, task, SHAPE_OF[name]) for task, module in parents_of(name).items()}


def expected(name: str, x: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return {task: module(x) for task, module in parents_of(name).items()}


@pytest.mark.parametrize("name", CASES)
def test_tracing_reproduces_the_module(name):
    x = torch.randn(3, *SHAPE_OF[name])
    for task, network in traced(name).items():
        assert_outputs(network, x, {task: expected(name, x)[task]})
        assert_costs(network, torch.randn(1, *SHAPE_OF[name]))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_correct_is_refused_by_name(name):
    with pytest.raises(UnsupportedModel) as caught:
        network_of(parent(name, 0), "a")
    assert REFUSED[name] in str(caught.value)


@pytest.mark.parametrize("weights", ["side_by_side", "refit"])
@pytest.mark.parametrize("name", CASES)
def test_nothing_merged_reproduces_both_in_any_order_of_units(name, weights):
    data = make_data(SHAPE_OF[name], make_tasks(2), (8,))
    plan = plan_apart(traced(name), seed=None if weights == "refit" else 5)
    network = pam.merge(parents_of(name), plan, weights=weights, calibration=data)
    x = torch.randn(3, *SHAPE_OF[name])
    assert_outputs(network, x, expected(name, x))


@pytest.mark.parametrize("name", CASES)
def test_random_pairs_cost_what_is_counted(name):
    network = pam.merge(parents_of(name), plan_pairs(traced(name), seed=1), weights="average")
    assert_costs(network, torch.randn(1, *SHAPE_OF[name]))
    assert all(output.isfinite().all() for output in network(torch.randn(2, *SHAPE_OF[name])).values())


@pytest.mark.parametrize("name", CASES)
def test_a_permuted_copy_computes_the_same(name):
    network = traced(name)["a"]
    twin, _ = permuted(network, 1, "b")
    x = torch.randn(3, *SHAPE_OF[name])
    assert_outputs(twin, x, {"b": expected(name, x)["a"]})


@pytest.mark.parametrize("weights", ["average", "refit"])
@pytest.mark.parametrize("name", CASES)
def test_a_parent_and_its_permuted_copy_are_one(name, weights):
    network = traced(name)["a"]
    twin, orders = permuted(network, 1, "b")
    both = {"a": network, "b": twin}
    data = make_data(SHAPE_OF[name], make_tasks(2), (12,))
    merged = pam.merge(both, plan_twins(both, orders), weights=weights, calibration=data)
    x = torch.randn(3, *SHAPE_OF[name])
    output = expected(name, x)["a"]
    assert_outputs(merged, x, {"a": output, "b": output})
    assert_one_parents_macs(merged, network)


def assert_one_parents_macs(merged: pam.MultitaskNetwork, network: pam.MultitaskNetwork) -> None:
    """Every combination costs what one parent does, and a head for the second task."""
    one, macs = pam.costs(network).macs[A], pam.costs(merged).macs
    head, last = network.structure.layers[-1], len(network.structure.layers) - 1
    of_head = units_of({"a": network}, last)[0] * network.structure.fan_in(last, A) * head.kernel_area
    assert all(merged.structure.shareable[:-1])
    assert macs == {A: one, B: one, A | B: one + of_head}


PLANNED = ("resnet18", "resnet20", "mobilenet_v2", "vit", "PreActivation", "Bottleneck", "SqueezedInvertedResidual")


@pytest.mark.parametrize("name", PLANNED)
def test_planning_finds_a_planted_permutation_through_residual_sums(name):
    network = traced(name)["a"]
    twin, _ = permuted(network, 2, "b")
    both = {"a": network, "b": twin}
    tasks = make_tasks(2)
    data = make_data(SHAPE_OF[name], tasks, (16, 16))
    merged = pam.merge(both, pam.plan(both, data, tasks=tasks, solver="hungarian"), calibration=data)
    x = torch.randn(3, *SHAPE_OF[name])
    output = expected(name, x)["a"]
    assert_outputs(merged, x, {"a": output, "b": output})
    assert_one_parents_macs(merged, network)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_units_that_nobody_reads_can_be_removed(name, merged):
    network = renamed(traced(name)["a"], "a")
    if merged:
        network = pam.merge(parents_of(name), plan_pairs(traced(name), seed=1), weights="average")
    keep = random_masks(network.structure, seed=3)
    smaller, x = remove_units(network, keep), torch.randn(3, *SHAPE_OF[name])
    with torch.no_grad():
        silenced = without_reading(network, keep)(x)
    assert_outputs(smaller, x, silenced)
    assert_costs(smaller, torch.randn(1, *SHAPE_OF[name]))
