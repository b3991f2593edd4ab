"""Plans by PAM's regrouping: groups that can be run, the published rule for weights, records, and what is refused."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from bad_input_cases import strict_json, study
from networks import SHAPES, make_data, make_tasks, random_parent

import pam_opt as pam
from pam_opt.errors import ConfigError, PlanError
from pam_opt.information import regroup as regrouping
from pam_opt.macs import run_probability
from pam_opt.planning.lattice import refuse_unreadable
from pam_opt.study.config import parse_config
from pam_opt.study.runner import run_study
from pam_opt.tasks import distribution


def example(count: int, family: str = "lenet5"):
    tasks = make_tasks(count)
    parents = {task.name: random_parent(family, seed, wide=seed == 1) for seed, task in enumerate(tasks)}
    return tasks, parents, make_data(SHAPES[family], tasks, sizes=(60, 60, 20))


def regroup(tasks, parents, data, **options: Any) -> pam.Plan:
    given: dict[str, Any] = options if "alpha" in options else {"part": 0.1} | options
    information = pam.Information(**given)
    return pam.plan(parents, data, tasks=tasks, problem="grouping", solver="pam", information=information)


def groups_of_units(layer: pam.LayerPlan) -> list[frozenset[str]]:
    """Return the group of every unit, parent after parent; the empty one of a dropped unit."""
    return [layer.groups[place] if place >= 0 else frozenset() for place in np.concatenate(layer.places)]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("estimator", ["kde", "gaussian"])
def test_plans_can_be_merged_and_every_combination_runs(count, estimator):
    tasks, parents, data = example(count)
    plan = regroup(tasks, parents, data, estimator=estimator)
    everything = frozenset(plan.tasks)
    for layer in plan.layers:
        assert set(layer.groups) <= {everything, *(frozenset({task}) for task in plan.tasks)}
        places = np.concatenate(layer.places)
        assert sorted(places[places >= 0]) == list(range(len(layer.groups)))  # nothing merges
    network = pam.merge(parents, plan, weights="side_by_side")
    for size in range(1, count + 1):
        for chosen in itertools.combinations(plan.tasks, size):
            with torch.no_grad():
                outputs = network(data[0][0], tasks=chosen)
            assert set(outputs) == set(chosen)
            assert all(torch.isfinite(output).all() for output in outputs.values())


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
def test_weights_follow_the_published_rule(count, family):
    """Own weights are kept along allowed edges, other allowed edges are zero but there; all others do not exist."""
    tasks, parents, data = example(count, family)
    plan = regroup(tasks, parents, data)
    assert len({group for layer in plan.layers for group in layer.groups}) > 2
    network = pam.merge(parents, plan, weights="side_by_side")
    singles = {task.name: pam.single(parents[task.name], task, SHAPES[family]) for task in tasks}
    for index in range(1, len(plan.layers)):
        before, layer = plan.layers[index - 1], plan.layers[index]
        for task, parent in singles.items():
            column = plan.tasks.index(task)
            own = unit_weights(parent, index, frozenset({task}))
            for unit, place in enumerate(layer.places[column]):
                if place < 0:
                    continue
                group = layer.groups[place]
                merged = unit_weights(network, index, group)[list(layer.rows(group)).index(place)]
                read = [row for row, source in enumerate(before.groups) if group <= source]
                assert merged.shape[0] == len(read)
                for position, row in enumerate(read):
                    units = [np.flatnonzero(places == row) for places in before.places]
                    (reader,) = np.flatnonzero([len(found) for found in units])
                    if reader == column:
                        assert torch.allclose(merged[position], own[unit, int(units[column][0])], atol=1e-6)
                    else:
                        assert (merged[position] == 0).all()
    assert all(parameter.requires_grad for parameter in network.parameters())


def unit_weights(network: pam.MultitaskNetwork, index: int, group: frozenset[str]) -> torch.Tensor:
    """Return the weights of a group's units, (units, inputs, values of an input), with norms folded in."""
    from pam_opt.folding import fold

    return fold(network.block(index, group), network.structure.layers[index]).weight.detach().float()


