"""Merging: nothing merged is nothing changed, and a planted permutation is found and costs nothing."""

import copy

import numpy as np
import pytest
import torch
from networks import (
    NAMES,
    SHAPES,
    group,
    make_data,
    make_tasks,
    members,
    permuted_copy,
    pre_activation_names,
    random_parent,
    randomise_norms,
)
from torch import nn
from torch.nn import functional

import pam_opt as pam
from pam_opt.errors import PlanError, UnsupportedModel
from pam_opt.plans import LayerPlan, Plan
from pam_opt.surgery import remove_units

WEIGHTS = ("refit", "average", "side_by_side")


class Functional(nn.Module):
    """A network as users write them, with calls instead of modules."""

    def __init__(self, channels=4, outputs=3):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, 6, bias=False)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(6, outputs)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.norm(self.conv(x))), 3)
        x = x.view(x.size(0), -1)
        return self.head(self.dropout(torch.tanh(self.linear(x))))


def norm_behind_activation(channels=4, outputs=3):
    """Batch norms everywhere but directly behind a layer: behind an activation, a pooling and a flatten."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(channels),
        nn.AvgPool2d(2),
        nn.Conv2d(channels, 5, 3, padding="same", dilation=2),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.BatchNorm1d(5 * 4),
        nn.Linear(5 * 4, 6),
        nn.BatchNorm1d(6),
        nn.ELU(),
        nn.Dropout(0.5),
        nn.Linear(6, outputs),
    )


CUSTOM = {
    "functional": Functional,
    "norm behind activation": norm_behind_activation,
    "no biases": lambda channels=4, outputs=3: nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, channels, bias=False),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(channels, 5, bias=False),
        nn.GELU(),
        nn.Linear(5, outputs, bias=False),
    ),
}


def custom_parent(name, seed, **options):
    torch.manual_seed(seed)
    module = CUSTOM[name](**options).eval()
    randomise_norms(module)
    return module


def apart(parents, data, tasks):
    return pam.plan(parents, data, tasks=tasks, share=0.0)


def assert_reproduces(network, parents, shape, tolerance=1e-5):
    x = torch.randn(9, *shape)
    with torch.no_grad():
        outputs = network(x)
        for task, parent in parents.items():
            torch.testing.assert_close(outputs[task], parent.eval()(x), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("family", NAMES)
def test_nothing_merged_reproduces_the_parents(family, count, weights):
    outputs = [3, 5, 2][:count]
    tasks = make_tasks(count, outputs)
    parents = {task.name: random_parent(family, seed, task.outputs, wide=seed == 1) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES[family], tasks)
    network = pam.merge(parents, apart(parents, data, tasks), weights=weights, calibration=data)
    assert_reproduces(network, parents, SHAPES[family])
    widths = network.structure.widths
    assert all(len(g) == 1 for layer in widths for g in layer)
    assert [widths[-1][group(task.name)] for task in tasks] == outputs


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", CUSTOM)
def test_nothing_merged_reproduces_custom_parents(name, weights):
    tasks = make_tasks(2, [3, 4])
    parents = {"a": custom_parent(name, 0), "b": custom_parent(name, 1, channels=6, outputs=4)}
    data = make_data((1, 8, 8), tasks)
    network = pam.merge(parents, apart(parents, data, tasks), weights=weights, calibration=data)
    assert_reproduces(network, parents, (1, 8, 8))


@pytest.mark.parametrize("problem", ["exclusive", "all-shared"])
def test_controls_that_drop_nothing_merge_side_by_side(problem):
    tasks = make_tasks(2)
    parents = {"a": random_parent("small_vgg", 0), "b": random_parent("small_vgg", 1)}
    data = make_data(SHAPES["small_vgg"], tasks)
    plan = pam.plan(parents, data, tasks=tasks, problem=problem)
    assert_reproduces(pam.merge(parents, plan, weights="side_by_side"), parents, SHAPES["small_vgg"])


def silence(module, units=2):
    """Push the first units of every hidden layer so low that no relu behind them ever fires."""
    with torch.no_grad():
        for name in pre_activation_names(module):
            module.get_submodule(name).bias[:units] = -50.0
    return module


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", NAMES)
def test_a_planted_permutation_is_found(family, seed, dead):
    tasks = make_tasks(2)
    parent = silence(random_parent(family, seed)) if dead else random_parent(family, seed)
    twin, orders = permuted_copy(parent, seed + 10)
    parents = {"a": parent, "b": twin}
    assert_reproduces(pam.single(twin, tasks[1]), {"b": parent}, SHAPES[family])
    data = make_data(SHAPES[family], tasks)
    plan = pam.plan(parents, data, tasks=tasks, solver="hungarian")
    for layer, order in zip(plan.layers, orders, strict=True):
        assert set(layer.groups) == {group("ab")}
        assert np.array_equal(order[members(layer)[:, 1]], members(layer)[:, 0])
    for weights in ("refit", "average"):
        network = pam.merge(parents, plan, weights=weights, calibration=data)
        assert_reproduces(network, {"a": parent, "b": parent}, SHAPES[family], 1e-4)
        assert_costs_like_one(network, parent, family)


def assert_costs_like_one(network, parent, family):
    """Every combination costs what one parent does, and a head for every further task."""
    one = pam.costs(pam.single(parent, make_tasks(1)[0], SHAPES[family])).macs[group("a")]
    head = parent[-1].weight.numel()
    for combination, macs in pam.costs(network).macs.items():
        assert macs == one + (len(combination) - 1) * head


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
def test_three_permuted_copies_become_one(family):
    tasks = make_tasks(3)
    parent = random_parent(family, 3)
    copies = [permuted_copy(parent, seed) for seed in (1, 2)]
    parents = {"a": parent, "b": copies[0][0], "c": copies[1][0]}
    data = make_data(SHAPES[family], tasks)
    plan = pam.plan(parents, data, tasks=tasks, solver="hungarian")
    for index, layer in enumerate(plan.layers):
        assert set(layer.groups) == {group("abc")}
        for column, (_, orders) in enumerate(copies, start=1):
            assert np.array_equal(orders[index][members(layer)[:, column]], members(layer)[:, 0])
    for weights in ("refit", "average"):
        network = pam.merge(parents, plan, weights=weights, calibration=data)
        assert_reproduces(network, dict.fromkeys("abc", parent), SHAPES[family], 1e-4)
        assert_costs_like_one(network, parent, family)


def test_permuted_norms_behind_activations_and_flattens_are_merged_too():
    tasks = make_tasks(2)
    parent = custom_parent("norm behind activation", 5)
    twin, _ = permuted_copy(parent, 6)
    data = make_data((1, 8, 8), tasks)
    parents = {"a": parent, "b": twin}
    plan = pam.plan(parents, data, tasks=tasks, solver="hungarian")
    for weights in ("refit", "average"):
        network = pam.merge(parents, plan, weights=weights, calibration=data)
        assert_reproduces(network, {"a": parent, "b": parent}, (1, 8, 8), 1e-4)


def one_pair_plan(parents, pair, shares):
    """Merge one pair in the first layer of two mlps and leave all else exclusive."""
    first, second = ([child.out_features for child in p if isinstance(child, nn.Linear)] for p in parents.values())
    layers = []
    for index, (name, m, n) in enumerate(zip(("linear1", "linear2"), first, second, strict=False)):
        rows = [[i, -1] for i in range(m)] + [[-1, j] for j in range(n)]
        weight = [[1.0, 0.0]] * m + [[0.0, 1.0]] * n
        groups = [group("a")] * m + [group("b")] * n
        if index == 0:
            rows = [row for row in rows if row[0] != pair[0] and row[1] != pair[1]]
            rows, weight = [*rows, list(pair)], [*weight[: len(rows)], list(shares)]
            weight = [[1.0, 0.0] if b < 0 else [0.0, 1.0] for _, b in rows[:-1]] + [list(shares)]
            groups = [group("a") if b < 0 else group("b") for _, b in rows[:-1]] + [group("ab")]
        layers.append(LayerPlan.of_members(name, np.array(rows), np.array(weight), groups, (m, n)))
    return Plan(("a", "b"), tuple(layers), SHAPES["mlp"])


@pytest.mark.parametrize(("target", "parts"), [("mean", (0.3, 0.7)), ("keep", (0.0, 1.0))])
def test_refit_reaches_its_target(target, parts):
    """The first layer reads the input itself, so the fit of a linear target is exact."""
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}
    plan = one_pair_plan(parents, (2, 5), (0.3, 0.7))
    data = make_data(SHAPES["mlp"], make_tasks(2), (64, 64))
    network = pam.merge(parents, plan, calibration=data, target=target, ridge=1e-9)
    merged = network.block(0, group("ab")).operation
    a, b = parents["a"].linear1, parents["b"].linear1
    for name, found in (("weight", merged.weight), ("bias", merged.bias)):
        expected = parts[0] * getattr(a, name)[2] + parts[1] * getattr(b, name)[5]
        torch.testing.assert_close(found[0], expected, atol=1e-4, rtol=1e-4)


def test_average_weighs_members_by_their_shares():
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}
    network = pam.merge(parents, one_pair_plan(parents, (2, 5), (0.3, 0.7)), weights="average")
    a, b = parents["a"].linear1, parents["b"].linear1
    merged = network.block(0, group("ab")).operation
    torch.testing.assert_close(merged.weight[0], 0.3 * a.weight[2] + 0.7 * b.weight[5])
    # What stays exclusive keeps its weights, on inputs in the merged order: the shared unit first.
    order = [2, *[i for i in range(9) if i != 2]]
    torch.testing.assert_close(network.block(1, group("a")).operation.weight, parents["a"].linear2.weight[:, order])


def output_error(network, parents, shape):
    x = torch.randn(200, *shape)
    with torch.no_grad():
        outputs = network(x)
        return sum(float((outputs[task] - parent(x)).square().mean()) for task, parent in parents.items())


@pytest.mark.parametrize("target", ["mean", "keep"])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
def test_refit_makes_up_for_a_random_merge(family, share, target):
    tasks = make_tasks(2)
    parents = {"a": random_parent(family, 0), "b": random_parent(family, 1)}
    data = make_data(SHAPES[family], tasks, (100, 100))
    plan = pam.plan(parents, data, tasks=tasks, solver="random", share=share)
    average = pam.merge(parents, plan, weights="average")
    fitted = pam.merge(parents, plan, calibration=data, target=target)
    assert fitted.structure == average.structure
    assert output_error(fitted, parents, SHAPES[family]) < 0.9 * output_error(average, parents, SHAPES[family])


def test_more_ridge_stays_closer_to_the_average():
    tasks = make_tasks(2)
    parents = {"a": random_parent("lenet5", 0), "b": random_parent("lenet5", 1)}
    data = make_data(SHAPES["lenet5"], tasks)
    plan = pam.plan(parents, data, tasks=tasks, share=0.5)
    average = pam.merge(parents, plan, weights="average").state_dict()

    def distance(ridge):
        fitted = pam.merge(parents, plan, calibration=data, ridge=ridge).state_dict()
        return sum(float((fitted[name] - average[name]).square().sum()) for name in average)

    distances = [distance(ridge) for ridge in (1e-3, 1.0, 1e3)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.05 * distances[0]


@pytest.mark.parametrize("family", ["mlp", "lenet5"])
@pytest.mark.parametrize("samples", [40, 200])
def test_the_ridge_chosen_on_held_out_samples_is_near_the_best(family, samples):
    tasks = make_tasks(2)
    parents = {"a": random_parent(family, 0), "b": random_parent(family, 1)}
    data = make_data(SHAPES[family], tasks, (samples,))
    plan = pam.plan(parents, data, tasks=tasks, solver="random", share=0.5)

    def error(ridge):
        torch.manual_seed(1)
        return output_error(pam.merge(parents, plan, calibration=data, ridge=ridge), parents, SHAPES[family])

    errors = [error(ridge) for ridge in (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 100.0)]
    assert error(None) < min(1.2 * min(errors), max(errors))


@pytest.mark.parametrize("ridge", [None, 1e-3])
def test_refit_works_with_a_single_sample(ridge):
    tasks = make_tasks(2)
    parents = {"a": random_parent("small_vgg", 0), "b": random_parent("small_vgg", 1)}
    plan = pam.plan(parents, make_data(SHAPES["small_vgg"], tasks), tasks=tasks, share=0.5)
    network = pam.merge(parents, plan, calibration=make_data(SHAPES["small_vgg"], tasks, (1,)), ridge=ridge)
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_refit_is_the_ridge_solution():
    """A head on cut inputs: the weights equal the normal equations written out."""
    tasks = make_tasks(2)
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}
    data = make_data(SHAPES["mlp"], tasks, (50, 50))
    plan = pam.plan(parents, data, tasks=tasks, solver="random", share=0.5)
    average = pam.merge(parents, plan, weights="average")
    fitted = pam.merge(parents, plan, calibration=data, ridge=1e-3)
    x = torch.cat([x for x, _ in data])
    with torch.no_grad():
        values = fitted.enter(x)
        for index in range(2):
            values = fitted.advance(index, values)
        inputs = fitted.inputs_of(2, group("a"), values).double()
        rows = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
        every = torch.cat(list(values[1].values()), dim=1).double()
        start = average.block(2, group("a")).operation
        present = torch.cat([start.weight, start.bias[:, None]], dim=1).double()
        wanted = parents["a"](x).double()
        assert every.shape[1] > inputs.shape[1]
        pull = torch.full((rows.shape[1],), 1e-3 * float(inputs.square().sum(0).mean()), dtype=torch.float64)
        pull[-1] = 1e-9 * len(x)
        step = torch.linalg.solve(rows.T @ rows + torch.diag(pull), rows.T @ (wanted - rows @ present.T))
    found = fitted.block(2, group("a")).operation
    torch.testing.assert_close(found.weight, (present + step.T)[:, :-1].float(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.bias, (present + step.T)[:, -1].float(), atol=1e-4, rtol=1e-4)


def test_refit_honours_the_lattice():
    """A task's outputs do not move when the units of another task alone are disturbed."""
    tasks = make_tasks(3)
    parents = {task.name: random_parent("lenet5", seed) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES["lenet5"], tasks)
    network = pam.merge(parents, pam.plan(parents, data, tasks=tasks, share=0.6), calibration=data)
    x = torch.randn(5, *SHAPES["lenet5"])
    before = network(x, tasks=["a"])["a"]
    disturbed = 0
    for index in range(len(network.layers)):
        for g, block in network.blocks(index):
            if "a" not in g:
                nn.init.normal_(block.operation.weight, std=10.0)
                disturbed += 1
    assert disturbed > len(network.layers)
    assert torch.equal(network(x)["a"], before)


