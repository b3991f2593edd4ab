"""Merged units get the mean and the spread of their members."""

import pytest
import torch
from networks import SHAPES, group, make_data, make_tasks, random_parent

import pam_opt as pam
from pam_opt.gradients import tapped
from pam_opt.merging.rows import unit_rows


def moments(network, data):
    """Mean and standard deviation of every unit's pre-activation over all data: (layer, group) -> two (units,)."""
    seen = {}
    with torch.no_grad(), tapped(network) as taps:
        for x, _ in data:
            network(x)
            for (index, g), values in taps.items():
                seen.setdefault((index, g), []).append(unit_rows(values, network.structure.layers[index], None))
    rows = {place: torch.cat(parts).double() for place, parts in seen.items()}
    return {place: (values.mean(0), values.std(0, correction=0)) for place, values in rows.items()}


@pytest.mark.parametrize("family", ["mlp", "lenet5", "small_vgg"])
def test_merged_units_have_their_members_moments(family):
    tasks = make_tasks(2)
    parents = {"a": random_parent(family, 0), "b": random_parent(family, 1)}
    data = make_data(SHAPES[family], tasks, (40, 40))
    plan = pam.plan(parents, data, tasks=tasks, share=1.0)
    plain = pam.merge(parents, plan, weights="average")
    repaired = pam.merge(parents, plan, weights="average", calibration=data, rescale=True)
    wanted = {task.name: moments(pam.single(parents[task.name], task), data) for task in tasks}
    found, before, changed = moments(repaired, data), moments(plain, data), 0
    both = group("ab")
    for index, layer in enumerate(plan.layers):
        for place, part in enumerate(("mean", "spread")):
            mean = torch.zeros(len(layer.groups), dtype=torch.float64)
            for column, task in enumerate("ab"):
                share = torch.from_numpy(layer.shares[column])
                mean.index_add_(
                    0, torch.from_numpy(layer.places[column]), share * wanted[task][index, group(task)][place]
                )
            torch.testing.assert_close(found[index, both][place], mean, atol=1e-4, rtol=1e-3, msg=part)
            changed += not torch.allclose(before[index, both][place], mean, atol=1e-3)
    assert changed


def test_nothing_merged_is_nothing_changed():
    tasks = make_tasks(2)
    parents = {"a": random_parent("small_vgg", 0), "b": random_parent("small_vgg", 1)}
    data = make_data(SHAPES["small_vgg"], tasks, (40,))
    plan = pam.plan(parents, data, tasks=tasks, share=0.0)
    repaired = pam.merge(parents, plan, weights="average", calibration=data, rescale=True)
    x = torch.randn(3, *SHAPES["small_vgg"])
    for task, parent in parents.items():
        torch.testing.assert_close(repaired(x)[task], parent(x), atol=1e-4, rtol=1e-4)
