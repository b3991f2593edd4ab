"""What is shipped: the wheel, the source archive, and which module may import which."""

import ast
import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOLVERS = ROOT / "solvers" / "pam_opt_solvers"
BACKENDS = ["torch", "pam_opt", "ortools", "pulp", "networkx", "scipy"]


def build(kind: str, folder: Path) -> Path:
    """Build a wheel or a source archive of this checkout, without a network."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install hatchling")
    code = f"import sys; from hatchling.build import build_{kind} as build; print(build(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> set[str]:
    """Names in the source archive, without its top folder."""
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as file:
        return {name.partition("/")[2] for name in file.getnames()}


def tracked(*folders: str) -> set[str]:
    """Python files of the checkout, by their path in it."""
    return {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py")}


# ----------------------------------------------------------------------------------------------------- archives


def test_the_wheel_holds_the_two_packages_only(wheel):
    top = {name.partition("/")[0] for name in wheel.namelist()}
    (info,) = [name for name in top if name.endswith(".dist-info")]
    assert top == {"pam_opt", "pam_opt_solvers", info}
    assert {"pam_opt/py.typed", "pam_opt_solvers/py.typed"} <= set(wheel.namelist())
    assert not any("__pycache__" in name or "test" in Path(name).name for name in wheel.namelist())


def test_the_wheel_holds_every_module(wheel):
    shipped = {name for name in wheel.namelist() if name.endswith(".py")}
    assert shipped == tracked("pam_opt") | {name.removeprefix("solvers/") for name in tracked("solvers")}


def test_the_wheel_says_what_it_is(wheel):
    (info,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    meta = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert meta["Name"] == "pam-opt"
    assert meta["License-Expression"] == "MIT"
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert wheel.read(f"{info}/METADATA").strip().endswith((ROOT / "README.md").read_bytes().strip())
    assert b"pam-opt = pam_opt.cli:main" in wheel.read(f"{info}/entry_points.txt")


def test_the_wheel_runs_on_its_own(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = "import pam_opt_solvers, pam_opt.cli as c; print(pam_opt_solvers.__file__); print(c.__file__)"
    # The current folder comes first in the path of -c, before an editable installation.
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(line.startswith(str(tmp_path)) for line in done.stdout.split())


def test_the_source_archive_holds_tests_benchmarks_and_licence(archive):
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= archive
    assert tracked("pam_opt", "solvers", "tests", "benchmarks") <= archive
    assert "tests/test_packaging.py" in archive
    assert not any(name.startswith((".", "runs/")) for name in archive - {".gitignore"})


def test_the_readme_names_every_command():
    from pam_opt.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf8")
    assert app.registered_commands
    for command in app.registered_commands:
        assert f"`pam-opt {command.name}" in text


def test_places_that_the_readme_names_exist():
    text = (ROOT / "README.md").read_text(encoding="utf8")
    places = re.findall(r"`((?:pam_opt|solvers|benchmarks|tests)/[\w/.]*)`", text)
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


# ----------------------------------------------------------------------------------------------------- imports


def loaded(code: str) -> list[str]:
    """Return which backends a new interpreter has loaded after running the code."""
    code += f"; import sys; print(*[name for name in {BACKENDS} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    return done.stdout.split()


def test_the_solvers_are_listed_without_any_backend():
    assert loaded("import pam_opt_solvers; assert pam_opt_solvers.available()") == []


def test_the_networks_load_no_solver_backend():
    assert set(loaded("import pam_opt, pam_opt_solvers; pam_opt_solvers.available()")) <= {
        "pam_opt",
        "torch",
        "networkx",
        "scipy",
    }


def imports_of(path: Path) -> set[str]:
    """Name the top-level packages that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(SOLVERS.rglob("*.py")), ids=lambda path: path.stem)
def test_solvers_import_neither_torch_nor_the_networks(path):
    assert not imports_of(path) & {"torch", "pam_opt", "pydantic", "typer", "rich", "matplotlib"}


def test_only_the_command_line_and_reports_print():
    for path in (ROOT / "pam_opt").rglob("*.py"):
        if path.relative_to(ROOT).parts[1] not in ("cli", "report"):
            assert not imports_of(path) & {"rich", "typer", "matplotlib"}, path
