"""Costs of merging two units, against what they mean, computed sample by sample."""

import itertools

import numpy as np
import pytest
from networks import SHAPES, make_data, make_tasks, members, permuted_copy, random_parent

import pam_opt as pam
from pam_opt.measuring import LayerStatistics, UnitStatistics
from pam_opt.pair_costs import COSTS, PairStatistics, Side, correlation_cost, fisher_cost, weights_cost
from pam_opt.pair_costs.fisher import FLOOR
from pam_opt.planning.clusters import Clusters


def samples(seed, count=3, units=(4, 5, 3), rows=50):
    """Pre-activations (rows, units) and Fisher information of several parents."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(rows, 3))
    values = [common @ rng.normal(size=(3, n)) + rng.normal(size=(rows, n)) + rng.normal(size=n) for n in units[:count]]
    return values, [rng.exponential(size=n) for n in units[:count]]


def layer_statistics(values, fisher, positions=1):
    names = "abc"[: len(values)]
    units = {
        name: UnitStatistics(y.mean(0), y.var(0), f, f.copy()) for name, y, f in zip(names, values, fisher, strict=True)
    }
    covariance = {
        (names[s], names[t]): (values[s] - values[s].mean(0)).T @ (values[t] - values[t].mean(0)) / len(values[s])
        for s, t in itertools.combinations(range(len(values)), 2)
    }
    return LayerStatistics("layer", positions, units, covariance)


def nothing(_members, _shares):
    raise AssertionError("this cost needs no weights")


def pair_statistics(values, fisher, positions=1):
    layer = layer_statistics(values, fisher, positions)
    left, right = (Clusters.of_parent(layer, "ab", name) for name in "ab")
    return left.pair_statistics(right, "b", nothing)


@pytest.mark.parametrize("positions", [1, 16])
def test_fisher_cost_is_the_loss_of_the_best_common_value(positions):
    values, fisher = samples(0, 2)
    cost = fisher_cost(pair_statistics(values, fisher, positions))
    assert cost.shape == (4, 5)
    floor = FLOOR * np.concatenate(fisher).mean()
    for i, j in itertools.product(range(4), range(5)):
        f, g = fisher[0][i] + floor, fisher[1][j] + floor
        y, z = values[0][:, i], values[1][:, j]
        common = (f * y + g * z) / (f + g)
        loss = 0.5 * positions * np.mean(f * (y - common) ** 2 + g * (z - common) ** 2)
        assert cost[i, j] == pytest.approx(loss, rel=1e-9)
        for other in (common + 0.01, 0.99 * common):
            assert loss < 0.5 * positions * np.mean(f * (y - other) ** 2 + g * (z - other) ** 2)
        plain = 0.5 * positions * fisher[0][i] * fisher[1][j] / (fisher[0][i] + fisher[1][j]) * np.mean((y - z) ** 2)
        assert cost[i, j] == pytest.approx(plain, rel=0.02)


def test_equal_units_merge_for_free():
    values, fisher = samples(1, 2)
    values[1] = values[0][:, [2, 0, 1, 3]]
    cost = fisher_cost(pair_statistics(values, [fisher[0], fisher[0][[2, 0, 1, 3]]]))
    assert cost.argmin(1).tolist() == [1, 2, 0, 3]
    assert cost.min(1) == pytest.approx(np.zeros(4), abs=1e-12)
    assert cost.min() >= 0


def test_correlation_cost_is_one_minus_the_correlation():
    values, fisher = samples(2, 2)
    cost = correlation_cost(pair_statistics(values, fisher))
    for i, j in itertools.product(range(4), range(5)):
        assert cost[i, j] == pytest.approx(1 - np.corrcoef(values[0][:, i], values[1][:, j])[0, 1])


def test_weights_cost_is_the_squared_distance():
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(4, 6)), rng.normal(size=(5, 6))
    sides = [Side(np.zeros(len(w)), np.ones(len(w)), np.ones(len(w)), lambda w=w: w) for w in weights]
    cost = weights_cost(PairStatistics(*sides, np.zeros((4, 5)), 1))
    expected = np.square(weights[0][:, None] - weights[1][None]).sum(2)
    np.testing.assert_allclose(cost, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_fisher_costs_of_clusters_add_up_to_the_total(seed, monkeypatch):
    """Ward: what each step adds sums to the weighted spread within the final clusters."""
    monkeypatch.setattr("pam_opt.pair_costs.fisher.FLOOR", 1e-13)
    values, fisher = samples(seed, 3, (4, 4, 4))
    layer = layer_statistics(values, fisher, positions=9)
    sides = [Clusters.of_parent(layer, "abc", name) for name in "abc"]
    rng = np.random.default_rng(seed)
    clusters, total = sides[0], np.zeros(4)
    for task, other in zip("bc", sides[1:], strict=True):
        cost = fisher_cost(clusters.pair_statistics(other, task, nothing))
        order = rng.permutation(4)
        pairs = np.stack([np.arange(4), order], axis=1)
        total += cost[pairs[:, 0], pairs[:, 1]]
        clusters = clusters.paired(other, pairs)
    for row, increments in zip(clusters.members, total, strict=True):
        y = np.stack([values[parent][:, unit] for parent, unit in enumerate(row)])
        f = np.array([fisher[parent][unit] for parent, unit in enumerate(row)])
        centre = (f[:, None] * y).sum(0) / f.sum()
        assert increments == pytest.approx(0.5 * 9 * (f[:, None] * (y - centre) ** 2).sum(0).mean(), rel=1e-9)


def test_statistics_of_clusters_are_those_of_their_weighted_mean():
    values, fisher = samples(5)
    layer = layer_statistics(values, fisher)
    a, b, c = (Clusters.of_parent(layer, "abc", name) for name in "abc")
    clusters = a.paired(b, np.array([[0, 3], [2, 1]]))
    assert clusters.members.tolist() == [
        [0, 3, -1],
        [1, -1, -1],
        [2, 1, -1],
        [3, -1, -1],
        [-1, 0, -1],
        [-1, 2, -1],
        [-1, 4, -1],
    ]
    assert clusters.shares.sum(1) == pytest.approx(np.ones(7))
    pairs = clusters.pair_statistics(c, "c", nothing)
    mean = (fisher[0][0] * values[0][:, 0] + fisher[1][3] * values[1][:, 3]) / (fisher[0][0] + fisher[1][3])
    assert pairs.left.mean[0] == pytest.approx(mean.mean())
    assert pairs.left.variance[0] == pytest.approx(mean.var())
    assert pairs.left.fisher[0] == pytest.approx(fisher[0][0] + fisher[1][3])
    expected = [np.mean((mean - mean.mean()) * (values[2][:, k] - values[2][:, k].mean())) for k in range(3)]
    assert pairs.covariance[0] == pytest.approx(np.array(expected))
    assert pairs.covariance[4] == pytest.approx(layer.covariance["b", "c"][0])


@pytest.mark.parametrize("name", COSTS)
def test_dead_and_constant_units_have_finite_costs(name):
    values, fisher = samples(6, 2)
    values[0][:, 0] = 2.0
    values[1][:, 1] = 2.0
    fisher[0][0] = fisher[1][1] = fisher[0][1] = 0.0
    for information in (fisher, [np.zeros(4), np.zeros(5)]):
        layer = layer_statistics(values, information)
        left, right = (Clusters.of_parent(layer, "ab", task) for task in "ab")
        weights = np.random.default_rng(0).normal(size=(4, 7)), np.zeros((5, 7))
        cost = COSTS[name](
            left.pair_statistics(right, "b", lambda m, s, w=weights: w[0] if (m[:, 0] >= 0).all() else w[1])
        )
        assert np.isfinite(cost).all()
        assert (cost >= 0).all()
    assert np.isfinite(left.shares).all()
    if name == "correlation":
        assert (cost[0] == 1).all()
        assert (cost[:, 1] == 1).all()


def test_ties_between_dead_units_are_broken_by_distance():
    values, fisher = samples(7, 2)
    fisher[0][:2] = fisher[1][:2] = 0.0
    values[1][:, 0] = values[0][:, 1] + 1e-3
    cost = fisher_cost(pair_statistics(values, fisher))
    assert cost[1, :2].argmin() == 0
    assert cost[1, 1] > cost[1, 0] > 0


@pytest.mark.parametrize("name", COSTS)
def test_each_cost_makes_a_plan(name):
    tasks = make_tasks(3)
    parents = {task.name: random_parent("small_vgg", seed) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES["small_vgg"], tasks)
    plan = pam.plan(parents, data, tasks=tasks, cost=name, share=0.5)
    assert all(np.isfinite(record["value"]) for record in plan.records)


def test_weights_cost_compares_on_merged_inputs_with_norms_folded_in():
    """A permuted copy has the same weights only when its inputs are put in the order of the merge before."""
    tasks = make_tasks(2)
    parent = random_parent("small_vgg", 1)
    twin, orders = permuted_copy(parent, 2)
    data = make_data(SHAPES["small_vgg"], tasks)
    plan = pam.plan({"a": parent, "b": twin}, data, tasks=tasks, cost="weights", solver="hungarian")
    for layer, order, record in zip(plan.layers, orders, plan.records, strict=True):
        assert np.array_equal(order[members(layer)[:, 1]], members(layer)[:, 0])
        assert record["value"] == pytest.approx(0.0, abs=1e-8)
