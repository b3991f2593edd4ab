"""Regrouping by information: responses and labels, greedy sets by either scan, and PAM's groups from them."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from networks import SHAPES, make_data, make_tasks, random_parent
from torch import nn

import pam_opt as pam
from pam_opt.errors import DataError, PlanError, UnsupportedModel
from pam_opt.information import ESTIMATORS
from pam_opt.information import regroup as regrouping
from pam_opt.information.estimator import Growth
from pam_opt.information.labels import labels_of
from pam_opt.information.regroup import GreedySet, greedy_set, groups_of_sets
from pam_opt.information.responses import collect
from pam_opt.parents import convert_parents

NOISE = 0.1


# A direct transcription of the pseudo-code: joint vectors, all distances anew for every candidate, plain numpy.


def entropy(vectors: np.ndarray) -> float:
    """Kolchinsky and Tracey's upper bound on the entropy of a mixture of Gaussians around the rows."""
    count, dimensions = vectors.shape
    square = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    exponents = -square / (2 * NOISE)
    top = exponents.max(axis=1)
    logs = top + np.log(np.exp(exponents - top[:, None]).sum(axis=1))
    return dimensions / 2 - np.mean(logs - np.log(count) - dimensions / 2 * np.log(2 * np.pi * NOISE))


def joint_information(vectors: np.ndarray, labels: np.ndarray) -> float:
    """I(S; Y), the sum over the binary labels, of the joint vectors of a set of units."""
    total = 0.0
    for label in labels.T:
        inside = [(label == value, (label == value).mean()) for value in np.unique(label)]
        total += entropy(vectors) - sum(share * entropy(vectors[rows]) for rows, share in inside)
    return total


def transcribed_groups(units: np.ndarray, tasks: list[np.ndarray], alpha: float) -> list[frozenset[int]]:
    """PAM's groups: a set for each task, then dropped, exclusive and shared units."""
    count, sets = units.shape[1], []
    for labels in tasks:
        chosen: list[int] = []
        while len(chosen) < count:
            left = [unit for unit in range(count) if unit not in chosen]
            told = [joint_information(units[:, [*chosen, unit]], labels) for unit in left]
            if min(told) > alpha:
                break
            chosen.append(left[int(np.argmin(told))])
        sets.append(set(chosen))
    dropped = set.intersection(*sets)
    groups = [frozenset(range(len(tasks)))] * count
    for task in range(len(tasks)):
        for unit in set.intersection(*(own for other, own in enumerate(sets) if other != task)) - dropped:
            groups[unit] = frozenset({task})
    for unit in dropped:
        groups[unit] = frozenset()
    return groups


