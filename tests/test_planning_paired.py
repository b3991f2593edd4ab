"""Pairs within groups: whom a unit serves stays as it was, shared groups start at one parent's width, twins meet."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import SHAPES, group, make_data, make_tasks, members, permuted_copy, random_parent

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.information.options import Information
from pam_opt.planning.clusters import unit_costs
from pam_opt.planning.paired_grouping import pair_within_groups
from pam_opt.planning.preparing import prepare
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan, Plan


def alone(units, groups):
    """Return a layer of single units; groups as letters, empty for dropped, parent after parent."""
    starts = np.cumsum([0, *units])
    kept = [unit for unit, letters in enumerate(groups) if letters]
    rows = np.full((len(kept), len(units)), -1)
    for row, unit in enumerate(kept):
        parent = int(np.searchsorted(starts, unit, side="right")) - 1
        rows[row, parent] = unit - starts[parent]
    return LayerPlan.of_members("mlp1", rows, (rows >= 0) * 1.0, [group(groups[unit]) for unit in kept], units)


def request_of(parents, tasks, **changes) -> Request:
    data = make_data(SHAPES["mlp"], tasks)
    given = prepare(parents, data, tasks, None, None, within=False)
    shares = {layer.name: 1.0 for layer in given.statistics.layers}
    return replace(given, **{"shares": shares, **changes})


def mlps(count=2, **changes) -> Request:
    """Return the request of parents with layers of nine and seven units, the second parent's of eight and eleven."""
    tasks = make_tasks(count)
    parents = {task.name: random_parent("mlp", seed, wide=seed == 1) for seed, task in enumerate(tasks)}
    return request_of(parents, tasks, **changes)


def regrouped(request, groups):
    """Return layers with the groups of the first layer given and all units of the others shared."""
    every = "".join(request.tasks)
    units = [request.units(index) for index in range(len(request.statistics.layers))]
    return [alone(units[0], groups), *(alone(n, [every] * sum(n)) for n in units[1:])]


MIXED = ["ab"] * 6 + ["a", "", "b"] + ["ab"] * 4 + ["b", "b", "", "a"]
"""Groups of nine and eight units: six and four shared, the others alone or dropped."""


def test_shared_units_pair_up_and_all_others_stay_as_they_were():
    request = mlps()
    layers, records = pair_within_groups(request, regrouped(request, MIXED))
    found = members(layers[0])
    shared = layers[0].rows(group("ab"))
    assert layers[0].widths == {group("ab"): 6, group("a"): 2, group("b"): 3}
    assert ((found[shared] >= 0).sum(axis=1) == 2).sum() == 4
    for letters, wanted in (("a", {(6, -1), (-1, 7)}), ("b", {(8, -1), (-1, 4), (-1, 5)})):
        assert {tuple(row) for row in found[layers[0].rows(group(letters))].tolist()} == wanted
    assert layers[0].places[0][7] == -1 == layers[0].places[1][6]
    assert records[0]["pairs"] == 4
    assert layers[1].widths == {group("ab"): 11}


def test_pairs_are_the_cheapest_of_all():
    request = mlps(cost="correlation")
    _, records = pair_within_groups(request, regrouped(request, MIXED))
    cost = unit_costs("correlation", request.statistics.layers[0], request.tasks, "a", "b")[:6, :4]
    best = min(sum(cost[row, column] for column, row in enumerate(p)) for p in itertools.permutations(range(6), 4))
    assert records[0]["value"] == pytest.approx(best)


def test_share_0_pairs_nothing_and_half_pairs_half():
    request = mlps()
    for share, pairs in ((0.0, 0), (0.5, 2), (1.0, 4)):
        some = mlps(shares={layer.name: share for layer in request.statistics.layers})
        layers, records = pair_within_groups(some, regrouped(some, MIXED))
        assert records[0]["pairs"] == pairs
        assert layers[0].widths[group("ab")] == 10 - pairs


def test_every_group_of_three_tasks_pairs_within_itself():
    request = mlps(3)
    groups = ["abc"] * 5 + ["ab"] * 2 + ["c", "b"] + ["abc"] * 4 + ["ab"] * 3 + [""] + ["abc"] * 6 + ["bc"] * 2 + ["ab"]
    layers, _ = pair_within_groups(request, regrouped(request, groups))
    assert layers[0].widths == {
        group("abc"): 6,
        group("ab"): 3,
        group("bc"): 2,
        group("b"): 1,
        group("c"): 1,
    }
    found = members(layers[0])
    assert sorted(unit for unit in found[:, 0].tolist() if unit >= 0) == list(range(9))
    assert sorted(unit for unit in found[:, 1].tolist() if unit >= 0) == list(range(7))


