"""Joint plans: planted permutations of whole networks are found, one record for all layers, and what is refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from networks import make_data, make_tasks, permuted_copy, random_parent, randomise_norms

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.families import FAMILIES
from pam_opt.planning.joint import joint_problem
from pam_opt_solvers import JointPairing

CASES: dict[str, tuple[Sequence[int], dict]] = {
    "mlp": ((1, 4, 4), {"widths": (24, 16)}),
    "lenet5": ((1, 12, 12), {"widths": (6, 16, 40, 30)}),
    "small_vgg": ((3, 8, 8), {"widths": (8, 12, 12, 16), "linear": 16}),
}

SOLVER = "frank_wolfe"
"""What ``auto`` takes for networks of usual size; small ones it proves, which takes longer than these tests may."""


def trained(family: str, seed: int = 0):
    shape, options = CASES[family]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = FAMILIES[family](shape, 3, **options)
        randomise_norms(module)
    return module.eval()


@pytest.fixture(scope="module", params=list(CASES))
def planted(request):
    """A network, its permuted copy, the permutations, and both measured."""
    module = trained(request.param)
    copy, orders = permuted_copy(module, 1)
    parents, tasks = {"a": module, "b": copy}, make_tasks(2)
    data = make_data(CASES[request.param][0], tasks)
    return parents, tasks, data, orders, pam.measure(parents, data, tasks=tasks)


@pytest.fixture(scope="module")
def strangers():
    """Two different networks of equal widths, measured."""
    parents, tasks = {"a": random_parent("lenet5", 0), "b": random_parent("lenet5", 1)}, make_tasks(2)
    return parents, tasks, pam.measure(parents, make_data((1, 8, 8), tasks), tasks=tasks)


def joint(strangers, solver: str = SOLVER, **options):
    parents, tasks, statistics = strangers
    return pam.plan(parents, tasks=tasks, statistics=statistics, problem="joint", solver=solver, **options)


@pytest.mark.parametrize("cost", [None, "weights", "fisher", "correlation"])
def test_a_planted_permutation_of_a_whole_network_is_found(planted, cost):
    parents, tasks, data, orders, statistics = planted
    plan = pam.plan(parents, tasks=tasks, statistics=statistics, problem="joint", cost=cost, solver=SOLVER)
    for layer, order in zip(plan.layers, orders, strict=True):
        assert set(layer.groups) == {frozenset("ab")}
        assert order[np.argsort(layer.places[1])[layer.places[0]]].tolist() == list(range(len(order)))
    network = pam.merge(parents, plan, weights="average")
    x = data[0][0]
    with torch.no_grad():
        outputs, wanted = network(x), parents["a"](x)
    for task in "ab":
        assert torch.allclose(outputs[task], wanted, atol=1e-4)
    one, both = (pam.costs(pam.single(parents["a"], tasks[0]), x.shape[1:]), pam.costs(network))
    assert both.macs[frozenset("a")] == one.macs[frozenset("a")]


def test_refit_reproduces_a_planted_twin(planted):
    parents, tasks, data, _, statistics = planted
    plan = pam.plan(parents, tasks=tasks, statistics=statistics, problem="joint")
    network = pam.merge(parents, plan, calibration=data)
    x = data[0][0]
    with torch.no_grad():
        outputs = network(x)
        assert all(torch.allclose(outputs[task], parents[task](x), atol=1e-4) for task in "ab")


def test_the_network_is_one_record_and_the_summary_is_that_record(planted):
    parents, tasks, _, _, statistics = planted
    plan = pam.plan(parents, tasks=tasks, statistics=statistics, problem="joint")
    (record,) = plan.records
    assert record["layer"] is None
    assert record["layers"] == [layer.name for layer in plan.layers]
    assert record["pairs"] == sum(len(layer.groups) for layer in plan.layers)
    assert record["value"] == pytest.approx(0.0, abs=1e-9)
    assert plan.summary() == {
        "name": record["solver"],
        "status": record["status"],
        "value": record["value"],
        "bound": record["bound"],
        "gap": pytest.approx(record["gap"]),
    }


def test_records_come_back_from_disk(strangers, tmp_path):
    plan = joint(strangers)
    plan.save(tmp_path / "plan.json")
    assert pam.Plan.load(tmp_path / "plan.json").summary() == plan.summary()
    assert plan.summary()["bound"] <= plan.summary()["value"]


def test_better_weights_than_layer_by_layer(strangers, monkeypatch):
    """The joint problem's own value of the plan made layer by layer, on incoming weights only, is no better."""
    problem = captured_problem(strangers, monkeypatch)
    values = {}
    for name in ("joint", "pairing"):
        parents, tasks, statistics = strangers
        plan = pam.plan(parents, tasks=tasks, statistics=statistics, problem=name, cost="weights")
        permutations = [np.argsort(layer.places[1])[layer.places[0]] for layer in plan.layers]
        values[name] = problem.value(problem.join(permutations))
        if name == "joint":
            assert values[name] == pytest.approx(plan.summary()["value"])
    assert values["joint"] <= values["pairing"] * (1 + 1e-9)


