"""Planning clusters over all parents at once."""

import numpy as np
import pytest
import torch
from networks import SHAPES, group, make_data, make_tasks, random_parent

import pam_opt as pam
from pam_opt.data import load
from pam_opt.errors import PlanError
from pam_opt.families import FAMILIES
from pam_opt.pair_costs import fisher_cost
from pam_opt.planning.clusters import Clusters
from pam_opt_solvers import MultiPairing

UNITS = [(4, 5, 4), (6, 7, 6), (10, 9, 10), (8, 11, 8)]


@pytest.fixture(scope="module")
def lenets():
    """Three lenets of two widths, with their data and statistics."""
    tasks = make_tasks(3)
    parents = {task.name: random_parent("lenet5", seed, wide=seed == 1) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES["lenet5"], tasks)
    return tasks, parents, data, pam.measure(parents, data, tasks=tasks, within=True)


def three(lenets, **options):
    tasks, parents, _, statistics = lenets
    return pam.plan(parents, tasks=tasks, statistics=statistics, **{"problem": "multi", **options})


def two(lenets, **options):
    tasks, parents, data, statistics = lenets
    return three((tasks[:2], {name: parents[name] for name in "ab"}, data, statistics), **options)


def few(lenets, problem, **options):
    """Plan as many parents as the problem takes."""
    return (two if problem == "multi-within" else three)(lenets, problem=problem, **options)


def pairwise_cost(layer, tasks):
    """Fisher costs between all parents' units, written out."""
    own = [Clusters.of_parent(layer, tasks, task) for task in tasks]
    size = [len(one.members) for one in own]
    blocks = [[np.zeros((m, n)) for n in size] for m in size]
    for a in range(len(tasks)):
        for b in range(a + 1, len(tasks)):
            blocks[a][b] = fisher_cost(own[a].pair_statistics(own[b], tasks[b], lambda m, s: m))
            blocks[b][a] = blocks[a][b].T
    return MultiPairing(np.block(blocks), size)  # type: ignore[arg-type]


def value_of(layer, problem):
    return problem.value(np.concatenate(layer.places))


def test_every_cluster_is_complete_and_the_value_is_proved(lenets):
    tasks, _, _, statistics = lenets
    plan = three(lenets)
    for layer, record, measured, units in zip(plan.layers, plan.records, statistics.layers, UNITS, strict=True):
        problem = pairwise_cost(measured, [task.name for task in tasks])
        assert layer.widths[group("abc")] == min(units)
        assert record["status"] == "OPTIMAL"
        assert record["bound"] <= record["value"] == pytest.approx(value_of(layer, problem))
        for column, total in enumerate(units):
            assert sorted(layer.places[column]) == sorted(set(layer.places[column]))
            assert len(layer.places[column]) == total


def test_on_digits_no_worse_than_sequential_pairing():
    """By the same costs; with equal widths sequential pairing makes complete clusters, too."""
    tasks = [
        pam.Task("low", classes=range(5)),
        pam.Task("high", classes=range(5, 10)),
        pam.Task("even", mapping={digit: digit % 2 for digit in range(10)}),
    ]
    train = load("digits", limit=600).train
    batches = [(train.x, {task.name: task.target(train.labels) for task in tasks})]
    parents = {}
    for seed, task in enumerate(tasks):
        torch.manual_seed(seed)
        parents[task.name] = FAMILIES["mlp"](tuple(train.x.shape[1:]), task.outputs, widths=(12, 10))
        optimiser = torch.optim.Adam(parents[task.name].parameters(), lr=0.01)
        for _ in range(40):
            optimiser.zero_grad()
            task.mean_loss(parents[task.name](batches[0][0]), batches[0][1][task.name]).backward()
            optimiser.step()
    statistics = pam.measure(parents, batches, tasks=tasks)
    multi, pairing = (
        pam.plan(parents, tasks=tasks, statistics=statistics, problem=problem) for problem in ("multi", "pairing")
    )
    for one, other, record, measured in zip(
        multi.layers, pairing.layers, multi.records, statistics.layers, strict=True
    ):
        problem = pairwise_cost(measured, [task.name for task in tasks])
        assert record["status"] == "OPTIMAL"
        assert value_of(one, problem) == pytest.approx(record["value"])
        assert record["value"] <= value_of(other, problem) * (1 + 1e-9)


