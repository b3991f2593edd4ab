"""The command line: what it prints and writes, how errors end, and that an interrupted run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from bad_input_cases import leftovers, merged, strict_json, study, without_seconds
from networks import merged_example

import pam_opt as pam
from pam_opt import cli
from pam_opt_solvers import available


@pytest.fixture
def refused(command):
    """Run ``pam-opt`` and expect exit code 1 and an error of the given class whose text has all the parts."""

    def run(arguments: list[object], kind: str, *parts: object) -> None:
        code, _, error = command(*arguments)
        assert code == 1, error
        assert error.startswith(f"Error ({kind}): "), error
        assert "Traceback" not in error
        for part in parts:
            assert str(part) in error, error

    return run


def write_study(folder: Path, **changes) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study(**changes)))
    return path


def write_instance(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "instance.npz"
    np.savez(path, **{"cost": np.array([[4.0, 1.0], [2.0, 3.0]])} | arrays)  # type: ignore[arg-type]
    return path


# ----------------------------------------------------------------------------------------------------- solvers


def test_solvers_are_listed(command):
    code, printed, error = command("solvers")
    assert (code, error) == (0, "")
    for info in available():
        assert info.name in printed
    assert "go together" in printed.replace("\n", " ")


def test_help_and_unknown_commands(command):
    code, printed, _ = command("--help")
    assert code == 0
    assert all(name in printed for name in ("demo", "run", "costs", "solve", "solvers"))
    code, _, error = command("magic")
    assert code == 2
    assert "No such command 'magic'" in error


# ------------------------------------------------------------------------------------------------------- solve


@pytest.mark.parametrize("options", [[], ["--solver", "greedy"], ["--solver", "cp_sat", "--time-limit", "20"]])
def test_solve_prints_what_is_proven(command, tmp_path, options):
    code, printed, error = command("solve", write_instance(tmp_path), *options)
    assert (code, error) == (0, "")
    assert "value 3" in printed
    assert "2 pairs" in printed
    assert "Optimal: proven that no decision is better." in printed


def test_solve_says_when_there_is_no_decision(command, tmp_path):
    code, printed, _ = command("solve", write_instance(tmp_path, cost=np.full((2, 2), np.inf)))
    assert code == 0
    assert "Infeasible: proven that no decision exists" in printed


@pytest.mark.parametrize(
    ("options", "kind", "part"),
    [
        (["--solver", "magic"], "SolverNotFound", "no solver is called 'magic'"),
        (["--solver", "[bold]"], "SolverNotFound", "'[bold]'"),
        (["--time-limit", "0"], "ProblemError", "time_limit is 0; it must be a finite number above 0"),
        (["--time-limit", "nan"], "ProblemError", "time_limit is nan"),
        (["--seed", "-1"], "ProblemError", "seed is -1"),
        (["--threads", "0"], "ProblemError", "threads is 0"),
    ],
)
def test_solve_refuses_impossible_options(refused, tmp_path, options, kind, part):
    refused(["solve", write_instance(tmp_path), *options], kind, part)


@pytest.mark.parametrize("cost", [np.array([[4.0, 1.0], [2.0, 3.0]]), np.full((2, 2), np.inf)])
def test_solutions_are_written_and_checked(command, tmp_path, cost):
    instance, out = write_instance(tmp_path, cost=cost), tmp_path / "solution.npz"
    code, printed, error = command("solve", instance, "--out", out)
    assert (code, error) == (0, "")
    assert f"Written: {out}" in printed
    with np.load(out) as file:
        assert str(file["schema"]) == "pam_opt.solution/1"
        assert str(file["problem"]) == "pam_opt.pairing/1"
        if np.isfinite(cost).all():
            assert file["decision"].tolist() == [[0, 1], [1, 0]]
            assert (float(file["value"]), float(file["bound"]), str(file["status"])) == (3.0, 3.0, "OPTIMAL")
        else:
            assert "decision" not in file
    code, printed, error = command("solve", instance, "--check", out)
    assert (code, error) == (0, "")
    expected = "Valid: value 3, 2 pairs" if np.isfinite(cost).all() else "claims INFEASIBLE without a decision"
    assert expected in printed


def test_false_solutions_are_refused(command, refused, tmp_path):
    instance, out = write_instance(tmp_path), tmp_path / "solution.npz"
    command("solve", instance, "--out", out)
    with np.load(out) as file:
        arrays = dict(file)
    for changes, part in (
        ({"value": np.array(2.0)}, "claims the value 2, but its decision has 3"),
        ({"bound": np.array(9.0)}, "claims the bound 9, above its own value"),
        ({"bound": np.array(np.nan)}, "claims the bound nan"),
        ({"decision": np.array([[0, 0], [1, 0]])}, "not a decision of Pairing"),
        ({"decision": np.array(["x"])}, "not a decision of Pairing"),
        ({"fingerprint": np.array("other")}, "of another instance"),
        ({"problem": np.array("pam_opt.grouping/1")}, "of another instance"),
        ({"schema": np.array("pam_opt.solution/9")}, "holds the schema 'pam_opt.solution/9'"),
        ({"value": np.array("x")}, "value and bound must be numbers"),
        ({"value": np.array([1.0, 2.0])}, "value and bound must be numbers"),
    ):
        np.savez(out, **(arrays | changes))  # type: ignore[arg-type]
        refused(["solve", instance, "--check", out], "ProblemError", part)
    refused(["solve", instance, "--check", instance], "ProblemError", "it holds no bound")
    refused(["solve", instance, "--check", tmp_path / "none.npz"], "ProblemError", "no such file")
    refused(["solve", instance, "--out", tmp_path / "none" / "x.npz"], "PamOptError", "cannot write")
    refused(["solve", instance, "--check", out, "--out", out], "ConfigError", "--check solves nothing")


def test_solve_refuses_files_that_are_no_instance(refused, tmp_path):
    path = tmp_path / "instance.npz"
    refused(["solve", path], "ProblemError", path, "no such file")
    for content in (b"", b"no archive", write_instance(tmp_path).read_bytes()[:-30]):
        path.write_bytes(content)
        refused(["solve", path], "ProblemError", path)
    refused(["solve", tmp_path], "ProblemError", tmp_path, "Is a directory")


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"cost": np.full((2, 2), np.nan)}, "cost[0, 0] is nan"),
        ({"cost": np.zeros(3)}, "cost has shape (3,)"),
        ({"cost": np.array([["a"]])}, "cost must hold real numbers"),
        ({"cost": np.array([[{}]], dtype=object)}, "Object arrays cannot be loaded"),
        ({"n_pairs": np.array(9)}, "n_pairs is 9; it must lie in 0..2"),
        ({"single_rows": np.zeros(5)}, "single_rows has shape (5,)"),
        ({"schema": np.array("other/1")}, "holds the schema 'other/1'"),
    ],
)
def test_solve_refuses_impossible_instances(refused, tmp_path, arrays, part):
    refused(["solve", write_instance(tmp_path, **arrays)], "ProblemError", "instance.npz", part)


# ------------------------------------------------------------------------------------------------------- costs


def test_costs_are_printed(command, tmp_path):
    network = merged()
    pam.save(network, tmp_path / "network")
    code, printed, error = command("costs", tmp_path / "network")
    assert (code, error) == (0, "")
    table = pam.costs(network)
    for combination, macs in table.macs.items():
        assert any("+".join(sorted(combination)) in line and f"{macs:,}" in line for line in printed.splitlines())
    assert f"{table.expected:,.1f}" in printed
    assert command("costs", tmp_path / "network", "--input-shape", "16")[:2] == (0, printed)


def test_costs_need_a_shape_that_fits(refused, command, tmp_path):
    network = merged_example("lenet5", 1)
    pam.save(network, tmp_path / "network")
    bare = pam.single(pam.families.lenet5((1, 8, 8), 3, widths=(2, 2, 4, 4)), pam.Task("a", classes=[0, 1]))
    pam.save(bare, tmp_path / "bare")
    refused(["costs", tmp_path / "bare"], "UnsupportedModel", "does not remember its input shape", "give input_shape=")
    assert command("costs", tmp_path / "bare", "--input-shape", "1,8,8")[0] == 0
    for shape in ("1,9,40", "3,8,8", "64", "1,0,0"):
        refused(["costs", tmp_path / "network", "--input-shape", shape], "UnsupportedModel", "does not fit the network")
    for shape in ("x", "", "1,,8", "1.5,8,8"):
        refused(["costs", tmp_path / "network", "--input-shape", shape], "ConfigError", f"{shape!r} is not a shape")


def test_costs_refuse_files_that_are_no_network(refused, tmp_path):
    path = tmp_path / "network"
    refused(["costs", path], "StorageError", path)
    path.write_bytes(b"no network")
    refused(["costs", path], "StorageError", path, "not a whole safetensors file")


# --------------------------------------------------------------------------------------------------------- run


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a tiny study that ran through."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pam-opt", "run", str(write_study(folder)), "--out", str(folder / "out")])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code
    return folder / "out"


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def test_results_have_their_schema(finished):
    results = strict_json(finished / "results.json")
    assert results["schema"] == 1
    assert results["experiment"]["seed"] == 0
    assert results["experiment"]["name"] == "tiny"
    assert results["environment"]["packages"]["torch"]
    assert set(results["parents"]) == {"low", "even"}
    for parent in results["parents"].values():
        assert 0 <= parent["accuracy"] <= 1
        assert is_count(parent["macs"])
    assert list(results["methods"]) == ["separate", "optimal"]


@pytest.mark.parametrize("method", ["separate", "optimal"])
def test_each_method_has_its_schema(finished, method):
    cell = strict_json(finished / "results.json")["methods"][method]
    assert set(cell["combinations"]) == {"even", "low", "even+low"}
    for key, combination in cell["combinations"].items():
        assert is_count(combination["macs"])
        assert set(combination["accuracy"]) == set(key.split("+"))
        assert all(0 <= value <= 1 for value in combination["accuracy"].values())
    macs = [combination["macs"] for combination in cell["combinations"].values()]
    assert cell["expected_macs"] == pytest.approx(sum(macs) / 3)
    assert set(cell["seconds"]) >= {"measure", "solve", "merge", "prune"}
    assert all(value >= 0 for value in cell["seconds"].values())
    assert set(cell["solver"]) == {"name", "status", "value", "bound", "gap"}
    solver = cell["solver"]
    if method == "separate":
        assert set(solver.values()) == {None}
    else:
        assert (solver["name"], solver["status"], solver["gap"]) == ("hungarian", "OPTIMAL", 0.0)
        assert solver["value"] == pytest.approx(solver["bound"])


def test_a_run_writes_plans_networks_figures_and_a_table(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    networks = {f"networks/{name}.safetensors" for name in ("optimal", "separate-low", "separate-even")}
    assert names >= networks | {"experiment.json", "plans/optimal.json", "table.md"}
    assert any(name.startswith("figures/") and name.endswith(".png") for name in names)
    assert pam.Plan.load(finished / "plans" / "optimal.json").tasks == ("low", "even")
    assert "| optimal" in (finished / "table.md").read_text() or " optimal " in (finished / "table.md").read_text()
    assert leftovers(finished) == []


def test_costs_of_a_finished_network_are_those_of_the_results(finished, command):
    code, printed, _ = command("costs", finished / "networks" / "optimal.safetensors")
    assert code == 0
    combinations = strict_json(finished / "results.json")["methods"]["optimal"]["combinations"]
    for key, combination in combinations.items():
        assert any(key in line and f"{combination['macs']:,}" in line for line in printed.splitlines())


def test_a_used_folder_is_refused_without_resume(finished, refused):
    config = finished.parent / "study.yaml"
    refused(["run", config, "--out", finished], "ConfigError", finished, "add --resume to go on with it")
    refused(["run", config, "--out", finished, "--resume", "--seed", 3], "ConfigError", "holds another experiment")
    refused(["run", config, "--out", finished.parent], "ConfigError", "holds no experiment; choose another --out")
    refused(["run", config, "--out", config], "StorageError", config, "cannot be used: File exists")


def test_resuming_what_is_finished_changes_nothing(finished, command):
    before = times(finished)
    code, printed, _ = command("run", finished.parent / "study.yaml", "--out", finished, "--resume")
    assert code == 0
    assert "train parent" not in printed
    after = times(finished)
    assert {name: after[name] for name in before if is_unit(name)} == {n: before[n] for n in before if is_unit(n)}


def times(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def is_unit(name: str) -> bool:
    """Whether a file belongs to a finished unit of work, not to what is drawn up anew at the end."""
    return name.split(os.sep)[0] in ("parents", "methods", "networks", "plans")


def test_run_refuses_missing_data_and_configurations(refused, tmp_path):
    out = ["--out", tmp_path / "out"]
    refused(["run", tmp_path / "none.yaml", *out], "ConfigError", "none.yaml' cannot be read")
    config = write_study(tmp_path)
    refused(["run", config, "--data", tmp_path / "none.npz", *out], "DataError", "does not exist. Give one of")
    refused(["run", config, "--seed", -1, *out], "ConfigError", "--seed", "greater than or equal to 0")
    refused(["run", write_study(tmp_path, prune={"magic": 1}), *out], "ConfigError", "unknown key 'prune.magic'")
    refused(["run", write_study(tmp_path, family={"name": "lenet5", "options": {"widths": [2]}}), *out], "ConfigError")
    assert not (tmp_path / "out" / "results.json").exists()


def test_several_seeds_have_a_folder_each(command, tmp_path):
    config = write_study(tmp_path, seeds=[0, 1], methods=["optimal"], prune=None)
    code, printed, error = command("run", config, "--out", tmp_path / "out")
    assert (code, error) == (0, "")
    assert "2 seeds, mean ± standard deviation" in " ".join(printed.split())
    for seed in (0, 1):
        assert strict_json(tmp_path / "out" / f"seed-{seed}" / "results.json")["experiment"]["seed"] == seed
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_terminal_without_plus_minus_gets_the_same_numbers(command, tmp_path):
    config = write_study(tmp_path, seeds=[0, 1], methods=["optimal", "select"], prune=None)
    assert command("run", config, "--out", tmp_path / "out")[0] == 0
    process = start("run", config, "--out", tmp_path / "out", "--resume", PYTHONIOENCODING="ascii")
    printed, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    assert printed.isascii()
    assert "mean +/- standard deviation" in " ".join(printed.split())
    assert "'optimal' against 'select'" in printed


# ------------------------------------------------------------------------------------------------- interruption


def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Start ``pam-opt`` in a process of its own."""
    # A test run in the background ignores the signal of Ctrl-C and would hand that on.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from pam_opt.cli import main; main()"
    environment = (
        os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "COLUMNS": "200"} | variables
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.002)