def test_cross_parent_weights_start_at_zero_and_are_trained():
    tasks, parents, data = example(2, "mlp")
    network = pam.merge(parents, regroup(tasks, parents, data, alpha=0.0), weights="side_by_side")
    block = network.block(1, frozenset("ab")).operation
    zero = block.weight == 0
    assert zero.any()
    outputs = network(data[0][0])
    torch.stack([output.square().sum() for output in outputs.values()]).sum().backward()
    assert block.weight.grad is not None
    assert (block.weight.grad[zero] != 0).any()


def test_a_threshold_that_no_unit_meets_shares_everything():
    tasks, parents, data = example(2, "mlp")
    for parent in parents.values():
        for module in parent:
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.bias, 3.0, 0.1)  # every unit fires and tells something
    plan = regroup(tasks, parents, data, alpha=0.0)
    assert all(set(layer.groups) == {frozenset("ab")} for layer in plan.layers)
    for record in plan.records:
        assert record["members"] == {"a": 0, "b": 0}
        assert "no unit meets the threshold of task 'a'" in record["note"]
    network = pam.merge(parents, plan, weights="side_by_side")
    x = data[0][0]
    with torch.no_grad():
        outputs = network(x)
        assert all(torch.allclose(outputs[task], parents[task](x), atol=1e-5) for task in parents)


def test_constant_units_are_dropped():
    tasks, parents, data = example(2, "mlp")
    with torch.no_grad():
        for parent in parents.values():
            first = parent.get_submodule("linear1")
            assert isinstance(first, torch.nn.Linear)
            first.weight[2:4] = 0.0
            first.bias[2:4] = -1.0
    plan = regroup(tasks, parents, data, alpha={"linear1": 0.0, "linear": 0.01})
    assert all(set(places[2:4]) == {-1} for places in plan.layers[0].places)
    assert plan.records[0]["dropped"] >= 4


def test_full_and_lazy_scan_make_the_same_plan(monkeypatch):
    monkeypatch.setattr(regrouping, "BLOCK", 1)
    tasks, parents, data = example(3)
    plans = {scan: regroup(tasks, parents, data, scan=scan) for scan in ("lazy", "full")}
    for one, two in zip(plans["lazy"].layers, plans["full"].layers, strict=True):
        assert groups_of_units(one) == groups_of_units(two)
    count = {scan: sum(record["evaluations"] for record in plan.records) for scan, plan in plans.items()}
    assert count["lazy"] < count["full"]


@pytest.mark.parametrize("options", [{"pooling": "flatten"}, {"pooling": "mean"}, {"labels": "joint"}, {"samples": 30}])
def test_every_option_makes_a_plan(options):
    tasks, parents, data = example(2)
    plan = regroup(tasks, parents, data, **options)
    assert pam.merge(parents, plan, weights="side_by_side").tasks == ("a", "b")
    assert plan.records[0]["samples"] == options.get("samples", 128)


def test_records_are_plain_data_that_say_what_was_decided(tmp_path):
    tasks, parents, data = example(2)
    plan = regroup(tasks, parents, data, part=0.2)
    probabilities = distribution(plan.tasks)
    for record, layer in zip(plan.records, plan.layers, strict=True):
        groups = groups_of_units(layer)
        assert record["layer"] == layer.name
        assert record["status"] == "FEASIBLE"
        assert record["bound"] is None
        assert record["value"] == pytest.approx(sum(run_probability(group, probabilities) for group in groups))
        assert sum(record["units"].values()) == len(layer.groups)
        assert record["dropped"] == groups.count(frozenset())
        for task in plan.tasks:
            assert record["information"][task] <= record["alpha"][task] + 1e-9
            assert record["members"][task] == sum(
                group in (frozenset(), frozenset({"a", "b"} - {task})) for group in groups
            )
    assert plan.summary()["name"] == "pam"
    assert plan.summary()["bound"] is None
    plan.save(tmp_path / "plan.json")
    assert strict_json(tmp_path / "plan.json")["records"] == [dict(record) for record in plan.records]
    assert [groups_of_units(layer) for layer in pam.Plan.load(tmp_path / "plan.json").layers] == [
        groups_of_units(layer) for layer in plan.layers
    ]


