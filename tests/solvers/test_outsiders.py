"""Another package's solvers: installed, found by entry point, and put through the contract suite like ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGE = ROOT / "tests" / "toy_package"


def environment(*folders: Path) -> dict[str, str]:
    entries = [*map(str, folders), *(entry for entry in sys.path if entry)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(entries)}


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, *command]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, env=environment(folder))


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Return a folder into which the toy package is installed, as pip installs anybody's; no network is needed."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install hatchling")
    folder = tmp_path_factory.mktemp("installed")
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = run(*pip, "--target", str(folder), str(PACKAGE), folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def outcomes(installed) -> dict[str, dict[str, set[str]]]:
    """Return the tests of the suite that passed and failed, by solver."""
    suite = [str(HERE / "test_contract.py"), "-k", "toy_", "-rpf", "--tb=no", "--noconftest", "-p", "no:cacheprovider"]
    done = run("-m", "pytest", *suite, folder=installed)
    found: dict[str, dict[str, set[str]]] = {}
    for verdict, test, solver in re.findall(r"^(PASSED|FAILED) \S*?::(\w+)\[\w+-(toy_\w+)", done.stdout, re.MULTILINE):
        found.setdefault(solver, {"PASSED": set(), "FAILED": set()})[verdict].add(test)
    assert found, done.stdout + done.stderr
    return found


@pytest.mark.parametrize("solver", ["toy_subsets", "toy_random"])
def test_good_solvers_of_others_pass(outcomes, solver):
    passed, failed = (outcomes[solver][verdict] for verdict in ("PASSED", "FAILED"))
    assert not failed
    assert {"test_known_optimum", "test_infeasible", "test_drawn", "test_a_process_of_its_own"} <= passed


@pytest.mark.parametrize(
    ("solver", "test"),
    [
        ("toy_boaster", "test_known_optimum"),
        ("toy_overshooter", "test_known_optimum"),
        ("toy_drifter", "test_record_and_repetition"),
    ],
)
def test_wrong_solvers_of_others_are_found_out(outcomes, solver, test):
    assert test in outcomes[solver]["FAILED"]


def test_their_solvers_are_called_by_name(installed):
    code = (
        "import numpy as np\nfrom pam_opt_solvers import Pairing, available, solve\n"
        "print(solve(Pairing(np.array([[4.0, 1.0], [2.0, 0.0]])), 'toy_subsets').value)\n"
        "print([info.name for info in available('representatives') if info.name.startswith('toy_')])"
    )
    done = run("-c", code, folder=installed)
    assert done.stdout.splitlines() == ["3.0", "['toy_drifter', 'toy_overshooter', 'toy_random']"], done.stderr
