"""The report of a study of several widths: intervals, comparisons, tables, sentences and the figure."""

import json
import math
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
from bad_input_cases import strict_json, study
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pam_opt.report import findings, summary, write_figures
from pam_opt.report.cells import Setting, Training, accuracies, setting, settings, width_text
from pam_opt.report.comparisons import comparisons, heuristic_losses
from pam_opt.report.intervals import Interval, interval
from pam_opt.report.line_labels import spread_apart
from pam_opt.report.terminal import rich_tables
from pam_opt.report.width_figure import accuracy_against_width
from pam_opt.report.width_tables import comparisons_table, losses_table, widths_table
from pam_opt.study.config import parse_config
from pam_opt.study.runner import run_study

METHODS = ("select", "representatives", "representatives-greedy")
Accuracy = Callable[[str, float, float, int], float]
"""(method, width, epochs, seed) -> accuracy of both tasks."""


def cell(accuracy: float) -> dict:
    one = {name: {"macs": 100, "accuracy": {name: accuracy}} for name in ("a", "b")}
    both = {"a+b": {"macs": 150, "accuracy": {"a": accuracy - 0.01, "b": accuracy + 0.01}}}
    layers = [{"name": "linear1", "groups": {"a+b": 4}}, {"name": "head", "groups": {"a": 2, "b": 2}}]
    return {"combinations": one | both, "expected_macs": 120.0, "layers": layers, "within_drop": None, "history": []}


def objective(value: float, bound: float | None) -> list[dict]:
    return [
        {"layer": name, "status": "OPTIMAL", "value": part * value, "bound": bound and part * bound, "stepwise": False}
        for name, part in (("conv1", 0.25), ("linear1", 0.75))
    ]


def results(
    accuracy: Accuracy = lambda method, width, epochs, seed: 0.5,
    seeds: int = 3,
    widths: tuple = (1.0, 0.5),
    epochs: tuple = (0, 1),
    methods: tuple = METHODS,
) -> list[dict]:
    """Make results of a study by hand."""
    made = []
    for seed in range(seeds):
        cells = {
            f"{method}, width {width}, {count} epochs": cell(accuracy(method, width, count, seed))
            for width in widths
            for method in methods
            for count in epochs
        }
        values = {"representatives": (1.0, 1.0), "representatives-greedy": (1.1, 0.9)}
        made.append(
            {
                "schema": 1,
                "experiment": {"seed": seed, "fine_tune": {"epochs": list(epochs)}, "prune": None},
                "parents": {name: {"accuracy": 0.8, "macs": 100} for name in ("a", "b")},
                "methods": cells,
                "objectives": {f"{m}, width {w}": objective(*v) for m, v in values.items() for w in widths},
            }
        )
    return made


def leads(by: dict[int, float]) -> Accuracy:
    """p-median leads its greedy by the points given for each seed, at every width and epochs."""
    return lambda method, width, epochs, seed: 0.5 + (by[seed] / 100 if method == "representatives" else 0.0)


# -------------------------------------------------------------------------------------------------- intervals


def test_the_interval_is_students():
    found = interval([1.0, 2.0, 4.0])
    assert found.mean == pytest.approx(7 / 3)
    assert found.half == pytest.approx(4.302653 * math.sqrt(7 / 3) / math.sqrt(3), rel=1e-6)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [interval(list(row)) for row in rng.standard_normal((4000, 3))]
    assert np.mean([entry.sign == 0 for entry in found]) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(
    ("mean", "half", "sign"),
    [(1.0, 0.5, 1), (-1.0, 0.5, -1), (1.0, 1.0, 0), (0.2, 3.0, 0), (5.0, None, 0), (0.0, 0.0, 0)],
)
def test_a_difference_is_decided_if_its_interval_leaves_out_zero(mean, half, sign):
    assert Interval(mean, half).sign == sign


def test_places_move_apart_and_no_more_than_needed():
    assert spread_apart([0.0, 5.0, 10.0], 1.0) == [0.0, 5.0, 10.0]
    assert spread_apart([1.0, 1.0], 2.0) == [0.0, 2.0]
    rng = np.random.default_rng(0)
    for _ in range(200):
        places = sorted(rng.uniform(0, 3, rng.integers(1, 8)))
        moved = spread_apart(places, 0.5)
        assert np.all(np.diff(moved) >= 0.5 - 1e-9)
        assert np.mean(moved) == pytest.approx(np.mean(places))