def test_part_and_alpha_agree():
    tasks, parents, data = example(2)
    plan = regroup(tasks, parents, data, part=0.15)
    first = plan.records[1]
    assert first["alpha"]["a"] != first["alpha"]["b"]
    one = regroup(tasks, parents, data, alpha=first["alpha"]["a"], layers=["conv2"])
    assert one.records[0]["information"]["a"] == first["information"]["a"]


def test_layers_that_are_not_named_stay_shared():
    tasks, parents, data = example(2)
    plan = regroup(tasks, parents, data, layers=["linear1"])
    assert [record["layer"] for record in plan.records] == ["linear1"]
    for layer in plan.layers:
        shared = set(groups_of_units(layer)) == {frozenset("ab")}
        assert shared == (layer.name != "linear1")
    nothing = regroup(tasks, parents, data, layers=[])
    assert nothing.records == ()
    assert nothing.summary()["status"] is None


def test_groups_do_not_depend_on_the_order_of_tasks():
    tasks, parents, data = example(3)
    one = regroup(tasks, parents, data)
    other = regroup(tasks[::-1], parents, data)
    for a, b in zip(one.layers, other.layers, strict=True):
        for task in parents:
            places = [layer.places[plan.tasks.index(task)] for plan, layer in ((one, a), (other, b))]
            groups = [
                [layer.groups[place] if place >= 0 else None for place in column]
                for column, layer in zip(places, (a, b), strict=True)
            ]
            assert groups[0] == groups[1]


def test_fewer_samples_than_units_are_said():
    tasks, parents, data = example(2)
    notes = [record["note"] for record in regroup(tasks, parents, data, samples=20).records]
    assert ["20 samples of" in note for note in notes] == [False, False, False, False]
    tasks, parents, data = example(4)
    notes = [record["note"] for record in regroup(tasks, parents, data, samples=24).records]
    assert "24 samples of 39 units" in notes[2]
    assert "entropy" in notes[2]


def test_missing_labels_are_left_out_for_their_label():
    tasks = [pam.Task("a", one_vs_rest=[0, 1]), pam.Task("b", multi_label=[0, 2])]
    parents = {task.name: random_parent("mlp", seed, outputs=2) for seed, task in enumerate(tasks)}
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, *SHAPES["mlp"], generator=generator)
    targets = {name: (torch.rand(100, 2, generator=generator) < 0.5).float() for name in "ab"}
    targets["b"][::3, 0] = math.nan
    plan = regroup(tasks, parents, [(x, targets)])
    without = regroup(tasks, parents, [(x, targets | {"b": torch.where(targets["b"].isnan(), 0.0, targets["b"])})])
    assert plan.records[0]["information"]["a"] == without.records[0]["information"]["a"]
    assert plan.records[0]["alpha"]["b"] != without.records[0]["alpha"]["b"]
    targets["b"][:] = math.nan
    with pytest.raises(PlanError, match=r"task 'b' has one class only .*label 0 is missing everywhere, label 2 is"):
        regroup(tasks, parents, [(x, targets)])


def test_a_task_with_one_class_only_is_refused():
    tasks, parents, data = example(2, "mlp")
    for _, targets in data:
        targets["b"][:] = 1
    with pytest.raises(PlanError, match=r"task 'b' has one class only .*label 0 is always 0, label 1 is always 1"):
        regroup(tasks, parents, data)


def test_labels_that_do_not_vary_are_said():
    tasks, parents, data = example(2, "mlp")
    for _, targets in data:
        targets["b"][targets["b"] == 1] = 2
    note = regroup(tasks, parents, data).records[0]["note"]
    assert "labels that do not vary in these samples are left out (b: label 1)" in note


@pytest.mark.parametrize(
    ("groups", "before", "message"),
    [
        (["", ""], None, "layer 'x': all 2 units would be dropped"),
        (["a", ""], None, "layer 'x' keeps no unit for task 'b'"),
        (["ab", "a"], ["a", "b"], "layer 'x': units of group 'a.b' would read nothing"),
        (["a", "b"], ["ab"], None),
        (["ab", "b"], ["ab", "a"], None),
    ],
)
def test_groups_without_anything_to_read_are_refused(groups, before, message):
    given = [frozenset(group) for group in groups], ("a", "b"), before and [frozenset(group) for group in before]
    if message is None:
        refuse_unreadable("x", *given)
    else:
        with pytest.raises(PlanError, match=message):
            refuse_unreadable("x", *given)


