"""Planning networks with branches: one decision for all layers that write the same units."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from branched import SHAPE, SPACES, example, parent, permuted
from networks import group, make_data, make_tasks

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.information.options import Information
from pam_opt.pair_costs import correlation_cost, fisher_cost
from pam_opt.planning.clusters import Clusters, unit_costs
from pam_opt.planning.preparing import prepare
from pam_opt.representation import Pool

INFORMED = Information(part=0.5, samples=40)
PROBLEMS = {
    "pairing": {},
    "half": {"share": 0.5},
    "weights": {"cost": "weights"},
    "budget": {"loss_budget": 0.01},
    "representatives": {"problem": "representatives", "width": 0.8},
    "columns": {"problem": "columns", "width": 0.8, "share": 0.5},
    "multi": {"problem": "multi", "share": 0.6},
    "multi-within": {"problem": "multi-within"},
    "joint": {"problem": "joint"},
    "joint fisher": {"problem": "joint", "cost": "fisher"},
    "grouping": {"problem": "grouping"},
    "grouping budget": {"problem": "grouping", "loss_budget": 0.02},
    "pam": {"problem": "grouping", "solver": "pam", "information": INFORMED},
    "paired-grouping": {"problem": "paired-grouping", "information": INFORMED},
    "exclusive": {"problem": "exclusive"},
    "all-shared": {"problem": "all-shared"},
    "select": {"problem": "select"},
}
THREE = ["pairing", "half", "budget", "representatives", "multi", "grouping", "paired-grouping", "select"]


def assert_runs(parents, plan, kind):
    """The plan has one layer for each space, and the merged network runs every task."""
    assert [layer.name for layer in plan.layers] == SPACES[kind]
    merged = pam.merge(parents, plan, weights="average").eval()
    x = torch.randn(2, *SHAPE)
    for task in parents:
        assert torch.isfinite(merged(x, tasks=task)[task]).all()
    return merged


@pytest.mark.parametrize("kind", ["residual", "depthwise"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_gives_a_plan_that_runs(kind, name):
    tasks, parents, data = example(kind, wider=0 if "joint" in name else 1)
    assert_runs(parents, pam.plan(parents, data, tasks=tasks, **PROBLEMS[name]), kind)


@pytest.mark.parametrize("kind", ["residual", "depthwise"])
@pytest.mark.parametrize("name", THREE)
def test_so_for_three_tasks(kind, name):
    tasks, parents, data = example(kind, 3)
    assert_runs(parents, pam.plan(parents, data, tasks=tasks, **PROBLEMS[name]), kind)


@pytest.mark.parametrize("kind", ["residual", "depthwise"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cost": "correlation"},
        {"cost": "weights"},
        {"problem": "joint"},
        {"problem": "joint", "cost": "fisher"},
        {"problem": "multi"},
        {"problem": "representatives"},
    ],
)
def test_a_permuted_copy_is_found(kind, options):
    tasks = make_tasks(2)
    one = parent(kind, "a", 0)
    two, orders = permuted(one, "b", 5)
    x = torch.randn(4, *SHAPE)
    assert torch.allclose(one(x)["a"], two(x)["b"], atol=1e-5)
    parents, data = {"a": one, "b": two}, make_data(SHAPE, tasks)
    plan = pam.plan(parents, data, tasks=tasks, **options)
    for space, layer in zip(one.structure.spaces, plan.layers, strict=True):
        assert layer.widths == {group("ab"): len(orders[space])}
        assert np.array_equal(layer.places[1], layer.places[0][orders[space]])
    merged = assert_runs(parents, plan, kind)
    head = 3 * 6  # the second one's own
    assert pam.costs(merged, SHAPE).macs[group("ab")] == pam.costs(one, SHAPE).macs[group("a")] + head
    for task in "ab":
        assert torch.allclose(merged(x)[task], one(x)["a"], atol=1e-4)


def test_costs_of_a_stream_are_those_of_all_that_write_it():
    tasks, parents, data = example("residual")
    (stream, *_) = pam.measure(parents, data, tasks=tasks, within=True).layers
    assert len(stream.further) == 2
    alone = [replace(layer, further=()) for layer in stream.writers]
    total = sum(unit_costs("fisher", layer, ("a", "b"), "a", "b") for layer in alone)
    assert np.allclose(unit_costs("fisher", stream, ("a", "b"), "a", "b"), total)
    mean = sum(unit_costs("correlation", layer, ("a", "b"), "a", "b") for layer in alone) / 3
    assert np.allclose(unit_costs("correlation", stream, ("a", "b"), "a", "b"), mean)
    pool, parts = Pool.of(stream, ("a", "b")), [Pool.of(layer, ("a", "b")) for layer in alone]
    assert np.allclose(pool.cost, sum(part.cost for part in parts))
    assert np.allclose(pool.weight * pool.variance, sum(part.weight * part.variance for part in parts))
    assert np.linalg.eigvalsh(pool.covariance).min() > -1e-8


def test_shares_in_a_stream_are_common_to_all_layers():
    tasks, parents, data = example("residual")
    (stream, *_) = pam.measure(parents, data, tasks=tasks).layers
    one, two = (Clusters.of_parent(stream, "ab", task) for task in "ab")
    merged = one.paired(two, np.array([[0, 1]]))
    weights = [
        sum(layer.positions * layer.units[task].fisher[unit] for layer in stream.writers)
        for task, unit in (("a", 0), ("b", 1))
    ]
    assert merged.shares[0] == pytest.approx(np.array(weights) / sum(weights))
    pairs = one.pair_statistics(two, "b", lambda m, s: m)
    assert len(pairs.further) == 2
    assert fisher_cost(pairs).shape == correlation_cost(pairs).shape == (6, 6)


def test_macs_of_a_unit_are_what_its_removal_saves():
    tasks, parents, data = example("depthwise")
    request = prepare(parents, data, tasks, None, None, within=False)
    structure = parents["a"].structure
    assert request.unit_macs["a"] == [
        36 * (2 * 9 + 2 * 7 + 6),  # stem and projection write the stream, expansion and the last layer read it
        36 * (4 + 9 + 4 + 6),
        36 * (4 + 7) + 3,
    ]
    assert structure.spaces == (0, 1, 5)


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("network", {"loss_budget": 0.1}),
        ("mtz", {}),
        ("paired-grouping", {"information": INFORMED, "solver": "decomposition"}),
        (None, {"macs_budget": 1e5}),
    ],
)
def test_problems_of_chains_name_the_first_branch(problem, options):
    tasks, parents, data = example("residual")
    with pytest.raises(PlanError, match=r"chain.*'outer1'.*pairing"):
        pam.plan(parents, data, tasks=tasks, problem=problem, **options)
    with pytest.raises(PlanError, match=r"chain.*'outer1'"):
        pam.frontier(parents, data, tasks=tasks)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("budget", [0.0, 1e-4, 1e-2, 1.0, 1e6])
def test_a_budget_is_met_by_plans_that_run(count, budget):
    tasks, parents, data = example("residual", count)
    plan = pam.plan(parents, data, tasks=tasks, loss_budget=budget)
    assert all(record["solver"] != "pairing_curve" for record in plan.records)
    assert_runs(parents, plan, "residual")


def test_a_share_that_cannot_be_run_is_refused_by_name():
    tasks, parents, data = example("residual")
    with pytest.raises(PlanError, match=r"'outer1' writes units of 'stem'.*'inner1'"):
        pam.plan(parents, data, tasks=tasks, share={"inner1": 0.0})
    with pytest.raises(PlanError, match=r"'inner1'.*'stem' shares none"):
        pam.plan(parents, data, tasks=tasks, share={"stem": 0.0})
    with pytest.raises(PlanError, match="outer1"):
        pam.plan(parents, data, tasks=tasks, share={"outer1": 0.0})


@pytest.mark.parametrize("name", PROBLEMS)
def test_layers_that_are_kept_stay_as_they_are(name):
    tasks, parents, data = example("depthwise", kept="it is odd")
    plan = pam.plan(parents, data, tasks=tasks, **PROBLEMS[name])
    last = plan.layers[-1]
    assert last.widths == {group("a"): 6, group("b"): 6}
    assert [places.tolist() for places in last.places] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    (record,) = [record for record in plan.records if record["layer"] == "both"]
    assert record["note"] == "kept per task: it is odd"
    assert_runs(parents, plan, "depthwise")


def test_what_can_only_read_kept_layers_is_not_shared():
    """The second block's inner layer is kept; its outer layer writes the stream, which the first block reads."""
    tasks, parents, data = example("residual", kept="it is odd")
    plan = pam.plan(parents, data, tasks=tasks)
    assert [layer.widths for layer in plan.layers] == [{group("a"): n, group("b"): n} for n in (6, 4, 5)]
    notes = {record["layer"]: record["note"] for record in plan.records}
    assert notes["inner2"] == "kept per task: it is odd"
    assert notes["stem"].startswith("kept per task: what it reads")
    merged = assert_runs(parents, plan, "residual")
    x = torch.randn(3, *SHAPE)
    for task in "ab":
        assert torch.allclose(merged(x)[task], parents[task](x)[task], atol=1e-5)


def test_a_plan_with_kept_layers_saves_and_loads(tmp_path):
    tasks, parents, data = example("residual", kept="it is odd")
    plan = pam.plan(parents, data, tasks=tasks)
    plan.save(tmp_path / "plan.json")
    assert pam.Plan.load(tmp_path / "plan.json").records == plan.records