@pytest.mark.skipif(sys.platform == "win32", reason="sends the signal of Ctrl-C")
def test_ctrl_c_says_how_to_go_on_and_resume_gives_the_same_results(command, tmp_path):
    # Enough steps that the second method is under way when the first one's record appears.
    config = write_study(tmp_path, fine_tune={"epochs": [40], "batch_size": 8})
    out = tmp_path / "out"
    process = start("run", config, "--out", out)
    wait_for(out / "methods" / "separate.json", process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.startswith("Interrupted."), error
    assert "--resume" in error
    assert str(out) in error
    assert "Traceback" not in error
    assert not (out / "results.json").exists()
    assert leftovers(out) == []

    before = {name: when for name, when in times(out).items() if is_unit(name)}
    assert "methods/separate.json" in before
    assert "methods/optimal.json" not in before
    assert command("run", config, "--out", out, "--resume")[0] == 0
    after = times(out)
    finished = {name for name in before if "optimal" not in name}
    assert {name: after[name] for name in finished} == {name: before[name] for name in finished}

    assert command("run", config, "--out", tmp_path / "whole")[0] == 0
    resumed, whole = (strict_json(folder / "results.json") for folder in (out, tmp_path / "whole"))
    assert without_seconds(resumed["methods"]) == without_seconds(whole["methods"])
    assert resumed["parents"] == whole["parents"]


def test_errors_of_the_installed_command_end_in_one_sentence(tmp_path):
    process = start("solve", tmp_path / "none.npz")
    printed, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert printed == ""
    assert error == f"Error (ProblemError): cannot read {tmp_path / 'none.npz'}: there is no such file\n"


def test_results_are_valid_for_other_readers(finished):
    text = (finished / "results.json").read_text(encoding="utf8")
    assert json.loads(text) == strict_json(finished / "results.json")
    assert "NaN" not in text


def test_solvers_of_one_problem(command):
    code, printed, _ = command("solvers", "representatives")
    assert code == 0
    assert "swaps" in printed
    assert "hungarian" not in printed
    code, _, error = command("solvers", "representative")
    assert code == 1
    assert "representatives" in error
