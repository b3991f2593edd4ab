"""Tasks: targets, losses, metrics, and combinations of tasks with their probabilities."""

import itertools

import pytest
import torch
from torch.nn import functional

from pam_opt import Task
from pam_opt.errors import TaskError
from pam_opt.losses import tanh_mse
from pam_opt.tasks import check_known, check_tasks, combination_key, combinations, distribution

# Targets


def test_listed_classes_are_told_apart_and_the_rest_is_other():
    task = Task("a", classes=[7, 2])
    assert task.outputs == 3
    target = task.target(torch.tensor([2, 7, 0, 9, 7]))
    assert target.tolist() == [1, 0, 2, 2, 0]
    assert target.dtype == torch.long


def test_labels_of_any_integer_type_are_taken():
    task = Task("a", classes=range(5))
    for dtype in (torch.uint8, torch.int32, torch.int64):
        target = task.target(torch.tensor([0, 4, 5, 200], dtype=dtype))
        assert target.tolist() == [0, 4, 5, 5]
        assert target.dtype == torch.long


def test_a_mapping_sends_labels_to_classes():
    task = Task("parity", mapping={0: 0, 1: 1, 2: 0, 3: 1})
    assert task.outputs == 2
    assert task.target(torch.tensor([3, 2, 1, 0])).tolist() == [1, 0, 1, 0]
    with pytest.raises(TaskError, match=r"'parity': mapping= has no entry for the labels \[7, 9\]"):
        task.target(torch.tensor([0, 9, 7]))


def test_columns_of_a_label_matrix_become_binary_targets():
    task = Task("attributes", multi_label=(2, 0))
    assert task.outputs == 2
    target = task.target(torch.tensor([[1, 0, 0], [0, 1, 1]]))
    assert target.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert target.dtype == torch.float32


@pytest.mark.parametrize(
    ("task", "labels", "words"),
    [
        (Task("a", classes=range(2)), torch.zeros(3, 2), r"needs labels of shape \(N,\), not \(3, 2\)"),
        (Task("a", mapping={0: 0}), torch.zeros(()), r"needs labels of shape \(N,\), not \(\)"),
        (Task("a", multi_label=(0, 3)), torch.zeros(3, 3), r"reads the label columns \[0, 3\].*shape \(3, 3\)"),
        (Task("a", multi_label=(0,)), torch.zeros(3), r"reads the label columns \[0\].*shape \(3,\)"),
    ],
)
def test_labels_of_the_wrong_shape_are_refused(task, labels, words):
    with pytest.raises(TaskError, match=words):
        task.target(labels)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "a b", "classes": [1]}, "task name 'a b'"),
        ({"name": "a+b", "classes": [1]}, "task name"),
        ({"name": "", "classes": [1]}, "task name ''"),
        ({"name": "a"}, "has 0 target rules"),
        ({"name": "a", "classes": [1], "mapping": {0: 0}}, "has 2 target rules"),
        ({"name": "a", "classes": []}, "lists no class"),
        ({"name": "a", "mapping": {}}, "lists no class"),
        ({"name": "a", "multi_label": []}, "lists no class"),
        ({"name": "a", "classes": [1, 2, 1]}, "lists a class twice"),
        ({"name": "a", "multi_label": [0, 0]}, "lists a class twice"),
    ],
)
def test_impossible_tasks_are_refused(options, words):
    with pytest.raises(TaskError, match=words):
        Task(**options)


# Losses and metrics


def test_the_default_loss_and_metric_of_classes():
    task = Task("a", classes=range(2))
    outputs, target = torch.tensor([[3.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 5.0, 0.0]]), torch.tensor([0, 1, 1])
    log = outputs.double() - outputs.double().logsumexp(1, keepdim=True)
    assert task.mean_loss(outputs, target).item() == pytest.approx(-(log[0, 0] + log[1, 1] + log[2, 1]).item() / 3)
    assert task.scores(outputs, target).tolist() == [1.0, 0.0, 1.0]


