"""The benchmark's report: measures by hand-counted examples, the conclusion, figures and page from real files."""

import math
import re
import sys
from dataclasses import replace

import pytest

from pam_opt import cli
from pam_opt.bench import Ending, Record
from pam_opt.bench.record import write_record
from pam_opt.errors import ConfigError
from pam_opt.report import bench as bench_report
from pam_opt.report.bench import write_report
from pam_opt.report.bench.board import make_boards, mean_seconds, profile
from pam_opt.report.bench.conclusion import choose, conclusion, percent, variants
from pam_opt.report.bench.figures import FIGURES
from pam_opt.report.style import looks


def record(label, value=10.0, seconds=1.0, size=8, severity=0.5, **more) -> Record:
    """One cell of a made-up run."""
    base = Record(
        cell=f"{label}-{size}-{severity}-{more.get('seed', 0)}-{more.get('problem', '')}",
        study="made up",
        problem="pairing",
        family="toy",
        size=size,
        severity=severity,
        dial="noise (1)",
        unit="units",
        seed=0,
        solver=label,
        label=label,
        settings={},
        time_limit=60.0,
        memory_limit_mb=100.0,
        threads=1,
        ending=Ending.SOLVED,
        status="FEASIBLE",
        value=value,
        bound=9.0,
        gap=0.1,
        scale=5.0,
        build_seconds=0.0,
        solve_seconds=seconds,
        started="2026-01-01T00:00:00+00:00",
    )
    return replace(base, **more)


def failed(label, ending, **more) -> Record:
    nan = math.nan
    return record(label, nan, nan, ending=ending, status="", bound=nan, gap=nan, build_seconds=nan, **more)


def run() -> list[Record]:
    """Two sizes, two severities: 'exact' is always right and slow, 'greedy' quick and wrong, 'limited' small only."""
    found = []
    for size in (8, 64):
        for severity in (0.0, 1.0):
            place = {"size": size, "severity": severity}
            path = {"trajectory_seconds": (0.1, 2.0), "trajectory_value": (12.0, 10.0), "trajectory_bound": (1.0, 10.0)}
            found += [
                record("exact", seconds=size / 8, status="OPTIMAL", bound=10.0, gap=0.0, **place, **path),
                record("greedy", 10.0 + severity * size / 8, 0.01, **place),
                record("limited", seconds=0.5, **place) if size == 8 else failed("limited", Ending.TIMED_OUT, **place),
                failed("picky", Ending.DOES_NOT_APPLY, reason="forbidden choices", **place),
            ]
    return found


@pytest.fixture
def board():
    (found,) = make_boards(run())
    return found


# ----------------------------------------------------------------------------------------------------- measures


def test_losses_are_relative_to_the_best_anybody_found(board):
    assert [entry.loss for entry in board.of("exact")] == [0.0] * 4
    assert [entry.loss for entry in board.of("greedy")] == pytest.approx([0.0, 0.1, 0.0, 0.8])
    assert [entry.loss for entry in board.of("limited", size=64)] == [math.inf] * 2


def test_losses_of_values_that_are_but_rounding_do_not_explode():
    (board,) = make_boards([record("a", 1e-15, scale=5.0), record("b", 2e-15, scale=5.0), record("c", 1.0, scale=5.0)])
    assert [board.of(label)[0].reached for label in "abc"] == [True, True, False]


def test_negative_values_have_losses_too():
    (board,) = make_boards([record("a", -10.0), record("b", -9.0)])
    assert board.of("b")[0].loss == pytest.approx(0.1)


def test_a_proof_that_there_is_no_decision_reaches_the_best():
    proof = record("prover", math.nan, status="INFEASIBLE", bound=math.inf)
    (board,) = make_boards([proof, failed("other", Ending.NO_DECISION)])
    assert board.of("prover")[0].reached
    assert not board.of("other")[0].reached
    assert choose(board, 8).label == "prover"


