"""Exact regrouping: the published greedy is never better, records say what is proved, refusals name the way out."""

import itertools

import numpy as np
import pytest
import torch
from networks import SHAPES, make_tasks, random_parent

import pam_opt as pam
from pam_opt.errors import PlanError
from pam_opt.information.options import Information
from pam_opt.planning.exact_grouping import layer_functions, pam_groups
from pam_opt.planning.pam import estimators_of
from pam_opt.planning.preparing import prepare


def data_for(family, tasks, samples=60):
    """Return batches whose labels follow the inputs, so that units tell something about them."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(samples, *SHAPES[family], generator=generator)
    sums = x.flatten(1)[:, : 4 * len(tasks)].reshape(samples, len(tasks), 4).sum(dim=2)
    return [(x, {task.name: (sums[:, k] > -1).long() + (sums[:, k] > 1) for k, task in enumerate(tasks)})]


def setting(family="mlp", count=2):
    tasks = make_tasks(count)
    return {task.name: random_parent(family, seed) for seed, task in enumerate(tasks)}, tasks, data_for(family, tasks)


def regroup(information, solver="auto", family="mlp", count=2, **options):
    parents, tasks, data = setting(family, count)
    return pam.plan(parents, data, tasks=tasks, problem="grouping", solver=solver, information=information, **options)


@pytest.mark.parametrize("family", ["mlp", "lenet5"])
@pytest.mark.parametrize("estimator", ["kde", "gaussian"])
def test_exact_is_never_above_the_greedy(family, estimator):
    information = Information(estimator, part=0.12)
    greedy, exact = (regroup(information, solver, family) for solver in ("pam", "auto"))
    for theirs, ours in zip(greedy.records, exact.records, strict=True):
        assert ours["status"] == "OPTIMAL"
        assert ours["bound"] <= ours["value"] <= theirs["value"] + 1e-9
        assert ours["pam_value"] == pytest.approx(theirs["value"])
        assert all(ours["information"][task] <= limit * (1 + 1e-5) for task, limit in ours["alpha"].items())


@pytest.mark.parametrize("labels", ["binary", "joint"])
@pytest.mark.parametrize("estimator", ["kde", "gaussian"])
def test_the_solvers_function_is_the_estimators(estimator, labels):
    parents, tasks, data = setting("lenet5")
    data[0][1]["a"][:9] = 0
    information = Information(estimator, part=0.5, labels=labels)
    request = prepare(parents, data, tasks, None, None, within=False, information=information, measured=False)
    rng = np.random.default_rng(0)
    for responses in request.responses.layers:
        functions = layer_functions(information, responses, request.responses)
        estimators = estimators_of(information, responses, request.responses.labels)
        for task in request.tasks:
            for size in (0, 1, 3, 6):
                members = rng.permutation(functions[task].size)[:size]
                assert functions[task].value(members) == pytest.approx(
                    max(0.0, estimators[task].information(members.tolist())), abs=1e-5
                )


def test_small_layers_against_every_decision():
    """Nine and nine units are too many to try all groups; all sets of either task that keep the budget are not."""
    information = Information(part=0.12, layers=["linear1"])
    parents, tasks, data = setting()
    (record,) = regroup(information).records
    request = prepare(parents, data, tasks, None, None, within=False, information=information, measured=False)
    functions = layer_functions(information, request.responses.layers[0], request.responses)
    units = functions["a"].size
    kept = {}
    for task in "ab":
        sets = [np.array(s) for r in range(7) for s in itertools.combinations(range(units), r)]
        kept[task] = [s for s in sets if functions[task].value(s.astype(np.int64)) <= record["alpha"][task]]
        kept[task] = np.array([np.isin(np.arange(units), s) for s in kept[task] if len(s) < 7]).astype(float)
    largest = max(row.sum() for rows in kept.values() for row in rows)
    assert largest < 6, "larger sets would have to be tried, too"
    both = kept["a"] @ kept["b"].T
    saved = kept["a"].sum(axis=1)[:, None] + kept["b"].sum(axis=1)[None, :] + both
    assert record["value"] == pytest.approx(units - saved.max() / 3)


def test_three_tasks_and_weighted_combinations():
    plan = regroup(Information(part=0.12), count=3, combinations={"a": 1, "b": 1, "a+b+c": 2})
    for record, layer in zip(plan.records, plan.layers, strict=True):
        assert set(layer.groups) <= set(pam_groups(("a", "b", "c")))
        assert record["bound"] <= record["value"] <= record["pam_value"] + 1e-9


def test_layers_that_are_not_named_stay_shared():
    plan = regroup(Information(part=0.12, layers=["linear2"]))
    assert [record["layer"] for record in plan.records] == ["linear2"]
    assert set(plan.layers[0].groups) == {frozenset("ab")}


def test_refusals():
    with pytest.raises(PlanError, match="solver='pam' only"):
        regroup(Information("binned", part=0.2))
    with pytest.raises(PlanError, match="share="):
        regroup(Information(part=0.2), share=0.5)
    with pytest.raises(PlanError, match="pooling='max'"):
        regroup(Information("gaussian", part=0.2, pooling="flatten"), family="lenet5")
    with pytest.raises(PlanError, match="all 18 units would be dropped"):
        regroup(Information(alpha=1e6))
    parents, tasks, data = setting()
    with pytest.raises(PlanError, match="problem='grouping'"):
        pam.plan(parents, data, tasks=tasks, problem="pairing", information=Information(part=0.2))