def captured_problem(strangers, monkeypatch) -> JointPairing:
    """Return the problem that a plan poses."""
    from pam_opt.planning import PLANNERS, plan_joint

    found: list[JointPairing] = []

    def capture(request):
        found.append(joint_problem(request))
        return plan_joint(request)

    monkeypatch.setitem(PLANNERS, "joint", capture)
    joint(strangers)
    return found[0]


def test_activation_costs_are_added_on_a_common_scale(strangers):
    parents, tasks, statistics = strangers
    for cost in ("fisher", "correlation"):
        plan = joint(strangers, cost=cost)
        assert set(plan.layers[0].groups) == {frozenset("ab")}
        assert plan.summary()["value"] > 0
    for name in ("joint", "pairing"):
        assert pam.plan(parents, tasks=tasks, statistics=statistics, problem=name).summary()["value"] > 0


def test_width_keeps_the_most_important_pairs(strangers):
    plan = joint(strangers, width=0.5)
    assert [len(layer.groups) for layer in plan.layers] == [2, 3, 5, 4]


@pytest.mark.parametrize("solver", ["coordinate_descent", "frank_wolfe", "greedy"])
def test_the_same_seed_gives_the_same_plan(strangers, solver):
    first, second = (joint(strangers, solver=solver, seed=2) for _ in range(2))
    assert first.summary() == second.summary()
    assert first.records[0]["solver"].startswith(solver)


def test_what_cannot_be_paired_one_to_one_is_refused(strangers):
    parents, tasks, _ = strangers
    options: dict[str, Any]
    for options in ({"share": 0.5}, {"share": {"conv2": 0.0}}, {"loss_budget": 1.0, "cost": "fisher"}):
        with pytest.raises(PlanError, match=r"pairs all units.*use problem='pairing'"):
            joint(strangers, **options)
    with pytest.raises(PlanError, match="loss_budget= is in units of the loss and needs cost='fisher'"):
        joint(strangers, loss_budget=1.0)
    wide = {"a": parents["a"], "b": random_parent("lenet5", 1, wide=True)}
    with pytest.raises(PlanError, match=r"layer 'conv1' has 4 and 5; use problem='pairing'"):
        pam.plan(wide, make_data((1, 8, 8), tasks), tasks=tasks, problem="joint")
    three = make_tasks(3)
    given = {task.name: random_parent("lenet5", seed) for seed, task in enumerate(three)}
    with pytest.raises(PlanError, match=r"pairs two parents, not 3; use problem='pairing'"):
        pam.plan(given, make_data((1, 8, 8), three), tasks=three, problem="joint")


def test_networks_without_hidden_layers_have_nothing_to_pair():
    tasks = make_tasks(2)
    parents = {name: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)) for name in "ab"}
    plan = pam.plan(parents, make_data((1, 4, 4), tasks), tasks=tasks, problem="joint")
    assert plan.layers == ()
    assert plan.summary()["status"] is None


def test_parents_of_zero_weights_are_paired():
    tasks = make_tasks(2)
    parents = {name: random_parent("mlp", seed) for seed, name in enumerate("ab")}
    with torch.no_grad():
        for module in parents.values():
            for parameter in module.parameters():
                parameter.zero_()
    for cost in ("weights", "fisher"):
        plan = pam.plan(parents, make_data((1, 4, 4), tasks), tasks=tasks, problem="joint", cost=cost, solver=SOLVER)
        assert [len(layer.groups) for layer in plan.layers] == [9, 7]
