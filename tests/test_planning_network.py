"""Planning the whole network: budgets are kept, and the record is what the merged network costs."""

import itertools
from dataclasses import asdict, replace

import numpy as np
import pytest
from networks import SHAPES, group, make_data, make_tasks, random_parent

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.planning import readable
from pam_opt.planning.preparing import prepare
from pam_opt.planning.readable import solve_readable, unreadable_layer
from pam_opt.planning.sharing import Sharing
from pam_opt.plans import Plan
from pam_opt_solvers import NetworkPlan, ProblemError, solve

MOST = [4, 6, 9, 8]
UNEVEN = {"a": 3.0, "b": 1.0, "a+b": 2.0}


@pytest.fixture(scope="module")
def lenets():
    """Two lenets of two widths, with their data and statistics."""
    tasks = make_tasks(2)
    parents = {"a": random_parent("lenet5", 0), "b": random_parent("lenet5", 1, wide=True)}
    data = make_data(SHAPES["lenet5"], tasks)
    return tasks, parents, data, pam.measure(parents, data, tasks=tasks)


def network(lenets, **options):
    tasks, parents, _, statistics = lenets
    return pam.plan(parents, tasks=tasks, statistics=statistics, **{"problem": "network", **options})


def counts(plan):
    return [layer.widths.get(group("ab"), 0) for layer in plan.layers]


def expected_macs(lenets, plan, combinations=None):
    _, parents, data, _ = lenets
    return pam.costs(pam.merge(parents, plan, weights="average", calibration=data), combinations=combinations).expected


@pytest.fixture(scope="module")
def ends(lenets):
    """Loss and E[C] of the plan that shares everything, and E[C] of the one that shares nothing."""
    full = network(lenets, solver="uniform").records[0]
    return full["loss"], full["expected_macs"], expected_macs(lenets, network(lenets, loss_budget=0.0))


@pytest.mark.parametrize("combinations", [None, UNEVEN, {"a+b": 1.0}])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.4, 0.8, 2.0])
def test_loss_budgets_are_kept(lenets, ends, part, combinations):
    budget = part * ends[0]
    plan = network(lenets, loss_budget=budget, combinations=combinations)
    joint, *layers = plan.records
    assert joint["loss"] == pytest.approx(sum(r["pair_cost"] + r["cut_loss"] for r in layers))
    assert joint["loss"] <= budget * (1 + 1e-6)
    assert joint["value"] == joint["expected_macs"]
    assert joint["expected_macs"] == pytest.approx(expected_macs(lenets, plan, combinations), rel=1e-12)
    assert counts(plan) == [record["pairs"] for record in layers]
    assert unreadable_layer(np.array(counts(plan))) is None


@pytest.mark.parametrize("combinations", [None, UNEVEN])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.7, 1.0])
def test_macs_budgets_are_kept(lenets, ends, part, combinations):
    least, most = (
        expected_macs(lenets, network(lenets, loss_budget=budget, combinations=combinations), combinations)
        for budget in (float("inf"), 0.0)
    )
    budget = least + part * (most - least)
    plan = network(lenets, macs_budget=budget, combinations=combinations)
    joint = plan.records[0]
    assert joint["value"] == joint["loss"]
    assert joint["expected_macs"] == pytest.approx(expected_macs(lenets, plan, combinations), rel=1e-12)
    assert joint["expected_macs"] <= budget * (1 + 1e-6)
    assert joint["status"] == "OPTIMAL"
    if part == 1.0:
        assert counts(plan) == [0, 0, 0, 0]


def test_the_plan_is_the_best_of_all(lenets, ends):
    """By trying every combination of counts that the lattice permits."""
    budget = 0.3 * ends[0]
    for option in ({"loss_budget": budget}, {"macs_budget": 0.5 * (ends[1] + ends[2])}):
        plan = network(lenets, **option)
        problem = Sharing.of(request(lenets)).problem(**option)
        tried = [np.array(choice) for choice in itertools.product(*(range(m + 1) for m in MOST))]
        valid = [c for c in tried if unreadable_layer(c) is None and not problem.violations(c)]
        assert plan.records[0]["value"] == pytest.approx(min(problem.value(c) for c in valid), rel=1e-9)


