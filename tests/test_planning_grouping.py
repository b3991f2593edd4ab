"""Grouping plans: what it costs that a unit does not serve a task, budgets, and plans that always can be merged."""

import itertools

import numpy as np
import pytest
import torch
from networks import SHAPES, group, make_data, make_tasks, members, permuted_copy, random_parent

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.macs import run_probability
from pam_opt.planning.grouping import groups_of, layer_problem, plan_grouping, predicted_losses
from pam_opt.planning.request import Request
from pam_opt.tasks import distribution
from pam_opt_solvers import solve

LAYERS = ["conv1", "conv2", "linear1", "linear2"]


@pytest.fixture(scope="module")
def lenets():
    """Five lenets of two widths, with their statistics."""
    tasks = make_tasks(5)
    parents = {task.name: random_parent("lenet5", seed, wide=seed == 1) for seed, task in enumerate(tasks)}
    return tasks, parents, make_data(SHAPES["lenet5"], tasks)


@pytest.fixture(scope="module")
def measured(lenets):
    tasks, parents, data = lenets
    return pam.measure(parents, data, tasks=tasks)


@pytest.fixture
def grouped(lenets, measured):
    """Plan the first parents by grouping."""

    def run(count: int = 2, **options) -> pam.Plan:
        tasks, parents, _ = lenets
        chosen = {task.name: parents[task.name] for task in tasks[:count]}
        return pam.plan(chosen, tasks=tasks[:count], statistics=measured, problem="grouping", **options)

    return run


def request_of(parents, statistics, tasks, **changes) -> Request:
    """Build the request of a plan of its own."""
    from pam_opt.parents import convert_parents

    converted = convert_parents(parents)
    shares = {layer.name: 1.0 for layer in statistics.layers}
    given = {"loss_budget": None, "width": None, "time_limit": None} | changes
    probabilities = distribution([task.name for task in tasks])
    return Request(converted, statistics, probabilities, "fisher", "auto", shares, **given, seed=0, threads=1)


def losses_of(plan: pam.Plan) -> float:
    return sum(record["predicted_loss"] for record in plan.records)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_groups_are_all_sets_of_few_tasks(count):
    tasks = tuple("abcde"[:count])
    groups = groups_of(tasks)
    assert len(groups) == (2**count if count <= 4 else 7)
    assert len(set(groups)) == len(groups)
    assert groups[0] == frozenset(tasks)
    assert groups[-1] == frozenset()
    assert {frozenset(task) for task in tasks} <= set(groups)


def test_losses_are_half_the_importance_and_of_other_tasks_what_a_unit_resembles(measured):
    layer = measured.layers[1]
    losses = predicted_losses(layer, ("a", "b"))
    own = [layer.units[task].importance for task in "ab"]
    assert losses.shape == (2, 6 + 7)
    assert losses[0, :6] == pytest.approx(own[0] / 2)
    assert losses[1, 6:] == pytest.approx(own[1] / 2)
    for unit in range(6):
        similar = 0.0
        for other in range(7):
            scale = np.sqrt(layer.units["a"].variance[unit] * layer.units["b"].variance[other])
            rho = max(0.0, layer.cross("a", "b")[unit, other] / scale) if scale > 0 else 0.0
            similar = max(similar, rho**2 * own[1][other])
        assert losses[1, unit] == pytest.approx(similar / 2)


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (2, {}),
        (2, {"width": 0.01}),
        (2, {"loss_budget": 1e-3}),
        (3, {"width": 0.5}),
        (3, {"solver": "greedy"}),
        (5, {}),
    ],
)
def test_plans_can_be_merged_and_keep_every_task(grouped, lenets, count, options):
    _, parents, data = lenets
    plan = grouped(count, **options)
    for before, layer in itertools.pairwise([None, *plan.layers]):
        assert layer is not None
        for task in plan.tasks:
            assert any(task in g for g in layer.groups)
        if before is not None:
            assert all(any(g <= source for source in before.groups) for g in layer.groups)
    chosen = {name: parents[name] for name in plan.tasks}
    network = pam.merge(chosen, plan, calibration=data)
    with torch.no_grad():
        outputs = network(data[0][0])
    assert all(torch.isfinite(outputs[name]).all() for name in plan.tasks)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("width", [0.25, 0.5, 1.0, 1.7])
def test_width_limits_the_mean_number_of_computed_units(grouped, count, width):
    plan = grouped(count, width=width)
    probabilities = distribution(plan.tasks)
    least = sum(run_probability(frozenset({task}), probabilities) for task in plan.tasks)
    for layer, widest, record in zip(plan.layers, (5, 7, 10, 11), plan.records, strict=True):
        computed = sum(run_probability(g, probabilities) for g in layer.groups)
        assert record["computed_units"] == pytest.approx(computed)
        assert computed <= max(max(1, round(width * widest)), least) * (1 + 1e-6)
        assert record["status"] in ("OPTIMAL", "ROUNDED")
        assert sum(record["units"].values()) == len(layer.groups)


def test_the_default_is_the_width_of_one_parent(grouped):
    given, default = grouped(width=1.0), grouped()
    assert [layer.groups for layer in default.layers] == [layer.groups for layer in given.layers]


