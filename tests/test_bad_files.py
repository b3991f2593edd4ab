"""What can be wrong with files: damaged and hostile ones, foreign folders, full disks."""

import errno
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input_cases import (
    changed,
    leftovers,
    merged,
    plan,
    raw_safetensors,
    refuses,
    study,
    write_network,
)

import pam_opt as pam
from pam_opt.atomic import write_atomic
from pam_opt.bench.config import read_bench_config
from pam_opt.data import load as load_data
from pam_opt.errors import (
    ConfigError,
    DataError,
    ProblemError,
    StorageError,
)
from pam_opt.study.config import parse_config, read_config
from pam_opt.study.folder import claim_folder, write_record
from pam_opt_solvers import Pairing

# --------------------------------------------------------------------------------------------- plan files


PLAN_DAMAGE = {
    "schema": 9,
    "tasks": ["a", "a"],
    "tasks.0": ["a"],
    "layers": 5,
    "layers.0": None,
    "layers.0.places.0.0": -5,
    "layers.0.places.0.1": 0.5,
    "layers.0.places.1.0": 2**70,
    "layers.0.places.1.1": 99,
    "layers.0.places": [],
    "layers.0.places.0": [0, 1],
    "layers.0.shares.0": [5.0, -4.0],
    "layers.0.shares.0.0": float("nan"),
    "layers.0.shares.1.0": -0.5,
    "layers.0.groups": None,
    "input_shape": "wide",
    "records": 5,
    "records.0": 5,
    "records.1": {"solver": "hungarian", "status": "OPTIMAL", "value": 1.0},
    "seconds": 5,
}


@pytest.mark.parametrize("place", PLAN_DAMAGE)
def test_a_damaged_plan_is_refused(tmp_path, place):
    path = tmp_path / "plan.json"
    plan().save(path)
    path.write_text(json.dumps(changed(json.loads(path.read_text()), place, PLAN_DAMAGE[place])))
    with refuses(StorageError, str(path), "is not a readable plan", "save it again"):
        pam.Plan.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_plan_is_refused(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with refuses(StorageError, str(path), "is not a readable plan"):
        pam.Plan.load(path)


def test_a_plan_whose_groups_or_shape_do_not_fit_is_refused_by_merge(tmp_path):
    path = tmp_path / "plan.json"
    plan().save(path)
    good = json.loads(path.read_text())
    for place, value, part in (
        ("layers.0.groups.0", "z", "layer 'linear1': group 'z' with 1 units is impossible"),
        ("layers.0.groups", ["a"] * 9, "layer 'linear2': units of group 'a+b' would read nothing"),
        ("input_shape", [1, 5, 5], "input shape (1, 5, 5) does not fit"),
    ):
        path.write_text(json.dumps(changed(good, place, value)))
        with refuses(pam.PamOptError, part):
            merged(plan=pam.Plan.load(path))


# ---------------------------------------------------------------------------------------------- network files


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    pam.save(merged(), path)
    return path


def test_truncated_and_foreign_files_are_refused(saved, tmp_path):
    content = saved.read_bytes()
    torch.save({"a": torch.zeros(2)}, tmp_path / "torch.pt")
    for damaged in (
        content[:-1],
        content[:100],
        content[:8],
        b"",
        b"1234567",
        pickle.dumps({"weights": [1.0]}),
        (tmp_path / "torch.pt").read_bytes(),
        raw_safetensors(b"no json"),
        raw_safetensors(b"[1]"),
        (2**62).to_bytes(8, "little") + b"{}",
    ):
        path = tmp_path / "network.safetensors"
        path.write_bytes(damaged)
        with refuses(StorageError, str(path), "is not a whole safetensors file", "save it again"):
            pam.load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with refuses(StorageError, str(path)):
            pam.load(path)


class _Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ["PAM_OPT_EVIL"],))


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    evil = tmp_path / "evil"
    monkeypatch.setenv("PAM_OPT_EVIL", str(evil))
    path = tmp_path / "renamed"
    path.write_bytes(pickle.dumps(_Evil()))
    np.savez(tmp_path / "objects.npz", cost=np.array([[_Evil()]], dtype=object))
    arrays = {name: np.array([_Evil()] * 4, dtype=object) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "data.npz", **arrays)
    for read, name, kind in (
        (pam.load, "renamed", StorageError),
        (pam.Plan.load, "renamed", StorageError),
        (Pairing.load, "renamed", ProblemError),
        (Pairing.load, "objects.npz", ProblemError),
        (load_data, "data.npz", DataError),
    ):
        with refuses(kind, name):
            read(tmp_path / name)
    assert not evil.exists()


