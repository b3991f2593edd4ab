"""Seconds in the place of MACs: the same decisions where they say the same, others where a layer is dear."""

from dataclasses import replace

import pytest
import torch
from branched_lattices import branched_lattice
from networks import SHAPES, make_data, make_tasks, merged_example, prune, random_lattice, random_parent
from toy_profiles import MACHINE, macs_profile

import pam_opt as pam
from pam_opt.cost_models import ExpectedMacs, ExpectedSeconds, expected_cost
from pam_opt.errors import ConfigError, PlanError
from pam_opt.latency import Grid, Profile
from pam_opt.macs import output_positions
from pam_opt.pruning.choose import _State, choose_units
from pam_opt.pruning.pruner import hidden_places
from pam_opt.tasks import distribution


def lattice(family):
    build = branched_lattice if family in ("resnet20", "mobilenet_v2") else random_lattice
    return build(family, ["a", "b"], 3)


def costs_of(network, dear=None, weights=None):
    probabilities = distribution(network.tasks, weights)
    macs = expected_cost(network.structure, probabilities)
    return macs, expected_cost(network.structure, probabilities, "latency", macs_profile(network, dear))


@pytest.mark.parametrize("family", ["lenet5", "small_vgg", "resnet20", "mobilenet_v2"])
def test_a_second_a_mac_is_a_mac(family):
    network = lattice(family)
    macs, seconds = costs_of(network, weights={"a": 1.0, "a+b": 2.0})
    assert isinstance(macs, ExpectedMacs)
    assert isinstance(seconds, ExpectedSeconds)
    assert seconds.expected(network.structure) == pytest.approx(macs.expected(network.structure))
    savings = macs.unit_savings(network.structure)
    assert seconds.unit_savings(network.structure) == pytest.approx(savings)
    assert set(savings) == set(hidden_places(network.structure))


@pytest.mark.parametrize("family", ["lenet5", "resnet20"])
def test_the_same_units_go_by_seconds_as_by_macs(family):
    network, tasks = merged_example(family, 2, share=0.5), make_tasks(2)
    data, seen = make_data(SHAPES[family], tasks), []
    target = 0.6 * pam.costs(network).expected + 0.1
    options = {"tasks": tasks, "max_drop": None, "steps": 0, "fraction": 0.3}
    by_macs = prune(network, data, data, target_macs=target, **options)
    profile = macs_profile(network)
    by_seconds = prune(
        network,
        data,
        data,
        target_seconds=target,
        cost_model="latency",
        profile=profile,
        progress=seen.append,
        **options,
    )
    assert by_seconds.structure == by_macs.structure
    assert all(torch.equal(one, by_macs.state_dict()[name]) for name, one in by_seconds.state_dict().items())
    assert seen[-1].ended == "the target is reached"
    assert seen[-1].expected_seconds == pytest.approx(pam.latency_costs(by_seconds, profile).expected)
    assert seen[-1].expected_macs == pytest.approx(pam.costs(by_seconds).expected)


def test_units_of_a_dear_layer_go_first():
    network = random_lattice("mlp", ["a", "b"], 1)
    structure = network.structure
    scores = {place: torch.ones(structure.units(*place)).double() for place in hidden_places(structure)}
    _, seconds = costs_of(network, {"head": 1.0, structure.layers[2].name: 1e6})
    keep = choose_units(structure, seconds, scores, 0.0, most=2)
    gone = {place[0] for place, mask in keep.items() if not mask.all()}
    assert gone == {1}  # what the dear heads read


def test_every_ratio_is_looked_at_again_where_savings_may_grow():
    """A layer of which the first unit saves nothing and the second much: it goes on once the first is gone."""
    parent = pam.single(random_parent("mlp"), make_tasks(1)[0], SHAPES["mlp"])
    structure, profile = parent.structure, macs_profile(parent)
    cost = expected_cost(structure, distribution(parent.tasks), "latency", profile)
    assert isinstance(cost, ExpectedSeconds)
    step = Grid({(r, w): (1e6 if w > 7 else 1.0) for r in (1, 40) for w in range(1, 10)})
    stepped = replace(cost, profile=Profile(MACHINE, {**profile.grids, cost.keys[0]: step}))
    first, second = (0, structure.everything), (1, structure.everything)
    scores = {place: torch.ones(structure.units(*place)).double() for place in (first, second)}
    assert structure.units(*first) == 9
    before = stepped.expected(structure)
    keep = choose_units(structure, stepped, scores, before - 1e5)
    assert int((~keep[first]).sum()) == 2


