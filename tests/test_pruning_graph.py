"""Pruning networks with branches: a unit goes from all layers that write it, and every reader keeps something."""

import copy
from dataclasses import replace

import pytest
import torch
from branched import SHAPE, example, merged
from networks import group, make_data, make_tasks, prune

import pam_opt as pam
from pam_opt.cost_models import ExpectedMacs
from pam_opt.errors import PlanError
from pam_opt.folding import fold
from pam_opt.macs import combination_macs, output_positions, unit_macs
from pam_opt.network import channel_axis
from pam_opt.pruning.choose import _State, choose_units
from pam_opt.pruning.gates import add_gates, fold_gates, gates_of, remove_gated_units
from pam_opt.pruning.magnitude import Magnitude
from pam_opt.pruning.pruner import hidden_places
from pam_opt.pruning.random import Random
from pam_opt.pruning.taylor import Taylor, taylor_scores
from pam_opt.surgery import remove_units
from pam_opt.tasks import distribution

KINDS = ["residual", "depthwise"]


def expected(structure, positions, probabilities):
    return sum(p * combination_macs(structure, positions, c) for c, p in probabilities.items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_costs_on_the_way_are_those_of_a_recount(kind, count):
    network = merged(kind, count, share=0.5) if count > 1 else example(kind, 1)[1]["a"]
    structure, positions = network.structure, output_positions(network.structure)
    probabilities = distribution(network.tasks, None)
    state, generator = _State(structure, ExpectedMacs(positions, probabilities)), torch.Generator().manual_seed(0)
    lost = 0
    for _ in range(40):
        places = [place for place in hidden_places(structure) if state.may_lose(place)]
        if not places:
            break
        state.lose(places[int(torch.randint(len(places), (), generator=generator))])
        widths = tuple({g: n for g, n in layer.items() if n} for layer in state.widths)
        assert state.expected == pytest.approx(expected(replace(structure, widths=widths), positions, probabilities))
        pam.MultitaskNetwork(replace(structure, widths=widths))  # every group finds something to read
        lost += 1
    assert lost > 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.9, 0.5, 0.1, 0.0])
