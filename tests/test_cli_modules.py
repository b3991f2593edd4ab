"""Networks named on the command line: printed, drawn, refused in sentences."""

import pytest


def test_trace_prints_and_draws(command, tmp_path):
    out = tmp_path / "layers.png"
    code, printed, error = command("trace", "resnet20", "--input-shape", "3,16,16", "--draw", out)
    assert (code, error) == (0, "")
    assert "tied to" in printed
    assert "add" in printed
    assert out.read_bytes().startswith(b"\x89PNG")


def test_modules_are_imported_from_the_current_folder(command, tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))\n"
        "def wrong():\n    return 1\ndef needs(x):\n    return x\nnumber = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    code, printed, error = command("trace", "my_nets:net")
    assert (code, error) == (0, "")
    assert "linear" in printed
    for name, part in (
        ("my_nets:wrong", "returned a int"),
        ("my_nets:needs", "failed when called without arguments"),
        ("my_nets:number", "is a int"),
        ("my_nets:none", "cannot be imported"),
        ("no_such_nets:net", "cannot be imported"),
        ("lenet6", "neither module:callable"),
        ("lenet5", "give --input-shape"),
    ):
        code, _, error = command("trace", name)
        assert code == 1
        assert error.startswith("Error (ConfigError): ")
        assert part in error


@pytest.mark.parametrize("shape", ["3,x", "3;8"])
def test_shapes_are_numbers(command, shape):
    code, _, error = command("trace", "lenet5", "--input-shape", shape)
    assert code == 1
    assert "is not a shape" in error
