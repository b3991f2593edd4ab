"""Pruning: scores mean what they say, masks equal surgery, and budgets are kept."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import (
    NAMES,
    SHAPES,
    group,
    make_data,
    make_tasks,
    merged_example,
    prune,
    random_lattice,
    random_parent,
    randomise_norms,
)
from torch import nn

import pam_opt as pam
from pam_opt.cost_models import ExpectedMacs
from pam_opt.errors import PlanError, TaskError
from pam_opt.macs import output_positions, unit_macs
from pam_opt.pruning import METHODS
from pam_opt.pruning.choose import choose_units
from pam_opt.pruning.taylor import taylor_scores
from pam_opt.surgery import remove_units

STOP = {"max_drop": None, "steps": 0, "fraction": 0.5}


def places(network):
    return [(index, g) for index, widths in enumerate(network.structure.widths[:-1]) for g in widths]


def same(network, other, shape):
    x = torch.randn(6, *shape)
    with torch.no_grad():
        a, b = network.eval()(x), other.eval()(x)
    for task in a:
        torch.testing.assert_close(a[task], b[task], atol=1e-5, rtol=1e-4)


# Scores


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_taylor_scores_equal_a_gate_on_every_unit(family, count):
    network = merged_example(family, count, share=0.5)
    tasks = make_tasks(count)
    data = make_data(SHAPES[family], tasks, (5, 3), seed=4)
    scores = taylor_scores(network, data, tasks, 30)
    x = torch.cat([x for x, _ in data])
    expected: dict = dict.fromkeys(places(network), 0.0)
    for n in range(len(x)):
        targets = {task: torch.cat([t[task] for _, t in data])[n : n + 1] for task in network.tasks}
        for task in tasks:
            gates = {p: torch.ones(network.structure.widths[p[0]][p[1]], requires_grad=True) for p in expected}
            loss = task.mean_loss(gated(network, x[n : n + 1], gates)[task.name], targets[task.name])
            found = torch.autograd.grad(loss, list(gates.values()), allow_unused=True, materialize_grads=True)
            for place, gradient in zip(gates, found, strict=True):
                expected[place] = expected[place] + gradient.square() / len(x)
    assert set(scores) == set(expected)
    for place, score in scores.items():
        torch.testing.assert_close(score.float(), expected[place], rtol=1e-4, atol=1e-9)


def gated(network, x, gates):
    """Run a network with the pre-activations of units multiplied by gates."""

    def hook(gate):
        return lambda _m, _i, output: output * gate.reshape(-1, *[1] * (output.ndim - 2))

    handles = [network.block(*place).pre.register_forward_hook(hook(gate)) for place, gate in gates.items()]
    try:
        return network(x)
    finally:
        for handle in handles:
            handle.remove()


def test_scores_are_a_mean_over_at_most_so_many_batches():
    network, tasks = merged_example("mlp", 2), make_tasks(2)
    data = make_data(SHAPES["mlp"], tasks, (8, 8, 8))
    two, also = taylor_scores(network, data, tasks, 2), taylor_scores(network, data[:2], tasks, 30)
    assert all(torch.equal(two[place], also[place]) for place in two)
    every = taylor_scores(network, data, tasks, 30)
    assert any(not torch.equal(two[place], every[place]) for place in two)


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("index", [0, 1])
def test_a_unit_that_feeds_nothing_goes_first(family, index):
    network, tasks = merged_example(family, 2, share=0.5), make_tasks(2)
    data = make_data(SHAPES[family], tasks, (16,))
    unit, g = 1, group("ab")
    silence_reader(network, index, g, unit)
    scores = taylor_scores(network, data, tasks, 30)
    assert scores[index, g][unit] == 0
    table = pam.costs(network)
    positions = output_positions(network.structure)
    keep = choose_units(network.structure, ExpectedMacs(positions, table.probabilities), scores, table.expected - 1e-3)
    gone = [(place, mask.logical_not().nonzero().flatten().tolist()) for place, mask in keep.items() if not mask.all()]
    assert gone == [((index, g), [unit])]


def silence_reader(network, index, g, unit):
    """Set the outgoing weights of one unit to zero."""
    area = network.structure.layers[index + 1].kernel_area
    with torch.no_grad():
        for reader, block in network.blocks(index + 1):
            if reader <= g:
                first = 0
                for source in network.structure.sources(index + 1, reader):
                    if source == (index, g):
                        break
                    first += network.structure.units(*source)
                weight = block.operation.weight
                weight.view(len(weight), -1, area)[:, first + unit] = 0.0


def test_units_that_no_task_depends_on_are_pruned_away():
    """Where a layer shares everything, exclusive units in front of it are read by nobody."""
    network = merged_example("mlp", 2, share={"linear1": 0.5, "linear2": 1.0})
    assert network.structure.widths[0][group("a")] > 0
    assert group("a") not in network.structure.widths[1]
    tasks, data = make_tasks(2), make_data(SHAPES["mlp"], make_tasks(2), (16, 16))
    table = pam.costs(network)
    useless = sum(network.structure.widths[0][group(t)] * 16 * 2 / 3 for t in "ab")
    small = prune(network, data, data, tasks=tasks, target_macs=table.expected - useless + 1e-6, **STOP)
    assert small.structure.widths == (
        {group("ab"): network.structure.widths[0][group("ab")]},
        *network.structure.widths[1:],
    )
    same(network, small, SHAPES["mlp"])


# Surgery


def random_masks(network, seed):
    """Keep about two thirds of the units, and the first of each group."""
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for index, g in places(network):
        mask = torch.rand(network.structure.widths[index][g], generator=generator) < 0.66
        mask[0] = True
        masks[index, g] = mask
    return masks


def masked(network, masks):
    """Zero the signals of the units to remove, behind everything that follows them in their layer."""
    result = copy.deepcopy(network)

    def hook(mask):
        return lambda _m, _i, output: (
            output * mask.repeat_interleave(output.shape[1] // len(mask)).reshape(-1, *[1] * (output.ndim - 2))
        )

    for place, mask in masks.items():
        result.block(*place).register_forward_hook(hook(mask))
    return result


def silenced(network, masks):
    """Zero the outgoing weights of the units to remove."""
    result = copy.deepcopy(network)
    for (index, g), mask in masks.items():
        for unit in mask.logical_not().nonzero().flatten().tolist():
            silence_reader(result, index, g, unit)
    return result


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("tasks", ["a", "ab", "abc"])
def test_masked_equals_compacted(family, tasks):
    network = random_lattice(family, tasks, seed=5)
    masks = random_masks(network, 6)
    compacted = remove_units(network, masks)
    for (index, g), mask in masks.items():
        assert compacted.structure.widths[index][g] == mask.sum()
    same(masked(network, masks), compacted, SHAPES[family])
    same(silenced(network, masks), compacted, SHAPES[family])
    assert sum(p.numel() for p in compacted.parameters()) < sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("seed", range(2))
def test_masked_equals_compacted_with_norms_behind_activation_and_flatten(seed):
    torch.manual_seed(seed)
    modules = {}
    for task in "ab":
        modules[task] = nn.Sequential(
            nn.Conv2d(1, 5, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm2d(5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.BatchNorm1d(5 * 16),
            nn.Linear(5 * 16, 6),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Linear(6, 3),
        ).eval()
        randomise_norms(modules[task])
    tasks = make_tasks(2)
    data = make_data((1, 8, 8), tasks)
    network = pam.merge(modules, pam.plan(modules, data, tasks=tasks, share=0.5), weights="average")
    masks = random_masks(network, seed)
    compacted = remove_units(network, masks)
    same(masked(network, masks), compacted, (1, 8, 8))
    assert compacted.block(0, group("ab")).post[1].num_features == masks[0, group("ab")].sum()


def test_a_group_may_vanish_whole():
    network = random_lattice("lenet5", "ab", seed=3)
    masks = {
        (index, g): torch.zeros(n, dtype=torch.bool)
        for index, widths in enumerate(network.structure.widths[:-1])
        for g, n in widths.items()
        if g != group("ab")
    }
    small = remove_units(network, masks)
    assert all(set(widths) == {group("ab")} for widths in small.structure.widths[:-1])
    assert len(small.layers[0]) == 1


def test_keeping_all_is_a_copy():
    network = random_lattice("small_vgg", "ab", seed=1).train()
    twin = remove_units(network, {})
    assert twin.training
    assert twin.structure == network.structure
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in network.state_dict().items())
    assert all(p is not q for p, q in zip(network.parameters(), twin.parameters(), strict=True))


def test_impossible_surgery_is_refused():
    network = merged_example("mlp", 2)
    with pytest.raises(PlanError, match=r"'linear1', group 'a\+b': mask of shape \(3,\) for 9 units"):
        remove_units(network, {(0, group("ab")): torch.ones(3, dtype=torch.bool)})
    with pytest.raises(PlanError, match="would read nothing"):
        remove_units(network, {(0, group("ab")): torch.zeros(9, dtype=torch.bool)})


# The choice of units


def readable(widths):
    """Whether every group of every layer has a unit to read."""
    return all(
        any(units and g <= source for source, units in before.items())
        for before, layer in itertools.pairwise(widths)
        for g, units in layer.items()
        if units
    )


def one_after_the_other(structure, probabilities, scores, target):
    """Take the unit of least score per MAC that its loss saves now, again and again; every choice looked at anew."""
    positions, widths = output_positions(structure), [dict(layer) for layer in structure.widths]
    queues = {place: sorted(range(len(score)), key=score.__getitem__) for place, score in scores.items()}

    def now():
        return replace(structure, widths=tuple({g: n for g, n in layer.items() if n} for layer in widths))

    def may_go(place):
        index, g = place
        return readable([*widths[:index], {**widths[index], g: widths[index][g] - 1}, *widths[index + 1 :]])

    while pam.costs(pam.MultitaskNetwork(now()), combinations=probabilities).expected > target:
        saved = unit_macs(now(), positions, probabilities)
        ratio = {p: scores[p][queue[0]] / saved[p] for p, queue in queues.items() if queue and may_go(p)}
        if not ratio:
            break
        index, g = place = min(ratio, key=ratio.__getitem__)
        queues[place].pop(0)
        widths[index][g] -= 1
    return {place: sorted(queue) for place, queue in queues.items()}


@pytest.mark.parametrize("family", ["mlp", "lenet5"])
@pytest.mark.parametrize("tasks", ["ab", "abc"])
@pytest.mark.parametrize("part", [0.8, 0.4])
def test_units_go_in_the_order_of_score_per_mac(family, tasks, part):
    for seed in range(3):
        structure = random_lattice(family, tasks, seed).structure
        table = pam.costs(pam.MultitaskNetwork(structure), combinations={"a": 2.0, "a+b": 1.0, "b": 1.0})
        rng = np.random.default_rng(seed)
        scores = {
            (index, g): rng.random(units) + 0.1
            for index, widths in enumerate(structure.widths[:-1])
            for g, units in widths.items()
            if g & frozenset("ab")
        }
        keep = choose_units(
            structure,
            ExpectedMacs(output_positions(structure), table.probabilities),
            {place: torch.from_numpy(score) for place, score in scores.items()},
            part * table.expected,
        )
        kept = {place: mask.nonzero().flatten().tolist() for place, mask in keep.items()}
        assert kept == one_after_the_other(structure, table.probabilities, scores, part * table.expected)


def test_a_unit_that_could_not_go_goes_once_its_reader_has_gone():
    """A shared unit is held by the shared unit behind it, which is the next to go."""
    structure = random_lattice("mlp", "ab", 0).structure
    hidden = {group("ab"): 1, group("a"): 1, group("b"): 1}
    structure = replace(structure, widths=(hidden, hidden, structure.widths[-1]))
    scores = {(index, g): torch.tensor([10.0]) for index in range(2) for g in hidden}
    scores[0, group("ab")][:], scores[1, group("ab")][:] = 1e-6, 1e-3
    apart = replace(structure, widths=(*({group("a"): 1, group("b"): 1},) * 2, structure.widths[-1]))
    table, goal = pam.costs(pam.MultitaskNetwork(structure)), pam.costs(pam.MultitaskNetwork(apart)).expected
    cost = ExpectedMacs(output_positions(structure), table.probabilities)
    keep = choose_units(structure, cost, scores, goal + 1e-6)
    assert {place for place, mask in keep.items() if not mask.any()} == {(0, group("ab")), (1, group("ab"))}


def assert_nothing_more_may_go(network):
    """Each unit that is left is the last one that some group behind it can read."""
    for index, g in places(network):
        mask = torch.ones(network.structure.widths[index][g], dtype=torch.bool)
        mask[0] = False
        with pytest.raises(PlanError, match="would read nothing"):
            remove_units(network, {(index, g): mask})


@pytest.mark.parametrize("tasks", ["a", "ab", "abc"])
@pytest.mark.parametrize("seed", range(5))
def test_the_choice_ends_when_nothing_more_may_go(tasks, seed):
    network = random_lattice("mlp", tasks, seed)
    structure = network.structure
    generator = torch.Generator().manual_seed(seed)
    scores = {p: torch.rand(structure.widths[p[0]][p[1]], generator=generator).double() for p in places(network)}
    cost = ExpectedMacs(output_positions(structure), pam.costs(network).probabilities)
    keep = choose_units(structure, cost, scores, 0.0)
    assert_nothing_more_may_go(remove_units(network, keep))


@pytest.mark.parametrize(("family", "tasks"), [("lenet5", "a"), ("lenet5", "ab"), ("mlp", "abc")])
@pytest.mark.parametrize("seed", range(2))
def test_pruning_without_end_leaves_the_least_that_runs(family, tasks, seed):
    network = random_lattice(family, tasks, seed)
    wanted = [pam.Task(task, classes=range(1 + index)) for index, task in enumerate(tasks)]
    data = make_data(SHAPES[family], wanted, (16,))
    small = prune(network, data, data, tasks=wanted, target_macs=1.0, **STOP)
    x = torch.randn(2, *SHAPES[family])
    for task in tasks:
        assert torch.isfinite(small(x, tasks=[task])[task]).all()
    assert_nothing_more_may_go(small)


# The loop


@pytest.fixture(scope="module")
def trained():
    """A merged mlp, half of it shared, trained on a small linear problem; batches for training and validation."""
    torch.manual_seed(0)
    tasks = make_tasks(2)
    rules = {task.name: torch.randn(16, 3) for task in tasks}

    def batches(seed, count):
        x = torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
        return [(part, {t: (part.flatten(1) @ rule).argmax(1) for t, rule in rules.items()}) for part in x.split(64)]

    train, validation = batches(1, 512), batches(2, 256)
    parents = {task.name: random_parent("mlp", seed) for seed, task in enumerate(tasks)}
    plan = pam.plan(parents, train, tasks=tasks, share=0.5)
    network = pam.merge(parents, plan, calibration=train)
    pam.train(network, train, tasks, 200, pam.TrainOptions(learning_rate=0.02))
    return network.eval(), train, validation, tasks


@pytest.mark.parametrize("part", [0.8, 0.5, 0.25])
@pytest.mark.parametrize("combinations", [None, {"a": 1.0}, {"a": 1.0, "a+b": 3.0}])
def test_a_budget_of_macs_is_reached(trained, part, combinations):
    network, train, validation, tasks = trained
    before = pam.costs(network, combinations=combinations).expected
    small = prune(network, train, validation, tasks=tasks, target_macs=part * before, combinations=combinations, **STOP)
    after = pam.costs(small, combinations=combinations).expected
    assert after <= part * before
    # One unit more would have been too much: the last one that went was needed.
    structure = network.structure
    dearest = max(unit_macs(structure, output_positions(structure), pam.costs(network).probabilities).values())
    assert after > part * before - 2 * dearest


def test_an_already_small_network_stays(trained):
    network, train, validation, tasks = trained
    table = pam.costs(network)
    same_ = prune(network, train, validation, tasks=tasks, target_macs=table.expected, **STOP)
    assert same_.structure == network.structure
    assert same_ is not network


@pytest.mark.parametrize("max_drop", [0.0, 0.03, 0.1])
def test_the_allowed_drop_is_kept_on_validation(trained, max_drop):
    network, train, validation, tasks = trained
    reference = pam.evaluate(network, validation, tasks)
    assert min(reference.values()) > 0.8
    steps = []
    small = prune(
        network, train, validation, tasks=tasks, max_drop=max_drop, steps=10, fraction=0.2, progress=steps.append
    )
    found = pam.evaluate(small, validation, tasks)
    assert all(found[name] >= reference[name] - max_drop - 1e-9 for name in reference)
    best = min((step for step in steps if step.within), key=lambda step: step.expected_macs)
    assert pam.costs(small).expected == pytest.approx(best.expected_macs)
    assert found == best.accuracy
    if max_drop == 0.1:
        assert best.expected_macs < 0.8 * pam.costs(network).expected
        assert not all(step.within for step in steps)
    assert steps[-1].expected_macs == best.expected_macs
    assert steps[-1].ended


def test_the_drop_counts_from_a_reference_that_is_given(trained):
    network, train, validation, tasks = trained
    hopeless = prune(network, train, validation, tasks=tasks, max_drop=0.0, reference={"a": 2.0, "b": 2.0}, steps=0)
    assert hopeless.structure == network.structure
    easy = prune(
        network, train, validation, tasks=tasks, max_drop=0.0, reference={"a": 0.0, "b": 0.0}, target_macs=50.0, steps=0
    )
    assert pam.costs(easy).expected <= 50.0
    with pytest.raises(PlanError, match="lacks a number for the tasks \\['b'\\]"):
        prune(network, train, validation, tasks=tasks, reference={"a": 1.0})


@pytest.mark.parametrize("max_drop", [0.02, 1.0])
def test_a_schedule_of_given_effort_trains_equally_long_whatever_happens(trained, max_drop, monkeypatch):
    network, train, validation, tasks = trained
    trained_for = []
    monkeypatch.setattr(METHODS["taylor"], "train", lambda *args: trained_for.append(args[4]))
    schedule = pam.Schedule.of_effort(66, 10, max_drop=max_drop, fraction=0.05)
    steps = []
    small = pam.prune(network, train, validation, tasks=tasks, schedule=schedule, progress=steps.append)
    assert trained_for == [6] * 11
    assert steps[-1].ended == "all 10 removals are tried"
    assert pam.costs(small).expected == steps[-1].expected_macs
    taken_back = sum(not step.within for step in steps)
    assert taken_back > 0 if max_drop < 1 else taken_back == 0


def test_a_network_outside_the_drop_is_trained_instead_of_pruned(trained):
    network, train, validation, tasks = trained
    ruined = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in ruined.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    reference, steps = pam.evaluate(network, validation, tasks), []
    options = pam.TrainOptions(learning_rate=0.01)
    for effort, words in ((0, "does not come within the allowed drop"), (600, "all 12 removals are tried")):
        schedule = pam.Schedule.of_effort(effort, 12, max_drop=0.1)
        small = pam.prune(
            ruined,
            train,
            validation,
            tasks=tasks,
            schedule=schedule,
            reference=reference,
            training=options,
            progress=steps.append,
        )
        assert words in steps[-1].ended
        assert steps[-1].within == (effort > 0)
        assert (pam.costs(small).expected < pam.costs(ruined).expected) == (effort > 0)


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_a_fraction_of_units_goes_from_the_shared_groups_alone(trained, fraction):
    network, train, validation, tasks = trained
    schedule = pam.Schedule(max_drop=None, removals=1, fraction=fraction, by="units", steps=0, groups="shared")
    small = pam.prune(network, train, validation, tasks=tasks, schedule=schedule)

    def units(of, shared):
        return sum(n for layer in of.structure.widths[:-1] for g, n in layer.items() if (len(g) > 1) is shared)

    assert units(small, shared=False) == units(network, shared=False)
    assert units(small, shared=True) == units(network, shared=True) - round(fraction * units(network, shared=True))


def test_a_unit_that_could_not_go_alone_makes_room_for_others(trained, monkeypatch):
    network, train, validation, tasks = trained
    costs_much = copy.deepcopy(network)
    monkeypatch.setattr(METHODS["taylor"], "train", lambda *args: None)
    scores = METHODS["taylor"]().scores(network, train, tasks)
    order = sorted((float(score), place, unit) for place, all_ in scores.items() for unit, score in enumerate(all_))
    _, place, unit = order[-1]
    wrong = {p: torch.full_like(score, 2.0) for p, score in scores.items()}
    wrong[place][unit], wrong[order[0][1]][order[0][2]] = 0.0, 1.0
    monkeypatch.setattr(METHODS["taylor"], "scores", lambda *args: {p: score.clone() for p, score in wrong.items()})
    monkeypatch.setattr(METHODS["taylor"], "per_cost", False)
    schedule = pam.Schedule(max_drop=0.005, removals=2, fraction=1e-9, steps=0)
    steps = []
    small = pam.prune(costs_much, train, validation, tasks=tasks, schedule=schedule, progress=steps.append)
    assert [step.within for step in steps] == [True, False, True, True]
    index, g = order[0][1]
    assert small.structure.widths[index][g] == network.structure.widths[index][g] - 1


def test_a_target_out_of_reach_is_told(trained):
    network, train, validation, tasks = trained
    steps = []
    small = prune(network, train, validation, tasks=tasks, target_macs=1.0, **STOP, progress=steps.append)
    assert steps[-1].ended.startswith("no unit may go any more")
    assert steps[-1].ended.endswith("short of the target")
    assert pam.costs(small).expected == steps[-1].expected_macs


def test_exclusive_groups_are_pruned_too(trained):
    network, train, validation, tasks = trained
    target = 0.4 * pam.costs(network).expected
    small = prune(network, train, validation, tasks=tasks, target_macs=target, **STOP)
    for g in (group("a"), group("b"), group("ab")):
        before, after = (sum(widths.get(g, 0) for widths in n.structure.widths[:-1]) for n in (network, small))
        assert after < before


def test_each_task_keeps_units_to_read(trained):
    network, train, validation, tasks = trained
    small = prune(network, train, validation, tasks=tasks, target_macs=1.0, **STOP)
    for widths in small.structure.widths:
        for task in "ab":
            assert any(task in g for g in widths)
    assert set(pam.evaluate(small, validation, tasks)) == {"a", "b"}


def test_the_network_given_stays_as_it_is(trained):
    network, train, validation, tasks = trained
    before, structure = copy.deepcopy(network.state_dict()), network.structure
    small = prune(network, train, validation, tasks=tasks, max_drop=1.0, target_macs=60.0, steps=3, warm_up=3)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.structure == structure
    assert not small.training
    assert {p.data_ptr() for p in small.parameters()}.isdisjoint(p.data_ptr() for p in network.parameters())


def test_a_pruned_network_can_be_trained_and_pruned_again(trained):
    network, train, validation, tasks = trained
    before = pam.costs(network).expected
    small = prune(network, train, validation, tasks=tasks, target_macs=0.6 * before, **STOP)
    dropped = pam.evaluate(small, train, tasks)
    pam.train(small, train, tasks, 100, pam.TrainOptions(learning_rate=0.01))
    assert sum(pam.evaluate(small, train, tasks).values()) > sum(dropped.values())
    smaller = prune(small, train, validation, tasks=tasks, target_macs=0.3 * before, **STOP)
    assert pam.costs(smaller).expected <= 0.3 * before


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 2}, {"steps": 0, "warm_up": 2}])
def test_weights_change_by_fine_tuning_and_by_nothing_else(trained, options):
    network, train, validation, tasks = trained
    target = 0.6 * pam.costs(network).expected
    small = prune(network, train, validation, tasks=tasks, target_macs=target, **{**STOP, **options})
    before = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    after = torch.cat([parameter.detach().flatten() for parameter in small.parameters()])
    assert bool(torch.isin(after, before).all()) == (options == {"steps": 0})


@pytest.mark.parametrize("steps", [0, 5])
def test_the_same_seed_gives_the_same_network(trained, steps):
    network, train, validation, tasks = trained
    runs = []
    for _ in range(2):
        torch.manual_seed(1)
        small = prune(
            network,
            train,
            validation,
            tasks=tasks,
            max_drop=None,
            target_macs=80.0,
            steps=steps,
            warm_up=steps,
            fraction=0.4,
        )
        runs.append(small)
    assert runs[0].structure == runs[1].structure
    first, second = (run.state_dict() for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_surgery_does_not_disturb_the_random_numbers(trained):
    """Two methods that remove different numbers of units still see the same dropout and the same order of data."""
    network, train, validation, tasks = trained
    numbers = []
    for target in (1e9, 60.0):
        torch.manual_seed(2)
        prune(network, train, validation, tasks=tasks, target_macs=target, **STOP)
        numbers.append(torch.rand(1).item())
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("family", ["lenet5", "small_vgg"])
@pytest.mark.parametrize("count", [1, 3])
def test_convolutional_networks_are_pruned_in_every_kind_of_layer(family, count):
    network, tasks = merged_example(family, count, share=0.5), make_tasks(count)
    data = make_data(SHAPES[family], tasks, (16, 16))
    target = 0.2 * pam.costs(network).expected
    small = prune(network, data, data, tasks=tasks, target_macs=target, **STOP)
    assert pam.costs(small).expected <= target
    narrowed = [
        sum(after.values()) < sum(before.values())
        for before, after in zip(network.structure.widths[:-1], small.structure.widths[:-1], strict=True)
    ]
    assert sum(narrowed) >= len(narrowed) - 1
    pam.train(small, data, tasks, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "magic"}, "'magic' is unknown.*taylor"),
        ({"max_drop": None}, "needs max_drop=, target_macs= or removals="),
        ({"max_drop": -0.1}, "must be >= 0"),
        ({"max_drop": float("nan")}, "must be >= 0"),
        ({"target_macs": 0.0}, "must be above 0"),
        ({"fraction": 0.0}, "between 0 and 1"),
        ({"fraction": 1.0}, "between 0 and 1"),
    ],
)
def test_impossible_options_are_refused(trained, options, words):
    network, train, validation, tasks = trained
    with pytest.raises(PlanError, match=words):
        prune(network, train, validation, tasks=tasks, **options)


def test_tasks_must_be_the_networks(trained):
    network, train, validation, tasks = trained
    with pytest.raises(TaskError, match="do not match"):
        prune(network, train, validation, tasks=tasks[:1])
