"""What users can get wrong in a call: each mistake ends in an error that says what, where and the remedy."""

import warnings

import numpy as np
import pytest
import torch
from bad_input_cases import (
    SHAPE,
    TASKS,
    Residual,
    data,
    merged,
    parents,
    plan,
    refuses,
    with_inputs,
    with_target,
    without_target,
)
from networks import make_data, prune, random_parent
from torch import nn

import pam_opt as pam
from pam_opt.errors import (
    ConfigError,
    DataError,
    PlanError,
    ProblemError,
    SolverNotFound,
    TaskError,
    UnsupportedModel,
)
from pam_opt.families import FAMILIES
from pam_opt.pair_costs import COSTS
from pam_opt.pair_costs.statistics import PairStatistics

# --------------------------------------------------------------------------------------------------- parents


def conv(channels: int = 1, **settings) -> nn.Sequential:
    layers = [nn.Conv2d(channels, 4, 3, padding=1, **settings), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)]
    return nn.Sequential(*layers)


def chain(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *layers)


@pytest.mark.parametrize(
    ("other", "parts"),
    [
        (chain(nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, 3)), ["different depth", "3 layers and 2", "same depth"]),
        (
            chain(nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 3)),
            ["layer 'linear2' / '3'", "post [relu] against [tanh]"],
        ),
        (
            chain(nn.Linear(16, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)),
            ["layer 'linear1' / '1'", "norm None against batch_norm1d"],
        ),
        (
            chain(nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, 7, bias=False), nn.ReLU(), nn.Linear(7, 3)),
            ["layer 'linear2' / '3'", "bias True against False"],
        ),
        (
            chain(nn.Linear(25, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)),
            ["different input", "16 units", "25", "same kind of input"],
        ),
        (conv(), ["different input", "linear layer", "conv2d layer"]),
    ],
)
def test_parents_that_differ_are_refused_with_the_first_difference(other, parts):
    with refuses(UnsupportedModel, "parents 'a' and 'b'", *parts):
        plan(parents={"a": random_parent("mlp"), "b": other})


def test_convolutions_of_other_settings_or_channels_are_named():
    with refuses(UnsupportedModel, "layer '0' / '0'", "settings", "'dilation': [2, 2]"):
        plan(parents={"a": conv(), "b": conv(dilation=2)})
    with refuses(UnsupportedModel, "different input", "1 units", "3 into"):
        plan(parents={"a": conv(), "b": conv(3)})


def test_a_branch_that_the_other_lacks_is_refused():
    with refuses(UnsupportedModel, "parents 'a' and 'b'", "different depth"):
        plan(parents={"a": random_parent("mlp"), "b": Residual()})


@pytest.mark.parametrize(
    ("layers", "parts"),
    [
        ([nn.Linear(16, 4), nn.LSTM(4, 4)], ["node '2' (LSTM)", "supported: Linear"]),
        ([nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 3), nn.Threshold(1, 2)], ["node '4' (Threshold)"]),
        ([nn.ReLU()], ["no Linear or Conv2d"]),
        ([nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 3)], ["weight '1.weight' has no values yet", "load its weights"]),
        ([nn.Linear(16, 3, device="meta")], ["weight '1.weight' has no values yet"]),
        ([nn.Linear(16, 4), nn.ReLU(), nn.Conv2d(4, 3, 1)], ["node '3' (Conv2d)", "takes (N, channels, H, W)"]),
    ],
)
def test_modules_that_cannot_be_traced_name_the_node(layers, parts):
    with refuses(UnsupportedModel, "parent 'a'", *parts):
        pam.single(chain(*layers), TASKS[0])


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_layer_without_units_is_named():
    with refuses(UnsupportedModel, "node '1' (Linear)", "no units"):
        pam.single(chain(nn.Linear(16, 0), nn.ReLU(), nn.Linear(0, 3)), TASKS[0])