def request(lenets):
    tasks, parents, _, statistics = lenets
    return prepare(parents, None, tasks, None, statistics, within=False)


@pytest.mark.parametrize("solver", ["greedy", "uniform", "lagrangian", "cp_sat", "math_opt"])
@pytest.mark.parametrize("part", [0.2, 0.6])
def test_no_solver_is_better_and_bounds_hold(lenets, ends, solver, part):
    best = network(lenets, loss_budget=part * ends[0]).summary()
    other = network(lenets, loss_budget=part * ends[0], solver=solver)
    found = other.summary()
    assert best["name"] == "branch_and_bound"
    assert best["status"] == "OPTIMAL"
    assert best["gap"] <= 1e-9
    assert found["value"] >= best["value"] * (1 - 1e-9)
    assert found["bound"] <= best["value"] * (1 + 1e-9)
    assert unreadable_layer(np.array(counts(other))) is None


@pytest.mark.parametrize("share", [1.0, 0.5, {"conv1": 1.0, "conv2": 0.5, "linear1": 0.5, "linear2": 0.25}])
def test_without_a_budget_it_is_no_worse_than_the_same_share_everywhere(lenets, share):
    pairing = network(lenets, problem="pairing", share=share)
    uniform = expected_macs(lenets, pairing)
    plan = network(lenets, share=share)
    joint = plan.records[0]
    assert "merging the same share" in joint["note"]
    assert joint["loss"] <= joint["loss_budget"] * (1 + 1e-6)
    assert sum(record["pair_cost"] for record in pairing.records) <= joint["loss_budget"] * (1 + 1e-9)
    assert joint["expected_macs"] <= uniform * (1 + 1e-9)


def test_twins_share_everything_at_no_loss():
    tasks = make_tasks(2)
    for family in ("mlp", "lenet5"):
        one = random_parent(family, 0)
        parents = {"a": one, "b": random_parent(family, 0)}
        batches = [(x, {"a": y["a"], "b": y["a"]}) for x, y in make_data(SHAPES[family], tasks)]
        plan = pam.plan(parents, batches, tasks=tasks, loss_budget=1e-9)
        for layer in plan.layers:
            assert set(layer.groups) == {group("ab")}
            assert (layer.places[0] == layer.places[1]).all()
        assert plan.summary()["value"] == pytest.approx(
            pam.costs(pam.single(one, tasks[0], SHAPES[family])).expected, rel=0.3
        )


def test_network_is_the_default_with_a_budget_and_says_so(lenets, ends):
    tasks, parents, _, statistics = lenets

    def made(**options):
        return pam.plan(parents, tasks=tasks, statistics=statistics, **options)

    for option in ({"loss_budget": ends[0] / 2}, {"macs_budget": ends[2]}):
        plan = made(**option)
        assert plan.records[0]["note"].startswith("problem: network, the default for two tasks with a budget")
        assert "default" not in network(lenets, **option).records[0]["note"]
    for option in ({}, {"loss_budget": 0.1, "solver": "hungarian"}, {"loss_budget": 0.1, "width": 1.0}):
        assert all(record["solver"] == "hungarian" for record in made(**option).records)


def test_the_summary_is_of_the_joint_decision(lenets, ends, tmp_path):
    plan = network(lenets, loss_budget=0.4 * ends[0])
    joint = plan.records[0]
    assert plan.summary() == {
        "name": "branch_and_bound",
        "status": "OPTIMAL",
        "value": joint["expected_macs"],
        "bound": joint["bound"],
        "gap": pytest.approx(joint["gap"], abs=1e-12),
    }
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json").summary() == plan.summary()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss_budget": 1.0, "macs_budget": 1.0}, "give one of"),
        ({"macs_budget": 1.0}, "no plan of the network.*no plan has less expected MACs"),
        ({"macs_budget": -1.0}, "macs_budget -1.0 is no amount of MACs"),
        ({"macs_budget": float("nan")}, "must be >= 0"),
        ({"macs_budget": "much"}, "macs_budget 'much' is no amount"),
        ({"macs_budget": 1e6, "problem": "pairing"}, "macs_budget= is for problem='network'"),
        ({"cost": "correlation"}, "needs cost='fisher', not 'correlation'"),
        ({"width": 0.5}, "width= does not apply"),
        ({"share": {"conv1": 0.0}}, "layer 'conv2': share 1.0 asks for shared units"),
    ],
)
def test_impossible_requests_are_refused(lenets, options, words):
    with pytest.raises(PlanError, match=words):
        network(lenets, **options)