def norm_states(network, x):
    """Return (normalised batch mean, normalised batch variance) of every unit in front of a batch norm."""
    found, handles = [], []

    def keep(norm, inputs, _output):
        values = inputs[0].transpose(0, 1).flatten(1)
        deviation = (norm.running_var + norm.eps).sqrt()
        found.append(((values.mean(1) - norm.running_mean) / deviation, values.var(1) / (norm.running_var + norm.eps)))

    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            handles.append(module.register_forward_hook(keep))
    with torch.no_grad():
        network.eval()(x)
    for handle in handles:
        handle.remove()
    return torch.cat([mean for mean, _ in found]), torch.cat([variance for _, variance in found])


def drift_in_training(network, x):
    """Mean squared difference between the outputs in evaluation mode and with the batch's own statistics."""
    with torch.no_grad():
        outputs, trained = network.eval()(x), copy.deepcopy(network).train()(x)
    return sum(float((outputs[task] - trained[task]).square().mean()) for task in outputs)


def test_refit_norms_agree_with_the_statistics_of_a_batch():
    """Training starts from the function that was fitted, because batch and running statistics are alike."""
    tasks = make_tasks(2)
    parents = {"a": random_parent("small_vgg", 0), "b": random_parent("small_vgg", 1)}
    data = make_data(SHAPES["small_vgg"], tasks, (8,) * 30)
    plan = pam.plan(parents, data, tasks=tasks, solver="random", share=0.5)
    x = torch.cat([x for x, _ in data])
    fitted = pam.merge(parents, plan, calibration=data)
    average = pam.merge(parents, plan, weights="average")
    mean, variance = norm_states(fitted, x)
    assert mean.abs().max() < 0.2
    assert (variance - 1).abs().max() < 0.3
    mean, variance = norm_states(average, x)
    assert mean.abs().max() > 0.5
    assert (variance - 1).abs().max() > 0.5
    assert drift_in_training(fitted, x) < 0.01 * drift_in_training(average, x)


