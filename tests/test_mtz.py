"""Multi-Task Zipping: costs, closed-form weights, both forms, retraining and bad input."""

import copy

import numpy as np
import pytest
import torch
from networks import NAMES, SHAPES, group, make_data, make_tasks, members, permuted_copy, random_parent
from torch import Tensor, nn

import pam_opt as pam
from pam_opt.errors import DataError, PamOptError, PlanError, StorageError, TaskError, UnsupportedModel
from pam_opt.merging.closed_form import closed_form, functional_difference
from pam_opt.merging.moments import TaskData
from pam_opt.merging.weights import Mix
from pam_opt.plans import place_members
from pam_opt.zipping import WeightSharingNetwork

BOTH = group("ab")


def spd(size: int, seed: int) -> Tensor:
    """Return a random positive definite matrix."""
    root = torch.randn(size + 3, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root.T @ root / (size + 3)


def unit_rows(count: int, size: int, seed: int) -> Tensor:
    """Return random weights of units."""
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def example(family: str, count: int, *, wide: bool = False):
    """Make random parents, tasks and data; the second parent of other widths with `wide`."""
    tasks = make_tasks(count)
    parents = {task.name: random_parent(family, i, wide=wide and i == 1) for i, task in enumerate(tasks)}
    return parents, tasks, make_data(SHAPES[family], tasks)


def operation(parent: nn.Module, name: str) -> nn.Linear | nn.Conv2d:
    """Return a layer of a parent."""
    module = dict(parent.named_children())[name]
    assert isinstance(module, nn.Linear | nn.Conv2d)
    return module


def all_members(*rows: tuple[int, ...]) -> Mix:
    """Mix units that are named row by row."""
    array = np.array(rows)
    units = [int(column.max()) + 1 for column in array.T]
    return Mix(*place_members(array, (array >= 0).astype(float), units), len(array))


def test_cost_and_weights_are_the_published_formulas():
    a, b, left, right = spd(6, 0), spd(6, 1), unit_rows(4, 6, 2), unit_rows(5, 6, 3)
    inner = torch.linalg.inv(torch.linalg.inv(a) + torch.linalg.inv(b))
    cost = functional_difference(left, right, a, b)
    for i in range(4):
        for j in range(5):
            shift = left[i] - right[j]
            assert cost[i, j] == pytest.approx(float(0.5 * shift @ inner @ shift))
    merged = closed_form(all_members((0, 0), (1, 1), (2, 2), (3, 3)), [left, right], [a, b])
    published = left + (torch.linalg.inv(a) @ inner @ (right[:4] - left).T).T
    torch.testing.assert_close(merged, published)


def test_cost_is_the_least_change_of_both_pre_activations():
    a, b, left, right = spd(5, 0), spd(5, 1), unit_rows(1, 5, 2), unit_rows(1, 5, 3)
    best = closed_form(all_members((0, 0)), [left, right], [a, b])[0]

    def change(w: Tensor) -> float:
        return float(sum(0.5 * (w - own[0]) @ h @ (w - own[0]) for own, h in ((left, a), (right, b))))

    assert functional_difference(left, right, a, b)[0, 0] == pytest.approx(change(best))
    for seed in range(20):
        assert change(best) <= change(best + 1e-2 * unit_rows(1, 5, seed)[0])


def test_one_network_after_the_other_gives_the_weights_of_all_at_once():
    moments = [spd(5, seed) for seed in range(3)]
    weights = [unit_rows(2, 5, seed) for seed in range(3)]
    together = closed_form(all_members((0, 0, 0), (1, 1, 1)), weights, moments)
    two = closed_form(all_members((0, 0), (1, 1)), weights[:2], moments[:2])
    three = closed_form(all_members((0, 0), (1, 1)), [two, weights[2]], [moments[0] + moments[1], moments[2]])
    torch.testing.assert_close(together, three)


def test_equal_data_and_balance_give_the_plain_average():
    parents, tasks, data = example("lenet5", 2)
    plan = pam.plan(parents, data, tasks=tasks, problem="mtz")
    merged = pam.merge(parents, plan, weights="mtz", calibration=data)
    for index, (name, layer) in enumerate(zip(("conv1", "conv2"), plan.layers[:2], strict=True)):
        own = [operation(parent, name).bias for parent in parents.values()]
        units = members(layer)
        expected = sum(0.5 * bias[units[:, k]] for k, bias in enumerate(own) if bias is not None)
        torch.testing.assert_close(merged.block(index, BOTH).operation.bias, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pairs", ["greedy", "hungarian"])
@pytest.mark.parametrize("family", NAMES)
def test_planted_permutations_are_found(family: str, pairs: str):
    tasks, parent = make_tasks(3), random_parent(family)
    parents = {"a": parent, "b": permuted_copy(parent, 1)[0], "c": permuted_copy(parent, 2)[0]}
    data = make_data(SHAPES[family], tasks)
    network, plan = pam.zip_networks(parents, data, tasks=tasks, pairs=pairs)
    x = data[0][0]
    for task, output in network(x).items():
        torch.testing.assert_close(output, parents[task](x), rtol=1e-4, atol=1e-5)
    assert plan.summary()["value"] == pytest.approx(0.0, abs=1e-9)
    assert all(set(layer.widths) == {group("abc")} for layer in plan.layers)


@pytest.mark.parametrize("form", ["lattice", "weights"])
@pytest.mark.parametrize("family", NAMES)
def test_sharing_nothing_reproduces_the_parents(family: str, form):
    parents, tasks, data = example(family, 3, wide=True)
    network, _ = pam.zip_networks(parents, data, tasks=tasks, share=0.0, form=form)
    x = data[0][0]
    for task, output in network(x).items():
        torch.testing.assert_close(output, parents[task](x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("count", "share"), [(2, 1.0), (3, 0.5)])
@pytest.mark.parametrize("family", NAMES)
def test_plan_and_merge_give_the_zipped_network(family: str, count: int, share: float):
    parents, tasks, data = example(family, count, wide=count == 3)
    zipped, made = pam.zip_networks(parents, data, tasks=tasks, share=share)
    plan = pam.plan(parents, data, tasks=tasks, problem="mtz", solver="greedy", share=share)
    merged = pam.merge(parents, plan, weights="mtz", calibration=data)
    assert [layer.groups for layer in plan.layers] == [layer.groups for layer in made.layers]
    x = data[0][0]
    for task, output in zipped(x).items():
        torch.testing.assert_close(output, merged(x)[task], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("problem", ["exclusive", "all-shared", "pairing", "multi", "representatives", "grouping"])
def test_closed_form_weights_suit_every_plan(problem: str):
    parents, tasks, data = example("lenet5", 2)
    plan = pam.plan(parents, data, tasks=tasks, problem=problem)
    merged = pam.merge(parents, plan, weights="mtz", calibration=data)
    average = pam.merge(parents, plan, weights="average")
    x = data[0][0]
    if all(len(set(layer.places[0]) & set(layer.places[1]) - {-1}) == 0 for layer in plan.layers):
        for task, output in merged(x).items():  # nothing merges: weights are the parents' own
            torch.testing.assert_close(output, average(x)[task], rtol=1e-4, atol=1e-5)
    assert all(output.isfinite().all() for output in merged(x).values())


def test_each_task_decides_the_weights_of_inputs_that_it_alone_sees():
    parents, tasks, data = example("mlp", 2)
    both = [(torch.cat([x, -x]), {}) for x, _ in data]  # of mean 0, so that the bias does not take part
    left = (torch.arange(16) < 8).reshape(1, 4, 4)
    calibration = {"a": [(x * left, y) for x, y in both], "b": [(x * ~left, y) for x, y in both]}
    network, plan = pam.zip_networks(parents, calibration, tasks=tasks)
    weights = [operation(parent, "linear1").weight for parent in parents.values()]
    units, merged = members(plan.layers[0]), network.block(0, BOTH).operation.weight
    torch.testing.assert_close(merged[:, :8], weights[0][units[:, 0], :8], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(merged[:, 8:], weights[1][units[:, 1], 8:], rtol=1e-3, atol=1e-4)


def test_balance_moves_the_weights_towards_a_task():
    parents, tasks, data = example("mlp", 2)
    x = data[0][0]

    def distance(balance: dict[str, float], task: str) -> float:
        network, _ = pam.zip_networks(parents, data, tasks=tasks, balance=balance)
        return float((network(x)[task] - parents[task](x)).square().mean().detach())

    assert distance({"a": 99, "b": 1}, "a") < distance({"a": 1, "b": 1}, "a") < distance({"a": 1, "b": 99}, "a")


def test_thresholds_share_exactly_the_pairs_below():
    parents, tasks, data = example("mlp", 2)
    _, every = pam.zip_networks(parents, data, tasks=tasks)
    assert [record["pairs"] for record in every.records] == [9, 7]
    for eps, counts in ((0.0, [0, 0]), (1e9, [9, 7])):
        _, plan = pam.zip_networks(parents, data, tasks=tasks, eps=eps)
        assert [record["pairs"] for record in plan.records] == counts
    middle = every.records[0]["pair_cost"] / 9
    _, some = pam.zip_networks(parents, data, tasks=tasks, eps={"linear1": middle})
    assert 0 < some.records[0]["pairs"] < 9
    assert some.records[0]["pair_cost"] < middle * some.records[0]["pairs"]
    assert some.records[1]["pairs"] == 0


def test_optimal_pairs_cost_least_in_the_first_layer():
    parents, tasks, data = example("lenet5", 2)
    value = {
        solver: pam.zip_networks(parents, data, tasks=tasks, pairs=solver).plan.records[0]["value"]
        for solver in ("hungarian", "greedy", "random")
    }
    assert value["hungarian"] <= value["greedy"] + 1e-12
    assert value["hungarian"] <= value["random"] + 1e-12


def test_the_same_seed_gives_the_same_network():
    parents, tasks, data = example("lenet5", 2)
    runs = [
        pam.zip_networks(parents, data, tasks=tasks, pairs="random", steps=3, train_batches=data, seed=4).network
        for _ in range(2)
    ]
    for name, tensor in runs[0].state_dict().items():
        assert torch.equal(tensor, runs[1].state_dict()[name])


@pytest.mark.parametrize("form", ["lattice", "weights"])
@pytest.mark.parametrize("family", ["mlp", "small_vgg"])
def test_retraining_after_each_layer_lowers_the_loss(family: str, form):
    parents, tasks, data = example(family, 2)

    def loss(network) -> float:
        with torch.no_grad():
            return sum(float(task.mean_loss(network(x)[task.name], y[task.name])) for x, y in data for task in tasks)

    plain, _ = pam.zip_networks(parents, data, tasks=tasks, share=0.5, form=form)
    steps = {"linear1": 12}  # a layer that both families have
    trained, _ = pam.zip_networks(parents, data, tasks=tasks, share=0.5, form=form, steps=steps, train_batches=data)
    assert loss(trained) < loss(plain)
    assert not trained.training
    untouched = copy.deepcopy(parents["a"]).state_dict()
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in parents["a"].state_dict().items())


def test_batch_norms_of_zipped_layers_see_in_training_what_they_hold():
    parents, tasks, data = example("small_vgg", 2)
    network, _ = pam.zip_networks(parents, data, tasks=tasks)
    block = network.block(0, BOTH)
    assert block.norm is not None
    x = torch.cat([x for x, _ in data])
    before = block.pre(x)
    block.train()
    torch.testing.assert_close(block.pre(x), before, rtol=0.2, atol=0.2)  # positions of the maps are drawn


@pytest.mark.parametrize("family", NAMES)
def test_the_forms_coincide_where_everything_is_shared(family: str):
    parents, tasks, data = example(family, 2)
    lattice, _ = pam.zip_networks(parents, data, tasks=tasks)
    weights, _ = pam.zip_networks(parents, data, tasks=tasks, form="weights")
    x = data[0][0]
    for task, output in lattice(x).items():
        torch.testing.assert_close(weights(x, task)[task], output, rtol=1e-4, atol=1e-5)


def test_shared_weights_are_stored_once():
    parents, tasks, data = example("mlp", 2)  # widths 16 -> 9 -> 7 -> 3
    network, plan = pam.zip_networks(
        parents, data, tasks=tasks, share={"linear1": 4 / 9, "linear2": 3 / 7}, form="weights"
    )
    assert [record["pairs"] for record in plan.records] == [4, 3]
    own = [16 * 9 + 9, 9 * 7 + 7, 7 * 3 + 3]
    saved = 16 * 4 + 4, 4 * 3 + 3  # shared units read the input, and the shared units before them
    assert sum(parameter.numel() for parameter in network.parameters()) == 2 * sum(own) - sum(saved)


def test_weight_sharing_keeps_what_the_lattice_cuts():
    parents, tasks, data = example("lenet5", 3)
    x = data[0][0]

    def distance(form) -> float:
        network, _ = pam.zip_networks(parents, data, tasks=tasks, share=0.5, form=form)
        return sum(float((network(x)[task] - parents[task](x)).square().mean().detach()) for task in parents)

    assert distance("weights") < distance("lattice")


def test_weight_sharing_networks_are_saved_and_loaded(tmp_path):
    parents, tasks, data = example("small_vgg", 2)
    network, _ = pam.zip_networks(parents, data, tasks=tasks, share=0.5, form="weights")
    network.save(tmp_path / "shared.safetensors")
    loaded = WeightSharingNetwork.load(tmp_path / "shared.safetensors")
    x = data[0][0]
    for task, output in network(x).items():
        assert torch.equal(loaded(x)[task], output)
    pam.train(loaded, data, tasks, 2)
    lattice, _ = pam.zip_networks(parents, data, tasks=tasks)
    pam.save(lattice, tmp_path / "lattice.safetensors")
    with pytest.raises(StorageError, match="no weight-sharing network"):
        WeightSharingNetwork.load(tmp_path / "lattice.safetensors")
    with pytest.raises(TaskError, match="unknown task names"):
        loaded(x, "z")


def test_weight_sharing_saves_no_computation(tmp_path):
    parents, tasks, data = example("lenet5", 2)
    network, _ = pam.zip_networks(parents, data, tasks=tasks, share=0.5, form="weights")
    alone = {task.name: pam.costs(pam.single(parents[task.name], task, SHAPES["lenet5"])).expected for task in tasks}
    assert network.macs() == {group("a"): alone["a"], group("b"): alone["b"], BOTH: alone["a"] + alone["b"]}
    for call in (lambda: pam.costs(network), lambda: pam.save(network, tmp_path / "n")):  # type: ignore[arg-type]
        with pytest.raises(UnsupportedModel, match="takes a MultitaskNetwork, not WeightSharingNetwork"):
            call()


def test_fewer_samples_than_inputs_dead_units_and_constant_data_are_zipped():
    tasks = make_tasks(2)
    parents = {task.name: random_parent("lenet5", i) for i, task in enumerate(tasks)}
    with torch.no_grad():
        for parent in parents.values():
            nn.init.zeros_(operation(parent, "linear1").weight)  # a layer whose units are constant
    for data in (make_data(SHAPES["lenet5"], tasks, (2,)), [(torch.zeros(3, *SHAPES["lenet5"]), {})]):
        network, _ = pam.zip_networks(parents, data, tasks=tasks)
        assert all(output.isfinite().all() for output in network(data[0][0]).values())


def test_the_scale_of_the_inputs_changes_no_pair():
    parents, tasks, data = example("mlp", 2)
    plans = []
    for scale in (1e-6, 1.0, 1e6):
        scaled = copy.deepcopy(parents)
        with torch.no_grad():
            for parent in scaled.values():
                operation(parent, "linear1").weight /= scale
        plans.append(pam.zip_networks(scaled, [(x * scale, y) for x, y in data], tasks=tasks).plan)
    for plan in plans:
        np.testing.assert_array_equal(members(plan.layers[0]), members(plans[1].layers[0]))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"share": 1.5}, PlanError, r"share 1.5 of layer 'linear1' must be a number in \[0, 1\]"),
        ({"share": -0.1}, PlanError, "must be a number in"),
        ({"share": float("nan")}, PlanError, "must be a number in"),
        ({"share": {"nowhere": 1.0}}, PlanError, r"names the layers \['nowhere'\]"),
        ({"share": {"linear1": 0.0, "linear2": 1.0}}, PlanError, "'linear2': no two units can be shared"),
        ({"eps": -1.0}, PlanError, "eps -1.0 of layer 'linear1' must be a number at least 0"),
        ({"steps": -1}, PlanError, "steps -1"),
        ({"steps": 1.5}, PlanError, "whole numbers"),
        ({"steps": 5}, PlanError, "steps= needs train_batches="),
        ({"balance": {"a": 1.0}}, PlanError, r"each of the tasks \['a', 'b'\]"),
        ({"balance": {"a": 0.0, "b": 1.0}}, PlanError, "above 0"),
        ({"form": "both"}, PlanError, r"choose from \['lattice', 'weights'\]"),
        ({"pairs": "nobody"}, PamOptError, "nobody"),
        ({"calibration": []}, DataError, "calibration is empty"),
        ({"calibration": {"a": [(torch.zeros(2, 1, 4, 4), {})]}}, DataError, r"no data of the tasks \['b'\]"),
        ({"calibration": {"a": [(torch.zeros(2, 1, 4, 4), {})], "b": []}}, DataError, "calibration of 'b' is empty"),
    ],
)
def test_bad_input_is_refused(changes, error, message: str):
    parents, tasks, data = example("mlp", 2)
    options = {"calibration": data} | changes
    calibration = options.pop("calibration")
    with pytest.raises(error, match=message):
        pam.zip_networks(parents, calibration, tasks=tasks, **options)