STRUCTURE_DAMAGE = {
    "tasks": [],
    "tasks.0": "a.b",
    "tasks.1": "../b",
    "inputs": -16,
    "prelude": [{"kind": "exec", "settings": {}, "features": 1}],
    "prelude.0.settings": {"start_dim": 9, "end_dim": -1},
    "prelude.0.settings.start_dim": None,
    "layers": [],
    "layers.0": None,
    "layers.0.kind": "magic",
    "layers.1.kind": "conv2d",
    "layers.0.features": 0,
    "layers.0.norm": {"kind": "relu", "settings": {}, "features": 1},
    "layers.0.post": [{"kind": ["relu"], "settings": {}, "features": 1}],
    "layers.0.post.0.kind": "batch_norm1d",
    "layers.0.post.0": {"kind": "dropout", "settings": {"p": 7}, "features": 1},
    "layers.1.post": [{"kind": "leaky_relu", "settings": {"negative_slope": "steep"}, "features": 1}],
    "layers.2.post": [{"kind": "max_pool2d", "settings": {"kernel_size": 0}, "features": 1}],
    "widths": [],
    "widths.0": {"a+b": 10**12},
    "widths.1": {"a+b": 10**30},
    "widths.2": {"a": 3},
    "widths.0.a+b": -4,
    "widths.1.a+b": 1e400,
    "widths.1.": 3,
    "widths.1.z": 3,
    "input_shape": [1, 5, 5],
    "input_shape.0": "x",
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("place", STRUCTURE_DAMAGE)
def test_a_header_that_lies_is_refused(saved, tmp_path, place):
    network = pam.load(saved)
    structure = changed(network.structure.to_json(), place, STRUCTURE_DAMAGE[place])
    path = write_network(tmp_path / "network.safetensors", network.state_dict(), structure)
    with refuses(StorageError, str(path), "holds no network of pam-opt that fits itself", "save it again"):
        pam.load(path)


def test_a_task_named_twice_is_refused(saved, tmp_path):
    network = pam.load(saved)
    structure = network.structure.to_json() | {"tasks": ["a", "b", "b"]}
    with refuses(StorageError, "holds no network", "['a', 'b', 'b']"):
        pam.load(write_network(tmp_path / "network.safetensors", network.state_dict(), structure))


@pytest.mark.parametrize(
    "header", [None, {"other": "x"}, {"pam_opt": "{{"}, {"pam_opt": "[1]"}, {"pam_opt": "[" * 9999}]
)
def test_a_header_without_a_network_is_refused(tmp_path, header):
    from safetensors.torch import save_file

    path = tmp_path / "network.safetensors"
    save_file({"weight": torch.zeros(2)}, path, header)
    with refuses(StorageError, str(path), "holds no network of pam-opt"):
        pam.load(path)


def test_another_schema_is_refused(saved, tmp_path):
    network = pam.load(saved)
    path = write_network(tmp_path / "n.safetensors", network.state_dict(), network.structure.to_json(), schema=99)
    with refuses(StorageError, "schema 99, this version reads 2"):
        pam.load(path)


def test_a_giant_header_takes_no_memory(tmp_path):
    code = """
import resource, sys
import pam_opt as pam
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    pam.load(sys.argv[1])
except pam.PamOptError as err:
    print(type(err).__name__, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) // 1024)
"""
    network = merged()
    structure = changed(network.structure.to_json(), "widths.0", {"a+b": 10**12, "a": 10**12, "b": 10**12})
    path = write_network(tmp_path / "network.safetensors", network.state_dict(), structure)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=environment())
    name, megabytes = done.stdout.split()
    assert name == "StorageError", done.stderr
    assert int(megabytes) < 200


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


TENSOR_DAMAGE = {
    "wrong shape": (lambda name, tensor: {name: torch.zeros(7, 7)}, "size mismatch for layers.0"),
    "missing": (lambda name, tensor: {name: None}, "Missing key(s)"),
    "extra": (lambda name, tensor: {"stranger": torch.zeros(2)}, 'Unexpected key(s) in state_dict: "stranger"'),
    "whole numbers": (lambda name, tensor: {name: tensor.long()}, "layers.0"),
    "another precision": (lambda name, tensor: {name: tensor.double()}, "its weights are of different types"),
}


@pytest.mark.parametrize("damage", TENSOR_DAMAGE)
def test_tensors_that_do_not_fit_the_header_are_refused(saved, tmp_path, damage):
    network = pam.load(saved)
    change, part = TENSOR_DAMAGE[damage]
    tensors = network.state_dict()
    name = next(iter(tensors))
    tensors |= change(name, tensors[name])
    tensors = {key: tensor for key, tensor in tensors.items() if tensor is not None}
    path = write_network(tmp_path / "network.safetensors", tensors, network.structure.to_json())
    with refuses(StorageError, str(path), part):
        pam.load(path)


