"""Plans that keep some units and read the others from these: what they cost, what they keep, what they reproduce."""

import copy

import numpy as np
import pytest
import torch
from networks import NAMES, SHAPES, group, make_data, make_tasks, members, random_parent
from torch import nn

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.pair_costs.fisher import FLOOR
from pam_opt.plans import LayerPlan, Plan
from pam_opt.representation import Pool

PROBLEMS = ("representatives", "columns")


def measured(family, count=2, sizes=(40, 40), **options):
    tasks = make_tasks(count)
    parents = {task.name: random_parent(family, seed, wide=seed == 1) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES[family], tasks, sizes)
    return tasks, parents, data, pam.measure(parents, data, tasks=tasks, within=True, **options)


def widen(module, seed, copies=2):
    """Write every hidden unit of a chain several times, its readers' weights shared out; the function stays.

    Returns
    -------
    wide, origins : for each hidden layer the unit of `module` that each unit of `wide` repeats
    """
    rng = np.random.default_rng(seed)
    children, origins, before = [], [], None
    layers = [child for child in module if isinstance(child, nn.Linear | nn.Conv2d)]
    for child in module:
        child = copy.deepcopy(child)
        if isinstance(child, nn.Linear | nn.Conv2d):
            weight = child.weight.detach()
            if before is not None:
                area = weight.shape[1] // (before.max() + 1) if weight.ndim == 2 else 1
                columns = (before[:, None] * area + np.arange(area)).reshape(-1)
                weight = weight[:, columns] / copies
            hidden = child is not None and len(origins) < len(layers) - 1
            rows = rng.permutation(np.repeat(np.arange(len(weight)), copies)) if hidden else np.arange(len(weight))
            child = rebuilt(child, weight[rows], None if child.bias is None else child.bias.detach()[rows])
            if hidden:
                origins.append(rows)
                before = rows
        elif isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            assert before is not None
            wide = type(child)(len(before), eps=child.eps)
            wide.load_state_dict({k: v[before] if v.ndim else v for k, v in child.state_dict().items()})
            child = wide
        children.append(child)
    return nn.Sequential(*children).eval(), origins


def rebuilt(child, weight, bias):
    if isinstance(child, nn.Linear):
        new = nn.Linear(weight.shape[1], len(weight), bias=bias is not None)
    else:
        new = nn.Conv2d(
            weight.shape[1], len(weight), child.kernel_size, child.stride, child.padding, bias=bias is not None
        )
    with torch.no_grad():
        new.weight.copy_(weight)
        if bias is not None:
            new.bias.copy_(bias)
    return new


def test_the_cost_is_what_a_line_through_the_kept_unit_leaves():
    _, parents, data, statistics = measured("mlp")
    layer = statistics.layers[0]
    pool = Pool.of(layer, ("a", "b"))
    x = torch.cat([x for x, _ in data])
    with torch.no_grad():
        rows = torch.cat([parents[t].linear1(x.flatten(1)) for t in "ab"], dim=1).double().numpy()
    fisher = np.concatenate([layer.units[t].fisher for t in "ab"])
    fisher += FLOOR * fisher.mean()
    for u in range(rows.shape[1]):
        for r in range(rows.shape[1]):
            line = np.stack([rows[:, r], np.ones(len(rows))], axis=1)
            fit = np.linalg.lstsq(line, rows[:, u], rcond=None)[0]
            left = rows[:, u] - (line @ fit if fit[0] > 0 else rows[:, u].mean())
            assert pool.cost[u, r] == pytest.approx(0.5 * fisher[u] * np.mean(left**2), rel=1e-3, abs=1e-9)
    kept = np.array([1, 4, 11])
    design = np.column_stack([rows[:, kept], np.ones(len(rows))])
    left = rows - design @ np.linalg.lstsq(design, rows, rcond=None)[0]
    assert pool.joint_loss(kept) == pytest.approx(0.5 * (fisher * np.square(left).mean(0)).sum(), rel=1e-3)
    assert pool.joint_loss(kept) <= pool.cost[:, kept].min(1).sum()


def test_units_that_never_change_cost_nothing_and_represent_nothing():
    covariance = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 2.0]])
    pool = Pool(np.array([0, 0, 1]), np.ones(3), covariance)
    assert pool.cost == pytest.approx(np.array([[0.0, 2.0, 1.5], [0.0, 0.0, 0.0], [1.5, 2.0, 0.0]]))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("family", [name for name in NAMES if name != "lenet_300_100"])  # 300 units are no small test
