"""Studies: what lies where, that results can be recomputed from what was saved, and that a stopped study goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from bad_input_cases import leftovers, refuses, strict_json, study, without_seconds

import pam_opt as pam
from pam_opt.data import load as load_data
from pam_opt.errors import ConfigError, PlanError, StorageError
from pam_opt.families import FAMILIES
from pam_opt.report import read_results, write_summary
from pam_opt.storage import load_tensors
from pam_opt.study.config import StudyConfig, parse_config
from pam_opt.study.folder import write_record
from pam_opt.study.parents import split_batches
from pam_opt.study.progress import Progress, Update
from pam_opt.study.runner import run_study
from pam_opt.tasks import combination_key

METHODS = ["separate", "all-shared", "greedy", "optimal"]


def config(**changes) -> StudyConfig:
    return parse_config(study(**{"methods": METHODS} | changes))


class Listener(Progress):
    """Write down every stage; break off in front of the one that contains `stop`."""

    def __init__(self, stop: str | None = None) -> None:
        self.stages: list[str] = []
        self.said: list[str] = []
        self.stop = stop

    @contextmanager
    def stage(self, description: str) -> Iterator[Update]:
        if self.stop is not None and self.stop in description:
            raise KeyboardInterrupt
        self.stages.append(description)
        yield lambda done, total: None

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """The folder of a study of four methods with one seed."""
    folder = tmp_path_factory.mktemp("study") / "out"
    assert run_study(config(), folder) == [folder / "results.json"]
    return folder


def methods_of(folder: Path) -> dict:
    return strict_json(folder / "results.json")["methods"]


def networks_of(folder: Path, method: str) -> list[pam.MultitaskNetwork]:
    return [pam.load(path) for path in sorted((folder / "networks").glob(f"{method}*.safetensors"))]


def test_methods_that_keep_representatives_measure_within_the_parents(tmp_path):
    names = ["representatives", "representatives-greedy", "columns", "columns-swaps"]
    small = config(methods=names, merge={"calibration": 100, "widths": [0.5]}, fine_tune={"epochs": [0]}, prune=None)
    run_study(small, tmp_path / "out")
    cells = methods_of(tmp_path / "out")
    assert list(cells) == names
    assert cells["representatives"]["solver"]["status"] == "OPTIMAL"
    for best, near in (("representatives", "representatives-greedy"), ("columns-swaps", "columns")):
        assert cells[best]["solver"]["value"] <= cells[near]["solver"]["value"] * (1 + 1e-9)
    for name in names:
        plan = pam.Plan.load(tmp_path / "out" / "plans" / f"{name}.json")
        assert all(set(layer.groups) == {frozenset(plan.tasks)} for layer in plan.layers)


def test_methods_of_the_whole_network_and_of_all_parents_at_once(tmp_path):
    names = ["network", "network-half", "multi", "multi-within", "optimal", "half"]
    small = config(methods=names, merge={"calibration": 100}, fine_tune={"epochs": [0]}, prune=None)
    run_study(small, tmp_path / "out")
    cells = methods_of(tmp_path / "out")
    assert list(cells) == names
    for name in names[:4]:
        assert cells[name]["solver"]["status"] == "OPTIMAL"
    for best, control in (("network", "optimal"), ("network-half", "half")):
        paths = [tmp_path / "out" / "networks" / f"{name}.safetensors" for name in (best, control)]
        macs = [pam.costs(pam.load(path)).expected for path in paths]
        assert macs[0] <= macs[1] * (1 + 1e-9)
        assert cells[best]["solver"]["value"] == pytest.approx(macs[0])


def test_methods_of_joint_layers_and_groups(tmp_path):
    names = ["joint", "joint-fisher", "grouping"]
    run_study(config(methods=names, fine_tune={"epochs": [0]}, prune=None), tmp_path / "out")
    results = strict_json(tmp_path / "out" / "results.json")
    assert list(results["methods"]) == names
    assert results["does_not_apply"] == {}
    for name in names:
        (record, *others) = pam.Plan.load(tmp_path / "out" / "plans" / f"{name}.json").records
        assert bool(others) is (name == "grouping")
        assert record["value"] >= record["bound"]


def test_mtz_shares_everything_greedily(tmp_path):
    run_study(config(methods=["mtz"], fine_tune={"epochs": [0]}, prune=None), tmp_path / "out")
    plan = pam.Plan.load(tmp_path / "out" / "plans" / "mtz.json")
    assert all(set(layer.widths) == {frozenset(plan.tasks)} for layer in plan.layers)
    assert {record["solver"] for record in plan.records} == {"greedy"}
    assert methods_of(tmp_path / "out")["mtz"]["solver"]["bound"] is None


THREE = [
    {"name": "low", "classes": [0, 1, 2, 3, 4]},
    {"name": "even", "mapping": {digit: digit % 2 for digit in range(10)}},
    {"name": "high", "classes": [5, 6, 7, 8, 9]},
]


def test_a_method_that_does_not_apply_is_a_result_with_its_reason(tmp_path):
    out, names = tmp_path / "out", ["separate", "joint", "network", "optimal"]
    settings = config(methods=names, tasks=THREE, prune=None, seeds=[0, 1])
    paths = run_study(settings, out)
    for path in paths:
        results = read_results(path)
        assert list(results["methods"]) == ["separate", "optimal"]
        assert "pairs two parents, not 3" in results["does_not_apply"]["joint"]
        assert "is for two tasks, not 3" in results["does_not_apply"]["network"]
    write_summary([read_results(path) for path in paths], out)
    table = (out / "table.md").read_text()
    assert "joint (does not apply)" in table
    assert table.count("'joint' does not apply: problem='joint' pairs two parents, not 3") == 1
    listener = Listener()
    run_study(settings, out, resume=True, progress=listener)
    assert listener.stages == ["read data"]


def test_a_method_that_applies_in_one_seed_only_is_told_by_seed(tmp_path):
    paths = run_study(config(methods=["separate", "optimal"], prune=None, seeds=[0, 1]), tmp_path / "out")
    results = [read_results(path) for path in paths]
    del results[1]["methods"]["optimal"]
    results[1]["does_not_apply"] = {"optimal": "of a reason"}
    (tmp_path / "summary").mkdir()
    write_summary(results, tmp_path / "summary")
    table = (tmp_path / "summary" / "table.md").read_text()
    assert "'optimal' does not apply (seed 1): of a reason" in table


def test_a_study_of_which_no_method_applies_says_why(tmp_path):
    with refuses(PlanError, "none of the study's methods applies", "'joint': problem='joint' pairs two parents"):
        run_study(config(methods=["joint"], tasks=THREE, prune=None), tmp_path / "out")


# ------------------------------------------------------------------------------------------ what results say


@pytest.mark.parametrize("method", METHODS)
def test_macs_are_those_of_the_saved_networks(done, method):
    networks = networks_of(done, method)
    assert len(networks) == (2 if method == "separate" else 1)
    tables = [pam.costs(network).macs for network in networks]
    for key, cell in methods_of(done)[method]["combinations"].items():
        asked = frozenset(key.split("+"))
        parts = [(table, asked & frozenset(network.tasks)) for table, network in zip(tables, networks, strict=True)]
        assert cell["macs"] == sum(table[part] for table, part in parts if part)


@pytest.mark.parametrize("method", METHODS)
def test_accuracy_is_that_of_the_saved_networks_on_the_test_split(done, method):
    settings = config()
    tasks = settings.build_tasks()
    batches = split_batches(load_data("digits", validation=0.2, limit=200), "test", tasks)
    found: dict[str, float] = {}
    for network in networks_of(done, method):
        found |= pam.evaluate(network, batches, [task for task in tasks if task.name in network.tasks])
    for key, cell in methods_of(done)[method]["combinations"].items():
        assert cell["accuracy"] == {name: found[name] for name in sorted(key.split("+"))}


def test_expected_macs_follow_the_distribution(tmp_path):
    settings = config(methods=["optimal"], combinations={"low": 3, "even+low": 1})
    run_study(settings, tmp_path / "out")
    cell = methods_of(tmp_path / "out")["optimal"]
    macs = {key: combination["macs"] for key, combination in cell["combinations"].items()}
    assert set(macs) == {"even", "low", "even+low"}
    assert cell["expected_macs"] == pytest.approx(0.75 * macs["low"] + 0.25 * macs["even+low"])


def test_layers_are_those_of_the_saved_network(done):
    (network,) = networks_of(done, "greedy")
    found = [{combination_key(group): count for group, count in widths.items()} for widths in network.structure.widths]
    assert [layer["groups"] for layer in methods_of(done)["greedy"]["layers"]] == found


def test_parents_are_measured_as_they_were_saved(done):
    settings = config()
    tasks = settings.build_tasks()
    dataset = load_data("digits", validation=0.2, limit=200)
    batches = split_batches(dataset, "test", tasks)
    for task, (name, parent) in zip(tasks, strict_json(done / "results.json")["parents"].items(), strict=True):
        module = FAMILIES["mlp"](dataset.input_shape, task.outputs, widths=(8, 6))
        module.load_state_dict(load_tensors(done / "parents" / f"{name}.safetensors")[0])
        network = pam.single(module, task, dataset.input_shape)
        assert parent["macs"] == pam.costs(network).expected
        assert parent["accuracy"] == pam.evaluate(network, batches, [task])[name]


def test_history_ends_in_what_was_kept(done):
    for name, cell in methods_of(done).items():
        kept = [[step for step in history if step["within"]][-1] for history in cell["history"]]
        macs = [pam.costs(network).expected for network in networks_of(done, name)]
        assert sorted(step["expected_macs"] for step in kept) == pytest.approx(sorted(macs))
        assert cell["within_drop"] is True


# ------------------------------------------------------------------------------------------------- repetition


def test_the_same_seed_gives_the_same_results(done, tmp_path):
    torch.manual_seed(99)
    run_study(config(), tmp_path / "again")
    assert without_seconds(methods_of(tmp_path / "again")) == without_seconds(methods_of(done))
    first, second = (strict_json(folder / "results.json") for folder in (done, tmp_path / "again"))
    assert first["parents"] == second["parents"]


def test_methods_do_not_depend_on_those_before(done, tmp_path):
    run_study(config(methods=["optimal"]), tmp_path / "alone")
    assert without_seconds(methods_of(tmp_path / "alone")["optimal"]) == without_seconds(methods_of(done)["optimal"])


def test_each_seed_has_a_folder_and_parents_of_its_own(done, tmp_path):
    out = tmp_path / "out"
    paths = run_study(config(seeds=[0, 1], methods=["optimal"]), out)
    assert paths == [out / "seed-0" / "results.json", out / "seed-1" / "results.json"]
    first, second = (without_seconds(methods_of(path.parent)) for path in paths)
    assert first != second
    assert first["optimal"] == without_seconds(methods_of(done)["optimal"])
    weights = [load_tensors(path.parent / "parents" / "low.safetensors")[0]["linear1.weight"] for path in paths]
    assert not torch.equal(*weights)


def test_every_width_and_budget_is_a_result_of_its_own(tmp_path):
    changes = {"merge": {"widths": [None, 0.5]}, "fine_tune": {"epochs": [0, 0.5]}, "prune": None}
    run_study(config(methods=["optimal", "select"], **changes), tmp_path / "out")
    found = methods_of(tmp_path / "out")
    assert len(found) == 8
    assert all(cell["history"] == [] and cell["within_drop"] is None for cell in found.values())
    assert found["select, width 0.5, 0 epochs"]["expected_macs"] < found["select, width all, 0 epochs"]["expected_macs"]


# ---------------------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("stop", ["train parent even", "measure the parents", "greedy: plan", "greedy: prune"])
def test_a_study_that_was_stopped_goes_on_behind_the_last_finished_unit(done, tmp_path, stop):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_study(config(), out, progress=Listener(stop))
    assert leftovers(out) == []
    assert not (out / "results.json").exists()
    kept = {path: path.stat().st_mtime_ns for kind in ("parents", "methods") for path in (out / kind).glob("*.json")}
    assert {path.stem for path in kept} == {
        "train parent even": {"low"},
        "measure the parents": {"low", "even"},
        "greedy: plan": {"low", "even", "separate", "all-shared"},
        "greedy: prune": {"low", "even", "separate", "all-shared"},
    }[stop]
    listener = Listener()
    run_study(config(), out, resume=True, progress=listener)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not any(stage.endswith(f"parent {path.stem}") for path in kept for stage in listener.stages)
    assert without_seconds(methods_of(out)) == without_seconds(methods_of(done))


BUDGETS = {"methods": ["taylor"], "epochs": [0, 0.5], "removals": 3, "max_drop": 0.5, "limit": "plain"}


def test_a_study_goes_on_between_the_budgets_of_a_method(tmp_path):
    tasks = [{"name": "low", "one_vs_rest": [0, 1, 2], "loss": "tanh-mse"}, {"name": "high", "classes": [7, 8]}]
    settings = config(methods=["greedy"], prune=BUDGETS, tasks=tasks)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run_study(settings, whole)
    cells = methods_of(whole)
    assert list(cells) == ["greedy, budget 0", "greedy, budget 0.5"]
    for cell, epochs in zip(cells.values(), (0, 0.5), strict=True):
        axes = {"method": "greedy", "width": None, "fine_tune_epochs": 0, "pruner": "taylor", "prune_epochs": epochs}
        assert cell["axes"] == axes
        both = cell["combinations"]["high+low"]
        assert both["plain"]["low"] <= both["accuracy"]["low"]
        assert both["plain"]["high"] == both["accuracy"]["high"]
        assert cell["ended"][0]
    with pytest.raises(KeyboardInterrupt):
        run_study(settings, stopped, progress=Listener("budget 0.5: prune"))
    listener = Listener()
    run_study(settings, stopped, resume=True, progress=listener)
    assert [stage for stage in listener.stages if "prune" in stage] == ["seed 0: greedy, budget 0.5: prune"]
    assert without_seconds(methods_of(stopped)) == without_seconds(cells)


def test_a_pruner_that_does_not_apply_to_a_budget_is_a_result_with_its_reason(tmp_path):
    settings = config(methods=["greedy"], prune=BUDGETS | {"methods": ["magnitude", "vib"], "epochs": [0, 3]})
    run_study(settings, tmp_path / "out")
    results = strict_json(tmp_path / "out" / "results.json")
    assert list(results["methods"]) == [
        "greedy, magnitude, budget 0",
        "greedy, magnitude, budget 3",
        "greedy, vib, budget 3",
    ]
    assert "learns in training what may go" in results["does_not_apply"]["greedy, vib, budget 0"]
    listener = Listener()
    run_study(settings, tmp_path / "out", resume=True, progress=listener)
    assert listener.stages == ["read data"]


def test_a_finished_study_measures_nothing_again(done):
    listener = Listener()
    run_study(config(), done, resume=True, progress=listener)
    assert listener.stages == ["read data"]


def test_another_study_does_not_go_on_in_the_folder(done):
    for changes in ({"merge": {"calibration": 50}}, {"data": {"limit": 150}}, {"seeds": [1]}, {"methods": ["optimal"]}):
        with refuses(ConfigError, str(done), "holds another experiment", "choose another --out"):
            run_study(config(**changes), done, resume=True)


# ------------------------------------------------------------------------------------------------- damage


@pytest.fixture
def copied(done, tmp_path) -> Path:
    """A copy of the finished study, to be damaged."""
    import shutil

    return Path(shutil.copytree(done, tmp_path / "copy"))


@pytest.mark.parametrize("record", ["experiment.json", "methods/greedy.json", "parents/even.json"])
@pytest.mark.parametrize("content", [b"", b'{"cells": ', b"[]", b"null", b"\xff"])
def test_a_damaged_record_is_named(copied, record, content):
    (copied / record).write_bytes(content)
    with refuses(StorageError, str(copied / record), "remove it"):
        run_study(config(), copied, resume=True)


@pytest.mark.parametrize(
    ("record", "content"),
    [
        ("methods/greedy.json", "{}"),
        ("methods/greedy.json", '{"cells": 5}'),
        ("parents/even.json", "{}"),
        ("parents/even.json", '{"validation": 0.5, "accuracy": null}'),
        ("parents/even.json", "[" * 100_000),
    ],
)
def test_a_record_of_something_else_is_named(copied, record, content):
    (copied / record).write_text(content)
    with refuses(StorageError, str(copied / record), "remove it"):
        run_study(config(), copied, resume=True)


@pytest.mark.parametrize("folder", ["parents", "methods", "networks", "plans"])
def test_a_file_in_place_of_a_folder_is_named(copied, folder):
    import shutil

    shutil.rmtree(copied / "methods")
    if folder != "methods":
        shutil.rmtree(copied / folder)
    (copied / folder).write_text("a file")
    with refuses(StorageError, str(copied / folder), "cannot be used"):
        run_study(config(), copied, resume=True)


def test_a_file_in_place_of_the_figures_is_named(done, tmp_path):
    (tmp_path / "figures").write_text("a file")
    with refuses(StorageError, str(tmp_path / "figures"), "cannot be used"):
        write_summary([read_results(done / "results.json")], tmp_path)


def test_damaged_parents_are_named(copied):
    path = copied / "parents" / "low.safetensors"
    other = (copied / "parents" / "even.safetensors").read_bytes()
    for content in (b"", path.read_bytes()[:-9], other):
        path.write_bytes(content)
        with refuses(StorageError, str(path)):
            run_study(config(), copied, resume=True)
    path.unlink()
    with refuses(StorageError, str(path)):
        run_study(config(), copied, resume=True)


@pytest.mark.parametrize("removed", ["methods/greedy.json", "parents/low.json", "results.json"])
def test_a_removed_record_is_made_again(done, copied, removed):
    (copied / removed).unlink()
    run_study(config(), copied, resume=True)
    assert (copied / removed).exists()
    assert without_seconds(methods_of(copied)) == without_seconds(methods_of(done))


@pytest.mark.parametrize(
    "removed", ["networks/greedy.safetensors", "networks/separate-low.safetensors", "plans/greedy.json"]
)
def test_a_removed_network_or_plan_is_made_again_and_said(done, copied, removed):
    (copied / removed).unlink()
    listener = Listener()
    run_study(config(), copied, resume=True, progress=listener)
    assert any(removed in text and "is run again" in text for text in listener.said)
    assert (copied / removed).read_bytes()
    unit = "separate" if "separate" in removed else "greedy"
    assert not any(other in stage for stage in listener.stages for other in METHODS if other != unit)
    assert without_seconds(methods_of(copied)) == without_seconds(methods_of(done))


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path):
    write_record(tmp_path / "record.json", {"bounds": [1.0, float("-inf")], "gap": {"all": float("nan")}, "n": (1, 2)})
    assert strict_json(tmp_path / "record.json") == {"bounds": [1.0, None], "gap": {"all": None}, "n": [1, 2]}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "methods": {}}', '{"schema": 1, "methods": 5}'],
)
def test_results_that_are_none_are_refused(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content)
    with refuses(StorageError, str(path), "holds no results"):
        read_results(path)


def test_the_summary_says_what_the_results_hold(done, tmp_path):
    results = read_results(done / "results.json")
    tmp_path.joinpath("summary").mkdir()
    paths = write_summary([results], tmp_path / "summary")
    assert all(path.stat().st_size > 0 for path in paths)
    table = (tmp_path / "summary" / "table.md").read_text()
    for name in METHODS:
        assert name in table