def test_more_width_never_predicts_more_loss(grouped):
    losses = [grouped(width=width).records[0]["predicted_loss"] for width in (0.2, 0.5, 1.0, 1.5, 3.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == 0.0


def test_a_budget_for_everything_shares_everything_and_reproduces_the_parents(grouped, lenets):
    _, parents, data = lenets
    plan = grouped(3, width=10.0)
    assert losses_of(plan) == 0.0
    assert {g for layer in plan.layers for g in layer.groups} == {group("abc")}
    network = pam.merge({name: parents[name] for name in "abc"}, plan, weights="side_by_side")
    x = data[0][0]
    with torch.no_grad():
        outputs = network(x)
        assert all(torch.allclose(outputs[name], parents[name](x), atol=1e-5) for name in "abc")


def test_a_loss_budget_is_kept_and_buys_macs(grouped, lenets):
    _, parents, _ = lenets
    largest = losses_of(grouped(loss_budget=float("inf")))
    budgets = [0.0, 0.1 * largest, 0.5 * largest, float("inf")]
    plans = [grouped(loss_budget=budget) for budget in budgets]
    assert all(losses_of(plan) <= budget for plan, budget in zip(plans, budgets, strict=True))
    chosen = {name: parents[name] for name in "ab"}
    macs = [pam.costs(pam.merge(chosen, plan, weights="average")).expected for plan in plans]
    assert macs == sorted(macs, reverse=True)
    assert macs[0] > macs[-1]
    assert all(len(layer.groups) == 2 for layer in plans[-1].layers)
    with pytest.raises(PlanError, match=r"loss_budget 1e-09 cannot be kept within width 0.01"):
        grouped(loss_budget=1e-9, width=0.01)


@pytest.mark.parametrize("price", [0.0, 1e-6, 1e-5, 1e-3])
@pytest.mark.parametrize("width", [None, 0.5, 1.0])
def test_a_layer_is_solved_to_the_optimum_of_all_groupings(price, width):
    tasks = make_tasks(2)
    parents = {"a": random_parent("mlp", 0), "b": random_parent("mlp", 1)}
    parents = {name: torch.nn.Sequential(module[0], torch.nn.Linear(16, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3))
               for name, module in parents.items()}  # fmt: skip
    statistics = pam.measure(parents, make_data((1, 4, 4), tasks), tasks=tasks)
    problem = layer_problem(request_of(parents, statistics, tasks, width=width), 0, price, None)
    best = min(
        problem.value(np.array(choice))
        for choice in itertools.product(range(4), repeat=6)
        if not problem.violations(np.array(choice))
    )
    assert solve(problem).value == pytest.approx(best, rel=1e-6, abs=1e-12)


def test_units_with_a_twin_in_the_other_parent_are_shared_and_others_are_not():
    """Serving a second task costs half as much as serving the first, so twins do, up to what is left of the width."""
    tasks = make_tasks(2)
    module = random_parent("lenet5", 3)
    data = [(x, dict.fromkeys("ab", targets["a"])) for x, targets in make_data(SHAPES["lenet5"], tasks)]
    copies = {"a": module, "b": permuted_copy(module, 0)[0]}
    statistics = pam.measure(copies, data, tasks=tasks)
    twins = pam.plan(copies, tasks=tasks, statistics=statistics, problem="grouping", width=1.0)
    strangers = {"a": module, "b": random_parent("lenet5", 4)}
    apart = pam.plan(strangers, data, tasks=tasks, problem="grouping", width=1.0)
    shared = [np.mean([g == group("ab") for layer in plan.layers for g in layer.groups]) for plan in (twins, apart)]
    assert shared[0] > 0.6
    assert shared[1] < shared[0]


def test_a_task_that_never_runs_alone_makes_sharing_free(grouped):
    """Where both always run, every group costs alike, so each unit serves all that it is of use to."""
    plan = grouped(combinations={"a+b": 1.0}, width=1.0)
    exclusive = sum(len(g) == 1 for layer in plan.layers for g in layer.groups)
    assert exclusive <= sum(len(layer.groups) for layer in plan.layers) / 2
    alone = grouped(combinations={"a": 1.0}, width=1.0)
    assert sum("a" in g for g in alone.layers[0].groups) == 5


def test_records_and_plans_come_back_from_disk(grouped, tmp_path):
    plan = grouped(3)
    assert [record["layer"] for record in plan.records] == LAYERS
    plan.save(tmp_path / "plan.json")
    back = pam.Plan.load(tmp_path / "plan.json")
    assert back.summary() == plan.summary()
    assert [members(layer).tolist() for layer in back.layers] == [members(layer).tolist() for layer in plan.layers]


def test_layers_that_the_layer_before_restricts_are_no_whole_bound(grouped):
    plan = grouped(width=0.01)
    assert {g for layer in plan.layers for g in layer.groups} == {group("a"), group("b")}
    assert plan.records[0]["stepwise"] is False
    assert plan.records[1]["stepwise"] is True
    assert plan.summary()["bound"] is None
    assert grouped(width=10.0).summary()["gap"] == 0.0


def test_the_same_seed_gives_the_same_plan(grouped):
    first, second = (grouped(3, width=0.7) for _ in range(2))
    assert [layer.groups for layer in first.layers] == [layer.groups for layer in second.layers]


def test_a_share_is_refused(grouped, lenets, measured):
    with pytest.raises(PlanError, match="decides itself what is shared"):
        grouped(share=0.5)
    tasks, parents, _ = lenets
    chosen = {name: parents[name] for name in "ab"}
    request = request_of(chosen, measured, tasks[:2])
    assert [layer.name for layer in plan_grouping(request)[0]] == LAYERS