def test_planted_copies_are_represented_and_the_function_stays(family, problem):
    """Every unit of one network stands four times in two parents; one of each is kept, at half a parent's width."""
    tasks = make_tasks(2)
    parent = random_parent(family, 5)
    wide = {name: widen(parent, seed)[:2] for seed, name in enumerate("ab")}
    parents = {name: module for name, (module, _) in wide.items()}
    x = torch.randn(7, *SHAPES[family])
    with torch.no_grad():
        for module in parents.values():
            torch.testing.assert_close(module(x), parent(x), atol=1e-4, rtol=1e-4)
    data = make_data(SHAPES[family], tasks, (120, 120))
    plan = pam.plan(parents, data, tasks=tasks, problem=problem, width=0.5)
    for layer, record in zip(pam.measure(parents, data, tasks=tasks, within=True).layers, plan.records, strict=True):
        pool = Pool.of(layer, ("a", "b"))
        assert record["value"] < 1e-4 * (pool.weight @ pool.variance)
    if problem == "columns" and family != "mlp":
        return  # layers of low rank: some units are sums of others, and need no copy to be explained
    network = pam.merge(parents, plan, calibration=data)
    average = pam.merge(parents, plan, weights="average")
    for index, layer in enumerate(plan.layers):
        origins = [wide[name][1][index] for name in "ab"]
        assert len(layer.groups) == len(set(origins[0]))
        for k, places in enumerate(layer.places):
            kept = [(members(layer)[place], origins[k][unit]) for unit, place in enumerate(places) if place >= 0]
            for row, origin in kept:
                assert {origins[j][unit] for j, unit in enumerate(row) if unit >= 0} == {origin}
    with torch.no_grad():
        for merged in (network, average):
            for output in merged(x).values():
                torch.testing.assert_close(output, parent(x), atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("width", [None, 0.3, 0.5, 1.5])
def test_width_is_the_number_of_kept_units(problem, width):
    tasks, parents, data, statistics = measured("lenet5", 3)
    plan = pam.plan(parents, tasks=tasks, statistics=statistics, problem=problem, width=width)
    for layer, widest in zip(plan.layers, (5, 7, 10, 11), strict=True):
        assert layer.widths == {group("abc"): round((width or 1.0) * widest)}
        kept = np.concatenate(layer.shares)
        assert sorted(set(kept)) == [0.0, 1.0]
        assert kept.sum() == len(layer.groups)
    assert [record["layer"] for record in plan.records] == [layer.name for layer in statistics.layers]
    summary = plan.summary()
    assert summary["bound"] <= summary["value"]
    with torch.no_grad():
        network = pam.merge(parents, plan, calibration=data)
        assert all(output.isfinite().all() for output in network(data[0][0]).values())


def test_representatives_are_those_that_stand_best_for_the_others():
    tasks, parents, _, statistics = measured("mlp")
    plan = pam.plan(parents, tasks=tasks, statistics=statistics, problem="representatives", width=0.4)
    for layer, found, record in zip(statistics.layers, plan.layers, plan.records, strict=True):
        pool = Pool.of(layer, ("a", "b"))
        places, shares = np.concatenate(found.places), np.concatenate(found.shares)
        kept = np.flatnonzero(shares)
        assert record["value"] == pytest.approx(pool.cost[:, kept].min(1).sum())
        for unit, place in enumerate(places):
            if place < 0:
                assert (pool.correlation[unit, kept] <= 0).all()
                continue
            (stands,) = kept[places[kept] == place]
            follows = pool.correlation[unit, kept] > 0
            assert pool.cost[unit, stands] == pool.cost[unit, kept[follows]].min()


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("count", [2, 3])
def test_share_is_the_part_of_the_kept_units_that_all_tasks_share(problem, count):
    tasks, parents, data, statistics = measured("lenet5", count)
    names = [task.name for task in tasks]
    losses = {}
    for share in (0.0, 0.5, 1.0):
        plan = pam.plan(
            parents, tasks=tasks, statistics=statistics, problem=problem, width=0.6, share=share, solver="auto"
        )
        losses[share] = plan.summary()["value"]
        for index, layer in enumerate(plan.layers):
            wanted = round(0.6 * (5, 7, 10, 11)[index])
            shared = round(share * wanted)
            assert layer.widths.get(group(names), 0) == shared
            for k, task in enumerate(names):
                left = layer.units[k] - np.count_nonzero(members(layer)[layer.rows(group(names)), k] >= 0)
                assert layer.widths.get(group(task), 0) == min(wanted - shared, left)
                assert all(task in layer.groups[place] for place in layer.places[k] if place >= 0)
        assert plan.summary()["bound"] is None or share in (0.0, 1.0)
        network = pam.merge(parents, plan, calibration=data)
        assert set(network(data[0][0])) == set(names)
    # More units in all: a layer never loses more.
    assert losses[0.0] <= losses[1.0]


def test_plans_of_several_units_of_one_parent_are_merged_as_they_say():
    """Two units of one parent and one of the other in one merged unit, a further one represented, one dropped."""
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}
    places = [np.array([0, 0, 1, 2, 3, 4, 5, -1, 0]), np.array([0, 6, 7, 8, 9, 10, 11, 12, 13])]
    shares = [np.array([0.5, 0.25, 1, 1, 1, 1, 1, 0, 0]), np.array([0.25, 1, 1, 1, 1, 1, 1, 1, 1])]
    first = LayerPlan.build("linear1", places, shares, [group("ab")] * 14)
    second = LayerPlan.build(
        "linear2", [np.arange(7), np.arange(7, 14)], [np.ones(7), np.ones(7)], [group("a")] * 7 + [group("b")] * 7
    )
    plan = Plan(("a", "b"), (first, second), SHAPES["mlp"])
    network = pam.merge(parents, plan, weights="average")
    a, b = parents["a"], parents["b"]
    mixed = 0.5 * a.linear1.weight[0] + 0.25 * a.linear1.weight[1] + 0.25 * b.linear1.weight[0]
    torch.testing.assert_close(network.block(0, group("ab")).operation.weight[0], mixed)
    read = network.block(1, group("a")).operation.weight
    torch.testing.assert_close(read[:, 0], a.linear2.weight[:, [0, 1, 8]].sum(1))
    torch.testing.assert_close(read[:, 1:6], a.linear2.weight[:, 2:7])
    assert not read[:, 6:].any()
    data = make_data(SHAPES["mlp"], make_tasks(2), (64, 64))
    for target, wanted in (("mean", mixed), ("keep", a.linear1.weight[0])):
        fitted = pam.merge(parents, plan, calibration=data, target=target, ridge=1e-9)
        torch.testing.assert_close(fitted.block(0, group("ab")).operation.weight[0], wanted, atol=1e-4, rtol=1e-4)
    with pytest.raises(PlanError, match="merges units"):
        pam.merge(parents, plan, weights="side_by_side")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_plans_with_representatives_come_back_from_disk(problem, tmp_path):
    tasks, parents, _, statistics = measured("small_vgg")
    plan = pam.plan(parents, tasks=tasks, statistics=statistics, problem=problem, width=0.5)
    plan.save(tmp_path / "plan.json")
    back = Plan.load(tmp_path / "plan.json")
    assert back.summary() == plan.summary()
    merged = [pam.merge(parents, p, weights="average").state_dict() for p in (plan, back)]
    assert all(torch.equal(merged[0][name], merged[1][name]) for name in merged[0])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_statistics_without_the_covariance_within_parents_are_refused(problem):
    tasks, parents, data, _ = measured("mlp")
    plain = pam.measure(parents, data, tasks=tasks)
    with pytest.raises(PlanError, match=r"within the parents \['a', 'b'\].*within=True"):
        pam.plan(parents, tasks=tasks, statistics=plain, problem=problem)