def test_reestimated_norms_hold_the_mean_over_the_batches():
    tasks = make_tasks(2)
    parents = {"a": random_parent("small_vgg", 0), "b": random_parent("small_vgg", 1)}
    data = make_data(SHAPES["small_vgg"], tasks, (30, 30, 30))
    plan = pam.plan(parents, data, tasks=tasks)
    plain = pam.merge(parents, plan, weights="average")
    repaired = pam.merge(parents, plan, weights="average", calibration=data, reestimate=True)
    assert not repaired.training
    assert not any(module.training for module in repaired.modules())
    assert all(m.momentum == 0.1 for m in repaired.modules() if isinstance(m, nn.BatchNorm2d))
    block = repaired.block(0, group("ab"))
    with torch.no_grad():
        values = [block.operation(x).transpose(0, 1).flatten(1) for x, _ in data]
    torch.testing.assert_close(block.norm.running_mean, torch.stack([v.mean(1) for v in values]).mean(0))
    torch.testing.assert_close(block.norm.running_var, torch.stack([v.var(1) for v in values]).mean(0))
    torch.testing.assert_close(block.operation.weight, plain.block(0, group("ab")).operation.weight)
    assert not torch.allclose(block.norm.running_mean, plain.block(0, group("ab")).norm.running_mean, atol=1e-3)


