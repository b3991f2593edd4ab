"""Networks on disk: what comes back is the same network, bit for bit."""

import json

import pytest
import torch
from networks import (
    NAMES,
    SHAPES,
    make_data,
    make_tasks,
    merged_example,
    prune,
    random_lattice,
    random_parent,
    randomise_norms,
)
from safetensors.torch import save_file
from torch import nn

import pam_opt as pam
from pam_opt.errors import StorageError
from pam_opt.storage import SCHEMA
from pam_opt.structure import Structure

PLANS = [{"share": 0.5}, {"share": 1.0}, {"problem": "exclusive"}, {"problem": "all-shared"}, {"problem": "select"}]


def assert_round_trip(network, folder, shape):
    path = folder / "network.safetensors"
    pam.save(network, path)
    back = pam.load(path)
    assert back.structure == network.structure
    assert not back.training
    assert all(parameter.requires_grad for parameter in back.parameters())
    old, new = network.state_dict(), back.state_dict()
    assert list(old) == list(new)
    assert all(torch.equal(old[name], new[name]) and old[name].dtype == new[name].dtype for name in old)
    x = torch.randn(4, *shape)
    with torch.no_grad():
        outputs, again = network.eval()(x), back(x)
    assert list(outputs) == list(again)
    assert all(torch.equal(outputs[task], again[task]) for task in outputs)
    assert [path.name for path in folder.iterdir()] == ["network.safetensors"]
    return back


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_merged_networks_come_back(family, plan, tmp_path):
    assert_round_trip(merged_example(family, 2, sizes=(16,), **plan), tmp_path, SHAPES[family])


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("tasks", ["a", "abc"])
def test_random_lattices_come_back(family, tasks, tmp_path):
    network = random_lattice(family, tasks, seed=9)
    back = assert_round_trip(network, tmp_path, SHAPES[family])
    assert pam.costs(back) == pam.costs(network)


def test_refitted_and_odd_networks_come_back(tmp_path):
    torch.manual_seed(3)
    tasks = make_tasks(2)
    modules = {
        task.name: nn.Sequential(
            nn.Conv2d(1, 3, (3, 1), stride=2, padding=(1, 0), bias=False),
            nn.LeakyReLU(0.3),
            nn.BatchNorm2d(3, eps=1e-3, momentum=0.2),
            nn.AdaptiveAvgPool2d((2, 3)),
            nn.Flatten(),
            nn.Dropout(0.4),
            nn.Linear(18, 4),
            nn.Softplus(2.0),
            nn.Linear(4, 3),
        )
        for task in tasks
    }
    for module in modules.values():
        randomise_norms(module)
    data = make_data((1, 9, 9), tasks)
    network = pam.merge(modules, pam.plan(modules, data, tasks=tasks, share=0.6), calibration=data)
    back = assert_round_trip(network, tmp_path, (1, 9, 9))
    norm = back.block(0, frozenset("ab")).post[1]
    assert (norm.eps, norm.momentum) == (1e-3, 0.2)


@pytest.mark.parametrize("family", ["mlp", "small_vgg"])
def test_a_loaded_network_is_trained_pruned_and_saved_again(family, tmp_path):
    tasks = make_tasks(2)
    data = make_data(SHAPES[family], tasks, (16, 16))
    network = merged_example(family, 2, share=0.5)
    pam.save(network, tmp_path / "network.safetensors")
    back = pam.load(tmp_path / "network.safetensors")
    for copy in (network, back):
        pam.train(copy, data, tasks, 3)
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in network.state_dict().items())
    target = pam.costs(back).expected / 2
    small = prune(back, data, data, tasks=tasks, max_drop=None, target_macs=target, steps=1, fraction=0.4)
    again = assert_round_trip(small, tmp_path, SHAPES[family])
    assert pam.costs(again).expected <= target


def test_a_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "network.safetensors"
    pam.save(merged_example("mlp", 2), path)
    pam.save(merged_example("mlp", 3), path)
    assert pam.load(path).tasks == ("a", "b", "c")


def test_structures_are_plain_json():
    structure = random_lattice("small_vgg", "abc", seed=1).structure
    assert Structure.from_json(json.loads(json.dumps(structure.to_json()))) == structure


def test_the_input_shape_is_remembered(tmp_path):
    plain = pam.single(random_parent("lenet5"), make_tasks(1)[0])
    for network, shape in ((plain, None), (merged_example("lenet5", 2), (1, 8, 8))):
        pam.save(network, tmp_path / "x.safetensors")
        assert pam.load(tmp_path / "x.safetensors").structure.input_shape == shape


def edited(network, **changes):
    data = network.structure.to_json() | changes
    return {"pam_opt": json.dumps({"schema": SCHEMA, "structure": data})}


@pytest.mark.parametrize(
    "header",
    [
        lambda n: None,
        lambda n: {"pam_opt": "no json"},
        lambda n: {"pam_opt": json.dumps({"schema": 99, "structure": n.structure.to_json()})},
        lambda n: {"pam_opt": json.dumps({"schema": SCHEMA})},
        lambda n: edited(n, tasks=["a", "z"]),
        lambda n: edited(n, inputs=17),
        lambda n: edited(n, widths=[{"a+b": 10**12}, {"a+b": 7}, {"a": 3, "b": 3}]),
        lambda n: edited(n, widths=[{"a+b": 9}, {"a+b": 7}, {"a": 3}]),
        lambda n: edited(n, layers=[{"kind": "magic"}]),
        lambda n: edited(n, prelude=[{"kind": "magic", "settings": {}, "features": 1}]),
    ],
)
def test_headers_that_do_not_fit_are_refused(header, tmp_path):
    network = merged_example("mlp", 2)
    path = tmp_path / "network.safetensors"
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path, header(network))
    with pytest.raises(StorageError, match="holds no network"):
        pam.load(path)


def test_damaged_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "network.safetensors"
    with pytest.raises(StorageError, match="not a whole safetensors file"):
        pam.load(path)
    pam.save(merged_example("mlp", 2), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StorageError, match="not a whole safetensors file"):
        pam.load(path)
    with pytest.raises(StorageError, match="could not be written"):
        pam.save(merged_example("mlp", 2), tmp_path / "nowhere" / "x")
