"""Instance families, real instances, their file format as documented, and exporting them from an experiment."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from pam_opt.bench import read_bench_config
from pam_opt.bench.cells import expand
from pam_opt.errors import ConfigError
from pam_opt.study.config import parse_config
from pam_opt.study.instances import EXPORTS, Wanted, export_instances
from pam_opt.study.runner import run_study
from pam_opt_solvers import (
    Budget,
    ClusterPlan,
    Grouping,
    NetworkPlan,
    PairedGrouping,
    Pairing,
    Representatives,
    Status,
    solve,
)
from pam_opt_solvers.instances import read_catalogue
from pam_opt_solvers.problems import PROBLEMS, ColumnSubset, MultiPairing, Quota, load_problem
from pam_opt_solvers.problems.budgets import JointBudget
from pam_opt_solvers.problems.kernel_information import KernelInformation

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / "instances"
FAMILIES = read_catalogue(FOLDER).families
REAL = sorted((FOLDER / "real").glob("*.npz"))
INFEASIBLE = {
    ("budgeted_pairing", 1.1),
    ("budgeted_grouping", 1.0),
    ("joint_grouping", 1.2),
    ("chain_network_plan", 1.05),
}
SOLVABLE = 16
"""Families are solved at their least size, and at this one if that is larger."""


def same(one, other) -> bool:
    first, second = one.arrays(), other.arrays()
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


# -------------------------------------------------------------------------------------------------------- families


def test_every_kind_of_problem_has_a_family():
    assert {family.problem for family in FAMILIES.values()} == set(PROBLEMS)
    assert not read_catalogue(FOLDER).broken


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_builds_the_same_instance_from_the_same_seed(name):
    family = FAMILIES[name]
    assert family.description
    for severity in family.severities:
        problem = family(family.sizes[0], severity, 0)
        assert problem.kind == family.problem
        assert same(problem, family(family.sizes[0], severity, 0))
        if severity not in (family.severities[0], family.severities[-1]):
            assert not same(problem, family(family.sizes[0], severity, 1))


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_is_solved_or_infeasible_as_its_dial_says(name):
    family = FAMILIES[name]
    for severity in (family.severities[0], family.severities[-1]):
        problem = family(min(family.sizes[0], SOLVABLE), severity, 0)
        solution = solve(problem, "auto", time_limit=20)
        if (name, severity) in INFEASIBLE:
            assert solution.status is Status.INFEASIBLE
        else:
            assert solution.decision is not None, solution.summary()
            assert not problem.violations(solution.decision)


def test_a_chain_has_known_depths_only():
    with pytest.raises(Exception, match="no chain has 5 hidden layers; there are 4, 8, 16"):
        FAMILIES["chain_network_plan"](5, 0.5, 0)


def test_the_studies_name_families_that_exist():
    plan = expand(read_bench_config(ROOT / "benchmarks" / "studies" / "quick.yaml"))
    assert {cell.instance.problem for cell in plan.cells} == set(PROBLEMS)
    with_greedy = {cell.instance.problem for cell in plan.cells if cell.solver == "greedy"}
    assert with_greedy == set(PROBLEMS)


# ----------------------------------------------------------------------------------------------------- file format


def documented() -> dict[str, dict[str, tuple[str, int]]]:
    """Return schema -> array -> (type, number of axes), as the README says."""
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for schema, text in re.findall(r"### (pam_opt\.\S+)\n(.*?)(?=\n### |\Z)", (FOLDER / "README.md").read_text(), re.S):
        rows = re.findall(r"^\| ([\w.<>]+) \| (float|int|bool|text) \|([^|]*)\|", text, re.M)
        found[schema] = {name: (kind, len([x for x in shape.split(",") if x.strip()])) for name, kind, shape in rows}
    return found


def full_problems():
    """Problems that use every optional array."""
    zeros, ones = np.zeros((2, 2)), np.ones(2)
    labels, quota = np.array([0, 1]), Quota(np.array([0, 1]), [0, 0], [1, 1], "parents")
    pairing = {"forced": np.array([[0, 0]]), "tied_rows": labels, "tied_columns": labels}
    yield Pairing(zeros, ones, ones, 1, budgets=(Budget(zeros, 1.0, "use"),), **pairing)
    yield Pairing(zeros, max_pairs=1)
    yield FAMILIES["budgeted_grouping"](4, 0.2, 0)
    yield FAMILIES["joint_grouping"](4, 0.2, 0)
    kernel = KernelInformation(np.eye(2), np.array([[0], [1]]))
    yield Grouping(np.array([[False], [True]]), zeros, None, (JointBudget(labels == 0, kernel, 1.0),))
    paired = FAMILIES["planted_paired_grouping"](1, 0.2, 0)
    joint = (JointBudget(np.arange(5) == 0, kernel, 1.0),)
    yield PairedGrouping(paired.groups, paired.alone, paired.pair_cost, paired.linear, joint)
    yield Representatives(zeros, 1, True, labels, labels, labels > 0, (quota,), ones)
    yield ColumnSubset(np.eye(2), 1, ones, 0.1, labels > 0, quota)
    yield MultiPairing(zeros, np.array([1, 1]), ones, True)
    joint = FAMILIES["chain_joint_pairing"](2, 0.1, 0)
    yield type(joint)(joint.sizes, joint.layers, tuple(zeros for _ in joint.sizes))
    yield FAMILIES["chain_network_plan"](4, 0.5, 0)
    yield NetworkPlan.of_two_parents([(1, 1)], [np.zeros(2)], [1.0, 1.0], 1, (1, 1), macs_budget=1.0)
    cut = FAMILIES["chain_cluster_plan"](2, 0.0, 0)
    parts = {name: getattr(cut, name) for name in ("macs", "inputs", "singles", "heads", "price")}
    yield ClusterPlan(cut.merge_loss, cut.edge_loss, **parts, weights=np.ones(3))


def test_the_readme_documents_the_arrays_of_every_kind():
    kinds = {"f": "float", "i": "int", "b": "bool", "U": "text"}
    written: dict[str, dict[str, tuple[str, int]]] = {}
    for problem in full_problems():
        for name, array in problem.arrays().items():
            plain = re.sub(r"(?<=[._])\d+(?=[._]|$)", "<i>", name)
            written.setdefault(problem.schema(), {})[plain] = (kinds[np.asarray(array).dtype.kind], np.ndim(array))
    assert written == documented()


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_instances_load_save_and_solve(path, tmp_path):
    problem = load_problem(path)
    assert problem.kind in path.stem
    assert same(problem, load_problem(problem.save(tmp_path / "again.npz")))
    solution = solve(problem, "greedy")
    assert solution.decision is not None


def test_the_real_instances_are_small_and_of_two_data_sets():
    assert {path.stem.partition("-")[0] for path in REAL} == {"digits", "mnist"}
    assert sum(path.stat().st_size for path in REAL) < 700_000


# ----------------------------------------------------------------------------------------------- list and export


STUDY = {
    "name": "tiny",
    "data": {"source": "digits", "validation": 0.2, "limit": 200},
    "tasks": [
        {"name": "low", "classes": [0, 1, 2, 3, 4]},
        {"name": "high", "classes": [5, 6, 7, 8, 9]},
        {"name": "odd", "mapping": {digit: digit % 2 for digit in range(10)}},
    ],
    "family": {"name": "lenet5", "options": {"widths": [3, 4, 6, 5]}},
    "parents": {"epochs": 1},
    "merge": {"calibration": 50},
    "methods": ["separate"],
    "threads": 1,
}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("experiment") / "out"
    run_study(parse_config(STUDY), out)
    return out


def test_families_are_listed(command):
    code, out, _ = command("instances", "list", FOLDER)
    assert code == 0
    assert "planted_pairing" in out
    assert "noise of the twins" in out


def test_broken_families_are_named_and_skipped(command, tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0")
    code, _, error = command("instances", "list", tmp_path)
    assert code == 0
    assert "bad.py does not load: ZeroDivisionError" in error


def test_export_writes_every_problem_of_every_layer(command, experiment, tmp_path):
    code, out, error = command("instances", "export", experiment, "--out", tmp_path, "--width", 0.5, "--width", 1)
    assert code == 0, error
    problems = {path.stem: load_problem(path) for path in tmp_path.glob("*.npz")}
    assert f"{len(problems)} instances" in out
    assert {problem.kind for problem in problems.values()} == set(EXPORTS)
    assert len(problems) == 4 * (3 + 1 + 2 + 2)
    pairing = problems["tiny-seed0-conv2-pairing-low-high"]
    assert isinstance(pairing, Pairing)
    assert pairing.shape == (4, 4)
    multi = problems["tiny-seed0-conv2-multi_pairing-low-high-odd"]
    assert isinstance(multi, MultiPairing)
    assert np.array_equal(multi.cost[:4, 4:8], pairing.cost)
    kept = problems["tiny-seed0-conv2-representatives-width0.5"]
    assert isinstance(kept, Representatives)
    assert (kept.n_kept, kept.size) == (2, 12)


def test_export_writes_what_is_asked_for(experiment, tmp_path):
    (path,) = export_instances(experiment, tmp_path, wanted=Wanted(("representatives",), (0.5,), ("linear1",)))
    assert path.name == "tiny-seed0-linear1-representatives-width0.5.npz"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--problem", "grouping"], "no instances of grouping can be exported; choose from pairing"),
        (["--width", "0"], "width 0 is no fraction"),
        (["--width", "nan"], "width nan is no fraction"),
        (["--layer", "conv9"], "the parents have no layers ['conv9']; they have ['conv1'"),
        (["--seed", "3"], "has the seeds [0], not [3]"),
        (["--data", "missing.npz"], "missing.npz"),
    ],
)
def test_export_refuses_what_is_not_there(command, experiment, tmp_path, options, words):
    code, _, error = command("instances", "export", experiment, "--out", tmp_path / "out", *options)
    assert code == 1
    assert words in error
    assert "Traceback" not in error


def test_export_needs_an_experiment_with_trained_parents(command, experiment, tmp_path):
    code, _, error = command("instances", "export", tmp_path, "--out", tmp_path / "out")
    assert code == 1
    assert "is no experiment: it has no experiment.json" in error
    (tmp_path / "experiment.json").write_text((experiment / "experiment.json").read_text())
    code, _, error = command("instances", "export", tmp_path, "--out", tmp_path / "out")
    assert code == 1
    assert "holds no trained parent of low, high, odd; run the study with --resume" in error
    (tmp_path / "experiment.json").write_text('{"benchmark": {}}')
    code, _, error = command("instances", "export", tmp_path, "--out", tmp_path / "out")
    assert "is no experiment of 'pam-opt run', but of something else" in error


def test_export_refuses_other_data(experiment, tmp_path):
    images = np.zeros((40, 8, 8), np.uint8)
    labels = np.arange(40) % 10
    np.savez(tmp_path / "other.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(ConfigError, match="is not the data that the experiment was trained on"):
        export_instances(experiment, tmp_path / "out", data=str(tmp_path / "other.npz"))


def test_real_instances_can_be_benchmarked(tmp_path):
    study = {"name": "real", "instances": [{"files": str(FOLDER / "real" / "*.npz")}], "solvers": ["greedy"]}
    path = tmp_path / "real.yaml"
    path.write_text(yaml.safe_dump(study))
    plan = expand(read_bench_config(path))
    assert len(plan.cells) == len(REAL)
    assert not plan.skipped