def test_a_plan_of_narrower_parents_is_refused_by_wider_ones():
    tasks = make_tasks(2)
    parents = {name: random_parent("lenet5", seed) for seed, name in enumerate("ab")}
    plan = pam.plan(parents, make_data(SHAPES["lenet5"], tasks), tasks=tasks)
    wider = {**parents, "b": random_parent("lenet5", 1, wide=True)}
    with pytest.raises(PlanError, match="layer 'conv1': the plan places 4 units of 'b', which has 5; make the plan"):
        pam.merge(wider, plan, weights="average")


@pytest.mark.parametrize(
    ("places", "shares", "words"),
    [
        ([[0, 1], [0]], [[1.0, 1.0], [0.0]], None),
        ([[0, 2], [0]], [[1.0, 1.0], [0.0]], "place 2; places are 0 to 1"),
        ([[0, -2], [1]], [[1.0, 0.0], [1.0]], "place -2"),
        ([[0, 0], [0]], [[1.0, 0.0], [0.0]], "no member"),
        ([[0, 1], [1]], [[1.0, 0.0], [0.0]], "sum to 1"),
        ([[0, 1], [-1]], [[1.0, 1.0], [1.0]], "0 for a dropped unit"),
        ([[0, 1], [1]], [[1.0, 2.0], [-1.0]], "at least 0"),
        ([[0, 1], [1]], [[1.0, float("nan")], [0.0]], "sum to 1"),
        ([[0, 1], [1]], [[1.0], [0.0]], r"must be \(units,\)"),
    ],
)
def test_layer_plans_are_checked(places, shares, words):
    arrays = [np.array(column) for column in places], [np.array(column) for column in shares]
    if words is None:
        assert LayerPlan.build("x", *arrays, [group("a"), group("ab")]).places[0].tolist() == [1, 0]
        return
    with pytest.raises(PlanError, match=words):
        LayerPlan.build("x", *arrays, [group("a"), group("ab")])