def test_solvers_that_never_apply_are_apart(board):
    assert board.labels == ("exact", "greedy", "limited")
    assert {record.label for record in board.absent} == {"picky"}


def test_the_profile_counts_by_hand(board):
    # exact: 2 s to the target everywhere (1 s limit of its run at size 8); greedy: 10 ms at severity 0.
    ratios, parts = profile(board, "greedy")
    assert (ratios, parts) == ([1.0, 1.0], [0.25, 0.5])
    ratios, parts = profile(board, "exact")
    assert ratios == pytest.approx([1.0, 2.0 / 0.5, 2.0 / 0.01, 2.0 / 0.01])
    assert parts == [0.25, 0.5, 0.75, 1.0]
    ratios, parts = profile(board, "limited")
    assert ratios == pytest.approx([1.0, 50.0])
    assert parts == [0.25, 0.5]


def test_means_of_times_are_shifted_and_charge_the_limit(board):
    entries = board.of("limited", size=64)
    assert mean_seconds(entries) == pytest.approx(60.0)
    mixed = board.of("limited")
    expected = math.exp((2 * math.log(0.51) + 2 * math.log(60.01)) / 4) - 0.01
    assert mean_seconds(mixed) == pytest.approx(expected)
    assert math.isnan(mean_seconds([]))


def test_many_sizes_are_put_together_by_powers_of_two():
    (board,) = make_boards([record("a", size=size) for size in range(20, 70, 3)])
    assert board.sizes == (16, 32, 64)


# ----------------------------------------------------------------------------------------------------- conclusion


def test_the_fastest_of_those_that_always_reach_the_best_is_chosen(board):
    small, large = choose(board, 8), choose(board, 64)
    assert (small.label, small.always, small.proved) == ("limited", True, 1.0)
    assert (large.label, large.always) == ("exact", True)


def test_a_lead_of_milliseconds_decides_nothing():
    records = [record("a", seconds=0.002, size=8), record("b", seconds=0.001, size=8)]
    records += [record("a", seconds=1.0, size=64), record("b", seconds=9.0, size=64)]
    (board,) = make_boards(records)
    assert [choose(board, size).label for size in board.sizes] == ["a", "a"]


def test_the_conclusion_says_whom_to_use_and_what_greedy_loses(board):
    text = conclusion(board)
    assert text.startswith("pairing: Use 'limited' for size 8 (0.5 s)")
    assert "Use 'exact' for size 64 (8 s)" in text
    assert "Every best known value is proved optimal." in text
    assert "'greedy' loses 5 % in the median and 80 % at worst (toy, size 64, severity 1)." in text


def test_the_conclusion_is_honest_where_nobody_is_always_right():
    records = [record("a", 10.0, severity=0.0), record("b", 12.0, severity=0.0)]
    records += [record("a", 11.0, severity=1.0), record("b", 10.0, severity=1.0)]
    (board,) = make_boards(records)
    text = conclusion(board)
    assert "No solver comes within 0.1 %" in text
    assert "'a' is the safest (loses at most 10 %" in text
    assert "0 % of the best known values are proved optimal; the others are within 10 % of a proved bound" in text


def test_greedy_that_finds_nothing_is_said():
    records = [record("exact", severity=s, status="OPTIMAL") for s in (0.0, 1.0)]
    records += [record("greedy", severity=0.0), failed("greedy", Ending.NO_DECISION, severity=1.0)]
    (board,) = make_boards(records)
    assert "finds no decision at all on 1 of 2 instances" in conclusion(board)


@pytest.mark.parametrize(
    ("part", "text"), [(0.0, "0 %"), (1e-6, "< 0.01 %"), (0.0286, "2.86 %"), (99.0, "over 1,000 %")]
)
def test_percents_are_short(part, text):
    assert percent(part) == text


# ----------------------------------------------------------------------------------------------------- files


