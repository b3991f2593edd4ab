"""``pam-opt merge``: checkpoints become one network by a recipe; what does not fit is refused in a sentence."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from networks import SMALL, randomise_norms
from safetensors.torch import save_file
from torch import nn

import pam_opt as pam
from pam_opt.data import load as load_data
from pam_opt.errors import StorageError
from pam_opt.families import FAMILIES
from pam_opt.plans import Plan
from pam_opt.recipes import merge_by_recipe, read_recipe
from pam_opt.recipes.checkpoints import load_checkpoint

NETS = """
from torch import nn
def small(units=4):
    return nn.Sequential(nn.Conv2d(1, units, 3), nn.ReLU(), nn.Flatten(), nn.Linear(units * 36, 3))
def smooth():
    net = small()
    net[1] = nn.Tanh()
    return net
"""
IMAGE = (1, 8, 8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a folder with images of four classes and modules to import, and go there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "merge_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "merge_nets", raising=False)
    rng = np.random.default_rng(0)
    train, test = (rng.normal(size=(40, *IMAGE)).astype(np.float32) for _ in range(2))
    labels = np.arange(40) % 4
    np.savez("data.npz", x_train=train, y_train=labels, x_test=test, y_test=labels)
    return tmp_path


def recipe_of(*tasks: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Return a recipe of tasks a, b, ... that tell two classes apart each."""
    classes = [[0, 1], [2, 3]]
    named = [
        {"name": name, "classes": own, "network": "merge_nets:small", "checkpoint": f"{name}.pt", **task}
        for name, own, task in zip("ab", classes, tasks, strict=True)
    ]
    return {"data": {"source": "data.npz"}, "tasks": named, "calibration": 20, **others}


def write_recipe(folder: Path, recipe: dict[str, Any]) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def write_parents(folder: Path) -> list[nn.Module]:
    """Write the state dicts of two networks of the module in the folder as torch files."""
    parents = [importlib.import_module("merge_nets").small() for _ in "ab"]
    for name, parent in zip("ab", parents, strict=True):
        torch.save(parent.state_dict(), folder / f"{name}.pt")
    return parents


@pytest.mark.parametrize("family", ["lenet5", "resnet20"])
def test_families_are_merged(command, folder, family):
    parents = {name: FAMILIES[family](IMAGE, 3, **SMALL[family]).eval() for name in "ab"}
    for parent in parents.values():
        randomise_norms(parent)
    save_file(parents["a"].state_dict(), folder / "a.safetensors")
    torch.save({"epoch": 3, "model": parents["b"].state_dict()}, folder / "b.pt")
    family_task = {"network": family, "options": json.loads(json.dumps(SMALL[family]))}
    first = {**family_task, "checkpoint": "a.safetensors"}
    recipe = recipe_of(first, {**family_task, "entry": "model"}, plan={"share": 0.5}, weights={"rescale": True})
    code, printed, error = command("merge", write_recipe(folder, recipe), "--out", folder / "net.safetensors")
    assert (code, error) == (0, "")
    for part in (
        "MACs of the parents",
        "a+b",
        "expected, all equally likely",
        "test accuracy of the parent",
        "Written",
    ):
        assert part in printed

    network = pam.load(folder / "net.safetensors")
    alone = {
        name: pam.costs(pam.single(parent, pam.Task(name, classes=[0, 1]), IMAGE)) for name, parent in parents.items()
    }
    assert f"{sum(table.expected for table in alone.values()):,.0f}" in printed
    assert f"{pam.costs(network).macs[frozenset('ab')]:,}" in printed
    assert {task: tuple(out.shape) for task, out in network(torch.randn(5, *IMAGE)).items()} == {
        "a": (5, 3),
        "b": (5, 3),
    }
    assert Plan.load(folder / "net.plan.json").tasks == ("a", "b")