def test_what_is_no_module_is_refused():
    with refuses(UnsupportedModel, "parent 'a' is a NoneType", "torch.nn.Module"):
        pam.single(None, TASKS[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_bad_weights_name_the_parameter(bad):
    given = parents()
    with torch.no_grad():
        given["b"].linear2.bias[1] = bad
    with refuses(UnsupportedModel, "parent 'b'", "'linear2.bias'", "NaN or infinite", "train it again"):
        plan(parents=given)


def test_parametrised_weights_are_taken_as_they_act():
    first = nn.utils.parametrizations.weight_norm(nn.Linear(16, 5))
    module = chain(first, nn.ReLU(), nn.Linear(5, 3))
    x = torch.randn(3, *SHAPE)
    torch.testing.assert_close(pam.single(module, TASKS[0])(x)["a"], module(x))


def test_parents_in_a_list_are_refused():
    with refuses(TaskError, "parents ['Sequential', 'Sequential'] do not match", "under the task's name"):
        plan(parents=list(parents().values()))
    with refuses(PlanError, "parents is a list", "map task names to modules"):
        merged(parents=list(parents().values()))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_parents_are_refused(count):
    given = dict(list(parents().items())[:count])
    kind = PlanError if count else TaskError
    with refuses(kind, "give"):
        plan(parents=given, tasks=TASKS[:count])
    with refuses(PlanError, f"at least two parents, not {count}"):
        merged(parents=given)


# ------------------------------------------------------------------------------------------------------ tasks


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"name": "a+b"}, "task name 'a+b': use letters"),
        ({"name": ""}, "task name ''"),
        ({"name": "../a"}, "task name '../a'"),
        ({"name": 3}, "task name 3"),
        ({"classes": None}, "0 target rules; give exactly one"),
        ({"mapping": {0: 1}}, "2 target rules"),
        ({"classes": 10}, "as a list or range, such as range(5), not 10"),
        ({"classes": "ab"}, "not 'ab'"),
        ({"classes": [0.5]}, "lists 0.5; labels are whole numbers"),
        ({"classes": []}, "lists no class"),
        ({"classes": [1, 1]}, "lists a class twice: [1, 1]"),
        ({"classes": None, "mapping": {0: -1}}, "target class -1 is impossible"),
        ({"classes": None, "mapping": {0: "x"}}, "target class 'x' is impossible"),
        ({"classes": None, "multi_label": [-1]}, "label column -1 is impossible"),
    ],
)
def test_impossible_tasks_are_refused(given, part):
    with refuses(TaskError, part):
        pam.Task(**{"name": "a", "classes": [0, 1]} | given)


@pytest.mark.parametrize(
    ("tasks", "part"),
    [
        ([TASKS[0], TASKS[0]], "duplicate task names ['a']"),
        ([TASKS[0], pam.Task("c", classes=[0])], "tasks ['a', 'c'] and parents ['a', 'b'] do not match"),
        (["a", "b"], "tasks= holds 'a'; give a list of pam_opt.Task"),
        ([], "tasks= is empty"),
    ],
)
def test_wrong_task_lists_are_refused(tasks, part):
    with refuses(TaskError, part):
        plan(tasks=tasks)


@pytest.mark.parametrize(
    ("combinations", "part"),
    [
        ({"a+z": 1.0}, "unknown task names ['z']; the tasks are ['a', 'b']"),
        ({("a", "z"): 1.0}, "unknown task names ['z']"),
        ({"": 1.0}, "unknown task names ['']"),
        ({frozenset(): 1.0}, "no task asked for"),
        ({"a": -1.0}, "combination 'a' has weight -1.0; weights are numbers >= 0"),
        ({"a": float("nan")}, "has weight nan"),
        ({"a": float("inf")}, "has weight inf"),
        ({"a": "often"}, "has weight 'often'"),
        ({"a": 0.0}, "no combination of positive weight"),
        ({}, "no combination of positive weight"),
        (["a"], "combinations= is a list; map combinations to weights"),
    ],
)
def test_wrong_combinations_are_refused(combinations, part):
    with refuses(TaskError, part):
        plan(combinations=combinations)
    with refuses(TaskError, part):
        pam.costs(merged(), combinations=combinations)