@pytest.fixture
def folder(tmp_path):
    cells = tmp_path / "run" / "cells"
    cells.mkdir(parents=True)
    for entry in run():
        write_record(cells, entry)
    return tmp_path / "run"


def test_the_report_is_whole_and_opens_offline(folder):
    report = write_report(folder, folder / "report")
    assert {path.name for path in report.figures} == {
        f"pairing_{name}.{suffix}" for name in FIGURES for suffix in ("pdf", "png")
    }
    assert all(path.stat().st_size > 3000 for path in report.figures)
    page = report.page.read_text()
    assert page.count("data:image/svg+xml;base64,") == len(FIGURES)
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", page)
    assert "Use &#39;exact&#39; for size 64" in page
    assert "forbidden choices" in page


def test_damaged_records_and_skipped_instances_are_named(folder, monkeypatch):
    monkeypatch.setattr(bench_report, "FORMATS", ())
    for path in sorted((folder / "cells").glob("*.parquet"))[1:]:
        path.unlink()
    (folder / "cells" / "torn.parquet").write_bytes(b"PAR1")
    (folder / "plan.json").write_text('{"cells": ["a", "b"], "skipped": {"lost.npz": "not an archive"}}')
    report = write_report(folder, folder / "report")
    assert [path.name for path in report.damaged] == ["torn.parquet"]
    page = report.page.read_text()
    assert "torn.parquet" in page
    assert "lost.npz: not an archive" in page
    assert "1 instance files and 1 records left out" in page


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no readable record"):
        write_report(tmp_path, tmp_path / "report")


@pytest.mark.parametrize(
    "records",
    [
        [record("a")],
        [record("a", severity=math.nan, size=0)],
        [failed("a", Ending.CRASHED, reason="<b>bold</b>"), failed("b", Ending.OUT_OF_MEMORY)],
        [failed("a", Ending.NOT_INSTALLED)],
        [record("a", math.nan, status="INFEASIBLE", bound=math.inf, gap=math.nan)],
        [record("a", 0.0, bound=0.0, gap=0.0, scale=0.0, solve_seconds=0.0)],
        [record(f"solver{n}", 10.0 + n, n + 1.0, problem=kind) for n in range(7) for kind in ("grouping", "pairing")],
    ],
    ids=["one", "no severity", "nothing solved", "not installed", "infeasible", "zero", "two kinds, seven solvers"],
)
def test_any_run_makes_a_report(tmp_path, monkeypatch, records):
    monkeypatch.setattr(bench_report, "FORMATS", ())
    for entry in records:
        write_record(tmp_path, entry)
    page = write_report(tmp_path, tmp_path / "report").page.read_text()
    assert "<b>bold" not in page


def test_the_command_prints_the_conclusion(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pam-opt", "bench", "report", str(folder)])
    monkeypatch.setattr(bench_report, "FIGURES", {})
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert "Use 'exact' for size 64" in printed
    assert str(folder / "report" / "report.html") in printed


def test_looks_are_apart_and_greedy_is_always_the_same():
    first, second = looks(["a", "greedy", "b"]), looks(["greedy", "z"])
    assert first["greedy"] == second["greedy"]
    many = looks([f"s{number}" for number in range(20)])
    assert len({(look.colour, look.dashes, look.marker) for look in many.values()}) == 20


def test_the_conclusion_does_not_mix_what_some_solvers_cannot_take():
    found = [
        *run(),
        record("exact", 20.0, family="bound", severity=2.0, status="OPTIMAL"),
        failed("greedy", Ending.DOES_NOT_APPLY, family="bound", severity=2.0),
        record("limited", 30.0, family="bound", severity=2.0),
    ]
    (mixed,) = make_boards(found)
    plain, bound = variants(mixed)
    assert plain.families == ("toy",)
    assert bound.families == ("bound",)
    assert bound.barred == ("greedy",)
    assert "Where 'greedy' does not apply (bound): Use 'exact' for size 8" in conclusion(mixed)
    assert "finds no decision" not in conclusion(mixed)