def random_layer(seed: int, units: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw activations (B, N) of one layer and the binary labels (B, L) of two to four tasks that they tell of."""
    rng = np.random.default_rng(seed)
    samples, tasks = int(rng.integers(16, 40)), 2 + seed % 3
    labels = [(rng.random((samples, rng.integers(1, 4))) < 0.5).astype(float) for _ in range(tasks)]
    for own in labels:
        own[:2] = [[0.0], [1.0]]  # both values occur
    signal = sum(own @ rng.normal(size=(own.shape[1], units)) * (rng.random(units) < 0.4) for own in labels)
    values = signal * rng.choice([0.3, 1.0]) + rng.normal(size=(samples, units)) * rng.choice([0.1, 0.3, 1.0])
    return np.maximum(values - 0.2, 0.0).astype(np.float32), labels


def regrouped(values: np.ndarray, tasks: list[np.ndarray], alpha: float, scan: str) -> list[frozenset[int]]:
    estimators = [ESTIMATORS["kde"](torch.tensor(values), torch.tensor(labels), NOISE) for labels in tasks]
    sets = [greedy_set(own.grow(), range(values.shape[1]), alpha, scan).units for own in estimators]
    return groups_of_sets(sets, values.shape[1])


@pytest.mark.parametrize("seed", range(50))
def test_groups_are_those_of_the_pseudo_code(seed):
    values, tasks = random_layer(seed, units=4 + seed % 7)
    full = max(joint_information(values.astype(float), labels) for labels in tasks)
    for part in (0.02, 0.2, 0.6):
        expected = transcribed_groups(values.astype(float), tasks, part * full)
        for scan in ("full", "lazy"):
            assert regrouped(values, tasks, part * full, scan) == expected


@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_lazy_and_full_scan_choose_the_same_units(estimator, monkeypatch):
    monkeypatch.setattr(regrouping, "BLOCK", 2)
    lazy = full = 0
    for seed in range(30):
        values, tasks = random_layer(seed, units=30)
        own = ESTIMATORS[estimator](torch.tensor(values), torch.tensor(tasks[0]), NOISE)
        alpha = [0.05, 0.3, 0.8][seed % 3] * own.information(range(30))
        found = {scan: greedy_set(own.grow(), range(30), alpha, scan) for scan in ("lazy", "full")}
        assert found["lazy"].units == found["full"].units
        assert found["lazy"].information == found["full"].information <= alpha + 1e-9
        lazy, full = lazy + found["lazy"].evaluations, full + found["full"].evaluations
    assert lazy < full


@pytest.mark.parametrize("seed", range(4))
def test_lazy_and_full_scan_agree_on_units_that_seldom_fire(seed):
    """Of such units the kernel estimate does fall."""
    rng = np.random.default_rng(seed)
    classes = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 128)]
    values = np.maximum(rng.normal(size=(128, 128)) - 2 + classes @ rng.normal(size=(10, 128)), 0)
    own = ESTIMATORS["kde"](torch.tensor(values).float(), torch.tensor(classes[:, :5]), NOISE)
    found = {scan: greedy_set(own.grow(), range(128), 0.2, scan) for scan in ("lazy", "full")}
    assert found["lazy"].units == found["full"].units
    assert found["lazy"].evaluations < 0.8 * found["full"].evaluations


class Table(Growth):
    """A growth of a set function that is written down: sums of weights, less what a set of so many units falls by."""

    def __init__(self, weights: np.ndarray, falls: np.ndarray) -> None:
        super().__init__(len(weights), torch.device("cpu"))
        self.weights, self.falls = weights, falls

    def of(self, members: list[int]) -> float:
        return float(self.weights[members].sum() - self.falls[len(members)])

    def _values(self, candidates: torch.Tensor) -> torch.Tensor:
        return torch.tensor([self.of([*self.members, int(unit)]) for unit in candidates], dtype=torch.float64)

    def _put(self, unit: int) -> None:
        self.value = self.of([*self.members, unit])


def test_a_lazy_scan_notices_values_that_fall_and_looks_again():
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 1.0, 200)
    falls = np.cumsum(rng.uniform(0.2, 0.4, 202))
    steady = greedy_set(Table(weights, 0 * falls), range(200), 30.0)
    assert steady.noticed == 0
    fallen = greedy_set(Table(weights, falls), range(200), 30.0)
    assert fallen.noticed > 0
    assert fallen.units == greedy_set(Table(weights, falls), range(200), 30.0, "full").units


class Largest(Table):
    """A set is worth its largest unit: what is known of the others never gets out of date."""

    def of(self, members: list[int]) -> float:
        return float(self.weights[members].max(initial=0.0))


def test_a_lazy_scan_of_what_saturates_evaluates_far_fewer():
    weights = np.random.default_rng(0).uniform(0.1, 1.0, 300)
    found = [greedy_set(Largest(weights, np.zeros(302)), range(300), math.inf, scan) for scan in ("lazy", "full")]
    assert found[0].units == found[1].units == tuple(np.argsort(weights))
    assert found[0].evaluations < found[1].evaluations / 4


@pytest.mark.parametrize("scan", ["lazy", "full"])
def test_ends_of_a_set(scan):
    weights = np.array([0.5, 0.5, 0.5, 0.2])

    def table() -> Table:
        return Table(weights, np.zeros(6))

    assert greedy_set(table(), range(4), 0.1, scan).units == ()
    assert greedy_set(table(), [], 1.0, scan) == GreedySet((), 0.0, 0, 0)
    assert greedy_set(table(), [1, 0], 1.0, scan).units == (0, 1)  # ties: the first unit; exactly alpha is allowed
    assert greedy_set(table(), range(4), math.inf, scan).units == (3, 0, 1, 2)


@pytest.mark.parametrize("scan", ["lazy", "full"])
def test_an_estimate_that_is_no_number_is_refused(scan):
    with pytest.raises(PlanError, match="with unit 1 is no finite number"):
        greedy_set(Table(np.array([0.1, math.nan]), np.zeros(4)), range(2), 1.0, scan)


def test_constant_units_are_told_apart_by_nothing_and_go_first():
    values, tasks = random_layer(3, units=6)
    values[:, [1, 4]] = 7.0
    own = ESTIMATORS["kde"](torch.tensor(values), torch.tensor(tasks[0]), NOISE)
    assert greedy_set(own.grow(), range(6), 0.0).units == (1, 4)


@pytest.mark.parametrize("tasks", [2, 3, 4])
def test_groups_follow_from_the_sets(tasks):
    units = 2**tasks
    sets = [{unit for unit in range(units) if unit >> task & 1} for task in range(tasks)]
    groups = groups_of_sets([sorted(own) for own in sets], units)
    for unit, group in enumerate(groups):
        told = frozenset(task for task in range(tasks) if unit not in sets[task])
        assert group == (told if len(told) < 2 else frozenset(range(tasks)))


# Responses


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
@pytest.mark.parametrize("pooling", ["max", "mean", "flatten"])
def test_responses_are_activations_of_all_parents_side_by_side(family, pooling):
    tasks = make_tasks(3)
    parents = {task.name: random_parent(family, seed, wide=seed == 1) for seed, task in enumerate(tasks)}
    data = make_data(SHAPES[family], tasks, sizes=(10, 10, 10))
    found = collect(convert_parents(parents), data, tasks, samples=24, pooling=pooling)
    x = torch.cat([batch for batch, _ in data])[:24]
    assert found.samples == 24
    assert found.input_shape == SHAPES[family]
    expected = [relu_outputs(parent, x) for parent in parents.values()]
    for layer, values in zip(found.layers, zip(*expected, strict=True), strict=True):
        maps = torch.cat([value.flatten(2) if value.ndim > 2 else value[:, :, None] for value in values], dim=1)
        pooled = {"max": maps.amax(2), "mean": maps.mean(2), "flatten": maps}[pooling]
        assert torch.allclose(layer.values, pooled.reshape(layer.values.shape), atol=1e-5)
        assert layer.values.ndim == (3 if pooling == "flatten" and layer.kind == "conv2d" else 2)
        assert layer.owner.tolist() == [i for i, value in enumerate(values) for _ in range(value.shape[1])]
        assert layer.kind == ("conv2d" if values[0].ndim == 4 else "linear")


def relu_outputs(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Run a parent in evaluation mode and return what its rectifiers give, heads excluded."""
    found: list[torch.Tensor] = []
    module = copy.deepcopy(module).eval()
    for child in module.modules():
        if isinstance(child, nn.ReLU):
            child.register_forward_hook(lambda _module, _inputs, output: found.append(output.clone()))
    with torch.no_grad():
        module(x)
    return found


def test_responses_do_not_depend_on_modes_or_batches():
    tasks = make_tasks(2)
    parents = {task.name: random_parent("small_vgg", seed) for seed, task in enumerate(tasks)}
    networks = convert_parents(parents)
    first = collect(networks, make_data(SHAPES["small_vgg"], tasks), tasks, samples=20)
    for network in networks.values():
        network.train()
    data = make_data(SHAPES["small_vgg"], tasks)
    split = [(x[i : i + 4], {n: t[i : i + 4] for n, t in y.items()}) for x, y in data for i in range(0, len(x), 4)]
    again = collect(networks, split, tasks, samples=20)
    assert all(network.training for network in networks.values())
    for one, two in zip(first.layers, again.layers, strict=True):
        assert torch.allclose(one.values, two.values, atol=1e-6)
    assert torch.equal(first.labels["a"].values, again.labels["a"].values)


def test_fewer_samples_than_asked_for_are_all_used():
    tasks = make_tasks(2)
    networks = convert_parents({task.name: random_parent("mlp", seed) for seed, task in enumerate(tasks)})
    assert collect(networks, make_data(SHAPES["mlp"], tasks, sizes=(5, 6)), tasks).samples == 11


def test_a_broken_parent_is_named():
    tasks = make_tasks(2)
    networks = convert_parents({task.name: random_parent("mlp", seed) for seed, task in enumerate(tasks)})
    with torch.no_grad():
        next(networks["b"].block(1, frozenset("b")).parameters()).fill_(math.nan)
    with pytest.raises(UnsupportedModel, match=r"parent 'b': activations of layer 'linear2' hold NaN"):
        collect(networks, make_data(SHAPES["mlp"], tasks), tasks)


def test_targets_of_different_shapes_are_refused():
    tasks = make_tasks(2)
    networks = convert_parents({task.name: random_parent("mlp", seed) for seed, task in enumerate(tasks)})
    data = make_data(SHAPES["mlp"], tasks, sizes=(5, 6))
    data[1][1]["b"] = torch.zeros(6, 2)
    with pytest.raises(DataError, match="task 'b': its targets have shapes"):
        collect(networks, data, tasks)


# Labels


def test_labels_of_every_kind_of_task():
    classes = labels_of(pam.Task("a", classes=[3, 5]), torch.tensor([0, 1, 2, 2]))
    assert classes.values.T.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert classes.names == ("label 3", "label 5")
    mapping = labels_of(pam.Task("a", mapping={7: 0, 8: 1}), torch.tensor([0, 1, 1, 1]))
    assert mapping.values.T.tolist() == [[1, 0, 0, 0], [0, 1, 1, 1]]
    task = pam.Task("a", one_vs_rest=[3, 5])
    binary = labels_of(task, task.target(torch.tensor([3, 5, 4, 3])))
    assert binary.values.T.tolist() == [[1, 0, 0, 1], [0, 1, 0, 0]]
    assert binary.names == ("label 3", "label 5")
    quarter, half = -math.log(0.25) / 4 - 0.75 * math.log(0.75), math.log(2)
    assert binary.entropy == pytest.approx(half + quarter)


def test_a_joint_label_has_all_classes():
    one = labels_of(pam.Task("a", classes=[3, 5]), torch.tensor([0, 1, 2, 2]), "joint")
    assert one.values.tolist() == [0, 1, 2, 2]
    assert one.entropy == pytest.approx(1.5 * math.log(2))
    target = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [math.nan, 1.0]])
    assert labels_of(pam.Task("a", multi_label=[0, 1]), target, "joint").values.tolist() == [0, 1, 0, -1]