# ------------------------------------------------------------------------------------------------- data files


def test_data_with_objects_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    arrays = {"x_train": np.zeros((4, 2)), "x_test": np.zeros((4, 2)), "y_test": np.zeros(4, int)}
    np.savez(path, y_train=np.array([{}, 1, 2, 3], dtype=object), **arrays)
    with refuses(DataError, str(path), "y_train contains Python objects", "save it as numbers"):
        load_data(path)


def test_an_instance_with_objects_is_refused(tmp_path):
    path = tmp_path / "instance.npz"
    np.savez(path, cost=np.array([[{}]], dtype=object))
    with refuses(ProblemError, str(path), "Object arrays cannot be loaded"):
        Pairing.load(path)
    with refuses(ProblemError, "there is no such file"):
        Pairing.load(tmp_path / "none.npz")


@pytest.mark.parametrize("name", ["../../climbed.png", "/climbed.png"])
def test_a_zip_that_climbs_out_is_refused(tmp_path, name):
    path = tmp_path / "inner" / "images.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/cat/a.png", b"")
        archive.writestr(name, b"")
    with refuses(DataError, str(path), repr(name), "leads out of the archive"):
        load_data(path)
    assert not (tmp_path / "climbed.png").exists()


# ---------------------------------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"sedes": [0]}, ["unknown key 'sedes'", "correct its spelling"]),
        ({"data": {"sauce": "digits"}}, ["unknown key 'data.sauce'"]),
        ({"parents": {"lr": 0.1}}, ["unknown key 'parents.lr'"]),
        ({"merge": {"magic": 1}}, ["unknown key 'merge.magic'"]),
        ({"fine_tune": {"magic": 1}}, ["unknown key 'fine_tune.magic'"]),
        ({"prune": {"magic": 1}}, ["unknown key 'prune.magic'"]),
        ({"tasks": [{"name": "a", "klasses": [0]}]}, ["unknown key 'tasks.0.klasses'"]),
        ({"parents": {"epochs": "many"}}, ["parents.epochs", "integer"]),
        ({"parents": {"epochs": 0}}, ["parents.epochs", "greater than 0"]),
        ({"parents": {"learning_rate": float("nan")}}, ["parents.learning_rate", "finite"]),
        ({"parents": {"optimiser": "magic"}}, ["parents.optimiser", "'adam' or 'sgd'"]),
        ({"prune": {"max_drop": -0.1}}, ["prune.max_drop", "greater than or equal to 0"]),
        ({"data": {"validation": 1.0}}, ["data.validation", "less than 1"]),
        ({"merge": {"weights": "magic"}}, ["merge.weights", "'refit', 'average' or 'side_by_side'"]),
        ({"seeds": "x"}, ["seeds", "valid tuple"]),
        ({"name": None}, ["name", "Field required"]),
        ({"methods": ["magic"]}, ["methods: unknown ['magic']; known are ["]),
        ({"family": {"name": "magic"}}, ["family: unknown ['magic']; known are ['lenet5'"]),
        ({"merge": {"cost": "magic"}}, ["merge.cost: unknown ['magic']; known are ['correlation'"]),
        ({"prune": {"methods": ["magic"]}}, ["prune.methods: unknown ['magic']; known are ['magnitude', "]),
        ({"name": "../../elsewhere"}, ["name", "match pattern"]),
        ({"name": ""}, ["name", "match pattern"]),
        ({"name": "[/red]"}, ["name", "match pattern"]),
        ({"threads": 10**8}, ["threads", "less than or equal to 1024"]),
        ({"prune": {"max_drop": float("inf")}}, ["prune.max_drop", "finite"]),
        ({"fine_tune": {"epochs": [0.1, 0.10000001]}}, ["fine_tune.epochs", "each only once"]),
        ({"seeds": []}, ["seeds: needs at least one entry"]),
        ({"tasks": [{"name": "a", "classes": [0]}]}, ["needs at least two tasks"]),
        ({"tasks": [{"name": "a", "classes": [0]}] * 2}, ["duplicate task names ['a']"]),
        ({"tasks": [{"name": "a+b", "classes": [0]}] * 2}, ["task name 'a+b'"]),
        ({"tasks": [{"name": "a"}] * 2}, ["task 'a' has 0 target rules"]),
    ],
)
def test_wrong_configurations_name_the_key(changes, parts):
    with refuses(ConfigError, "study.yaml", *parts):
        parse_config(study(**changes), "study.yaml")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "must be a mapping of keys to values"),
        ("- a\n- b\n", "must be a mapping of keys to values"),
        ("just text", "must be a mapping of keys to values"),
        ("a: [", "is not valid YAML"),
        ("? [1, 2]\n: 3", "is not valid YAML"),
        ("name: !!python/object/apply:os.mkdir [evil]", "is not valid YAML: could not determine a constructor"),
        ("name: !!python/name:os.system", "is not valid YAML"),
        ("1: 2", "Keys should be strings"),
        ("name: 2001-99-99", "is not valid YAML"),
        ("threads: !!int zz", "is not valid YAML"),
        ("[" * 5000, "is not valid YAML"),
    ],
)
def test_files_that_are_no_configuration_are_refused(tmp_path, monkeypatch, text, part):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with refuses(ConfigError, str(path), part):
        read_config(path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("read", [read_config, read_bench_config])
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name: a\nmethods: [x]\nname: b\n", ["key 'name' is there twice, in line 1 and in line 3"]),
        ("merge:\n  cost: fisher\n  cost: fisher\n", ["key 'cost' is there twice, in line 2 and in line 3"]),
        ("tasks:\n- {name: a, name: b}\n", ["key 'name' is there twice, in line 2"]),
    ],
)
def test_a_key_twice_is_named(tmp_path, read, text, parts):
    (tmp_path / "study.yaml").write_text(text)
    with refuses(ConfigError, "study.yaml", *parts):
        read(tmp_path / "study.yaml")