# ------------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("optimal", Setting("optimal", None, Training(2.0))),
        ("optimal-keep, width 0.375", Setting("optimal-keep", 0.375, Training(2.0))),
        ("select, width all, 0 epochs", Setting("select", None, Training(0.0))),
        ("select, width 1.0, 0.5 epochs", Setting("select", 1.0, Training(0.5))),
    ],
)
def test_names_say_the_setting(name, expected):
    assert setting(name, Training(2.0)) == expected


def test_widths_are_short_fractions():
    assert [width_text(width) for width in (1.0, 0.75, 0.375, 0.3, 1.5, None)] == [
        "1",
        "3/4",
        "3/8",
        "3/10",
        "3/2",
        "all",
    ]


def test_accuracy_is_the_mean_of_the_tasks_of_the_network_that_runs_all():
    made = results(lambda method, width, epochs, seed: 0.5 + seed / 10)
    assert accuracies(made, "select, width 1.0, 0 epochs") == pytest.approx([50, 60, 70])
    assert accuracies(made, "parents") == pytest.approx([80, 80, 80])


# ------------------------------------------------------------------------------------------------ comparisons


def test_differences_are_paired():
    """What a seed does to all methods leaves no trace."""
    made = comparisons(results(lambda m, w, e, seed: 0.1 * seed + (0.02 if m == "representatives" else 0.0)))
    (found,) = [c for c in made if c.second == "representatives-greedy" and c.training.epochs == 0]
    assert found.differences[0.5].mean == pytest.approx(2.0)
    assert found.differences[0.5].half == pytest.approx(0.0, abs=1e-9)
    assert found.overall.mean == pytest.approx(2.0)


def test_losses_of_the_objective_are_relative_to_the_best():
    (one, two) = heuristic_losses(results())
    assert (one.width, two.width) == (1.0, 0.5)
    assert one.totals == pytest.approx((0.1,) * 3)
    assert one.layers == pytest.approx((0.1,) * 6)
    assert one.gaps == (0.0,) * 3
    assert "10.00 (a layer: up to 10.00)" in losses_table(results())


def test_results_without_objectives_have_no_losses():
    made = results()
    del made[1]["objectives"]
    assert heuristic_losses(made) == []
    assert losses_table(made) == ""
    assert "objective" not in findings(made)


def test_steps_without_a_common_bound_prove_nothing():
    made = results()
    for result in made:
        for steps in result["objectives"].values():
            steps[0]["stepwise"] = True
    assert heuristic_losses(made)[0].gaps == (None,) * 3
    assert "the better one is not proven" in findings(made)


# -------------------------------------------------------------------------------------------------- sentences


def line_of(text: str, start: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(start)]
    return found


def test_a_clear_lead_is_said_with_its_interval():
    line = line_of(findings(results(leads({0: 1.0, 1: 1.1, 2: 1.2}))), "Does 'representatives' beat its greedy")
    assert "by 10.00 % of the sum over layers" in line
    assert "without training ahead by +1.10 ± 0.25 at width 1 and +1.10 ± 0.25 at width 1/2" in line
    assert "undecided" not in line


def test_an_interval_that_holds_zero_is_undecided():
    line = line_of(findings(results(leads({0: 1.0, 1: -1.0, 2: 3.0}))), "Does 'representatives' beat its greedy")
    assert "without training undecided at every width (all widths: +1.00 ± 4.97 points, undecided)" in line
    assert "ahead" not in line


def test_a_lead_at_one_width_is_not_said_of_the_others():
    def accuracy(method: str, width: float, epochs: float, seed: int) -> float:
        sign = (1, -1, 1)[seed] if width == 1.0 else 1
        return 0.5 + (sign * (0.02 + 0.001 * seed) if method == "representatives" else 0.0)

    line = line_of(findings(results(accuracy)), "'representatives' against 'select'")
    assert "ahead by +2.10 ± 0.25 at width 1/2 and undecided at 1 (" in line


def test_a_lag_is_said():
    line = line_of(findings(results(leads({0: -1.0, 1: -1.1, 2: -1.2}))), "'representatives' against 'select'")
    assert "behind by -1.10 ± 0.25 at width 1" in line