def test_twins_meet_and_cost_nothing():
    tasks = make_tasks(2)
    parent = random_parent("mlp")
    twin, orders = permuted_copy(parent, seed=3)
    request = request_of({"a": parent, "b": twin}, tasks)
    layers, _ = pair_within_groups(request, regrouped(request, ["ab"] * 18))
    for layer, order in zip(layers, orders, strict=True):
        pairs = members(layer)
        assert (order[pairs[:, 1]] == pairs[:, 0]).all()
    merged = pam.merge({"a": parent, "b": twin}, Plan(("a", "b"), tuple(layers), SHAPES["mlp"]), weights="average")
    x = torch.randn(5, *SHAPES["mlp"])
    with torch.no_grad():
        assert torch.allclose(merged(x)["a"], parent(x), atol=1e-4)
        assert torch.allclose(merged(x)["b"], twin(x), atol=1e-4)


@pytest.mark.parametrize("width", [0.01, 0.5, 1.0, 3.0])
def test_width_is_the_mean_number_of_computed_units_and_leaves_every_group_one(width):
    request = mlps(width=width)
    layers, records = pair_within_groups(request, regrouped(request, MIXED))
    least = 1 + 2 / 3 + 2 / 3
    assert records[0]["computed_units"] <= max(least, round(width * 9)) + 1e-9
    assert set(layers[0].widths) == {group("ab"), group("a"), group("b")}


def test_units_that_have_merged_are_refused():
    request = mlps()
    once, _ = pair_within_groups(request, regrouped(request, MIXED))
    with pytest.raises(PlanError, match="units have merged already"):
        pair_within_groups(request, once)


def test_the_solver_of_the_pairs_can_be_named_and_matters():
    request = mlps()
    groups = regrouped(request, ["ab"] * 17)
    values = {
        name: [record["value"] for record in pair_within_groups(request, groups, name)[1]]
        for name in ("hungarian", "greedy", "random")
    }
    assert values["hungarian"][0] <= values["greedy"][0] <= values["random"][0]


@pytest.fixture(scope="module")
def planned():
    """Plan small parents by information; more options as of `pam.plan`."""
    tasks = make_tasks(3)
    parents = {task.name: random_parent("mlp", seed, wide=seed == 1) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES["mlp"], tasks)

    def run(count=2, **options):
        chosen = {task.name: parents[task.name] for task in tasks[:count]}
        given = {"problem": "paired-grouping", "information": Information(part=0.3)} | options
        plan = pam.plan(chosen, data, tasks=tasks[:count], **given)
        merged = pam.merge(chosen, plan, calibration=data)
        assert set(merged(torch.zeros(2, *SHAPES["mlp"]))) == set(chosen)
        return plan, merged

    return run


def test_two_steps_keep_pams_groups_and_say_what_ran(planned):
    plan, _ = planned(solver="pam")
    plain, _ = planned(solver="pam", share=0.0)
    pam_plan, _ = planned(problem="grouping", solver="pam")
    for paired, apart, pams in zip(plan.layers, plain.layers, pam_plan.layers, strict=True):
        assert apart.widths == pams.widths
        shared = group("ab")
        assert {g: n for g, n in paired.widths.items() if g != shared} == {
            g: n for g, n in pams.widths.items() if g != shared
        }
        assert paired.widths[shared] < pams.widths[shared]
    assert all(record["regrouping"]["solver"] == "pam" for record in plan.records)


def test_one_problem_keeps_the_conditions_and_needs_no_more_macs_than_two_steps(planned):
    for part in (0.05, 0.2, 0.4):
        steps, two = planned(solver="pam", information=Information(part=part))
        plan, one = planned(information=Information(part=part))
        assert pam.costs(one).expected <= pam.costs(two).expected * (1 + 1e-9)
        for record in plan.records:
            assert record["stepwise"]
            for name, limit in record["alpha"].items():
                assert record["information"][name] <= limit * (1 + 1e-6) + 1e-6
        assert steps.summary()["bound"] is None


def test_layers_that_are_not_regrouped_are_shared_in_pairs(planned):
    plan, _ = planned(information=Information(part=0.3, layers=[]))
    assert all(set(layer.widths) == {group("ab")} for layer in plan.layers)


def test_auto_takes_two_steps_for_three_tasks_and_one_problem_refuses_them(planned):
    plan, _ = planned(3)
    assert "regrouping" in plan.records[0]
    with pytest.raises(PlanError, match="is one problem for two tasks, not 3"):
        planned(3, solver="regrow")


@pytest.mark.parametrize("solver", ["pam", "auto"])
def test_width_limits_the_computed_units(planned, solver):
    plan, _ = planned(solver=solver, width=0.5)
    assert all(record["computed_units"] <= 6 + 1e-9 for record in plan.records)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"information": None}, "information=Information"),
        ({"loss_budget": 0.1}, "loss_budget= does not apply"),
        ({"share": 0.5}, "share= is for solver='pam'"),
    ],
)
def test_options_that_do_not_apply_are_refused(planned, options, message):
    with pytest.raises(PlanError, match=message):
        planned(**options)
