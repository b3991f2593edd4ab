"""Removals that are made up for by least squares."""

import pytest
import torch
from networks import NAMES, SHAPES, make_data, make_tasks, merged_example
from torch import nn

import pam_opt as pam
from pam_opt.pruning.compensation import compensate
from pam_opt.pruning.vib import Vib
from pam_opt.surgery import remove_units


def places(network):
    return [(index, g) for index, widths in enumerate(network.structure.widths[:-1]) for g in widths]


def error(network, other, shape):
    x = torch.randn(64, *shape, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        a, b = network.eval()(x), other.eval()(x)
    return sum(float((a[task] - b[task]).square().mean()) for task in a)


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("gated", [False, True])
def test_units_that_others_can_stand_for_go_without_a_trace(family, gated):
    """A unit that is the copy of another one is missed by its readers, until they read the other one twice."""
    network = merged_example(family, 2, share=0.5)
    network = Vib().start(network) if gated else network
    place = next(p for p in places(network) if network.structure.widths[p[0]][p[1]] > 1)
    block = network.block(*place)
    with torch.no_grad():
        for tensor in block.pre.state_dict().values():
            if tensor.ndim:
                tensor[1] = tensor[0]
    keep = {place: torch.ones(network.structure.widths[place[0]][place[1]], dtype=torch.bool)}
    keep[place][1] = False
    pruner = Vib() if gated else None
    smaller = pruner.remove(network, keep) if pruner else remove_units(network, keep)
    before = error(network, smaller, SHAPES[family])
    data = make_data(SHAPES[family], make_tasks(2), (400, 400))
    compensate(smaller, network, keep, data)
    assert before > 1e-6
    assert error(network, smaller, SHAPES[family]) < 0.02 * before


@pytest.mark.parametrize("tasks", ["ab", "abc"])
def test_a_removal_costs_less_when_it_is_made_up_for(tasks):
    network = merged_example("lenet5", len(tasks), share=0.5)
    data = make_data(SHAPES["lenet5"], make_tasks(len(tasks)), (300, 300))
    generator = torch.Generator().manual_seed(0)
    keep = {(i, g): torch.rand(network.structure.widths[i][g], generator=generator) < 0.7 for i, g in places(network)}
    for mask in keep.values():
        mask[0] = True
    smaller = remove_units(network, keep)
    before = error(network, smaller, SHAPES["lenet5"])
    compensate(smaller, network, keep, data)
    assert error(network, smaller, SHAPES["lenet5"]) < 0.7 * before


def test_a_network_that_lost_nothing_stays_as_it_is():
    network = merged_example("small_vgg", 2, share=0.5)
    twin = remove_units(network, {})
    compensate(twin, network, {}, make_data(SHAPES["small_vgg"], make_tasks(2), (200,)))
    assert error(network, twin, SHAPES["small_vgg"]) < 1e-8


def test_pruning_without_training_goes_further_with_it():
    torch.manual_seed(0)
    tasks = make_tasks(2)
    rules = {task.name: torch.randn(16, 3) for task in tasks}
    x = torch.randn(512, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    data = [(part, {t: (part.flatten(1) @ rule).argmax(1) for t, rule in rules.items()}) for part in x.split(64)]
    parents = {
        task.name: nn.Sequential(
            nn.Flatten(), nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 3)
        )
        for task in tasks
    }
    network = pam.merge(parents, pam.plan(parents, data, tasks=tasks, problem="all-shared"), weights="side_by_side")
    pam.train(network, data, tasks, 300, pam.TrainOptions(learning_rate=0.01))
    schedule = pam.Schedule(max_drop=0.02, steps=0, fraction=0.1)
    without, made_up = (
        pam.prune(network, data, data, tasks=tasks, schedule=schedule, refit=refit) for refit in (None, data)
    )
    assert pam.costs(made_up).expected < 0.9 * pam.costs(without).expected
