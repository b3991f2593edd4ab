"""Training and evaluation: the loss falls, runs repeat, and means count samples."""

import copy

import pytest
import torch
from networks import SHAPES, make_data, make_tasks, merged_example, random_parent
from torch import nn

import pam_opt as pam
from pam_opt.errors import DataError, PlanError
from pam_opt.training import SingleTask, evaluation_mode


def learnable(family, tasks, sizes=(32, 32)):
    """Batches whose targets follow from the input."""
    result = []
    for x, _ in make_data(SHAPES[family], tasks, sizes):
        pixels = x.flatten(1)
        result.append((x, {task.name: pixels[:, i : i + 3].argmax(1) for i, task in enumerate(tasks)}))
    return result


def mean_loss(network, batches, tasks):
    with torch.no_grad(), evaluation_mode(network):
        return sum(
            task.mean_loss(network(x)[task.name], targets[task.name]).item() for x, targets in batches for task in tasks
        )


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_training_lowers_the_loss_and_raises_the_metric(family, optimiser):
    tasks = make_tasks(2)
    network, batches = merged_example(family, 2, share=0.5), learnable(family, tasks)
    loss, score = mean_loss(network, batches, tasks), pam.evaluate(network, batches, tasks)
    rate = 0.02 if optimiser == "adam" else 0.3
    pam.train(network, batches, tasks, 40, pam.TrainOptions(learning_rate=rate, optimiser=optimiser))
    assert mean_loss(network, batches, tasks) < 0.97 * loss
    assert sum(pam.evaluate(network, batches, tasks).values()) > sum(score.values())
    assert not network.training


@pytest.mark.parametrize("schedule", ["one_cycle", "constant"])
def test_the_same_seed_gives_the_same_weights(schedule):
    tasks = make_tasks(1)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    batches = learnable("mlp", tasks)
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        network = SingleTask(copy.deepcopy(module), "a")
        pam.train(network, batches, tasks, 12, pam.TrainOptions(schedule=schedule))
        runs.append(network.state_dict())
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert any(not torch.equal(runs[0][name], runs[2][name]) for name in runs[0])


def test_tasks_count_alike():
    """One plain gradient step goes down the mean of the tasks' losses."""
    tasks = make_tasks(2)
    network = merged_example("mlp", 2)
    ((x, targets),) = learnable("mlp", tasks, (32,))
    twin = copy.deepcopy(network)
    outputs = twin(x)
    loss = sum(nn.functional.cross_entropy(outputs[task], targets[task]) for task in "ab") / 2
    loss.backward()
    options = pam.TrainOptions(learning_rate=0.1, optimiser="sgd", schedule="constant")
    pam.train(network, [(x, targets)], tasks, 1, options)
    for before, after in zip(twin.parameters(), network.parameters(), strict=True):
        # The first Nesterov step is (1 + momentum) times the gradient.
        torch.testing.assert_close(after, before - 0.1 * 1.9 * before.grad)


def test_only_the_tasks_asked_for_are_trained():
    tasks = make_tasks(2)
    network = merged_example("mlp", 2, share=0.0)
    before = copy.deepcopy(network.state_dict())
    pam.train(network, learnable("mlp", tasks), tasks[:1], 3)
    after = network.state_dict()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed
    assert all("for_a" in name for name in changed)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_weight_decay_shrinks_the_weights(optimiser):
    tasks, batches = make_tasks(1), learnable("mlp", make_tasks(1))
    norms = []
    for decay in (0.0, 1.0):
        network = SingleTask(random_parent("mlp"), "a")
        options = pam.TrainOptions(learning_rate=0.01, optimiser=optimiser, weight_decay=decay, schedule="constant")
        pam.train(network, batches, tasks, 20, options)
        norms.append(sum(float(p.detach().square().sum()) for p in network.parameters()))
    assert norms[1] < 0.9 * norms[0]


def test_the_one_cycle_peaks_at_the_learning_rate(monkeypatch):
    rates = []
    real = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    pam.train(merged_example("mlp", 2), learnable("mlp", make_tasks(2)), make_tasks(2), 100)
    assert len(rates) == 100
    assert max(rates) == pytest.approx(1e-3, rel=1e-3)
    assert 25 <= rates.index(max(rates)) <= 35
    assert rates[0] < 0.1 * max(rates)
    assert rates[-1] < 0.01 * max(rates)


def test_mixed_precision_keeps_float32_weights():
    tasks, network = make_tasks(2), merged_example("mlp", 2)
    batches = learnable("mlp", tasks)
    loss = mean_loss(network, batches, tasks)
    pam.train(network, batches, tasks, 30, pam.TrainOptions(learning_rate=0.02, bfloat16=True))
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert mean_loss(network, batches, tasks) < loss


