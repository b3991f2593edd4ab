"""Measuring: streamed moments equal those of all samples at once, and nothing is kept of earlier batches."""

import gc
import itertools
import weakref

import numpy as np
import pytest
import torch
from networks import NAMES, SHAPES, make_data, make_tasks, pre_activation_names, random_parent, stepwise

import pam_opt as pam
from pam_opt.errors import DataError, TaskError, UnsupportedModel

FIELDS = ("mean", "variance", "fisher", "importance")


def example(family, count=2, sizes=(10, 7)):
    tasks = make_tasks(count, [3, 4, 2][:count])
    parents = {task.name: random_parent(family, seed, task.outputs, wide=seed == 1) for seed, task in enumerate(tasks)}
    return tasks, parents, make_data(SHAPES[family], tasks, sizes)


def joined(data, batch=None):
    """All samples as one batch, or cut into batches of another size."""
    x = torch.cat([x for x, _ in data])
    targets = {task: torch.cat([t[task] for _, t in data]) for task in data[0][1]}
    batch = batch or len(x)
    return [(x[i : i + batch], {k: t[i : i + batch] for k, t in targets.items()}) for i in range(0, len(x), batch)]


def by_hand(parent, task, x, target):
    """Each layer's pre-activations (N, units, positions), gradients alike, and gate gradients (N, units), by sample."""
    names = pre_activation_names(parent)
    values, gradients, gates = ({name: [] for name in names} for _ in range(3))
    for n in range(len(x)):
        shapes = stepwise(parent, x[n : n + 1])
        gate = {name: torch.ones(1, shapes[name].shape[1], requires_grad=True) for name in names}
        outputs = stepwise(parent, x[n : n + 1], gate)
        loss = task.mean_loss(list(outputs.values())[-1], target[n : n + 1])
        found = torch.autograd.grad(loss, [*gate.values(), *(outputs[name] for name in names)])
        for name, gate_gradient, gradient in zip(names, found, found[len(names) :], strict=False):
            values[name].append(outputs[name][0].detach().reshape(len(gate_gradient[0]), -1))
            gates[name].append(gate_gradient[0])
            gradients[name].append(gradient[0].reshape(len(gate_gradient[0]), -1))
    stacked = ({k: torch.stack(v).double().numpy() for k, v in d.items()} for d in (values, gradients, gates))
    return names, *stacked


@pytest.mark.parametrize("family", NAMES)
def test_moments_equal_those_of_all_samples_at_once(family):
    tasks, parents, data = example(family)
    found = pam.measure(parents, data, tasks=tasks)
    ((x, targets),) = joined(data)
    hand = {task.name: by_hand(parents[task.name], task, x, targets[task.name]) for task in tasks}
    assert found.samples == 17
    assert found.input_shape == SHAPES[family]
    assert [layer.name for layer in found.layers] == [name.replace("norm", "conv") for name in hand["a"][0]]
    for index, layer in enumerate(found.layers):
        rows = {}
        for task, (names, values, gradients, gates) in hand.items():
            name, units = names[index], layer.units[task]
            rows[task] = values[name].transpose(1, 0, 2).reshape(values[name].shape[1], -1)
            assert layer.positions == values[name].shape[2]
            expected = {
                "mean": rows[task].mean(1),
                "variance": rows[task].var(1),
                "fisher": np.square(gradients[name]).mean((0, 2)),
                "importance": np.square(gates[name]).mean(0),
            }
            for field in FIELDS:
                array = getattr(units, field)
                assert array.dtype == np.float64
                scale = np.abs(expected[field]).max()
                np.testing.assert_allclose(array, expected[field], rtol=2e-4, atol=1e-6 * scale)
        together = np.cov(rows["a"], rows["b"], bias=True)
        split = len(rows["a"])
        scale = np.sqrt(np.outer(rows["a"].var(1), rows["b"].var(1)))
        np.testing.assert_allclose(layer.covariance["a", "b"] / scale, together[:split, split:] / scale, atol=1e-5)
        assert np.array_equal(layer.cross("b", "a"), layer.cross("a", "b").T)


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
def test_the_split_into_batches_changes_nothing(family):
    tasks, parents, data = example(family, 3)
    runs = [pam.measure(parents, joined(data, batch), tasks=tasks) for batch in (17, 5, 1)]
    for layers in zip(*(run.layers for run in runs), strict=True):
        for task in parents:
            for field in FIELDS:
                first, *others = (getattr(layer.units[task], field) for layer in layers)
                for other in others:
                    np.testing.assert_allclose(other, first, rtol=1e-3, atol=1e-5 * np.abs(first).max())
        for pair in itertools.combinations("abc", 2):
            first, *others = (layer.covariance[pair] for layer in layers)
            for other in others:
                np.testing.assert_allclose(other, first, atol=1e-5 * np.abs(first).max())