def test_missing_and_binary_configurations_are_refused(tmp_path):
    with refuses(ConfigError, "none.yaml' cannot be read: No such file"):
        read_config(tmp_path / "none.yaml")
    with refuses(ConfigError, "cannot be read: Is a directory"):
        read_config(tmp_path)
    (tmp_path / "study.yaml").write_bytes(b"\xff\xfe")
    with refuses(ConfigError, "is not valid YAML"):
        read_config(tmp_path / "study.yaml")


# ---------------------------------------------------------------------------------------------- output folders


def test_a_folder_with_another_experiment_is_refused(tmp_path):
    claim_folder(tmp_path / "out", {"config": 1, "data": 2}, resume=False)
    with refuses(ConfigError, "holds this experiment already; add --resume"):
        claim_folder(tmp_path / "out", {"config": 1, "data": 2}, resume=False)
    with refuses(ConfigError, "holds another experiment (it differs in ['config'])", "choose another --out"):
        claim_folder(tmp_path / "out", {"config": 9, "data": 2}, resume=True)
    assert json.loads((tmp_path / "out" / "experiment.json").read_text()) == {"config": 1, "data": 2}


def test_a_folder_with_foreign_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for resume in (False, True):
        with refuses(ConfigError, str(tmp_path), "is not empty and holds no experiment", "choose another --out"):
            claim_folder(tmp_path, {}, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with refuses(StorageError, "out' cannot be used: File exists"):
        claim_folder(tmp_path / "out", {}, resume=False)
    with refuses(StorageError, "cannot be used: Not a directory"):
        claim_folder(tmp_path / "out" / "deeper", {}, resume=False)


# ------------------------------------------------------------------------------------------------- full disks


def write_figure(path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([0, 1])
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))


WRITERS = {
    "network": lambda path: pam.save(merged(), path),
    "plan": lambda path: plan().save(path),
    "pairing": lambda path: Pairing(np.zeros((9, 9))).save(path),
    "record": lambda path: write_record(path, {"numbers": list(range(999))}),
    "figure": write_figure,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, writer):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with refuses(
            pam.PamOptError, str(path), "No space left on device", "unchanged" if writer == "pairing" else "nothing"
        ):
            WRITERS[writer](path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    WRITERS[writer](path)
    assert path.read_bytes() != b"old"
    assert leftovers(tmp_path) == []


LIMITED = """
import resource, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
import pam_opt as pam
import test_bad_files
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
for name, write in test_bad_files.WRITERS.items():
    try:
        write(folder / name)
    except pam.PamOptError as err:
        print(name, type(err).__name__, "written" in str(err) or "write" in str(err))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits on the size of files are POSIX only")
def test_a_disk_that_fills_up_while_writing_leaves_the_old_file(tmp_path):
    for name in WRITERS:
        (tmp_path / name).write_bytes(b"old")
    command = [sys.executable, "-c", LIMITED, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(WRITERS), done.stdout + done.stderr
    assert all(line.endswith("True") for line in done.stdout.splitlines()), done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(WRITERS)
    assert all(path.read_bytes() == b"old" for path in tmp_path.iterdir())


@pytest.mark.parametrize("writer", WRITERS)
def test_a_missing_folder_is_named(tmp_path, writer):
    path = tmp_path / "none" / "file"
    with refuses(pam.PamOptError, str(path), "No such file or directory"):
        WRITERS[writer](path)


def test_a_writer_that_is_interrupted_leaves_nothing(tmp_path):
    def interrupted(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", interrupted)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