@pytest.mark.parametrize(
    ("tasks", "part"),
    [((), "no task asked for; choose from ['a', 'b']"), (["a", "z"], "unknown task names ['z']"), ("a+b", "['a+b']")],
)
def test_a_network_refuses_unknown_tasks(tasks, part):
    with refuses(TaskError, part):
        merged()(torch.zeros(2, *SHAPE), tasks=tasks)


# ------------------------------------------------------------------------------------------------ calibration


def test_an_empty_loader_is_refused():
    with refuses(DataError, "calibration is empty: give at least one batch"):
        plan(calibration=[])
    with refuses(DataError, "calibration is empty"):
        merged(calibration=[])
    with refuses(DataError, "training is empty"):
        pam.train(merged(), [], TASKS, 1)
    with refuses(DataError, "evaluation is empty"):
        pam.evaluate(merged(), [], TASKS)


def test_a_one_shot_generator_is_refused():
    words = "one-shot generator, which can be walked only once: pass a list"
    with refuses(DataError, "calibration", words):
        plan(calibration=(batch for batch in data()))
    with refuses(DataError, "calibration", words):
        merged(calibration=(batch for batch in data()))
    with refuses(DataError, "training", words):
        pam.train(merged(), (batch for batch in data()), TASKS, 1)
    with refuses(DataError, "evaluation", words):
        pam.evaluate(merged(), (batch for batch in data()), TASKS)
    for batches in ((data(), iter(data())), (iter(data()), data())):
        with refuses(DataError, "can be walked only once"):
            prune(merged(), *batches, tasks=TASKS, steps=1)


def test_a_batch_without_a_target_is_named():
    batches = without_target(data(), "b")
    words = "batch 2 has no target for task 'b' (its targets: 'a'): add it"
    with refuses(DataError, "calibration", words):
        plan(calibration=batches)
    with refuses(DataError, "training", words):
        pam.train(merged(), batches, TASKS, 3)
    with refuses(DataError, "evaluation", words):
        pam.evaluate(merged(), batches, TASKS)


def test_no_calibration_is_refused_with_the_remedy():
    with refuses(PlanError, "needs calibration batches, or statistics="):
        plan(calibration=None)
    with refuses(PlanError, "need calibration=", "weights='average'"):
        merged(calibration=None)


@pytest.mark.parametrize(
    ("target", "part"),
    [
        (
            lambda n: torch.rand(n),
            "its target has shape (24,) and type torch.float32; give class numbers (N,)",
        ),
        (lambda n: torch.zeros(n, dtype=torch.bool), "type torch.bool"),
        (lambda n: torch.zeros(n, 3), "shape (24, 3)"),
        (lambda n: torch.zeros(n, 3, dtype=torch.long), "shape (24, 3)"),
        (lambda n: torch.full((n,), 3), "its target has class 3, but the head has 3 outputs, for classes 0 to 2"),
        (lambda n: torch.full((n,), -1), "its target has class -1"),
        (lambda n: torch.full((n,), -100), "its target has class -100"),
    ],
)
def test_targets_that_do_not_fit_the_loss_name_the_task(target, part):
    batches = with_target(target)
    with refuses(DataError, "task 'a'", part):
        plan(calibration=batches)
    with refuses(DataError, "task 'a'", part):
        pam.train(merged(), batches, TASKS, 1)
    with refuses(DataError, "task 'a'", part):
        pam.evaluate(merged(), batches, TASKS)
    with refuses(DataError, "task 'a'", part):
        prune(merged(), batches, data(), tasks=TASKS, steps=0, max_drop=1.0)


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8])
def test_class_numbers_of_other_integer_types_are_taken(kind):
    assert plan(calibration=with_target(lambda n: torch.ones(n, dtype=kind))).tasks == ("a", "b")