def test_a_large_mean_does_not_drown_the_variance():
    """Shifted sums: a unit at 1000 with a spread of 1 keeps its variance."""
    tasks, parents, data = example("mlp")
    with torch.no_grad():
        parents["a"].linear1.bias += 1000.0
    plain = pam.measure({**parents, "a": example("mlp")[1]["a"]}, data, tasks=tasks).layers[0].units["a"].variance
    shifted = pam.measure(parents, data, tasks=tasks).layers[0].units["a"].variance
    np.testing.assert_allclose(shifted, plain, rtol=1e-2)


def test_multi_label_and_custom_losses_are_differentiated():
    multi = pam.Task("a", multi_label=(0, 2))
    custom = pam.Task("b", classes=range(2), loss=lambda out, target: (out.sum(1) - target).square().mean())
    parents = {"a": random_parent("mlp", 0, 2), "b": random_parent("mlp", 1, 3)}
    x = torch.randn(9, 1, 4, 4)
    targets = {"a": torch.randint(2, (9, 2)).float(), "b": torch.randint(3, (9,))}
    found = pam.measure(parents, [(x, targets)], tasks=[multi, custom])
    for task in (multi, custom):
        names, _, gradients, gates = by_hand(parents[task.name], task, x, targets[task.name])
        for name, layer in zip(names, found.layers, strict=True):
            units = layer.units[task.name]
            np.testing.assert_allclose(units.fisher, np.square(gradients[name]).mean((0, 2)), rtol=1e-4, atol=1e-12)
            np.testing.assert_allclose(units.importance, np.square(gates[name]).mean(0), rtol=1e-4, atol=1e-12)


def test_gradients_and_modes_of_the_parents_stay():
    tasks, parents, data = example("small_vgg")
    parents["a"].train()
    for parameter in parents["b"].parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in parents["a"].state_dict().items()}
    found = pam.measure(parents, data, tasks=tasks)
    assert parents["a"].training
    assert not parents["b"].training
    assert all(parameter.grad is None for parameter in parents["a"].parameters())
    assert all(bool((parameter.grad == 2.0).all()) for parameter in parents["b"].parameters())
    assert not any(parameter.requires_grad for parameter in parents["b"].parameters())
    assert all(torch.equal(value, before[name]) for name, value in parents["a"].state_dict().items())
    assert all((layer.units["b"].fisher > 0).any() for layer in found.layers)


class Stream:
    """Make batches on the fly; count the live elements of tensors when each is asked for."""

    def __init__(self, tasks, count):
        self.tasks, self.count = tasks, count
        self.alive, self.elements = [], {}

    def __iter__(self):
        references = []
        for number in range(self.count):
            if number in (4, self.count - 1):
                gc.collect()
                tensors = (t for t in gc.get_objects() if type(t) is torch.Tensor)
                self.elements[number] = sum(t.numel() for t in tensors)
                self.alive.append(sum(reference() is not None for reference in references))
            ((x, targets),) = make_data(SHAPES["lenet5"], self.tasks, (32,), seed=number)
            references.append(weakref.ref(x))
            yield x, targets


def test_memory_does_not_grow_with_the_number_of_batches():
    tasks, parents, _ = example("lenet5")
    stream = Stream(tasks, 24)
    pam.measure(parents, stream, tasks=tasks)
    assert max(stream.alive) <= 2
    early, late = stream.elements.values()
    assert late <= early + 100


def test_units_that_never_change_have_no_variance_and_no_importance():
    tasks, parents, data = example("mlp")
    with torch.no_grad():
        parents["a"].linear1.weight[0] = 0.0
        parents["a"].linear1.bias[0] = -3.0
    units = pam.measure(parents, data, tasks=tasks).layers[0].units["a"]
    assert units.mean[0] == pytest.approx(-3.0)
    assert units.variance[0] == units.fisher[0] == units.importance[0] == 0.0


def test_progress_counts_samples():
    tasks, parents, data = example("mlp")
    seen = []
    pam.measure(parents, data, tasks=tasks, progress=seen.append)
    assert seen == [10, 17]


def test_what_cannot_be_measured_is_refused():
    tasks, parents, data = example("mlp")
    with pytest.raises(DataError, match="empty"):
        pam.measure(parents, [], tasks=tasks)
    with pytest.raises(DataError, match="no target for task 'b'"):
        pam.measure(parents, [(data[0][0], {"a": data[0][1]["a"]})], tasks=tasks)
    with pytest.raises(TaskError, match="do not match"):
        pam.measure(parents, data, tasks=tasks[:1])
    with torch.no_grad():
        parents["a"].linear2.weight[:] = 1e30
        parents["a"].linear1.weight[:] = 1e30
    with pytest.raises(UnsupportedModel, match=r"parent 'a'.*layer 'linear2' hold NaN or infinite"):
        pam.measure(parents, data, tasks=tasks)