def test_one_seed_decides_nothing():
    text = findings(results(leads({0: 5.0}), seeds=1))
    assert "+5.00 at width 1" in text
    assert "ahead" not in text
    assert "One seed: none of these differences has an interval" in text
    assert comparisons_table(results(seeds=1)) == ""


def test_one_width_has_no_mean_over_widths():
    made = results(leads({0: 1.0, 1: 1.1, 2: 1.2}), widths=(0.5,))
    assert "without training ahead by +1.10 ± 0.25 points" in findings(made)
    assert "all widths" not in findings(made)
    assert widths_table(made) == ""


def test_a_study_without_rivals_says_so():
    assert "no two methods" in findings(results(methods=("random",)))


# ------------------------------------------------------------------------------------------- tables and figure


def test_the_table_of_widths_has_all_methods():
    lines = widths_table(results()).splitlines()
    assert lines[0] == "| %, mean of the tasks | width 1 | width 1/2 |"
    assert lines[2] == "| parents | 80.0 | 80.0 |"
    assert len(lines) == 3 + 2 * len(METHODS)


def test_the_summary_holds_every_table():
    made = results(leads({0: 1.0, 1: 1.1, 2: 1.2}))
    for part in (widths_table(made), comparisons_table(made), losses_table(made), findings(made)):
        assert part
        assert part in summary(made)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("methods", [METHODS, METHODS[1:]])
def test_the_figure_shows_every_method_at_every_width(seeds, methods):
    made = results(leads({0: 1.0, 1: 1.1, 2: 1.2}), seeds=seeds, methods=methods)
    figure = accuracy_against_width(made)
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    rows = 2 if "select" in methods else 1
    assert len(figure.axes) == 2 * rows
    words = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert words >= {*methods, "parents"}
    assert any("95 % interval" in text for text in words) == (seeds > 1)
    assert all("(%)" in axes.get_ylabel() or "(points)" in axes.get_ylabel() for axes in figure.axes[::2])
    box = figure.bbox
    for text in (text for axes in figure.axes for text in axes.texts):
        inside = text.get_window_extent()
        assert box.x0 <= inside.x0 <= inside.x1 <= box.x1, text.get_text()


def test_labels_do_not_overlap():
    figure = accuracy_against_width(results())
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.axes[1].texts]
    assert len(boxes) == len(METHODS) + 1
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_figure_is_written_as_png_and_pdf_and_is_always_the_same(tmp_path):
    made = results()
    for folder in ("one", "two"):
        names = {path.name for path in write_figures(made, tmp_path / folder)}
        assert names >= {"accuracy_against_width.png", "accuracy_against_width.pdf"}
    for suffix in ("png", "pdf"):
        one, two = ((tmp_path / f / f"accuracy_against_width.{suffix}").read_bytes() for f in ("one", "two"))
        assert one == two


def test_one_width_has_no_such_figure(tmp_path):
    names = {path.name for path in write_figures(results(widths=(1.0,)), tmp_path)}
    assert not any(name.startswith("accuracy_against_width") for name in names)


def test_a_terminal_that_cannot_write_plus_minus_gets_another_sign():
    (table,) = rich_tables(results(lambda m, w, e, seed: 0.1 * seed), "title", ascii_only=True)
    cells = [cell for column in table.columns for cell in column.cells]
    assert any("+/-" in str(cell) for cell in cells)
    assert not any("±" in str(cell) for cell in cells)


def test_a_study_keeps_what_every_layer_cost(tmp_path):
    changes = {"merge": {"widths": [1.0, 0.5], "calibration": 60}, "prune": None}
    small = parse_config(study(methods=list(METHODS), **changes))
    (path,) = run_study(small, tmp_path / "out")
    held = strict_json(path)
    assert set(held["objectives"]) == {setting.method + f", width {setting.width}" for setting in settings([held])}
    for loss in heuristic_losses([held]):
        assert all(value >= -1e-9 for value in loss.layers)
        assert loss.gaps[0] is not None
    for unit, layers in held["objectives"].items():
        cell = next(cell for name, cell in held["methods"].items() if name.startswith(unit))
        if layers:
            assert sum(layer["value"] for layer in layers) == pytest.approx(cell["solver"]["value"])
    assert json.dumps(deepcopy(held), allow_nan=False)