def test_activations_that_overflow_are_refused():
    parents, tasks, data = example("mlp", 2)
    with torch.no_grad():
        operation(parents["a"], "linear1").weight *= 1e30
    with pytest.raises(DataError, match="'linear2': second moments of its inputs overflow; scale the calibration"):
        pam.zip_networks(parents, [(1e30 * x, y) for x, y in data], tasks=tasks)


def test_planner_refuses_what_it_does_not_use():
    parents, tasks, data = example("mlp", 2)
    statistics = pam.measure(parents, data, tasks=tasks)
    with pytest.raises(PlanError, match="needs calibration batches"):
        pam.plan(parents, tasks=tasks, problem="mtz", statistics=statistics)
    with pytest.raises(PlanError, match="width= does not apply"):
        pam.plan(parents, data, tasks=tasks, problem="mtz", width=0.5)
    with pytest.raises(PlanError, match="loss_budget= does not apply"):
        pam.plan(parents, data, tasks=tasks, problem="mtz", loss_budget=0.5)


def test_moments_are_those_of_the_inputs():
    parents, tasks, data = example("mlp", 2)
    network = pam.merge(parents, pam.plan(parents, data, tasks=tasks, problem="exclusive"), weights="side_by_side")
    x = torch.cat([x.flatten(1) for x, _ in data]).double()
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    found = TaskData.of(("a", "b"), data, {"a": 0.25, "b": 0.75}).moments(dict.fromkeys("ab", network), 0)
    torch.testing.assert_close(found["a"], 0.25 * x.T @ x / len(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["b"], 3 * found["a"])