def test_the_recipe_beside_the_network_makes_it_again(command, folder):
    write_parents(folder)
    recipe = write_recipe(folder, recipe_of({}, {}, combinations={"a": 3, "a+b": 1}))
    (folder / "out").mkdir()
    options = ("--calibration", 30, "--data", "data.npz")
    assert command("merge", recipe, "--out", "out/net.safetensors", *options)[0] == 0
    code, printed, error = command("merge", "out/net.recipe.yaml", "--out", "again.safetensors")
    assert (code, error) == (0, "")
    assert "expected" in printed
    assert "equally likely" not in printed
    assert read_recipe("again.recipe.yaml").calibration == 30
    one, two = (pam.load(path).state_dict() for path in ("out/net.safetensors", "again.safetensors"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_nothing_shared_changes_nothing(folder):
    parents = write_parents(folder)
    recipe = recipe_of({}, {}, plan={"problem": "exclusive"}, weights={"method": "side_by_side"})
    merged = merge_by_recipe(read_recipe(write_recipe(folder, recipe)))
    assert merged.before == merged.after
    x = torch.randn(4, *IMAGE)
    for name, parent in zip("ab", parents, strict=True):
        torch.testing.assert_close(merged.network(x)[name], parent(x))
    assert merged.system.macs() == merged.parents.macs()


def test_data_are_normalised_as_for_the_parents(folder):
    own = load_data("data.npz", validation=0.0)
    raw = torch.from_numpy(np.load("data.npz")["x_test"])
    other = own.renormalised((0.5,), (2.0,))
    torch.testing.assert_close(other.test.x, (raw - 0.5) / 2.0)
    assert other.mean == (0.5,)
    assert other.fingerprint != own.fingerprint


def test_a_tensor_of_two_names_is_needed_once(tmp_path):
    layer = nn.Linear(3, 3)
    tied = nn.Sequential(layer, nn.ReLU(), layer)
    other = nn.Linear(3, 3)
    torch.save({f"0.{name}": tensor for name, tensor in other.state_dict().items()}, tmp_path / "tied.pt")
    load_checkpoint(tied, tmp_path / "tied.pt")
    assert torch.equal(tied.state_dict()["2.weight"], other.weight)


def test_old_checkpoints_lack_the_counters_of_batch_norms(tmp_path):
    norm = nn.BatchNorm2d(2)
    torch.save({name: tensor for name, tensor in norm.state_dict().items() if tensor.ndim}, tmp_path / "old.pt")
    load_checkpoint(nn.BatchNorm2d(2), tmp_path / "old.pt")


def pickled(folder: Path) -> None:
    torch.save(nn.Linear(2, 2), folder / "a.pt")


def damaged(folder: Path) -> None:
    path = folder / "a.pt"
    path.write_bytes(path.read_bytes()[:200])


def nested(folder: Path) -> None:
    torch.save({"model": torch.load(folder / "a.pt"), "epoch": 1}, folder / "a.pt")


def listed(folder: Path) -> None:
    torch.save([torch.zeros(2)], folder / "a.pt")


def removed(folder: Path) -> None:
    (folder / "a.pt").unlink()


def prefixed(folder: Path) -> None:
    torch.save({f"module.{name}": tensor for name, tensor in torch.load(folder / "a.pt").items()}, folder / "a.pt")


def not_finite(folder: Path) -> None:
    state = torch.load(folder / "a.pt")
    state["0.weight"][0] = float("nan")
    torch.save(state, folder / "a.pt")


CHECKPOINTS = [
    (pickled, {}, "no torch file of plain tensors, and files are never unpickled", "torch.save(network.state_dict(), "),
    (damaged, {}, "no torch file of plain tensors", "a.pt"),
    (nested, {}, "is no state dict", "it holds model (OrderedDict), epoch (int); name the entry"),
    (nested, {"entry": "ema"}, "has no entry 'ema'", "it holds model"),
    (nested, {"entry": "epoch"}, "entry 'epoch' of checkpoint", "it holds a int"),
    (listed, {}, "is no state dict", "a list"),
    (removed, {}, "cannot be read: No such file", "a.pt"),
    (prefixed, {}, "does not fit its network: it lacks 0.weight", "it has module.0.weight, module.0.bias"),
    (not_finite, {}, "parent 'a'", "0.weight"),
    (str, {"options": {"units": 5}}, "'0.weight' has shape (4, 1, 3, 3), the network's has (5, 1, 3, 3)", "task 'a'"),
    (str, {"checkpoint": "data.safetensors"}, "is not a whole safetensors file", "task 'a'"),
]


@pytest.mark.parametrize(("spoil", "task", "part", "more"), CHECKPOINTS)
def test_checkpoints_that_do_not_fit_are_refused(command, folder, spoil, task, part, more):
    write_parents(folder)
    spoil(folder)
    code, _, error = command("merge", write_recipe(folder, recipe_of(task, {})), "--out", "net.safetensors")
    assert code == 1
    assert error.count("\n") == 1
    assert part in error
    assert more in error
    assert not (folder / "net.safetensors").exists()


RECIPES = [
    (({}, {"network": "merge_nets:smooth"}), {}, "parents 'a' and 'b' differ at layer '0' / '0': post [relu"),
    (({"classes": [0, 1, 2]}, {}), {}, "task 'a' has 3 classes and 'other', 4 outputs, but its network has 3"),
    (({"network": "lenet6"}, {}), {}, "task 'a': 'lenet6' is neither module:callable"),
    (({"network": "lenet5", "options": {"depth": 3}}, {}), {}, "family 'lenet5' does not take the options"),
    (({"options": {"unit": 3}}, {}), {}, "failed when called with {'unit': 3}"),
    (({"loss": "squared"}, {}), {}, "tasks.a.loss: 'squared' is unknown"),
    (({"weights": "a.pt"}, {}), {}, "unknown key 'tasks.0.weights'"),
    (({}, {"name": "a"}), {}, "duplicate task names ['a']"),
    (({}, {}), {"plan": {"problem": "best"}}, "plan.problem: 'best' is unknown"),
    (({}, {}), {"plan": {"cost": "best"}}, "plan.cost: 'best' is unknown"),
    (({}, {}), {"plan": {"solver": "best"}}, "SolverNotFound"),
    (({}, {}), {"plan": {"share": 2}}, "share 2.0 of layer '0' is outside [0, 1]"),
    (({}, {}), {"weights": {"method": "best"}}, "weights.method"),
    (({}, {}), {"weights": {"method": "side_by_side"}}, "merges units; weights='side_by_side' cannot"),
    (({}, {}), {"combinations": {"a+c": 1}}, "unknown task names ['c']"),
    (({}, {}), {"data": {"source": "data.npz", "mean": [0.0]}}, "give both of mean and std"),
    (({}, {}), {"data": {"source": "data.npz", "mean": [0, 0], "std": [1, 1]}}, "give 1 of each"),
    (({}, {}), {"data": {"source": "data.npz", "mean": [0], "std": [0]}}, "deviations above 0"),
    (({}, {}), {"data": {"source": "missing.npz"}}, "does not exist"),
]


@pytest.mark.parametrize(("tasks", "others", "part"), RECIPES)
def test_impossible_recipes_are_refused(command, folder, tasks, others, part):
    write_parents(folder)
    code, _, error = command("merge", write_recipe(folder, recipe_of(*tasks, **others)), "--out", "net.safetensors")
    assert code == 1
    assert error.startswith("Error (")
    assert part in error


def test_places_that_cannot_be_written_are_refused_first(command, folder):
    write_parents(folder)
    recipe = write_recipe(folder, recipe_of({}, {}))
    for out, part in (
        ("none/net.safetensors", "there is no folder 'none'; make it first"),
        (folder, "is a folder; name a file in it"),
        ("a.pt", "is the checkpoint of task 'a'"),
    ):
        code, printed, error = command("merge", recipe, "--out", out)
        assert (code, printed) == (1, "")
        assert part in error


def test_one_task_is_no_merge(command, folder):
    recipe = recipe_of({}, {})
    recipe["tasks"].pop()
    code, _, error = command("merge", write_recipe(folder, recipe), "--out", "net.safetensors")
    assert code == 1
    assert "merging needs at least two tasks" in error


def test_hostile_files_run_no_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"weight": Hostile()}, tmp_path / "hostile.pt")
    with pytest.raises(StorageError, match="never unpickled"):
        load_checkpoint(nn.Linear(2, 2), tmp_path / "hostile.pt")
    assert not (tmp_path / "ran").exists()