def test_missing_labels_and_labels_that_do_not_vary():
    target = torch.tensor([[0.0, 1.0, 1.0], [math.nan, 1.0, 0.0], [1.0, 1.0, math.nan]])
    found = labels_of(pam.Task("a", multi_label=[4, 2, 7]), target)
    assert found.names == ("label 4", "label 7")
    assert found.left_out == ("label 2",)
    assert torch.equal(found.values.isnan(), target[:, [0, 2]].isnan())
    assert found.entropy == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize(
    ("task", "target", "error", "message"),
    [
        ({"classes": [3]}, torch.tensor([0, 0]), PlanError, "one class only in the 2 samples .label 3 is always 1"),
        ({"multi_label": [0]}, torch.full((3, 1), math.nan), PlanError, "label 0 is missing everywhere"),
        ({"multi_label": [0]}, torch.tensor([[0.5]]), DataError, "values other than 0 and 1"),
        ({"classes": [3]}, torch.tensor([0, 2]), DataError, "classes outside 0 to 1"),
        ({"classes": [3]}, torch.tensor([0.0, 1.0]), DataError, "class numbers"),
        ({"classes": [3]}, torch.zeros(2, 2, 2), DataError, "class numbers"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["binary", "joint"])
def test_labels_that_say_nothing_are_refused(task, target, error, message, form):
    if form == "joint":
        message = message.replace("label 3 is always 1", "the class is always 0").replace("label 0", "all labels")
    with pytest.raises(error, match=message):
        labels_of(pam.Task("a", **task), target, form)


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of alpha= .nats. and part="),
        ({"alpha": 0.1, "part": 0.1}, "give one of alpha= .nats. and part="),
        ({"alpha": -0.1}, "alpha of 'all layers' is -0.1"),
        ({"alpha": math.nan}, "is nan"),
        ({"alpha": math.inf}, "is inf"),
        ({"alpha": "0.1"}, "must be a number of nats"),
        ({"alpha": {"linear": -1.0}}, "alpha of 'linear' is -1.0"),
        ({"alpha": {}}, "names no layer"),
        ({"part": 1.0}, "below 1"),
        ({"part": -0.1}, "at least 0"),
        ({"part": math.nan}, "at least 0"),
        ({"alpha": 0.1, "estimator": "knn"}, "estimator='knn' is unknown"),
        ({"alpha": 0.1, "labels": "each"}, "labels='each' is unknown"),
        ({"alpha": 0.1, "pooling": "sum"}, "pooling='sum' is unknown"),
        ({"alpha": 0.1, "scan": "quick"}, "scan='quick' is unknown"),
        ({"alpha": 0.1, "samples": 1}, "samples=1"),
        ({"alpha": 0.1, "samples": 12.5}, "samples=12.5"),
        ({"alpha": 0.1, "noise": 0.0}, "noise=0.0"),
        ({"alpha": 0.1, "noise": math.nan}, "noise=nan"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(PlanError, match=message):
        pam.Information(**options)


def test_thresholds_per_kind_and_name():
    options = pam.Information(alpha={"conv2d": 0.2, "linear": 0.1, "fc2": 0.0})
    assert [options.threshold(*layer) for layer in (("c", "conv2d"), ("fc1", "linear"), ("fc2", "linear"))] == [
        0.2,
        0.1,
        0,
    ]
    assert pam.Information(part=0.1).threshold("c", "conv2d") is None
    with pytest.raises(PlanError, match=r"no threshold for layer 'c', a conv2d layer"):
        pam.Information(alpha={"linear": 0.1}).threshold("c", "conv2d")


def test_unknown_layers_are_refused():
    names = ["c1", "c2", "fc"]
    assert pam.Information(alpha=0.1).regrouped(names) == names
    assert pam.Information(alpha=0.1, layers=("fc", "c2")).regrouped(names) == ["c2", "fc"]
    with pytest.raises(PlanError, match=r"layers= names \['c3'\]"):
        pam.Information(alpha=0.1, layers=["c3"]).regrouped(names)
    for alpha, layers in itertools.product([{"c3": 0.1}, {"c1": 0.1}], [["fc"]]):
        with pytest.raises(PlanError, match=r"alpha= names \['c[13]'\]; the regrouped layers are \['fc'\]"):
            pam.Information(alpha=alpha, layers=layers).regrouped(names)