def test_choice_reaches_its_target_or_takes_all_that_may_go(kind, part):
    network = merged(kind, share=0.5)
    structure, positions = network.structure, output_positions(network.structure)
    probabilities = distribution(network.tasks, None)
    generator = torch.Generator().manual_seed(1)
    scores = {place: torch.rand(structure.units(*place), generator=generator) for place in hidden_places(structure)}
    target = part * expected(structure, positions, probabilities)
    keep = choose_units(structure, ExpectedMacs(positions, probabilities), scores, target)
    small = remove_units(network, keep)
    reached = pam.costs(small, SHAPE).expected
    if reached > target:
        state = _State(small.structure, ExpectedMacs(positions, probabilities))
        assert not any(state.may_lose(place) for place in hidden_places(small.structure))
    assert torch.isfinite(small(torch.randn(2, *SHAPE))["a"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_unit_saves_is_what_its_removal_saves(kind):
    network = merged(kind, share=0.5)
    structure, positions = network.structure, output_positions(network.structure)
    probabilities = distribution(network.tasks, {group("a"): 1, group("b"): 2, group("ab"): 3})
    before = expected(structure, positions, probabilities)
    for place, saved in unit_macs(structure, positions, probabilities).items():
        keep = torch.ones(structure.units(*place), dtype=torch.bool)
        keep[0] = False
        try:
            small = remove_units(network, {place: keep}).structure
        except PlanError:
            continue
        assert saved == pytest.approx(before - expected(small, positions, probabilities))


@pytest.mark.parametrize("kind", KINDS)
def test_masking_a_unit_at_its_gates_is_removing_it(kind):
    network, x = merged(kind, share=0.5), torch.randn(3, *SHAPE)
    structure = network.structure
    for space, own in hidden_places(structure):
        keep = torch.ones(structure.units(space, own), dtype=torch.bool)
        keep[-1] = False
        try:
            small = remove_units(network, {(space, own): keep})
        except PlanError:
            continue
        handles = [
            network.block(index, own).pre.register_forward_hook(masking(structure.layers[index], keep))
            for index in structure.gates(space)
        ]
        masked = network(x)
        for handle in handles:
            handle.remove()
        removed = small(x)
        assert all(torch.allclose(masked[task], removed[task], atol=1e-5) for task in network.tasks)


def masking(layer, keep):
    def hook(_module, _inputs, output):
        shape = [1] * output.ndim
        shape[channel_axis(layer)] = -1
        return output * keep.repeat_interleave(layer.size).reshape(shape)

    return hook


@pytest.mark.parametrize("kind", KINDS)
def test_taylor_scores_are_those_of_one_gate_for_all_layers(kind):
    network, tasks = merged(kind, share=0.5), make_tasks(2)
    structure, ((x, targets),) = network.structure, make_data(SHAPE, tasks, [5])
    gates = {place: torch.ones(5, structure.units(*place), requires_grad=True) for place in hidden_places(structure)}
    handles = [
        network.block(index, own).pre.register_forward_hook(lambda _m, _i, y, g=gate: y * g[:, :, None, None])
        for (space, own), gate in gates.items()
        for index in structure.gates(space)
    ]
    outputs, want = network(x), {}
    for task in tasks:
        loss = task.mean_loss(outputs[task.name], targets[task.name]) * len(x)
        found = torch.autograd.grad(loss, list(gates.values()), retain_graph=True, materialize_grads=True)
        for place, gradient in zip(gates, found, strict=True):
            want[place] = want.get(place, 0) + gradient.double().square().mean(0)
    for handle in handles:
        handle.remove()
    scores = taylor_scores(network, [(x, targets)], tasks, 1)
    batch = Taylor().scores(network, [(x, targets)], tasks)
    assert list(scores) == list(batch) == list(gates)
    for place, score in scores.items():
        assert score == pytest.approx(want[place], rel=1e-3, abs=1e-9)


def test_magnitude_counts_the_weights_of_all_that_write_a_unit():
    network = merged("residual", share=0.5)
    scores = Magnitude().scores(network, [], [])
    own = group("ab")
    squares = torch.zeros(network.structure.units(0, own), dtype=torch.float64)
    for index in (0, 2, 5):
        squares += fold(network.block(index, own), network.structure.layers[index]).weight.square().sum((1, 2))
    assert scores[0, own] == pytest.approx((squares / squares.mean()).sqrt())
    assert list(Random(0).scores(network, [], [])) == list(scores) == hidden_places(network.structure)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["taylor", "taylor-pam", "taylor-sample", "magnitude", "random"])
def test_every_method_prunes_to_its_target(kind, method):
    network, tasks = merged(kind, share=0.5), make_tasks(2)
    data = make_data(SHAPE, tasks)
    target = 0.5 * pam.costs(network, SHAPE).expected
    small = prune(network, data, data, tasks=tasks, method=method, max_drop=None, target_macs=target, steps=1)
    assert pam.costs(small, SHAPE).expected <= target
    assert torch.isfinite(small(torch.randn(2, *SHAPE))["b"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_went_is_made_up_for(kind):
    network, tasks = merged(kind, share=0.5), make_tasks(2)
    data = make_data(SHAPE, tasks)
    target = 0.8 * pam.costs(network, SHAPE).expected
    options = {"tasks": tasks, "max_drop": None, "target_macs": target, "steps": 0, "method": "taylor-sample"}
    x = torch.cat([x for x, _ in data])
    with torch.no_grad():
        errors = [
            sum(float((small(x)[task] - network(x)[task]).square().mean()) for task in "ab")
            for small in (prune(network, data, data, **options), prune(network, data, data, refit=data, **options))
        ]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("method", ["taylor", "magnitude", "random"])
def test_layers_that_are_kept_lose_nothing(method):
    network, tasks = merged("depthwise", kept="it is odd"), make_tasks(2)
    data = make_data(SHAPE, tasks)
    small = prune(network, data, data, tasks=tasks, method=method, max_drop=None, target_macs=1.0, steps=0)
    assert small.structure.widths[5] == network.structure.widths[5] == {group("a"): 6, group("b"): 6}
    assert sum(small.structure.widths[0].values()) < sum(network.structure.widths[0].values())


@pytest.mark.parametrize("kind", KINDS)
def test_gates_stand_where_units_are_read_and_fold_away(kind):
    network, tasks, x = merged(kind, share=0.5), make_tasks(2), torch.randn(3, *SHAPE)
    gated = add_gates(copy.deepcopy(network)).eval()
    gates = gates_of(gated)
    assert list(gates) == hidden_places(network.structure)
    with torch.no_grad():
        for gate in gates.values():
            gate.mu.copy_(torch.randn(len(gate.mu)))
            gate.mu[0] = 0.0
    outputs = gated(x)
    folded = fold_gates(gated)(x)
    assert all(torch.allclose(outputs[task.name], folded[task.name], atol=1e-5) for task in tasks)
    shut = {place: torch.ones(len(gate.mu), dtype=torch.bool) for place, gate in gates.items()}
    for place, mask in shut.items():
        mask[0] = False
        try:
            small = remove_gated_units(gated, {place: mask})
        except PlanError:
            mask[0] = True
            continue
        assert all(torch.allclose(outputs[task.name], small(x)[task.name], atol=1e-5) for task in tasks)
        mask[0] = True


def test_one_factor_is_drawn_for_all_readers_of_a_unit():
    gated = add_gates(merged("residual", share=0.5)).train()
    seen = []
    for index in (1, 4):
        for _, block in gated.blocks(index):
            block.register_forward_pre_hook(lambda block, _x: seen.append(vars(block)["read"][0][0][0].factor))
    gated(torch.randn(4, *SHAPE), tasks="a")
    assert len(seen) > 2
    shared = [factor for factor in seen if factor.shape == seen[0].shape]
    assert all(factor is shared[0] for factor in shared)
    copied = copy.deepcopy(gated)
    mine, other = gates_of(gated), gates_of(copied)
    assert all(mine[place] is not other[place] for place in mine)
    assert vars(copied.block(1, group("ab")))["read"][0][0][0] is other[0, group("ab")]


@pytest.mark.parametrize("kind", KINDS)
def test_vib_prunes_networks_with_branches(kind):
    network, tasks = merged(kind, share=0.5), make_tasks(2)
    data = make_data(SHAPE, tasks)
    target = 0.6 * pam.costs(network, SHAPE).expected
    options = {"max_drop": None, "target_macs": target, "steps": 1, "warm_up": 2}
    small = prune(network, data, data, tasks=tasks, method="vib", **options)
    assert pam.costs(small, SHAPE).expected <= target
    assert not gates_of(small)
    assert torch.isfinite(small(torch.randn(2, *SHAPE))["b"]).all()