def test_predicted_loss_is_that_of_one_common_value(lenets):
    """Against the sum over a cluster's units, from the clusters' own statistics."""
    tasks, _, _, statistics = lenets
    plan = three(lenets)
    for layer, record, measured in zip(plan.layers, plan.records, statistics.layers, strict=True):
        total = 0.0
        for place in layer.rows(group("abc")):
            row = [int(np.flatnonzero(column == place)[0]) for column in layer.places]
            fisher = [measured.units[task.name].fisher[u] for task, u in zip(tasks, row, strict=True)]
            for a in range(3):
                for b in range(a + 1, 3):
                    s, t = tasks[a].name, tasks[b].name
                    one, two = measured.units[s], measured.units[t]
                    i, j = row[a], row[b]
                    distance = one.variance[i] + two.variance[j] - 2 * measured.cross(s, t)[i, j]
                    distance += (one.mean[i] - two.mean[j]) ** 2
                    total += 0.5 * measured.positions * fisher[a] * fisher[b] / sum(fisher) * distance
        # The floor under the Fisher information adds a little.
        assert record["predicted_loss"] == pytest.approx(total, rel=0.1)


@pytest.mark.parametrize("problem", ["multi", "multi-within"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_share_keeps_the_cheapest_clusters(lenets, problem, share):
    plan, full = few(lenets, problem, share=share), few(lenets, problem)
    everything = group("ab" if problem == "multi-within" else "abc")
    for layer, record, whole, units in zip(plan.layers, plan.records, full.records, UNITS, strict=True):
        most = sum(units[:2]) // 2 if problem == "multi-within" else min(units)
        assert record["clusters"] == layer.widths.get(everything, 0) == round(share * most)
        assert record["value"] <= (share + 1e-9) * whole["value"] + 1e-9 or share * most % 1
        assert (record["bound"] is None) == (share < 1)
    assert (plan.summary()["gap"] is None) == (share < 1)


@pytest.mark.parametrize("problem", ["multi", "multi-within"])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("weights", ["refit", "average"])
def test_plans_can_be_merged(lenets, problem, share, weights):
    _, parents, data, _ = lenets
    plan = few(lenets, problem, share=share)
    some = {name: parents[name] for name in plan.tasks}
    merged = pam.merge(some, plan, weights=weights, calibration=data)
    outputs = merged(data[0][0])
    assert {name: tuple(out.shape) for name, out in outputs.items()} == dict.fromkeys(some, (24, 3))
    assert all(torch.isfinite(out).all() for out in outputs.values())


def test_planted_triplets_are_found():
    tasks = make_tasks(3)
    parents = {task.name: random_parent("mlp", 0) for task in tasks}
    batches = [(x, {task.name: y["a"] for task in tasks}) for x, y in make_data(SHAPES["mlp"], tasks)]
    plan = pam.plan(parents, batches, tasks=tasks, problem="multi")
    for layer, record in zip(plan.layers, plan.records, strict=True):
        assert (layer.places[0] == layer.places[1]).all()
        assert (layer.places[0] == layer.places[2]).all()
        assert record["predicted_loss"] == pytest.approx(0.0, abs=1e-6)


def test_two_parents_are_paired_as_by_pairing(lenets):
    multi, pairing = (two(lenets, problem=problem) for problem in ("multi", "pairing"))
    for one, other in zip(multi.records, pairing.records, strict=True):
        assert one["value"] == pytest.approx(other["value"])
        assert one["predicted_loss"] == pytest.approx(other["pair_cost"])


def test_merging_within_a_parent_costs_no_more():
    """Two parents of the same widths: pairs across are among those that may be made."""
    tasks = make_tasks(2)
    parents = {task.name: random_parent("mlp", seed) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES["mlp"], tasks)
    statistics = pam.measure(parents, data, tasks=tasks, within=True)
    for across, within in zip(
        pam.plan(parents, tasks=tasks, statistics=statistics, problem="multi").records,
        pam.plan(parents, tasks=tasks, statistics=statistics, problem="multi-within").records,
        strict=True,
    ):
        assert within["status"] == "OPTIMAL"
        assert within["solver"] == "matching"
        assert within["value"] <= across["value"] + 1e-9


def test_width_keeps_the_most_important_clusters(lenets):
    plan = three(lenets, width=0.5)
    assert [len(layer.groups) for layer in plan.layers] == [round(0.5 * max(units)) for units in UNITS]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": {"conv1": 0.0}}, "layer 'conv2': share 1.0 asks for shared units"),
        ({"loss_budget": 1.0}, "loss_budget= does not apply to problem='multi'"),
        ({"macs_budget": 1.0}, "macs_budget= is for problem='network'"),
        ({"problem": "multi-within"}, "problem='multi-within' is for two tasks, not 3"),
    ],
)
def test_impossible_requests_are_refused(lenets, options, words):
    with pytest.raises(PlanError, match=words):
        three(lenets, **options)


def test_merging_within_needs_the_covariance_within_and_takes_no_width(lenets):
    tasks, parents, data, _ = lenets
    with pytest.raises(PlanError, match="measure with within=True"):
        two((tasks, parents, data, pam.measure(parents, data, tasks=tasks)), problem="multi-within")
    with pytest.raises(PlanError, match="width= does not apply to problem='multi-within'"):
        two(lenets, problem="multi-within", width=0.5)