@pytest.mark.parametrize(
    "target", [lambda n: torch.zeros(n, 2), lambda n: torch.zeros(n, 3, dtype=torch.long), lambda n: torch.zeros(n)]
)
def test_targets_of_labels_must_match_the_outputs(target):
    tasks = [pam.Task("a", multi_label=[0, 1, 2]), TASKS[1]]
    with refuses(DataError, "task 'a'", "zeros and ones as floats of shape (24, 3)"):
        plan(tasks=tasks, calibration=with_target(target))


def stumble(outputs, target):
    raise KeyError("forgotten")


@pytest.mark.parametrize(
    ("loss", "kind", "part"),
    [
        (stumble, TaskError, "loss= failed on outputs (24, 3) and target (24,) torch.int64: KeyError: 'forgotten'"),
        (lambda o, t: 1.0, TaskError, "loss= returned float"),
        (lambda o, t: o.mean(1), TaskError, "loss= returned shape (24,)"),
        (lambda o, t: o.detach().mean(), TaskError, "loss= does not depend on the outputs"),
        (lambda o, t: o.mean() * float("nan"), DataError, "its loss is nan; check the outputs, the targets and loss="),
    ],
)
def test_a_loss_that_fails_names_the_task(loss, kind, part):
    tasks = [pam.Task("a", classes=[0, 1], loss=loss), TASKS[1]]
    with refuses(kind, "task 'a'", part):
        plan(tasks=tasks)
    if kind is TaskError:
        with refuses(TaskError, "task 'a'", part):
            pam.train(merged(), data(), tasks, 1)


@pytest.mark.parametrize(
    ("metric", "part"),
    [
        (stumble, "metric= failed on outputs (24, 3) and target (24,) torch.int64: KeyError: 'forgotten'"),
        (lambda o, t: 1.0, "metric= returned float"),
        (lambda o, t: o.mean(), "metric= returned shape ()"),
        (lambda o, t: o.mean(1) * float("nan"), "metric= gave NaN or infinite scores"),
    ],
)
def test_a_metric_that_fails_names_the_task(metric, part):
    tasks = [pam.Task("a", classes=[0, 1], metric=metric), TASKS[1]]
    with refuses(TaskError, "task 'a'", part):
        pam.evaluate(merged(), data(), tasks)
    with refuses(TaskError, "task 'a'", part):
        prune(merged(), data(), data(), tasks=tasks, steps=0)


def test_inputs_that_overflow_name_the_layer():
    batches = with_inputs(lambda x: x.clamp(-1, 1) * 1e30)
    with refuses(UnsupportedModel, "parent 'a': statistics of layer 'linear1' overflow", "scale of the inputs"):
        plan(calibration=batches)
    with refuses(DataError, "layer 'linear1': the least squares", "weights='average'"):
        merged(calibration=batches)


def test_activations_that_overflow_name_the_layer():
    given = parents()
    with torch.no_grad():
        given["b"].linear1.weight[:] = 1e30
        given["b"].linear2.weight[:] = 1e30
    with refuses(UnsupportedModel, "parent 'b': activations of layer 'linear2' hold NaN or infinite values"):
        plan(parents=given)


def test_gradients_that_overflow_are_refused():
    def steep(outputs, target):
        return torch.exp(outputs.double()).mean().sqrt() * 0 + (outputs * 0).sqrt().mean()

    tasks = [pam.Task("a", classes=[0, 1], loss=steep), TASKS[1]]
    with refuses(DataError, "task 'a': the gradient of its loss is not finite at layer 'linear1'", "check loss="):
        plan(tasks=tasks)


def test_pruning_names_the_layer_that_overflows():
    network = merged()
    with torch.no_grad():
        for index in (0, 1):
            for _, block in network.blocks(index):
                block.operation.weight[:] = 1e30
    with refuses(UnsupportedModel, "the network: activations of layer 'linear2', group 'a+b', hold NaN"):
        prune(network, data(), data(), tasks=TASKS, steps=0, max_drop=1.0)


