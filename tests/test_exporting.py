"""Exported files: the network's outputs in other runtimes, fewer nodes than the parents, refusals in sentences."""

import importlib.util
from math import inf

import pytest
import torch
from networks import SHAPES, merged_example, random_lattice, random_parent
from torch import nn

import pam_opt as pam
from pam_opt.errors import ExportFailed, StorageError, TaskError, UnsupportedModel
from pam_opt.exporting import export, export_combinations, formats
from pam_opt.exporting.capture import capture
from pam_opt.running import compile_combination
from pam_opt.tasks import Task, combinations

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
needs_onnx = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, PACKAGES)), reason="needs the extra 'export': onnx, onnxruntime, onnxscript"
)


@needs_onnx
def test_every_combination_runs_in_onnxruntime_with_fewer_nodes_than_the_parents(tmp_path):
    import onnxruntime

    parents = [
        pam.single(random_parent("lenet5", seed), Task(name, classes=range(2)), SHAPES["lenet5"])
        for seed, name in enumerate("abc")
    ]
    separate = sum(export(parent, tmp_path / "parent.onnx").nodes for parent in parents)
    network = random_lattice("lenet5", ["a", "b", "c"], 0)
    written = list(export_combinations(network, tmp_path / "net.onnx", call_macs=inf))
    assert [frozenset(one.tasks) for one in written] == combinations("abc")
    for one in written:
        assert one.nodes < separate
        assert one.dynamic == ("batch",)
        session = onnxruntime.InferenceSession(str(one.path), providers=["CPUExecutionProvider"])
        assert [value.name for value in session.get_inputs()] == ["x"]
        assert session.get_inputs()[0].shape[0] == "batch"
        x = torch.randn(5, *SHAPES["lenet5"])
        with torch.no_grad():
            expected = network(x, one.tasks)
        outputs = session.run(list(one.tasks), {"x": x.numpy()})
        for task, output in zip(one.tasks, outputs, strict=True):
            torch.testing.assert_close(torch.from_numpy(output), expected[task], atol=1e-4, rtol=1e-4)
    assert len(list(tmp_path.iterdir())) == 8


def test_torch_export_is_read_back(tmp_path):
    network = random_lattice("small_vgg", ["a", "b", "c"], 1)
    written = export(network, tmp_path / "net.pt2", ["c", "a"], format="torch-export")
    assert written.tasks == ("a", "c")
    assert written.macs == pam.costs(network).macs[frozenset("ac")]
    x = torch.randn(4, *SHAPES["small_vgg"])
    with torch.no_grad():
        expected = network(x, ["a", "c"])
    for task, output in torch.export.load(tmp_path / "net.pt2").module()(x).items():
        torch.testing.assert_close(output, expected[task], atol=1e-4, rtol=1e-4)


def test_image_size_stays_open_behind_adaptive_pooling_only():
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    network = pam.single(module, Task("a", classes=range(2)), (2, 8, 8))
    graph, dynamic = capture(compile_combination(network), (2, 8, 8), torch.float32)
    assert list(dynamic.values()) == ["batch", "height", "width"]
    x = torch.randn(3, 2, 12, 10)
    with torch.no_grad():
        torch.testing.assert_close(graph.module()(x)["a"], network.eval()(x)["a"])
    fixed = compile_combination(merged_example("lenet5", 1))
    assert list(capture(fixed, SHAPES["lenet5"], torch.float32)[1].values()) == ["batch"]


def test_missing_packages_and_bad_requests_are_sentences(tmp_path, monkeypatch):
    network, path = random_lattice("mlp", ["a", "b"], 0), tmp_path / "net.pt2"
    with pytest.raises(ExportFailed, match="format 'tflite' is unknown; choose from onnx, torch-export"):
        export(network, path, format="tflite")
    with pytest.raises(TaskError, match="unknown task names"):
        export(network, path, ["z"], format="torch-export")
    with pytest.raises(StorageError, match="could not be written"):
        export(network, tmp_path / "none" / "net.pt2", format="torch-export")
    with pytest.raises(UnsupportedModel, match="takes a MultitaskNetwork"):
        export(nn.Linear(1, 1), path)  # type: ignore[arg-type]
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportFailed, match=r"pip install 'pam-opt\[export\]'"):
        export(network, path)


def test_a_file_with_other_outputs_never_takes_its_name(tmp_path, monkeypatch):
    network, path = random_lattice("mlp", ["a", "b"], 0), tmp_path / "net.pt2"
    form = formats.FORMATS["torch-export"]
    right = form.read

    def wrong(file, tasks):
        run, nodes = right(file, tasks)
        return lambda x: {task: output + 1e-2 for task, output in run(x).items()}, nodes

    monkeypatch.setattr(form, "read", wrong)
    with pytest.raises(ExportFailed, match="other outputs for task 'a'"):
        export(network, path, format="torch-export")
    assert not list(tmp_path.iterdir())


def test_command(command, tmp_path):
    network, out = random_lattice("mlp", ["a", "b"], 0), tmp_path / "net.pt2"
    pam.save(network, tmp_path / "net.safetensors")
    code, printed, error = command(
        "export", tmp_path / "net.safetensors", "--out", out, "--format", "torch-export", "--all-combinations"
    )
    assert (code, error) == (0, "")
    assert (tmp_path / "net.a+b.pt2").exists()
    assert "batch" in printed
    code, _, error = command("export", tmp_path / "net.safetensors", "--out", out, "--tasks", "a", "--all-combinations")
    assert code == 1
    assert "leave --tasks out" in error
