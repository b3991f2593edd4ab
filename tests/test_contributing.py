"""CONTRIBUTING.md names files, tests and commands that exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pam_opt.cli import app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
PATHS = sorted(set(re.findall(r"`?((?<!\w)(?:pam_opt|solvers|tests|benchmarks)/[\w./*]+)", TEXT)))
COMMANDS = sorted(
    {
        command.strip()
        for block in [*re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL), *re.findall(r"`([^`\n]+)`", TEXT)]
        for line in block.splitlines()
        for command in line.split("&&")
        if command.split()[:1] and command.split()[0] in ("python", "pam-opt")
    }
)


@pytest.mark.parametrize("path", PATHS)
def test_files_exist(path):
    assert list(ROOT.glob(path)) or (ROOT / path).is_dir()


@pytest.mark.parametrize(
    "name",
    ["METHODS", "PROGRAMS", "PROBLEMS", "CHOICES", "KNOWN", "FAMILIES", "SHAPES", "_KINDS", "_STATEFUL", "KINDS"],
)
def test_tables_exist_where_it_says(name):
    assert name in TEXT
    sources = (ROOT / path for path in PATHS if path.endswith(".py") and "*" not in path)
    assert any(re.search(rf"^{name}\b.*=", source.read_text(), re.MULTILINE) for source in sources)


def test_commands_are_named():
    assert any(command.startswith("pam-opt bench ") for command in COMMANDS)
    assert any("test_contract.py -k" in command for command in COMMANDS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("pam-opt")])
def test_commands_of_the_program_exist(command):
    _, *arguments = shlex.split(command)
    words = [word for word in arguments if re.fullmatch(r"[a-z]+", word)]
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0, shown.output


def test_the_readme_links_it():
    assert "(CONTRIBUTING.md)" in (ROOT / "README.md").read_text()
