"""Pruning methods: scores by hand, gates that fold away, memory of removals, rules, notes and presets."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from networks import (
    SHAPES,
    group,
    make_data,
    make_tasks,
    merged_example,
    random_lattice,
)
from torch import nn

import pam_opt as pam
from pam_opt.cost_models import ExpectedMacs
from pam_opt.errors import PlanError
from pam_opt.macs import output_positions
from pam_opt.pruning import METHODS, Schedule
from pam_opt.pruning.choose import choose_units
from pam_opt.pruning.gates import Gate, fold_gates, gates_of, information_term
from pam_opt.pruning.magnitude import Magnitude
from pam_opt.pruning.presets import cvpr2019, pam_p1_lenet5, pam_p2_lenet5
from pam_opt.pruning.random import Random
from pam_opt.pruning.taylor import Taylor, TaylorPam
from pam_opt.pruning.vib import Vib

AB = group("ab")


def squared_error(outputs, target):
    return (outputs - target[:, None]).square().mean()


def by_hand():
    """Two inputs, three hidden units (two shared, one of task a), heads of one output; and one batch for it."""
    tasks = [pam.Task(name, classes=[0], loss=squared_error) for name in "ab"]
    layer = random_lattice("mlp", "ab", 0).structure
    hidden = replace(layer.layers[0], name="hidden", features=1)
    head = replace(layer.layers[-1], features=1, inputs=(0,), ties=1)
    structure = replace(
        layer,
        inputs=2,
        prelude=(),
        layers=(hidden, head),
        widths=({AB: 2, group("a"): 1}, {group("a"): 1, group("b"): 1}),
        input_shape=(2,),
    )
    network = pam.MultitaskNetwork.blank(structure)
    weights = {
        (0, AB): [[1.0, 0.0], [0.0, 2.0]],
        (0, group("a")): [[3.0, 4.0]],
        (1, group("a")): [[1.0, 2.0, 3.0]],
        (1, group("b")): [[1.0, 0.0]],
    }
    for place, values in weights.items():
        network.block(*place).operation.weight.data = torch.tensor(values)
    x = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    return network.eval(), tasks, [(x, {"a": torch.tensor([0.0, 1.0]), "b": torch.tensor([1.0, 1.0])})]


def gate_gradients_by_hand():
    """dLoss/dg: outputs are (1 + 4 + 21, 2 + 0 + 18) and (1, 2); errors (26, 19) and (0, 1); halved over the tasks."""
    # Loss of a: mean of squares, so dLoss/dout = 2 error / 2 samples, halved; times each unit's share of the output.
    return {
        (0, AB): torch.tensor([0.5 * (26 * 1 + 19 * 2) + 0.5 * (0 * 1 + 1 * 2), 0.5 * (26 * 4 + 19 * 0)]),
        (0, group("a")): torch.tensor([0.5 * (26 * 21 + 19 * 18)]),
    }


@pytest.mark.parametrize(("method", "figure"), [(Taylor, torch.square), (TaylorPam, torch.abs)])
def test_taylor_scores_by_hand(method, figure):
    network, tasks, batch = by_hand()
    scores, expected = method().scores(network, batch, tasks), gate_gradients_by_hand()
    assert set(scores) == set(expected)
    for place, gradient in expected.items():
        torch.testing.assert_close(scores[place], figure(gradient).double())


def test_taylor_scores_are_means_over_mini_batches_and_not_of_their_union():
    network, tasks, batch = by_hand()
    x, targets = batch[0]
    halves = [(x[n : n + 1], {name: target[n : n + 1] for name, target in targets.items()}) for n in range(2)]
    parts = [Taylor().scores(network, [half], tasks) for half in halves]
    whole = Taylor().scores(network, halves, tasks)
    for place, score in whole.items():
        torch.testing.assert_close(score, (parts[0][place] + parts[1][place]) / 2)
        assert score[0] > Taylor().scores(network, batch, tasks)[place][0] * 0.5


@pytest.mark.parametrize(("method", "count"), [(Taylor, 30), (TaylorPam, 10)])
def test_so_many_mini_batches_are_looked_at(method, count):
    network, tasks = merged_example("mlp", 2), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (4,) * (count + 5))
    first, every = method().scores(network, data[:count], tasks), method().scores(network, data, tasks)
    assert all(torch.equal(first[place], every[place]) for place in first)


@pytest.mark.parametrize("family", ["lenet5", "small_vgg"])
def test_a_gate_of_a_map_counts_all_its_positions(family):
    network, tasks = merged_example(family, 2, share=0.5), make_tasks(2)
    data = make_data(SHAPES[family], tasks, (6,))
    scores = Taylor().scores(network, data, tasks)
    gates = {place: torch.ones(len(score), requires_grad=True) for place, score in scores.items()}

    def hook(gate):
        return lambda _m, _i, output: output * gate.reshape(-1, *[1] * (output.ndim - 2))

    handles = [network.block(*place).pre.register_forward_hook(hook(gate)) for place, gate in gates.items()]
    x, targets = data[0]
    outputs = network(x)
    torch.stack([task.mean_loss(outputs[task.name], targets[task.name]) for task in tasks]).mean().backward()
    for handle in handles:
        handle.remove()
    for place, gate in gates.items():
        assert gate.grad is not None
        torch.testing.assert_close(scores[place].float(), gate.grad.square(), rtol=1e-3, atol=1e-10)


@pytest.mark.parametrize("name", ["taylor", "taylor-pam", "taylor-sample"])
def test_a_unit_that_nothing_reads_scores_nothing(name):
    network, tasks, batch = by_hand()
    network.block(1, group("a")).operation.weight.data[0, 1] = 0.0
    network.block(1, group("b")).operation.weight.data[0, 1] = 0.0
    scores = METHODS[name]().scores(network, batch, tasks)
    assert scores[0, AB][1] == 0.0
    assert scores[0, AB][0] > 0.0


def test_taylor_remembers_units_that_are_left():
    network, tasks, batch = by_hand()
    pruner = Taylor()
    before = pruner.scores(network, batch, tasks)
    smaller = pruner.remove(network, {(0, AB): torch.tensor([False, True])})
    fresh = Taylor().scores(smaller, batch, tasks)
    after = pruner.scores(smaller, batch, tasks)
    torch.testing.assert_close(after[0, AB], 0.9 * before[0, AB][1:] + 0.1 * fresh[0, AB])
    torch.testing.assert_close(after[0, group("a")], 0.9 * before[0, group("a")] + 0.1 * fresh[0, group("a")])


def test_a_removal_that_is_taken_back_leaves_no_trace():
    network, tasks, batch = by_hand()
    pruner = Taylor()
    before = pruner.scores(network, batch, tasks)
    pruner.scores(pruner.remove(network, {(0, AB): torch.tensor([False, True])}), batch, tasks)
    assert pruner.scores(network, batch, tasks) is before


def test_training_calls_for_new_scores():
    network, tasks, batch = by_hand()
    pruner = Taylor()
    before = pruner.scores(network, batch, tasks)
    pruner.train(network, batch, tasks, 3, pam.TrainOptions(0.01))
    assert not torch.equal(pruner.scores(network, batch, tasks)[0, AB], before[0, AB])


def test_magnitude_by_hand():
    network, tasks, batch = by_hand()
    scores = Magnitude().scores(network, batch, tasks)
    torch.testing.assert_close(scores[0, AB], torch.tensor([1.0, 2.0]).double() / math.sqrt(2.5))
    torch.testing.assert_close(scores[0, group("a")], torch.tensor([1.0]).double())


def test_magnitude_sees_through_a_batch_norm():
    """The scale of weights in front of a batch norm means nothing."""
    network = random_lattice("small_vgg", "ab", 1)
    other = copy.deepcopy(network)
    for _, block in other.blocks(0):
        assert block.norm is not None
        assert block.norm.running_var is not None
        assert block.norm.running_mean is not None
        block.operation.weight.data *= 100.0
        block.norm.running_mean *= 100.0
        block.norm.running_var.add_(block.norm.eps).mul_(1e4).sub_(block.norm.eps)
    one, two = (Magnitude().scores(n, [], []) for n in (network, other))
    for place in one:
        torch.testing.assert_close(one[place], two[place], rtol=1e-4, atol=1e-6)


def test_random_scores_come_from_their_seed_alone():
    network, tasks, batch = by_hand()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = Random(3).scores(network, batch, tasks)
    assert torch.equal(torch.rand(1), expected)
    two = Random(3).scores(network, batch, tasks)
    assert all(torch.equal(one[place], two[place]) for place in one)
    assert not torch.equal(Random(4).scores(network, batch, tasks)[0, AB], one[0, AB])


# VIB


def gated(family, tasks, seed=3):
    """Return a gated network with means of both signs, and its pruner."""
    network = random_lattice(family, tasks, seed)
    network.structure = replace(network.structure, input_shape=SHAPES[family])
    pruner = Vib()
    network = pruner.start(network)
    generator = torch.Generator().manual_seed(seed)
    for gate in gates_of(network).values():
        gate.mu.data.normal_(generator=generator)
        gate.log_variance.data.normal_(generator=generator)
    return network, pruner


def assert_same(network, other, shape):
    x = torch.randn(5, *shape)
    with torch.no_grad():
        one, two = network.eval()(x), other.eval()(x)
    for task in one:
        torch.testing.assert_close(one[task], two[task], atol=1e-5, rtol=1e-5)


def random_masks(gates, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = {place: torch.rand(len(gate.mu), generator=generator) < 0.6 for place, gate in gates.items()}
    for mask in masks.values():
        mask[0] = True
    return masks


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
@pytest.mark.parametrize("tasks", ["a", "ab", "abc"])
def test_gates_fold_away_exactly(family, tasks):
    network, pruner = gated(family, tasks)
    plain = pruner.finish(network)
    assert not gates_of(plain)
    assert {name for name, _ in plain.named_parameters()}.isdisjoint({"gate"})
    assert_same(network, plain, SHAPES[family])
    smaller = pruner.remove(network, random_masks(gates_of(network), 1))
    assert_same(smaller, pruner.finish(smaller), SHAPES[family])
    pruner.remove(pruner.finish(smaller), {})


def test_folding_leaves_the_gated_network_and_saves(tmp_path):
    network, pruner = gated("lenet5", "ab")
    before = copy.deepcopy(network.state_dict())
    plain = pruner.finish(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    pam.save(plain, tmp_path / "small")
    assert_same(plain, pam.load(tmp_path / "small"), SHAPES["lenet5"])


@pytest.mark.parametrize("family", ["lenet5", "small_vgg"])
def test_removal_keeps_what_the_other_gates_have_learned(family):
    network, pruner = gated(family, "ab")
    masks = random_masks(gates_of(network), 2)
    smaller = pruner.remove(network, masks)
    for place, gate in gates_of(smaller).items():
        old = gates_of(network)[place]
        assert torch.equal(gate.mu, old.mu[masks[place]])
        assert torch.equal(gate.log_variance, old.log_variance[masks[place]])
        assert gate.weight == old.weight
    # A removed unit is one whose gate has mean zero.
    for place, mask in masks.items():
        gates_of(network)[place].mu.data[~mask] = 0.0
    assert_same(network, smaller, SHAPES[family])


def test_a_place_that_loses_all_its_units_loses_its_gate():
    network, pruner = gated("mlp", "ab")
    index, g = next((i, g) for (i, g) in gates_of(network) if len(g) == 1 and i == len(network.layers) - 2)
    smaller = pruner.remove(network, {(index, g): torch.zeros(len(gates_of(network)[index, g].mu), dtype=torch.bool)})
    assert (index, g) not in gates_of(smaller)
    assert_same(smaller, pruner.finish(smaller), SHAPES["mlp"])


def test_a_copy_runs_its_own_gates():
    network, _ = gated("mlp", "ab")
    other = copy.deepcopy(network)
    x = torch.randn(4, *SHAPES["mlp"])
    before = network.eval()(x)["a"]
    for gate in gates_of(other).values():
        gate.mu.data.zero_()
    assert torch.equal(network(x)["a"], before)
    assert not torch.equal(other.eval()(x)["a"], before)


def test_one_number_serves_all_positions_of_a_map():
    gate = Gate(torch.ones(3), torch.zeros(3), 1.0)
    for shape in ((4, 3, 5, 5), (4, 75)):
        z = gate(torch.ones(shape)).reshape(4, 3, 25)
        assert torch.equal(z, z[:, :, :1].expand_as(z))
        assert len(torch.unique(z)) == 12
    assert torch.equal(gate.eval()(torch.full((2, 3), 2.0)), torch.full((2, 3), 2.0))


def test_the_noise_has_the_variance_that_is_learned():
    gate = Gate(torch.tensor([2.0]), torch.tensor([math.log(0.25)]), 1.0)
    torch.manual_seed(0)
    z = gate(torch.ones(20000, 1)).detach()
    assert z.mean().item() == pytest.approx(2.0, abs=0.02)
    assert z.std().item() == pytest.approx(0.5, abs=0.02)


def test_the_penalty_by_hand():
    gates = [
        Gate(torch.tensor([2.0]), torch.tensor([0.0]), 4.0),
        Gate(torch.tensor([0.0, 3.0]), torch.tensor([1.0, math.log(9.0)]), 1.0),
    ]
    assert information_term(gates)().item() == pytest.approx(0.5 * (4 * math.log(5.0) + 0.0 + math.log(2.0)))


def test_the_penalty_counts_positions_as_published():
    """kl_mult H W is 1/32 * 32 * 32 in the first stage of VGG, and 1 for linear layers."""
    network = merged_example("small_vgg", 1)
    network.structure = replace(network.structure, input_shape=(2, 8, 8))
    weights = {index: gate.weight for (index, _), gate in gates_of(Vib().start(network)).items()}
    positions = output_positions(network.structure)
    assert [weights[index] for index in sorted(weights)] == [math.sqrt(positions[index]) for index in sorted(weights)]
    assert weights[0] == 8.0
    assert weights[max(weights)] == 1.0


def test_a_gate_is_closed_by_the_published_rule():
    network, pruner = gated("mlp", "ab")
    for place, gate in gates_of(network).items():
        closed = gate.log_variance - torch.log(gate.mu.square() + 1e-8) >= 0.0
        assert torch.equal(pruner.closed(network)[place], closed)
    pruner.threshold = 1e9
    assert not any(closed.any() for closed in pruner.closed(network).values())


def test_training_opens_and_closes_gates():
    """A strong penalty closes gates that are not needed; those of a unit that the output hangs on stay open."""
    network, tasks, _ = by_hand()
    network.block(1, group("a")).operation.weight.data = torch.tensor([[0.0, 0.0, 0.0]])
    pruner = Vib(kl_factor=0.05)
    network = pruner.start(network)
    torch.manual_seed(0)
    x = torch.randn(64, 2)
    data = [(x, {"a": torch.zeros(64), "b": 5 * x[:, 0].relu()})]
    pruner.train(network, data, tasks, 400, pam.TrainOptions(0.003, schedule="constant"))
    closed = pruner.closed(network)
    assert closed[0, AB].tolist() == [False, True]
    assert closed[0, group("a")].all()


def test_several_penalties_follow_each_other():
    trained = []
    for factor in (1e3, (1e3, 0.0)):
        network, tasks, batch = by_hand()
        torch.manual_seed(0)
        pruner = Vib(kl_factor=factor)
        network = pruner.start(network)
        for _ in range(2):
            pruner.train(network, batch, tasks, 20, pam.TrainOptions(0.001, schedule="constant"))
            trained.append(torch.cat([gate.log_variance.detach().clone() for gate in gates_of(network).values()]))
    always, always_then, once, once_then = trained
    assert torch.equal(always, once)
    assert (always > -8.9).all()
    assert (always_then > once_then).all()


# Schedules


def closing_everything_in(layer):
    class Closing(Vib):
        def closed(self, network):
            return {place: torch.full((len(gate.mu),), place[0] == layer) for place, gate in gates_of(network).items()}

    return Closing()


def test_closed_units_go_whatever_the_goal():
    structure = random_lattice("mlp", "ab", 0).structure
    scores = {
        (index, g): torch.arange(1.0, units + 1)
        for index, layer in enumerate(structure.widths[:-1])
        for g, units in layer.items()
    }
    place = max(scores, key=lambda p: len(scores[p]))
    closed = {place: torch.zeros(len(scores[place]), dtype=torch.bool)}
    closed[place][-1] = True
    probabilities = {AB: 1.0}
    cost = ExpectedMacs(output_positions(structure, (1, 4, 4)), probabilities)
    keep = choose_units(structure, cost, scores, 1e12, closed=closed)
    assert not keep[place][-1]
    assert sum(int((~mask).sum()) for mask in keep.values()) == 1


def test_a_layer_whose_gates_all_close_keeps_its_best_units_and_says_so():
    network, tasks = merged_example("mlp", 2, share=0.5), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (16,))
    steps = []
    schedule = Schedule(max_drop=None, by="rule", warm_up=1, steps=1, removals=1)
    small = pam.prune(
        network, data, data, tasks=tasks, method=closing_everything_in(0), schedule=schedule, progress=steps.append
    )
    assert 1 <= sum(small.structure.widths[0].values()) <= 2
    assert small.structure.widths[1:] == network.structure.widths[1:]
    assert any("all gates are closed" in step.note and "'linear1'" in step.note for step in steps)


def test_the_rule_alone_takes_nothing_while_all_gates_are_open():
    network, tasks = merged_example("mlp", 2), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (16,))
    schedule = Schedule(max_drop=None, by="rule", warm_up=1, steps=1, removals=2)
    steps = []
    small = pam.prune(network, data, data, tasks=tasks, method="vib", schedule=schedule, progress=steps.append)
    assert small.structure.widths == network.structure.widths
    assert steps[-1].ended == "all 2 removals are tried"
    assert not any("gate" in name for name, _ in small.named_parameters())


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_goal_is_reached_by_every_method(method):
    network, tasks = merged_example("lenet5", 2, share=0.5), make_tasks(2)
    data = make_data(SHAPES["lenet5"], tasks, (16, 16))
    target = 0.3 * pam.costs(network).expected
    schedule = Schedule(max_drop=None, target_macs=target, fraction=0.4, steps=1, warm_up=1)
    torch.manual_seed(0)
    small = pam.prune(network, data, data, tasks=tasks, method=method, schedule=schedule)
    assert pam.costs(small).expected <= target
    assert type(small) is pam.MultitaskNetwork
    assert not gates_of(small)
    torch.manual_seed(0)
    again = pam.prune(network, data, data, tasks=tasks, method=method, schedule=schedule)
    assert again.structure == small.structure
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in small.state_dict().items())


@pytest.mark.parametrize("method", sorted(METHODS))
def test_shared_only_leaves_exclusive_units_alone(method):
    network, tasks = merged_example("mlp", 2, share=0.5), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (16,))
    schedule = Schedule(max_drop=None, fraction=0.3, steps=1, warm_up=1, removals=3, groups="shared")
    small = pam.prune(network, data, data, tasks=tasks, method=method, schedule=schedule)
    for before, after in zip(network.structure.widths, small.structure.widths, strict=True):
        assert {g: n for g, n in before.items() if len(g) == 1} == {g: n for g, n in after.items() if len(g) == 1}
    assert sum(w.get(AB, 0) for w in small.structure.widths) < sum(w.get(AB, 0) for w in network.structure.widths)


@pytest.mark.parametrize("method", ["vib", "taylor", "magnitude"])
def test_a_target_that_cannot_be_reached_ends_with_the_best_and_says_so(method):
    network, tasks = merged_example("mlp", 2, share=0.5), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (16,))
    schedule = Schedule(max_drop=None, target_macs=1.0, fraction=0.7, steps=1, warm_up=1)
    steps = []
    small = pam.prune(network, data, data, tasks=tasks, method=method, schedule=schedule, progress=steps.append)
    assert "no unit may go any more" in steps[-1].ended
    assert "short of the target" in steps[-1].ended
    assert pam.costs(small).expected == pytest.approx(min(step.expected_macs for step in steps))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_training_what_is_left_leaves_the_network_before_as_it_was(method):
    network, tasks = merged_example("lenet5", 2, share=0.5), make_tasks(2)
    data = make_data(SHAPES["lenet5"], tasks, (16, 16))
    pruner = METHODS[method]()
    network = pruner.start(network)
    place = (1, AB)
    keep = {place: torch.ones(network.structure.widths[1][AB], dtype=torch.bool)}
    keep[place][0] = False
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pruner.train(pruner.remove(network, keep), data, tasks, 3, pam.TrainOptions(0.01))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_units_are_taken_by_number():
    network, tasks = merged_example("mlp", 2), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (16,))
    hidden = sum(sum(widths.values()) for widths in network.structure.widths[:-1])
    schedule = Schedule(max_drop=None, fraction=0.25, by="units", steps=0, removals=1)
    small = pam.prune(network, data, data, tasks=tasks, method="magnitude", schedule=schedule)
    assert sum(sum(widths.values()) for widths in small.structure.widths[:-1]) == hidden - round(0.25 * hidden)


def test_vib_without_training_is_refused():
    network, tasks = merged_example("mlp", 2), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (16,))
    with pytest.raises(PlanError, match=r"learns in training.*warm_up= above 0"):
        pam.prune(network, data, data, tasks=tasks, method="vib", schedule=Schedule(steps=0))


def test_methods_without_a_rule_refuse_it():
    network, tasks = merged_example("mlp", 2), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (16,))
    schedule = Schedule(max_drop=None, by="rule", removals=1)
    with pytest.raises(PlanError, match="no rule that says which units go"):
        pam.prune(network, data, data, tasks=tasks, method="taylor", schedule=schedule)
    with pytest.raises(PlanError, match="needs removals="):
        Schedule(by="rule")


def test_each_removal_may_be_trained_in_its_own_way():
    network, tasks = merged_example("mlp", 2), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (16,))
    seen = []

    class Recording(Magnitude):
        def train(self, network, batches, tasks, steps, options):
            seen.append((steps, options.learning_rate))
            super().train(network, batches, tasks, steps, options)

    training = [pam.TrainOptions(0.1), pam.TrainOptions(0.2), pam.TrainOptions(0.3)]
    schedule = Schedule(max_drop=None, steps=1, warm_up=2, removals=3)
    pam.prune(network, data, data, tasks=tasks, method=Recording(), schedule=schedule, training=training)
    assert seen == [(2, 0.1), (1, 0.2), (1, 0.3), (1, 0.3)]
    with pytest.raises(PlanError, match="training= is empty"):
        pam.prune(network, data, data, tasks=tasks, schedule=schedule, training=[])


@pytest.mark.parametrize("preset", [pam_p1_lenet5(1), pam_p2_lenet5(1), cvpr2019(2)])
def test_presets_run(preset):
    network, tasks = merged_example("lenet5", 2, share=0.5), make_tasks(2)
    data = make_data(SHAPES["lenet5"], tasks, (16,))
    small = pam.prune(
        network, data, data, tasks=tasks, method=preset.pruner(), schedule=preset.schedule, training=preset.training
    )
    assert pam.costs(small).expected <= pam.costs(network).expected


def test_the_published_numbers_of_the_presets():
    p1, p2 = pam_p1_lenet5(100), pam_p2_lenet5(100)
    pruner = p1.pruner()
    assert isinstance(pruner, Vib)
    assert pruner.kl_factors == (3.1e-6, 1e-7)
    assert p1.schedule.warm_up == 3000
    assert p1.schedule.steps * (p1.schedule.removals or 0) == 6000
    assert (p2.schedule.fraction, p2.schedule.removals, p2.schedule.groups) == (0.09, 15, "shared")


def test_gates_train_at_their_own_rate_and_without_decay():
    network, tasks, batch = by_hand()
    pruner = Vib(kl_factor=0.0, rate=0.001)
    network = pruner.start(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pruner.train(network, batch, tasks, 5, pam.TrainOptions(0.1, weight_decay=0.5))
    moved = {name: (value - before[name]).abs().max().item() for name, value in network.state_dict().items()}
    assert max(change for name, change in moved.items() if ".gate." in name) < 1e-3
    assert max(change for name, change in moved.items() if ".gate." not in name) > 0.01


def test_a_network_without_hidden_layers_has_nothing_to_gate():
    single = pam.single(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), make_tasks(1)[0], (1, 4, 4))
    assert not gates_of(Vib().start(single))
    assert fold_gates(single).structure == single.structure