# ---------------------------------------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    ("x", "part"),
    [
        (
            torch.zeros(2, *SHAPE, dtype=torch.long),
            "input of torch.int64 does not fit; the network takes",
        ),
        (torch.zeros(2, *SHAPE, dtype=torch.double), "input of torch.float64 does not fit"),
        (torch.zeros(2, *SHAPE, device="meta"), "input on meta does not fit; the network is on cpu"),
        (torch.zeros(16), "input of shape (16,) does not fit; the network takes (N, 16) behind flatten"),
        (torch.zeros(2, 5), "input of shape (2, 5) does not fit"),
        (torch.zeros(()), "input of shape () does not fit"),
        ([[0.0] * 16], "input of type list does not fit; the network takes a torch.Tensor"),
        (np.zeros((2, 16), np.float32), "input of type ndarray does not fit"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, part):
    with refuses(UnsupportedModel, part):
        merged()(x)


@pytest.mark.parametrize("use", ["plan", "merge", "train", "evaluate"])
def test_batches_of_inputs_that_do_not_fit_are_refused(use):
    for change in (torch.Tensor.long, lambda x: x[:, :, :2]):
        batches = with_inputs(change)
        with refuses(UnsupportedModel, "does not fit; the network takes"):
            {
                "plan": lambda: plan(calibration=batches),  # noqa: B023
                "merge": lambda: merged(calibration=batches),  # noqa: B023
                "train": lambda: pam.train(merged(), batches, TASKS, 1),  # noqa: B023
                "evaluate": lambda: pam.evaluate(merged(), batches, TASKS),  # noqa: B023
            }[use]()


def test_convolutions_refuse_inputs_of_another_rank():
    network = pam.single(conv(), TASKS[0])
    for shape in ((2, 1, 4), (2, 3, 4, 4), (2, 16)):
        with refuses(UnsupportedModel, "the network takes (N, 1, H, W)"):
            network(torch.zeros(shape))


def test_pooling_in_front_of_the_first_layer_is_no_wrong_shape():
    module = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.randn(3, *SHAPE)
    network = pam.single(module, TASKS[0], SHAPE)
    torch.testing.assert_close(network(x)["a"], module(x))
    with refuses(UnsupportedModel, "the network takes (N, 4) behind avg_pool2d, flatten"):
        network(torch.zeros(3, 1, 8, 8))


def test_an_empty_batch_gives_empty_outputs_and_is_no_calibration():
    assert {task: tuple(out.shape) for task, out in merged()(torch.zeros(0, *SHAPE)).items()} == {
        "a": (0, 3),
        "b": (0, 3),
    }
    empty = [(torch.zeros(0, *SHAPE), {"a": torch.zeros(0).long(), "b": torch.zeros(0).long()})]
    with refuses(DataError, "calibration batch 0 has an x of shape (0, 1, 4, 4)", "at least one sample"):
        plan(calibration=empty)


@pytest.mark.parametrize("shape", [(1, 5, 5), (16, 1, 1, 1, 2), (-16,), (0, 4), "x", 5, (1.5,)])
def test_costs_refuse_shapes_that_do_not_fit(shape):
    with refuses(UnsupportedModel, f"input shape {shape} does not fit the network"):
        pam.costs(merged(), shape)


def test_costs_refuse_a_shape_of_another_rank():
    network = pam.single(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), TASKS[0])
    with refuses(UnsupportedModel, "input shape (2, 3, 4) does not fit"):
        pam.costs(network, (2, 3, 4))
    with refuses(UnsupportedModel, "does not remember its input shape", "input_shape=(C, H, W)"):
        pam.costs(network)


def test_a_remembered_shape_must_fit():
    with refuses(UnsupportedModel, "input shape (1, 5, 5) does not fit"):
        pam.single(random_parent("mlp"), TASKS[0], (1, 5, 5))