class Counted:
    """Batches that count how often they are asked for."""

    def __init__(self, batches):
        self.batches, self.epochs, self.given = batches, 0, 0

    def __iter__(self):
        self.epochs += 1
        for batch in self.batches:
            self.given += 1
            yield batch


@pytest.mark.parametrize(("steps", "epochs"), [(0, 0), (1, 1), (2, 1), (3, 1), (4, 2), (7, 3)])
def test_exactly_so_many_steps_are_made(steps, epochs):
    tasks, network = make_tasks(2), merged_example("mlp", 2)
    batches, seen = Counted(learnable("mlp", tasks, (8, 8, 8))), []
    before = copy.deepcopy(network.state_dict())
    pam.train(network, batches, tasks, steps, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(step, steps) for step in range(1, steps + 1)]
    assert batches.epochs == epochs
    assert steps <= batches.given <= steps + 1
    assert (steps == 0) == all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_training(value):
    task = pam.Task("a", classes=range(2), loss=lambda outputs, target: outputs.mean() * value)
    batches = make_data(SHAPES["mlp"], [task], (4,))
    with pytest.raises(DataError, match=r"loss is .* step 1\b"):
        pam.train(SingleTask(random_parent("mlp"), "a"), batches, [task], 3)


@pytest.mark.parametrize("batches", [[], iter(make_data(SHAPES["mlp"], make_tasks(2), (4, 4)))])
def test_batches_that_run_out_are_refused(batches):
    with pytest.raises(DataError, match="training"):
        pam.train(merged_example("mlp", 2), batches, make_tasks(2), 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; give a finite number above 0"),
        ({"learning_rate": -1}, "learning_rate is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"weight_decay": -1}, "weight_decay is -1; give a finite number of at least 0"),
        ({"optimiser": "magic"}, r"optimiser is 'magic'; choose from \['adam', 'sgd'\]"),
        ({"schedule": ["none"]}, "schedule is"),
        ({"bfloat16": "yes"}, "bfloat16 is 'yes'"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(PlanError, match=message):
        pam.TrainOptions(**options)


def test_options_that_are_none_are_refused():
    with pytest.raises(TypeError, match="magic"):
        pam.TrainOptions(magic=1)  # type: ignore[call-arg]


# Evaluation


def test_evaluation_weighs_samples_not_batches():
    tasks = make_tasks(2)
    network = merged_example("mlp", 2)
    batches = make_data(SHAPES["mlp"], tasks, (50, 3, 1))
    x, right = torch.cat([x for x, _ in batches]), {}
    with torch.no_grad():
        for task, outputs in network(x).items():
            target = torch.cat([targets[task] for _, targets in batches])
            right[task] = (outputs.argmax(1) == target).double().mean().item()
    assert pam.evaluate(network, batches, tasks) == pytest.approx(right)
    assert pam.evaluate(network, batches[::-1], tasks) == pytest.approx(right)


def test_evaluation_uses_the_tasks_own_metric():
    task = pam.Task("a", classes=range(2), metric=lambda outputs, target: target * 2.0)
    batches = [
        (torch.zeros(3, 1, 4, 4), {"a": torch.tensor([0, 1, 2])}),
        (torch.zeros(1, 1, 4, 4), {"a": torch.ones(1)}),
    ]
    assert pam.evaluate(SingleTask(random_parent("mlp"), "a"), batches, [task]) == {"a": 2.0}


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_mode_and_statistics(training):
    network, tasks = merged_example("small_vgg", 2).train(training), make_tasks(2)
    before = copy.deepcopy(network.state_dict())
    pam.evaluate(network, make_data(SHAPES["small_vgg"], tasks), tasks)
    assert network.training == training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_evaluation_without_batches_is_refused():
    with pytest.raises(DataError, match="evaluation"):
        pam.evaluate(merged_example("mlp", 2), [], make_tasks(2))


def test_evaluation_mode_comes_back_after_an_error():
    network = merged_example("mlp", 2).train()

    def stumble():
        with evaluation_mode(network):
            assert not network.training
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        stumble()
    assert network.training


def test_a_single_sample_is_too_few_for_batch_norm():
    task = pam.Task("a", classes=[0, 1])
    network = pam.single(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)), task)
    batches = [(torch.randn(n, 3), {"a": torch.zeros(n, dtype=torch.long)}) for n in (4, 1)]
    with pytest.raises(DataError, match="batch 2 has one sample, too few for batch norm; choose another batch size"):
        pam.train(network, batches, [task], 2)