def test_the_default_loss_and_metric_of_multi_label():
    task = Task("a", multi_label=(0, 1))
    outputs, target = torch.tensor([[2.0, -1.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    probability = torch.sigmoid(outputs)
    expected = -(target * probability.log() + (1 - target) * (1 - probability).log()).mean()
    assert task.mean_loss(outputs, target).item() == pytest.approx(expected.item())
    assert task.scores(outputs, target).tolist() == [1.0, 0.5]


def test_losses_and_metrics_of_ones_own():
    task = Task(
        "a", classes=range(2), loss=lambda o, t: (o[:, 0] - t).abs().mean(), metric=lambda o, t: -(o[:, 0] - t).abs()
    )
    outputs, target = torch.tensor([[1.0, 0.0], [4.0, 0.0]]), torch.tensor([0, 1])
    assert task.mean_loss(outputs, target).item() == 2.0
    assert task.scores(outputs, target).tolist() == [-1.0, -3.0]
    assert functional.cross_entropy(outputs, target) != 2.0


# Task lists


def test_task_lists_are_checked_against_each_other_and_the_parents():
    a, b = Task("a", classes=[0]), Task("b", classes=[0])
    assert check_tasks([b, a], ["a", "b"]) == (b, a)
    with pytest.raises(TaskError, match=r"duplicate task names \['a'\]"):
        check_tasks([a, b, Task("a", classes=[1])])
    with pytest.raises(TaskError, match=r"tasks \['a', 'b'\] and parents \['a', 'c'\] do not match"):
        check_tasks([a, b], {"a": None, "c": None})


def test_known_names():
    assert check_known(["b", "a", "b"], ["a", "b", "c"]) == {"a", "b"}
    with pytest.raises(TaskError, match=r"unknown task names \['x', 'y'\]; the tasks are \['a'\]"):
        check_known(["y", "a", "x"], ["a"])
    with pytest.raises(TaskError, match="no task asked for"):
        check_known([], ["a"])


# One against the rest


def test_one_vs_rest_has_a_binary_output_for_each_label():
    task = Task("low", one_vs_rest=[0, 2])
    assert (task.outputs, task.binary) == (2, True)
    target = task.target(torch.tensor([0, 1, 2]))
    assert target.tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    outputs = torch.tensor([[3.0, 1.0], [-1.0, 2.0], [-2.0, -1.0]])
    assert task.scores(outputs, target).tolist() == [0.5, 0.5, 0.5]
    with pytest.raises(TaskError, match="has 2 target rules"):
        Task("low", classes=[0], one_vs_rest=[0])


def test_plain_accuracy_asks_for_the_one_right_answer():
    task = Task("low", one_vs_rest=[0, 2]).plain()
    target = task.target(torch.tensor([0, 1, 2, 1, 2]))
    outputs = torch.tensor([[3.0, 1.0], [-1.0, 2.0], [-2.0, -1.0], [-1.0, -3.0], [1.0, 2.0]])
    assert task.scores(outputs, target).tolist() == [1.0, 0.0, 0.0, 1.0, 1.0]
    several = Task("several", classes=[0, 1], metric=lambda outputs, target: outputs[:, 0])
    assert several.plain().scores(torch.eye(3), torch.tensor([0, 1, 0])).tolist() == [1.0, 1.0, 0.0]


def test_the_loss_of_pam_is_the_squared_error_of_tanh_to_plus_and_minus_one():
    outputs, target = torch.tensor([[0.0, 20.0]]), torch.tensor([[1.0, 0.0]])
    assert tanh_mse(outputs, target).item() == pytest.approx((1 + 4) / 2)


# Combinations


@pytest.mark.parametrize("count", range(1, 6))
def test_there_are_two_to_the_k_less_one_combinations(count):
    names = "edcba"[:count]
    found = combinations(names)
    assert len(found) == len(set(found)) == 2**count - 1
    assert [len(c) for c in found] == sorted(len(c) for c in found)
    assert set(found) == {frozenset(c) for k in range(1, count + 1) for c in itertools.combinations(names, k)}


def test_keys_are_sorted_names():
    assert combination_key({"b", "a"}) == combination_key(["a", "b"]) == "a+b"
    assert combination_key(["only"]) == "only"


def test_the_default_distribution_is_uniform():
    found = distribution(["b", "a", "c"])
    assert len(found) == 7
    assert set(found.values()) == {1 / 7}


def test_weights_are_scaled_and_may_be_named_in_any_way():
    found = distribution(["a", "b", "c"], {"b+a": 1.0, frozenset("ab"): 2, ("c",): 5.0, "a": 0.0})
    assert found == {frozenset("ab"): 3 / 8, frozenset("c"): 5 / 8}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"a+x": 1.0}, r"unknown task names \['x'\]"),
        ({(): 1.0}, "no task asked for"),
        ({"": 1.0}, "unknown task names"),
        ({"a": -1.0, "b": 2.0}, "'a' has weight -1.0"),
        ({"a": float("nan")}, "has weight nan"),
        ({"a": float("inf")}, "has weight inf"),
        ({"a": 0.0}, "no combination of positive weight"),
        ({}, "no combination of positive weight"),
    ],
)
def test_impossible_distributions_are_refused(weights, words):
    with pytest.raises(TaskError, match=words):
        distribution(["a", "b"], weights)