# --------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "kind", "part"),
    [
        ({"share": 1.5}, PlanError, "share 1.5 of layer 'linear1' is outside [0, 1]"),
        ({"share": -0.1}, PlanError, "share -0.1 of layer 'linear1' is outside [0, 1]"),
        ({"share": float("nan")}, PlanError, "share nan of layer 'linear1' is outside [0, 1]"),
        ({"share": {"linear2": float("nan")}}, PlanError, "share nan of layer 'linear2'"),
        ({"share": "half"}, PlanError, "share 'half'"),
        (
            {"share": {"conv9": 0.5}},
            PlanError,
            "share= names the layers ['conv9']; the layers are ['linear1'",
        ),
        ({"share": {"linear1": 0.0}}, PlanError, "layer 'linear2': share 1.0 asks for shared units"),
        ({"width": 0.0}, PlanError, "width 0.0 must be"),
        ({"width": float("nan")}, PlanError, "width nan must be"),
        ({"width": "x"}, PlanError, "width 'x' must be"),
        ({"cost": "magic"}, PlanError, "cost='magic' is unknown; choose from ['correlation', 'fisher', 'weights']"),
        ({"problem": "magic"}, PlanError, "problem='magic' is unknown; choose from"),
        ({"solver": "magic"}, SolverNotFound, "no solver is called 'magic'"),
        ({"solver": None}, SolverNotFound, "solver must be a name, not None"),
        ({"seed": -1}, ProblemError, "seed is -1; it must lie in 0.."),
        ({"seed": 1.5}, ProblemError, "seed must be an integer, not 1.5"),
        ({"threads": 0}, ProblemError, "threads is 0; it must be at least 1"),
        ({"time_limit": 0}, ProblemError, "time_limit is 0; it must be a finite number above 0"),
        ({"loss_budget": -1.0}, PlanError, "loss_budget -1.0 is no amount of loss"),
        ({"loss_budget": float("nan")}, PlanError, "loss_budget nan"),
        ({"loss_budget": 1.0, "cost": "weights"}, PlanError, "needs cost='fisher', not 'weights'"),
    ],
)
def test_impossible_options_of_plan_are_refused(options, kind, part):
    with refuses(kind, part):
        plan(**options)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"weights": "magic"}, "weights='magic' is unknown; choose from ['refit', 'average', 'mtz', 'side_by_side']"),
        ({"weights": "side_by_side"}, "layer 'linear1' merges units; weights='side_by_side' cannot, 'average' can"),
        ({"target": "best"}, "target='best' is unknown; choose from ['mean', 'keep']"),
        ({"ridge": -1.0}, "ridge -1.0 must be a number of at least 0"),
        ({"ridge": float("nan")}, "ridge nan must be"),
    ],
)
def test_impossible_options_of_merge_are_refused(options, part):
    with refuses(PlanError, part):
        merged(**options)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"max_drop": None}, "prune needs max_drop=, target_macs= or removals= to know where to stop"),
        ({"max_drop": -0.01}, "max_drop -0.01 must be >= 0"),
        ({"max_drop": float("nan")}, "max_drop nan must be >= 0"),
        ({"target_macs": 0}, "target_macs 0 must be above 0"),
        ({"target_macs": float("nan")}, "target_macs nan must be above 0"),
        ({"fraction": 0.0}, "fraction 0.0 must be between 0 and 1"),
        ({"fraction": float("nan")}, "fraction nan must be between 0 and 1"),
        ({"method": "magic"}, "pruning method 'magic' is unknown; choose from ['magnitude', 'random', 'taylor', "),
        ({"reference": {"a": 1.0}}, "reference= lacks a number for the tasks ['b']"),
        ({"reference": {"a": 1.0, "b": float("nan")}}, "reference= lacks a number for the tasks ['b']"),
        ({"steps": -1}, "steps -1 must be a whole number"),
        ({"warm_up": -1}, "warm_up -1 must be a whole number"),
        ({"patience": -1}, "patience -1 must be a whole number"),
    ],
)
def test_impossible_options_of_prune_are_refused(options, part):
    with refuses(PlanError, part):
        prune(merged(), data(), data(), tasks=TASKS, **{"steps": 0} | options)