def test_without_reestimate_the_averaged_norms_stay():
    tasks = make_tasks(2)
    parents = {"a": random_parent("small_vgg", 0), "b": random_parent("small_vgg", 1)}
    data = make_data(SHAPES["small_vgg"], tasks)
    plan = pam.plan(parents, data, tasks=tasks)
    first = pam.merge(parents, plan, weights="average").state_dict()
    second = pam.merge(parents, plan, weights="average", calibration=data).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_parents_stay_as_they_are(weights):
    tasks = make_tasks(2)
    parents = {"a": random_parent("small_vgg", 0).train(), "b": random_parent("small_vgg", 1)}
    before = copy.deepcopy({task: parent.state_dict() for task, parent in parents.items()})
    data = make_data(SHAPES["small_vgg"], tasks)
    plan = pam.plan(parents, data, tasks=tasks, share=0.0)
    network = pam.merge(parents, plan, weights=weights, calibration=data, reestimate=True)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    for task, parent in parents.items():
        assert all(torch.equal(value, before[task][name]) for name, value in parent.state_dict().items())
        assert all(parameter.grad is None for parameter in parent.parameters())
    assert parents["a"].training
    assert not parents["b"].training


def test_the_same_seed_gives_the_same_network():
    tasks = make_tasks(2)
    parents = {"a": random_parent("lenet5", 0), "b": random_parent("lenet5", 1)}
    data = make_data(SHAPES["lenet5"], tasks, (120, 120))
    plan = pam.plan(parents, data, tasks=tasks)
    first, again, other = (pam.merge(parents, plan, calibration=data, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_parents_may_come_in_any_order():
    tasks = make_tasks(2, [3, 4])
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1, 4)}
    data = make_data(SHAPES["mlp"], tasks)
    plan = pam.plan(parents, data, tasks=tasks, share=0.5)
    first = pam.merge(parents, plan, weights="average")
    second = pam.merge({"b": parents["b"], "a": parents["a"]}, plan, weights="average")
    assert first.structure == second.structure
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_progress_counts_the_layers():
    tasks = make_tasks(2)
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}
    data, seen = make_data(SHAPES["mlp"], tasks), []
    plan = pam.plan(parents, data, tasks=tasks)
    pam.merge(parents, plan, calibration=data, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_side_by_side_refuses_merged_units():
    tasks = make_tasks(2)
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}
    plan = pam.plan(parents, make_data(SHAPES["mlp"], tasks), tasks=tasks)
    with pytest.raises(PlanError, match=r"'linear1' merges units.*'average' can"):
        pam.merge(parents, plan, weights="side_by_side")