def test_three_tasks_are_refused():
    tasks = make_tasks(3)
    parents = {task.name: random_parent("mlp", seed) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES["mlp"], tasks)
    for call in (
        lambda: pam.plan(parents, data, tasks=tasks, problem="network"),
        lambda: pam.frontier(parents, data, tasks=tasks),
    ):
        with pytest.raises(PlanError, match="for two tasks, not 3; use problem='pairing'"):
            call()


def test_readable_plans_are_the_best_readable_ones():
    """Random chains where the plan without the rule mostly breaks it."""
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(60):
        layers = int(rng.integers(2, 5))
        widths = rng.integers(1, 4, (layers, 2))
        loss = [np.append(0.0, np.sort(rng.random(w.min())) * 10.0 ** rng.integers(-3, 1)) for w in widths]
        problem = NetworkPlan.of_two_parents(
            widths, loss, rng.random(layers + 1), 2, (1, 1), loss_budget=float(rng.random())
        )
        if rng.random() < 0.5:
            problem = replace(problem, loss_budget=None, macs_budget=problem.expected_macs([len(x) - 1 for x in loss]))
        choices = [np.array(c) for c in itertools.product(*(range(len(x)) for x in loss))]
        valid = [c for c in choices if unreadable_layer(c) is None and not problem.violations(c)]
        found = solve_readable(problem, solve)
        broken += len(found.solutions) > 1
        assert found.decision is not None
        assert unreadable_layer(found.decision) is None
        best = min(problem.value(c) for c in valid)
        assert found.value == pytest.approx(best, rel=1e-9, abs=1e-12)
        assert found.bound <= best + 1e-12
        assert found.status.name == "OPTIMAL"
    assert broken > 5
    assert readable.unreadable_layer(np.array([], np.int64)) is None


@pytest.mark.parametrize("combinations", [None, UNEVEN])
def test_the_frontier_trades_loss_for_macs(lenets, combinations):
    tasks, parents, _, statistics = lenets
    found = pam.frontier(parents, tasks=tasks, statistics=statistics, combinations=combinations, points=12)
    points = found.points
    assert 2 <= len(points) <= 12
    assert points[0].loss == 0.0
    for one, two in itertools.pairwise(points):
        assert one.loss < two.loss
        assert one.expected_macs > two.expected_macs
        assert one.macs_bound >= two.macs_bound
    for index in (0, len(points) // 2, -1):
        point, plan = points[index], found.plan(index)
        assert counts(plan) == list(point.pairs.values())
        assert list(point.shares.values()) == [p / m for p, m in zip(point.pairs.values(), MOST, strict=True)]
        assert plan.summary()["value"] == point.expected_macs
        assert expected_macs(lenets, plan, combinations) == pytest.approx(point.expected_macs, rel=1e-12)
        exact = network(lenets, loss_budget=point.loss, combinations=combinations).records[0]
        assert point.macs_bound <= exact["value"] * (1 + 1e-9)
        assert exact["value"] <= point.expected_macs * (1 + 1e-9)
    assert asdict(points[0])["pairs"] == dict.fromkeys(points[0].pairs, 0)


def test_points_are_found_by_budget(lenets):
    tasks, parents, _, statistics = lenets
    found = pam.frontier(parents, tasks=tasks, statistics=statistics, points=6)
    middle = found.points[2]
    assert found.best(loss_budget=middle.loss) == 2
    assert found.best(macs_budget=middle.expected_macs) == 2
    assert found.best(macs_budget=0.0) is None
    for options in ({}, {"loss_budget": 1.0, "macs_budget": 1.0}):
        with pytest.raises(PlanError, match="give one of"):
            found.best(**options)
    with pytest.raises(PlanError, match="there is none at 99"):
        found.plan(99)
    with pytest.raises(ProblemError, match="at least 2"):
        pam.frontier(parents, tasks=tasks, statistics=statistics, points=1)