@pytest.mark.parametrize("family", ["lenet5", "resnet20"])
def test_seconds_on_the_way_are_those_of_a_recount(family):
    network, generator = lattice(family), torch.Generator().manual_seed(0)
    structure = network.structure
    _, seconds = costs_of(network, {structure.layers[1].name: 3.0})
    state = _State(structure, seconds)
    for _ in range(30):
        places = [place for place in hidden_places(structure) if state.may_lose(place)]
        if not places:
            break
        state.lose(places[int(torch.randint(len(places), (), generator=generator))])
        widths = tuple({g: n for g, n in layer.items() if n} for layer in state.widths)
        assert state.expected == pytest.approx(seconds.expected(replace(structure, widths=widths)))


def paired(parents, budget, **options):
    tasks = make_tasks(2)
    data = make_data(SHAPES["lenet5"], tasks)
    return pam.plan(parents, data, tasks=tasks, problem="pairing", loss_budget=budget, **options)


def test_pairs_are_made_where_they_save_most():
    parents = {name: random_parent("lenet5", seed) for seed, name in enumerate("ab")}
    whole = pam.single(parents["a"], make_tasks(1)[0], SHAPES["lenet5"])
    budget = 0.8 * sum(record["pair_cost"] for record in paired(parents, 1.0).records)
    by_macs = paired(parents, budget)
    alike = paired(parents, budget, cost_model="latency", profile=macs_profile(whole))
    assert [layer.groups for layer in alike.layers] == [layer.groups for layer in by_macs.layers]
    assert [record["seconds_saved"] for record in alike.records] == pytest.approx(
        [record["macs_saved"] for record in by_macs.records]
    )
    dear = paired(parents, budget, cost_model="latency", profile=macs_profile(whole, {"linear1": 1e4}))
    pairs = [plan.records[2]["pairs"] for plan in (by_macs, dear)]
    assert pairs[0] < pairs[1]


def test_tiny_seconds_price_pairs_as_well():
    parents = {name: random_parent("lenet5", seed) for seed, name in enumerate("ab")}
    whole = pam.single(parents["a"], make_tasks(1)[0], SHAPES["lenet5"])
    slow = macs_profile(whole)
    quick = {key: Grid({at: 1e-9 * s for at, s in grid.entries.items()}) for key, grid in slow.grids.items()}
    budget = 0.8 * sum(record["pair_cost"] for record in paired(parents, 1.0).records)
    plans = [
        paired(parents, budget, cost_model="latency", profile=Profile(MACHINE, grids)) for grids in (slow.grids, quick)
    ]
    assert [layer.groups for layer in plans[0].layers] == [layer.groups for layer in plans[1].layers]


def test_what_does_not_go_together_is_refused():
    network, tasks = random_lattice("mlp", ["a", "b"], 0), make_tasks(2)
    data, profile = make_data(SHAPES["mlp"], tasks), macs_profile(network)
    run = {"tasks": tasks, "max_drop": None, "steps": 0}
    with pytest.raises(PlanError, match="cost_model='energy' is unknown"):
        prune(network, data, data, target_macs=9.0, cost_model="energy", **run)
    with pytest.raises(PlanError, match="needs profile="):
        prune(network, data, data, target_seconds=9.0, cost_model="latency", **run)
    with pytest.raises(PlanError, match="profile= is for cost_model='latency'"):
        prune(network, data, data, target_macs=9.0, profile=profile, **run)
    with pytest.raises(PlanError, match="goes down to target_seconds="):
        prune(network, data, data, target_macs=9.0, cost_model="latency", profile=profile, **run)
    with pytest.raises(PlanError, match="goes down to target_macs="):
        prune(network, data, data, target_seconds=9.0, **run)
    with pytest.raises(ConfigError, match="has no times of layer"):
        prune(network, data, data, target_seconds=9.0, cost_model="latency", profile=Profile(MACHINE), **run)
    with pytest.raises(PlanError, match="give one of target_macs= and target_seconds="):
        pam.Schedule(target_macs=1.0, target_seconds=1.0)
    with pytest.raises(PlanError, match="target_seconds -1 must be above 0"):
        pam.Schedule(target_seconds=-1)
    parents = {name: random_parent("lenet5") for name in "ab"}
    with pytest.raises(PlanError, match="the budget None: name both"):
        pam.plan(parents, data, tasks=tasks, problem="pairing", cost_model="latency", profile=profile)
    with pytest.raises(PlanError, match="here the problem is 'network'"):
        pam.plan(parents, data, tasks=tasks, loss_budget=1.0, cost_model="latency", profile=profile)


def test_one_structure_serves_all_widths():
    network = random_lattice("small_vgg", ["a", "b"], 0)
    macs, _ = costs_of(network)
    assert macs == ExpectedMacs(output_positions(network.structure), distribution(network.tasks))
    narrow = replace(network.structure, widths=tuple(dict.fromkeys(w, 1) for w in network.structure.widths))
    assert macs.expected(narrow) == pam.costs(pam.MultitaskNetwork(narrow)).expected