@pytest.mark.parametrize(
    ("steps", "tasks", "kind", "part"),
    [
        (-1, TASKS, PlanError, "steps is -1; give a whole number of at least 0"),
        (1.5, TASKS, PlanError, "steps is 1.5"),
        (1, [], TaskError, "no task to train on"),
    ],
)
def test_impossible_training_is_refused(steps, tasks, kind, part):
    with refuses(kind, part):
        pam.train(merged(), data(), tasks, steps)


def test_a_task_that_the_network_lacks_is_named():
    batches = [(x, {**targets, "c": targets["a"]}) for x, targets in data()]
    task = pam.Task("c", classes=[0, 1])
    for run in (lambda: pam.train(merged(), batches, [task], 1), lambda: pam.evaluate(merged(), batches, [task])):
        with refuses(TaskError, "the network has no task 'c'; its tasks are ['a', 'b']"):
            run()


@pytest.mark.parametrize(
    ("family", "shape", "options", "part"),
    [
        ("mlp", (1, 4, 4), {"widths": []}, None),
        ("mlp", (1, 4, 4), {"widths": [8, 0]}, "widths [8, 0]: every layer needs a whole number of units, at least 1"),
        ("mlp", (1, 4, 4), {"widths": [8, -1]}, "widths [8, -1]"),
        ("mlp", (1, 4, 4), {"widths": [8, "x"]}, "widths [8, 'x']"),
        ("mlp", (1, 4, 4), {"widths": 8}, "widths 8 must be a list"),
        ("lenet5", (1, 4, 4), {"widths": [2, 2]}, "widths [2, 2]: this family has 4 hidden layers"),
        ("lenet5", (1, 3, 3), {}, "input shape (1, 3, 3): this family takes images of at least 4 x 4 pixels"),
        ("lenet5", (16,), {}, "input shape (16,): this family takes images"),
        ("small_vgg", (1, 4, 4), {}, "at least 8 x 8 pixels"),
        ("small_vgg", (1, 8, 8), {"widths": [4, 4, 4]}, "pairs of convolutions, not 3 widths"),
    ],
)
def test_families_refuse_impossible_sizes(family, shape, options, part):
    if part is None:
        assert len(FAMILIES[family](shape, 3, **options)) == 2
        return
    with refuses(ConfigError, part):
        FAMILIES[family](shape, 3, **options)


# ---------------------------------------------------------------------------------- plans and statistics apart


def test_statistics_of_other_parents_are_refused():
    measured = pam.measure(parents(), data(), tasks=TASKS)
    wide = {"a": random_parent("mlp", wide=True), "b": random_parent("mlp", wide=True)}
    with refuses(PlanError, "statistics= are of other parents", "{'a': 9, 'b': 9}", "{'a': 8, 'b': 8}"):
        plan(parents=wide, calibration=None, statistics=measured)
    tasks = [TASKS[0], pam.Task("c", classes=[0, 1])]
    with refuses(PlanError, "statistics= are of other parents"):
        plan(parents={"a": parents()["a"], "c": parents()["b"]}, tasks=tasks, calibration=None, statistics=measured)


def test_a_plan_for_other_parents_is_refused():
    made = plan()
    a, b = parents().values()
    with refuses(PlanError, "the plan is for tasks ['a', 'b']", "['a', 'c']", "make the plan from these"):
        merged(plan=made, parents={"a": a, "c": b})
    with refuses(PlanError, "the plan is for tasks ['a', 'b']", "['a', 'b', 'c']"):
        merged(plan=made, parents={"a": a, "b": b, "c": a})
    narrow = FAMILIES["mlp"](SHAPE, 3, widths=(3, 3))
    with refuses(PlanError, "layer 'linear1': the plan places 9 units of 'a', which has 3"):
        merged(plan=made, parents={"a": narrow, "b": narrow})
    deep = FAMILIES["mlp"](SHAPE, 3, widths=(9, 7, 7))
    with refuses(PlanError, "2 hidden layers", "with 3", "make the plan from these parents"):
        merged(plan=made, parents={"a": deep, "b": deep})


# --------------------------------------------------------------------------------------- units that never fire


