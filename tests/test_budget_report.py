"""The report of a study of several pruners and budgets: ratios, tables, sentences, figures, flat file and command."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from bad_input_cases import refuses, study
from matplotlib.backends.backend_agg import FigureCanvasAgg
from study_results import BUDGETS, budget_results

from pam_opt.errors import ConfigError, StorageError
from pam_opt.report import figures, findings, read_finished, read_results, summary, write_parquet, write_summary
from pam_opt.report.budget_figure import cost_against_budget
from pam_opt.report.budget_tables import combinations_table, matrices_table
from pam_opt.report.budgets import baseline, panels
from pam_opt.report.cells import Setting, Training, settings, training_label, training_text
from pam_opt.report.duels import duel_sentences, duels, duels_table
from pam_opt.report.finished import missing_seeds
from pam_opt.report.intervals import interval, ratio
from pam_opt.report.published import published_table
from pam_opt.report.rows import parents_row
from pam_opt.report.solver_figure import solver_against_budget
from pam_opt.report.terminal import rich_tables
from pam_opt.study.config import parse_config
from pam_opt.study.runner import run_study

COSTS = {"separate": 1000, "all-shared": 1500, "pam": 800, "pam-pairs": 700, "select": 900, "random": 1200}
COSTS |= {"pam-exact": 780, "greedy": 750, "optimal": 600, "representatives": 500, "representatives-greedy": 550}


def cost(method: str, pruner: str, budget: float, seed: int) -> float:
    """Costs differ less the longer is trained, and seeds by a percent."""
    share = 1 / (1 + budget / 5)
    return 1000 * (COSTS[method] / 1000) ** share * (1 + 0.01 * ((seed + len(method)) % 3))


def greedy_outside(method: str, pruner: str, budget: float, seed: int) -> bool:
    return not (method == "greedy" and budget == 0 and seed == 1)


EVERY = tuple(COSTS)


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


# ----------------------------------------------------------------------------------------------------- ratios


def test_ratios_are_intervals_of_logarithms():
    found = ratio([1.0, 2.0, 4.0], [2.0, 2.0, 2.0])
    assert found.mean == pytest.approx(1.0)
    assert math.log(found.high or 0) == pytest.approx(interval([math.log(x) for x in (0.5, 1.0, 2.0)]).half)
    swapped = ratio([2.0, 2.0, 2.0], [1.0, 2.0, 4.0])
    assert swapped.low == pytest.approx(1 / (found.high or 0))


@pytest.mark.parametrize(
    ("costs", "side"), [([1.0, 1.01, 0.99], -1), ([4.0, 4.1, 3.9], 1), ([1.0, 2.0, 4.0], 0), ([1.0], 0)]
)
def test_a_ratio_is_decided_if_its_interval_leaves_out_one(costs, side):
    assert ratio(costs, [2.0] * len(costs)).side == side


# ------------------------------------------------------------------------------------------------------- axes


def test_axes_say_the_setting_whatever_the_name():
    made = budget_results(cost, methods=("separate", "optimal"), pruners=("vib",), budgets=(0.0, 1.0))
    for result in made:
        result["methods"] = {f"result {n}": cell for n, cell in enumerate(result["methods"].values())}
    trainings = [Training(0.0, "vib", budget) for budget in (0.0, 1.0)]
    assert list(settings(made)) == [Setting(name, None, t) for name in ("separate", "optimal") for t in trainings]
    assert list(next(iter(panels(made).values()))) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("training", "text", "label"),
    [
        (Training(1.0), "after one epoch", "1 epochs"),
        (Training(0.0, "vib", 5.0), "pruned by vib, 5 epochs of training", "vib 5 epochs"),
        (Training(2.0, "taylor", 1.0), "after 2 epochs, then pruned by taylor, 1 epoch of training",
         "2 epochs, taylor 1 epochs"),
        (Training(0.0, "taylor"), "pruned by taylor", "0 epochs"),
    ],
)  # fmt: skip
def test_trainings_are_told_in_words(training, text, label):
    assert (training_text(training), training_label(training)) == (text, label)


# ----------------------------------------------------------------------------------------------------- tables


def test_matrices_hold_every_method_at_every_budget():
    lines = matrices_table(budget_results(cost, greedy_outside, methods=EVERY)).splitlines()
    assert lines[0] == "| vib: E[C] / separate | 0 epochs | 1 epoch | 5 epochs | 20 epochs |"
    assert [line for line in lines if "| greedy | (!) outside |" in line]
    assert sum(line.startswith("| optimal |") for line in lines) == 4  # two pruners, against separate and pam
    (first, *_) = lines_of("\n".join(lines), "| optimal |")
    costs = [[cost(method, "vib", 0.0, seed) for seed in range(3)] for method in ("optimal", "separate")]
    assert first.split("|")[2].strip() == str(ratio(*costs))


def test_another_baseline_can_be_named():
    made = budget_results(cost, methods=EVERY)
    base = baseline(made, "optimal")
    assert base.text == "'optimal'"
    (table, _) = rich_tables(made, "title", against="parents")
    assert str(table.columns[0].header).endswith("E[C] / parents")
    with refuses(ConfigError, "no method of all seeds is called 'nothing'", "separate", "parents"):
        baseline(made, "nothing")


def test_without_separate_the_parents_are_the_reference():
    made = budget_results(cost, methods=("optimal", "greedy"))
    assert baseline(made).name == "parents"
    assert "vib: E[C] / parents" in matrices_table(made)


def test_parents_are_counted_side_by_side():
    row = parents_row(budget_results(cost))
    assert row.macs == {"high": [700] * 3, "low": [700] * 3, "high+low": [1400] * 3}
    assert row.expected == pytest.approx([2800 / 3] * 3)


def test_every_combination_has_accuracies_and_costs():
    made = budget_results(cost, greedy_outside, methods=EVERY)
    text = combinations_table(made)
    assert text.count("E[C] kMAC") == 8
    (header, *_) = lines_of(text, "| vib, 1 epoch ")
    assert [cell.strip() for cell in header.split("|")[2:-1]] == [
        *("high %", "low %", "high+low %", "high plain %", "low plain %", "high+low plain %"),
        *("high kMAC", "low kMAC", "high+low kMAC", "E[C] kMAC", "/ separate"),
    ]
    assert sum(line.startswith("| greedy (!) |") for line in text.splitlines()) == 2


def test_published_ratios_stand_beside_ours():
    text = published_table(budget_results(cost, methods=EVERY))
    assert "low {A} | high {B} | high+low {A,B}" in text
    assert lines_of(text, "| published on FashionMNIST: B2 / PAM, P1") == [
        "| published on FashionMNIST: B2 / PAM, P1 | 1.85 | 2.01 | 1.08 |"
    ]
    (ours,) = lines_of(text, "| separate / pam, vib 0 epochs")
    assert ours.split("|")[2].strip().startswith("1.2")


@pytest.mark.parametrize("methods", [("separate", "all-shared"), ("pam", "optimal")])
def test_without_pam_or_its_baselines_nothing_published_is_quoted(methods):
    assert published_table(budget_results(cost, methods=methods)) == ""


def test_pruners_of_others_have_no_published_ratio():
    assert published_table(budget_results(cost, methods=EVERY, pruners=("magnitude",))) == ""


# -------------------------------------------------------------------------------------------------- sentences


def test_the_best_is_held_against_pam():
    text = findings(budget_results(cost, methods=EVERY))
    (line,) = lines_of(text, "vib, 0 epochs: ")
    assert "cheapest is 'representatives'" in line
    costs = [[cost(method, "vib", 0.0, seed) for seed in range(3)] for method in ("representatives", "pam")]
    assert f"against 'pam' it costs {ratio(*costs)}" in line
    assert line.count("seeds: ") == 1


def test_where_pam_is_the_best_the_next_is_named():
    names = ("separate", "pam", "optimal")
    made = budget_results(lambda method, *_: 500.0 if method == "pam" else 1000.0, methods=names)
    (line,) = lines_of(findings(made), "vib, 0 epochs: ")
    assert "cheapest is 'pam'" in line
    assert "the best of the others, 'separate', costs 2.00 (2.00 to 2.00)" in line


def test_pam_outside_the_drop_is_said():
    made = budget_results(cost, lambda method, *_: method != "pam")
    assert "'pam' is outside the allowed drop, so there is nothing to compare with." in findings(made)


def test_nothing_within_the_drop_is_said():
    text = findings(budget_results(cost, lambda *_: False))
    assert "vib, 0 epochs: no method stayed within the allowed drop." in text
    assert "No network is within the allowed drop." in text


def test_when_the_solver_matters_is_said_by_budget():
    made = budget_results(cost, greedy_outside, methods=EVERY)
    (line,) = [line for line in duel_sentences(made) if line.startswith("'optimal' against 'greedy'")]
    assert "vib: only 'optimal' is within the drop at 0 epochs, cheaper at 1, 5 and 20 epochs" in line
    assert "only 'optimal' is within the drop" in duels_table(made)


def test_an_interval_with_one_in_it_is_undecided():
    made = budget_results(lambda m, p, b, s: 1000 * (1 + (0.3 if m == "greedy" and s == 1 else 0.0)))
    (line,) = [line for line in duel_sentences(made) if line.startswith("'optimal' against 'greedy'")]
    assert line == "'optimal' against 'greedy': vib: undecided at 0, 1, 5 and 20 epochs; " \
                   "taylor-pam: undecided at 0, 1, 5 and 20 epochs."  # fmt: skip


def test_one_seed_decides_nothing():
    made = budget_results(cost, seeds=1)
    text = findings(made)
    assert "One seed: no ratio has an interval, so none is decided." in text
    assert "cheaper" not in "".join(duel_sentences(made))
    assert "times as dear at" in "".join(duel_sentences(made))
    assert summary(made)


def test_a_method_that_one_pruner_lacks_is_left_out_there():
    made = budget_results(cost, methods=EVERY)
    for result in made:
        gone = [name for name in result["methods"] if name.startswith("optimal, taylor")]
        for name in gone:
            del result["methods"][name]
    met = {duel.panel.title for duel in duels(made) if (duel.first, duel.second) == ("optimal", "greedy")}
    assert met == {"vib"}
    for draw in (cost_against_budget, solver_against_budget):
        assert draw(made) is not None
    assert summary(made)


def test_a_pruner_that_does_not_apply_to_a_budget_is_said():
    made = budget_results(cost, methods=EVERY)
    for result in made:
        gone = [name for name in result["methods"] if name.endswith("vib, 0 epochs")]
        result["does_not_apply"] = dict.fromkeys(gone, "gates need training")
        for name in gone:
            del result["methods"][name]
    text = summary(made)
    assert text.count("gates need training") == 1
    assert "'separate, vib, 0 epochs', 'all-shared, vib, 0 epochs'" in text
    assert "do not apply: gates need training" in text
    (first, *_) = lines_of(text, "| optimal |")
    assert first.split("|")[2].strip() == "-"
    for draw in (cost_against_budget, solver_against_budget):
        figure = draw(made)
        assert figure is not None
        words = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert "does not\napply" in words


def test_the_summary_holds_every_part():
    made = budget_results(cost, greedy_outside, methods=EVERY)
    text = summary(made)
    for part in (matrices_table, findings, duels_table, published_table, combinations_table):
        assert part(made)
        assert part(made) in text
    assert "(!) outside the allowed drop on validation" in text


# ---------------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("draw", [cost_against_budget, solver_against_budget])
@pytest.mark.parametrize("pruners", [("vib",), ("vib", "taylor-pam"), ("vib", "taylor-pam", "magnitude")])
def test_words_of_the_figures_are_inside_and_apart(draw, pruners):
    figure = draw(budget_results(cost, greedy_outside, methods=EVERY, pruners=pruners))
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.texts if text.get_text()]
    texts += [text for axes in figure.axes for text in axes.texts]
    boxes = [text.get_window_extent() for text in texts]
    for box, text in zip(boxes, texts, strict=True):
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, text.get_text()
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_every_method_and_what_is_outside_is_in_the_figure():
    figure = cost_against_budget(budget_results(cost, greedy_outside, methods=EVERY))
    assert figure is not None
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {*words} >= {*EVERY, "outside the allowed drop"}
    assert words.count("pam") == 2  # above and below


def test_no_strip_where_nothing_is_outside():
    figure = cost_against_budget(budget_results(cost, methods=EVERY))
    assert figure is not None
    assert not any("outside" in text.get_text() for axes in figure.axes for text in axes.texts)


@pytest.mark.parametrize("within", [lambda *_: False, lambda method, *_: method == "separate"])
def test_figures_of_nothing_within_the_drop_are_drawn(within):
    for draw in (cost_against_budget, solver_against_budget):
        figure = draw(budget_results(cost, within, methods=EVERY))
        assert figure is not None
        FigureCanvasAgg(figure).draw()


def test_one_budget_has_no_such_figure(tmp_path):
    made = budget_results(cost, budgets=(5.0,))
    assert cost_against_budget(made) is None
    assert solver_against_budget(made) is None
    assert summary(made)


# -------------------------------------------------------------------------------------------- files and command


def test_the_flat_file_has_a_row_for_every_seed_result_and_combination(tmp_path):
    made = budget_results(cost, greedy_outside, methods=EVERY)
    table = pq.read_table(write_parquet(made, tmp_path / "results.parquet"))
    assert table.num_rows == 3 * 3 * (len(EVERY) * 2 * len(BUDGETS) + 1)
    rows = table.to_pylist()
    (row,) = [
        row for row in rows
        if (row["seed"], row["method"], row["pruner"], row["prune_epochs"]) == (1, "greedy", "vib", 0.0)
        and row["combination"] == "low"
    ]  # fmt: skip
    assert (row["accuracy_low"], row["plain_low"]) == (0.98, 0.97)
    assert row["accuracy_high"] is None
    assert row["within_drop"] is False
    assert (row["solver_status"], row["solver_bound"], row["seconds_prune"]) == ("OPTIMAL", 1.0, 2.0)
    parents = next(row for row in rows if row["method"] == "parents" and row["combination"] == "low")
    assert (parents["macs"], parents["accuracy_low"]) == (700, 0.985)


def test_the_summary_is_written_and_is_always_the_same(tmp_path):
    made = budget_results(cost, greedy_outside, pruners=("vib",), budgets=(0.0, 1.0))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        names = {path.name for path in write_summary(made, tmp_path / folder)}
        assert names >= {"table.md", "results.parquet", "cost_against_budget.png", "solver_against_budget.pdf"}
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def write_seeds(folder: Path, made: list[dict]) -> None:
    for result in made:
        (folder / f"seed-{result['experiment']['seed']}").mkdir(parents=True)
        path = folder / f"seed-{result['experiment']['seed']}" / "results.json"
        path.write_text(json.dumps(result))


def test_the_command_reports_on_the_seeds_that_are_finished(tmp_path, command, monkeypatch):
    monkeypatch.setattr(figures, "FORMATS", ("png",))
    write_seeds(tmp_path / "out", budget_results(cost, methods=EVERY)[:2])
    (tmp_path / "out" / "seed-2").mkdir()
    code, printed, error = command("report", tmp_path / "out", "--baseline", "pam")
    assert code == 0, error
    assert "vib: E[C] / pam" in printed
    assert "Not finished, and left out: seed 2" in printed
    assert (tmp_path / "out" / "figures" / "cost_against_budget.png").stat().st_size > 3000
    assert max(map(len, lines_of(printed, "representatives-greedy"))) <= 80


def test_the_command_reads_kept_results_of_earlier_versions(tmp_path, command, monkeypatch):
    monkeypatch.setattr(figures, "FORMATS", ())
    kept = Path(__file__).parent.parent / "benchmarks" / "results" / "mnist_lenet5_merged"
    code, printed, error = command("report", kept, "--out", tmp_path)
    assert code == 0, error
    assert "Does 'optimal' beat its greedy" in printed
    assert (tmp_path / "table.md").read_text() == (kept / "table.md").read_text()
    assert pq.read_table(tmp_path / "results.parquet").num_rows == 3 * 3 * 7


def test_seeds_of_different_experiments_are_refused(tmp_path):
    made = budget_results(cost)
    made[1]["experiment"]["name"] = "another"
    write_seeds(tmp_path, made)
    with refuses(ConfigError, "another experiment", "differ in ['name']"):
        read_finished(tmp_path)


def test_a_seed_that_is_there_twice_is_refused(tmp_path):
    made = budget_results(cost)
    write_seeds(tmp_path, made)
    (tmp_path / "seed-0.json").write_text(json.dumps(made[0]))
    with refuses(ConfigError, "seed 0 is there twice"):
        read_finished(tmp_path)


def test_a_folder_without_results_and_damaged_results_are_named(tmp_path):
    with refuses(ConfigError, str(tmp_path), "no finished seed"):
        read_finished(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with refuses(StorageError, "results.json", "holds no results"):
        read_finished(tmp_path)


def test_missing_seeds_are_counted():
    assert missing_seeds(budget_results(cost)[1:]) == [0]


def test_a_study_that_was_run_is_reported_whole(tmp_path):
    prune = {"methods": ["taylor"], "epochs": [0, 0.5], "removals": 2, "max_drop": 0.5}
    small = parse_config(study(methods=["separate", "greedy", "optimal"], prune=prune, seeds=[0, 1]))
    made = [read_results(path) for path in run_study(small, tmp_path)]
    assert read_finished(tmp_path) == made
    text = summary(made)
    assert "| taylor: E[C] / separate | 0 epochs | 0.5 epochs |" in text
    assert "| taylor, 0.5 epochs |" in text
    table = pq.read_table(write_parquet(made, tmp_path / "results.parquet"))
    assert table.num_rows == 2 * 3 * (3 * 2 + 1)
    assert np.isfinite(table["expected_macs"].to_numpy()).all()
    assert {f"accuracy_{task}" for task in ("low", "even")} <= {*table.column_names}
