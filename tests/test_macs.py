"""The cost of every combination: equal to what torch counts, and to the formula written out by hand."""

import itertools

import pytest
import torch
from networks import (
    NAMES,
    SHAPES,
    counted_macs,
    group,
    make_data,
    make_tasks,
    merged_example,
    prune,
    random_lattice,
    random_parent,
)
from torch import nn

import pam_opt as pam
from pam_opt.errors import TaskError, UnsupportedModel
from pam_opt.macs import output_positions, unit_macs
from pam_opt.surgery import remove_units

PLANS = {
    "share 0": {"share": 0.0},
    "share 0.5": {"share": 0.5},
    "share 1": {"share": 1.0},
    "all-shared": {"problem": "all-shared"},
    "select": {"problem": "select"},
    "exclusive": {"problem": "exclusive"},
}
UNEVEN = {"a": 3.0, "a+b": 1.0, ("b",): 4.0}


def all_groups(tasks):
    return [frozenset(c) for k in range(1, len(tasks) + 1) for c in itertools.combinations(tasks, k)]


def assert_counts(network, family):
    table = pam.costs(network, SHAPES[family])
    x = torch.randn(1, *SHAPES[family])
    assert set(table.macs) == set(all_groups(network.tasks))
    for combination, macs in table.macs.items():
        assert macs == counted_macs(network, x, combination)


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("count", [2, 3])
def test_every_plan_costs_what_torch_counts(family, plan, count):
    assert_counts(merged_example(family, count, **PLANS[plan]), family)


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("tasks", ["a", "ab", "abc"])
def test_random_lattices_cost_what_torch_counts(family, tasks):
    for seed in range(3):
        assert_counts(random_lattice(family, tasks, seed), family)


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_pruned_networks_cost_what_torch_counts(family, count):
    network = merged_example(family, count, share=0.5)
    tasks = make_tasks(count)
    data = make_data(SHAPES[family], tasks, (8, 8))
    target = 0.4 * pam.costs(network).expected
    small = prune(network, data, data, tasks=tasks, max_drop=None, target_macs=target, fraction=0.5, steps=0)
    assert pam.costs(small).expected <= target
    assert_counts(small, family)


def by_hand(network, family):
    """Return (k, n, C, E) after the formula, from a plain parent and the widths alone."""
    module, outputs = random_parent(family), {}
    for name, child in module.named_children():
        child.register_forward_hook(lambda _m, _i, out, name=name: outputs.update({name: out}))
    module(torch.zeros(1, *SHAPES[family]))
    units, k = None, []
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            k.append(child.kernel_size[0] * child.kernel_size[1] * outputs[name].shape[2] * outputs[name].shape[3])
            units = child.out_channels
        elif isinstance(child, nn.Linear):
            k.append(child.in_features // units if units else 1)
            units = child.out_features
    first = next(c for c in module if isinstance(c, nn.Conv2d | nn.Linear))
    inputs = first.in_channels if isinstance(first, nn.Conv2d) else first.in_features
    everything = frozenset(network.tasks)
    n = [{everything: inputs}, *network.structure.widths]
    return k, n


def cost(k, n, weight):
    """Sum k_l * weight(g) * n_l(g) * units that g may read."""
    return sum(
        k[layer - 1] * weight(g) * n[layer][g] * sum(n[layer - 1][h] for h in n[layer - 1] if h >= g)
        for layer in range(1, len(n))
        for g in n[layer]
    )


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("tasks", ["a", "ab", "abc"])
@pytest.mark.parametrize("weights", [None, UNEVEN])
def test_costs_follow_the_formula(family, tasks, weights):
    if weights and tasks == "a":
        weights = {"a": 2.0}
    network = random_lattice(family, tasks, seed=7)
    table = pam.costs(network, combinations=weights)
    k, n = by_hand(network, family)
    for combination in all_groups(tasks):
        assert table.macs[combination] == cost(k, n, lambda g, T=combination: bool(g & T))
    if weights is None:
        p = dict.fromkeys(all_groups(tasks), 1 / (2 ** len(tasks) - 1))
    elif tasks == "a":
        p = {group("a"): 1.0}
    else:
        p = {group("a"): 3 / 8, group("ab"): 1 / 8, group("b"): 4 / 8}
    assert table.probabilities == pytest.approx(p)
    expected = cost(k, n, lambda g: sum(share for T, share in p.items() if T & g))
    assert table.expected == pytest.approx(expected, rel=1e-12)
    assert table.expected == pytest.approx(sum(share * table.macs[T] for T, share in p.items()), rel=1e-12)


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
@pytest.mark.parametrize("weights", [None, UNEVEN])
def test_unit_macs_is_what_removing_one_unit_saves(family, weights):
    network = random_lattice(family, "abc", seed=11)
    table = pam.costs(network, combinations=weights)
    saved = unit_macs(network.structure, output_positions(network.structure), table.probabilities)
    places = {(i, g) for i, widths in enumerate(network.structure.widths[:-1]) for g in widths}
    assert set(saved) == places
    checked = 0
    for (index, g), macs in saved.items():
        keep = torch.ones(network.structure.widths[index][g], dtype=torch.bool)
        keep[0] = False
        try:
            smaller = remove_units(network, {(index, g): keep})
        except pam.PamOptError:
            continue
        left = pam.costs(smaller, combinations=weights).expected
        assert macs == pytest.approx(table.expected - left, rel=1e-9, abs=1e-6)
        checked += 1
    assert checked >= len(places) / 2


def test_sharing_everything_and_nothing_bracket_a_pairing():
    shared, apart = merged_example("lenet5", 2, share=1.0), merged_example("lenet5", 2, share=0.0)
    one = pam.costs(pam.single(random_parent("lenet5"), make_tasks(1)[0], SHAPES["lenet5"])).macs[group("a")]
    for network in (shared, apart):
        assert pam.costs(network).macs[group("a")] == one
    assert pam.costs(apart).macs[group("ab")] == 2 * one
    head = 8 * 3
    assert pam.costs(shared).macs[group("ab")] == one + head


def test_table_reads_as_text():
    text = str(pam.costs(merged_example("mlp", 2)))
    assert text.splitlines()[0].startswith("a: ")
    assert "a+b: " in text
    assert text.splitlines()[-1].startswith("expected: ")


def test_input_shape_is_needed_and_must_fit():
    network = pam.single(random_parent("lenet5"), make_tasks(1)[0])
    with pytest.raises(UnsupportedModel, match="does not remember its input shape"):
        pam.costs(network)
    assert pam.costs(network, (1, 8, 8)).macs
    with pytest.raises(UnsupportedModel, match="does not fit"):
        pam.costs(network, (1, 20, 20))


def test_larger_images_cost_more_where_the_network_allows_them():
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    network = pam.single(module, make_tasks(1)[0])
    assert pam.costs(network, (1, 5, 5)).macs[group("a")] == 9 * 3 * 9 + 6
    assert pam.costs(network, (1, 8, 8)).macs[group("a")] == 9 * 3 * 36 + 6


def test_unknown_tasks_in_the_distribution_are_refused():
    with pytest.raises(TaskError, match="unknown"):
        pam.costs(merged_example("mlp", 2), combinations={"a+z": 1.0})
