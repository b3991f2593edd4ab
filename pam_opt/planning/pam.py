"""Plan by PAM's greedy regrouping: which tasks every unit serves, by what the units of a layer tell about each task.

Units do not merge, and a unit's group is not tied to the parent that it comes from: PAM's published rule for weights is
``merge(weights="side_by_side")``. Layers are independent of each other, but a group must find something to read in
the layer before; groups that do not are refused, not repaired.

Reconstructed from abstracts and published code [1]_, which takes held-out samples; here they are the first of
the calibration data.

.. [1] He, Gao, Zhou, Tong, Thiele, Pruning-Aware Merging for Efficient Multitask Inference, KDD 2021, arXiv 1905.09676
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pam_opt.errors import PlanError
from pam_opt.information import ESTIMATORS, Estimator
from pam_opt.information.labels import Labels
from pam_opt.information.options import Information
from pam_opt.information.regroup import GreedySet, greedy_set, groups_of_sets
from pam_opt.information.responses import Collected, Responses
from pam_opt.macs import run_probability
from pam_opt.planning.controls import LayersAndRecords
from pam_opt.planning.lattice import Reading, refuse_unreadable
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan
from pam_opt.tasks import Group, combination_key


def plan_pam(request: Request) -> LayersAndRecords:
    """Regroup the units of the layers that `Request.information` names; those of the others serve all tasks.

    A record's value is ``sum_u pi(g_u)``, the number of units that are computed on the average.

    Raises
    ------
    PlanError : options that do not apply; a layer that would keep no unit, or none for a task; groups with
        nothing to read; thresholds for unknown layers
    """
    return regroup_layers(request, _regroup)


Regroup = Callable[[Request, Information, Responses, Collected], tuple[list[Group], dict[str, Any]]]
"""Decides the group of every unit of one layer, and writes down what ran."""


def regroup_layers(request: Request, regroup: Regroup) -> LayersAndRecords:
    """Regroup the layers that are asked for one by one; units of the others serve all tasks.

    Raises
    ------
    PlanError : see `plan_pam`
    """
    options, collected = informed(request)
    regrouped = options.regrouped([layer.name for layer in collected.layers])
    layers: list[LayerPlan] = []
    records: list[dict[str, Any]] = []
    for index, responses in enumerate(collected.layers):
        if request.kept_per_task(index):
            layers.append(request.exclusive(index))
            continue
        groups = [request.everything] * len(responses.owner)
        if responses.name in regrouped:
            groups, record = regroup(request, options, responses, collected)
            records.append(record)
        reading = Reading.behind(request.structure, request.tasks, layers)
        refuse_unreadable(responses.name, groups, request.tasks, reading)
        layers.append(LayerPlan.of_groups(responses.name, groups, request.units(index)))
    return layers, records


def informed(request: Request) -> tuple[Information, Collected]:
    """Return a request's options of information and the responses.

    Raises
    ------
    PlanError : other options that would decide the groups
    """
    assert request.information is not None
    assert request.responses is not None
    asked = {
        "share": request.asks_for_share,
        "width": request.width is not None,
        "loss_budget": request.loss_budget is not None,
    }
    wrong = [f"{name}=" for name, given in asked.items() if given]
    if wrong:
        raise PlanError(f"thresholds of information decide the groups: {', '.join(wrong)} does not apply; leave it out")
    return request.information, request.responses


def estimators_of(options: Information, responses: Responses, labels: Mapping[str, Labels]) -> dict[str, Estimator]:
    """Build the estimators that the options name, of one layer's information on every task."""
    first, *others = labels
    estimator = ESTIMATORS[options.estimator](responses.values, labels[first].values, noise=options.noise)
    return {first: estimator, **{task: estimator.for_labels(labels[task].values) for task in others}}


def thresholds(options: Information, responses: Responses, estimators: Mapping[str, Estimator]) -> dict[str, float]:
    """Return every task's threshold in a layer, nats."""
    alpha = options.threshold(responses.name, responses.kind)
    if alpha is not None:
        return dict.fromkeys(estimators, alpha)
    assert options.part is not None
    units = range(len(responses.owner))
    return {task: options.part * max(0.0, own.information(units)) for task, own in estimators.items()}


def _regroup(
    request: Request, options: Information, responses: Responses, collected: Collected
) -> tuple[list[Group], dict[str, Any]]:
    """Decide the groups of one layer, and write down what ran."""
    started, units = time.perf_counter(), len(responses.owner)
    estimators = estimators_of(options, responses, collected.labels)
    alpha = thresholds(options, responses, estimators)
    sets = {task: greedy_set(own.grow(), range(units), alpha[task], options.scan) for task, own in estimators.items()}
    served = groups_of_sets([sets[task].units for task in request.tasks], units)
    groups = [frozenset(request.tasks[task] for task in tasks) for tasks in served]
    record = {
        "layer": responses.name,
        "solver": "pam",
        "backend": "pam-opt",
        "note": "; ".join([f"greedy by {options.estimator}, {options.scan} scan", *_notes(sets, units, collected)]),
        "status": "FEASIBLE",
        "value": sum(run_probability(group, request.probabilities) for group in groups),
        "bound": None,
        "gap": None,
        "stepwise": False,
        "estimator": options.estimator,
        "samples": collected.samples,
        "alpha": alpha,
        "information": {task: found.information for task, found in sets.items()},
        "members": {task: len(found.units) for task, found in sets.items()},
        "evaluations": sum(found.evaluations for found in sets.values()),
        "noticed": sum(found.noticed for found in sets.values()),
        "units": {combination_key(group): groups.count(group) for group in dict.fromkeys(groups) if group},
        "dropped": groups.count(frozenset()),
        "seconds": time.perf_counter() - started,
    }
    return groups, record


def _notes(sets: Mapping[str, GreedySet], units: int, collected: Collected) -> list[str]:
    """Say what a reader of the record should know."""
    notes = [f"no unit meets the threshold of task {task!r}" for task, found in sets.items() if not found.units]
    return [*notes, *sample_notes(units, collected)]


def sample_notes(units: int, collected: Collected) -> list[str]:
    """Say what estimates from these samples are worth."""
    notes = []
    if collected.samples < units:
        most = ", ".join(f"{task} {labels.entropy:.3g}" for task, labels in collected.labels.items())
        notes.append(
            f"{collected.samples} samples of {units} units: the estimate of large sets says little, since such sets "
            f"tell all samples apart (the labels' entropy: {most} nats); that of small sets is worth more"
        )
    left = [f"{task}: {', '.join(labels.left_out)}" for task, labels in collected.labels.items() if labels.left_out]
    if left:
        notes.append(f"labels that do not vary in these samples are left out ({'; '.join(left)})")
    return notes