def with_dead_units(family: str, seed: int, *, all_dead: bool) -> nn.Sequential:
    """Silence two units of the first layer, or all, and give them zero weights; batch norms see no variance."""
    module = random_parent(family, seed)
    children = list(module)
    first = next(index for index, child in enumerate(children) if isinstance(child, nn.Linear | nn.Conv2d))
    silent = slice(None if all_dead else 2)
    with torch.no_grad():
        children[first].weight[silent] = 0.0
        norm = children[first + 1]
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean[silent] = norm.running_var[silent] = norm.weight[silent] = 0.0
            norm.bias[silent] = -1.0
        else:
            children[first].bias[silent] = -1.0
    return module


@pytest.mark.parametrize("all_dead", [False, True])
@pytest.mark.parametrize("family", ["mlp", "small_vgg"])
@pytest.mark.parametrize("cost", COSTS)
def test_units_that_never_fire_merge_and_drop_to_finite_values(family, cost, all_dead):
    given = {name: with_dead_units(family, seed, all_dead=all_dead) for seed, name in enumerate("ab")}
    shape = {"mlp": SHAPE, "small_vgg": (2, 8, 8)}[family]
    batches = make_data(shape, TASKS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        measured = pam.measure(given, batches, tasks=TASKS)
        for width in (None, 0.75):
            made = pam.plan(given, tasks=TASKS, statistics=measured, cost=cost, width=width)
            for weights in ("average", "refit"):
                network = pam.merge(given, made, weights=weights, calibration=batches)
                assert all(value.isfinite().all() for value in network.state_dict().values())
                assert all(output.isfinite().all() for output in network(batches[0][0]).values())
        exclusive = pam.plan(given, tasks=TASKS, statistics=measured, cost=cost, share=0.0)
        network = pam.merge(given, exclusive, weights="side_by_side")
    x = batches[0][0]
    for name, module in given.items():
        torch.testing.assert_close(network(x)[name], module(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cost", COSTS)
def test_costs_of_units_that_never_fire_are_finite(cost):
    found = []

    def observe(statistics: PairStatistics) -> np.ndarray:
        found.append(COSTS_BEFORE(statistics))
        return found[-1]

    COSTS_BEFORE = COSTS[cost]
    given = {name: with_dead_units("mlp", seed, all_dead=True) for seed, name in enumerate("ab")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COSTS, cost, observe)
        plan(parents=given, cost=cost)
    assert len(found) == 2
    assert all(np.isfinite(matrix).all() for matrix in found)


def test_dead_units_are_the_first_to_be_pruned():
    network = pam.single(with_dead_units("mlp", 0, all_dead=False), TASKS[0], SHAPE)
    task = TASKS[:1]
    goal = pam.costs(network).expected - 2 * (16 + 7)
    small = prune(network, data(), data(), tasks=task, max_drop=None, target_macs=goal, fraction=0.5, steps=0)
    x = torch.randn(5, *SHAPE)
    torch.testing.assert_close(small(x)["a"], network(x)["a"])
    assert all(value.isfinite().all() for value in small.state_dict().values())


# ----------------------------------------------------------------------------------------- gradients switched off


def test_work_without_gradients_around_it_is_the_same():
    with torch.no_grad():
        inside = plan(share=0.5)
        network = merged()
        pam.train(network, data(), TASKS, 2)
        small = prune(network, data(), data(), tasks=TASKS, steps=1, max_drop=1.0, target_macs=200.0)
    outside = plan(share=0.5)
    for one, two in zip(inside.layers, outside.layers, strict=True):
        assert [places.tolist() for places in one.places] == [places.tolist() for places in two.places]
    assert pam.costs(small).expected <= pam.costs(network).expected


def test_a_frozen_network_is_not_trained():
    network = merged().requires_grad_(False)
    with refuses(PlanError, "all weights are frozen; call network.requires_grad_() first"):
        pam.train(network, data(), TASKS, 1)
    assert plan(parents={name: module.requires_grad_(False) for name, module in parents().items()}).tasks == ("a", "b")