def test_plans_that_do_not_fit_are_refused():
    tasks = make_tasks(2)
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}
    data = make_data(SHAPES["mlp"], tasks)
    plan = pam.plan(parents, data, tasks=tasks)
    with pytest.raises(PlanError, match="need calibration="):
        pam.merge(parents, plan)
    with pytest.raises(PlanError, match="places 9 units of 'b', which has 8; make the plan"):
        pam.merge({"a": parents["a"], "b": random_parent("mlp", 1, wide=True)}, plan, weights="average")
    with pytest.raises(PlanError, match="the plan is for tasks"):
        pam.merge({"x": parents["a"], "y": parents["b"]}, plan, weights="average")
    with pytest.raises(PlanError, match="the plan is for tasks"):
        pam.merge({**parents, "c": random_parent("mlp", 2)}, plan, weights="average")


def test_parents_that_were_pruned_alone_can_be_merged():
    tasks = make_tasks(2)
    parents = {task.name: pam.single(random_parent("lenet5", seed), task) for seed, task in enumerate(tasks)}
    (width,) = parents["a"].structure.widths[0].values()
    keep = torch.arange(width) > 0
    smaller = {"a": remove_units(parents["a"], {(0, group("a")): keep}), "b": parents["b"]}
    data = make_data(SHAPES["lenet5"], tasks)
    plan = pam.plan(smaller, data, tasks=tasks)
    network = pam.merge(smaller, plan, calibration=data)
    assert plan.layers[0].units == (width - 1, width)
    assert set(network(torch.randn(2, *SHAPES["lenet5"]))) == {"a", "b"}
    with pytest.raises(UnsupportedModel, match="a parent has one task"):
        pam.plan({"a": network, "b": parents["b"]}, data, tasks=tasks)