def test_a_layer_plan_from_groups_keeps_every_unit_alone():
    groups = [frozenset("a"), frozenset(), frozenset("ab"), frozenset("b"), frozenset("ab")]
    layer = pam.LayerPlan.of_groups("x", groups, [2, 3])
    assert layer.groups == (frozenset("ab"), frozenset("ab"), frozenset("a"), frozenset("b"))
    assert [places.tolist() for places in layer.places] == [[2, -1], [0, 3, 1]]
    assert [shares.tolist() for shares in layer.shares] == [[1, 0], [1, 1, 1]]
    with pytest.raises(PlanError, match="5 groups for 4 units"):
        pam.LayerPlan.of_groups("x", groups, [2, 2])


def test_thresholds_that_drop_a_layer_are_refused_by_name():
    tasks, parents, data = example(2)
    with pytest.raises(PlanError, match=r"layer 'conv2': all 13 units would be dropped"):
        regroup(tasks, parents, data, alpha={"conv2": 100.0, "conv2d": 0.0, "linear": 0.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"information": None}, "solver='pam' regroups by information"),
        ({"problem": "pairing"}, "information= is for problem='grouping'"),
        ({"width": 0.5}, "width= does not apply"),
        ({"share": 0.5, "loss_budget": 1.0}, "share=, loss_budget= does not apply"),
        ({"calibration": None}, "pass calibration batches"),
        ({"information": pam.Information(alpha={"conv": 0.1})}, r"alpha= names \['conv'\]"),
        ({"information": pam.Information(alpha={"conv2d": 0.1})}, "no threshold for layer 'linear1'"),
        ({"information": pam.Information(part=0.1, layers=["linear9"])}, r"layers= names \['linear9'\]"),
    ],
)
def test_requests_that_do_not_fit_are_refused(options, message):
    tasks, parents, data = example(2, "mlp")
    given = {"calibration": data, "problem": "grouping", "solver": "pam", "information": pam.Information(part=0.1)}
    with pytest.raises(PlanError, match=message):
        pam.plan(parents, tasks=tasks, **given | options)


def test_the_same_request_gives_the_same_plan():
    tasks, parents, data = example(2)
    one, two = regroup(tasks, parents, data), regroup(tasks, parents, data)
    assert [layer.groups for layer in one.layers] == [layer.groups for layer in two.layers]
    assert one.seconds["solve"] > 0
    statistics = pam.measure(parents, data, tasks=tasks)
    information = pam.Information(part=0.1)
    three = pam.plan(
        parents, data, tasks=tasks, statistics=statistics, problem="grouping", solver="pam", information=information
    )
    assert replace(three, records=()).layers[0].groups == one.layers[0].groups


# In studies


def small_study(**merge):
    return study(methods=["pam"], merge={"calibration": 150} | merge, fine_tune={"epochs": [0]}, prune=None)


def test_a_study_runs_it(tmp_path):
    config = parse_config(small_study(information={"part": 0.05}))
    run_study(config, tmp_path / "out")
    found = strict_json(tmp_path / "out" / "results.json")["methods"]["pam"]
    assert found["solver"]["name"] == "pam"
    assert found["solver"]["status"] == "FEASIBLE"


@pytest.mark.parametrize(
    ("merge", "message"),
    [
        ({}, "merge.information: the methods .'pam'. need thresholds"),
        ({"information": {"alpha": 0.1, "part": 0.1}}, "merge.information: give one of alpha"),
        ({"information": {"alpha": -1}}, "merge.information: alpha of 'all layers' is -1"),
        ({"information": {"part": 0.1, "estimator": "knn"}}, "estimator='knn' is unknown"),
        ({"information": {"part": 0.1, "beta": 1}}, "unknown key 'merge.information.beta'"),
    ],
)
def test_a_study_says_what_is_wrong_with_its_thresholds(merge, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(small_study(**merge))
