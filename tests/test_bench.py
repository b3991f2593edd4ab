"""The benchmark harness: limits, outcomes, records, resuming after any end, bad input, clusters."""

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
from bench_toys import announce

from pam_opt import cli
from pam_opt.bench import Ending, parse_bench_config, read_bench_config, read_records, run_bench, supervisor
from pam_opt.bench.backends import BACKENDS, Dask, Local, Request, Slurm, make_backend
from pam_opt.bench.backends import extras as backend_extras
from pam_opt.bench.cells import expand
from pam_opt.bench.config import SlurmConfig
from pam_opt.bench.record import read_record, write_record
from pam_opt.errors import ConfigError, ProblemError, SolverNotFound, StorageError
from pam_opt_solvers import Pairing
from pam_opt_solvers.instances import read_catalogue

ROOT = Path(__file__).parents[1]
MEMORY_MB = 4096


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Return a folder of toy solvers and families that every process of a test finds."""
    folder = tmp_path / "toys"
    folder.mkdir()
    announce(folder)
    monkeypatch.syspath_prepend(folder)
    paths = [str(folder), *(entry for entry in sys.path if entry)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return folder


@pytest.fixture
def make(toys):
    """Return a configuration; by default one solver on the family of uniform costs."""

    def config(solvers=("diagonal",), instances=({"family": "toy", "sizes": [3], "severities": [0.0]},), **more):
        raw = {"name": "test", "families": str(toys / "instances"), "time_limit": 20, "memory_limit_mb": MEMORY_MB}
        return parse_bench_config(raw | {"solvers": list(solvers), "instances": list(instances)} | more)

    return config


@pytest.fixture
def one(make):
    """Run one solver on one instance and return its record."""

    def run(solver, **more):
        (cell,) = expand(make([solver], **more)).cells
        return supervisor.supervise(cell)

    return run


def read_all(out: Path):
    records, damaged = read_records((out / "cells").glob("*.parquet"))
    assert not damaged
    return records


# ----------------------------------------------------------------------------------------------------- one cell


def test_a_solved_cell_has_everything_on_record(one):
    record = one("hungarian")
    assert record.ending is Ending.SOLVED
    assert record.status == "OPTIMAL"
    cost = np.random.default_rng(0).random((3, 3))
    assert record.value == pytest.approx(min(cost[[0, 1, 2], list(p)].sum() for p in permutations()))
    assert record.value >= record.bound
    assert record.gap == 0
    assert record.scale == cost.max()
    assert 0 < record.seconds <= record.wall_seconds
    assert 10 * 2**20 < record.instance_memory <= record.peak_memory < 2**32
    assert record.threads == 1
    assert record.processor
    assert record.cores >= 1
    assert {"numpy", "ortools", "pam-opt"} <= set(record.packages)
    assert record.backend == "scipy"


def permutations():
    return [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


def test_torch_is_no_part_of_a_cell(one):
    assert one("greedy").peak_memory < 150 * 2**20


def test_a_trajectory_counts_from_the_call(one):
    record = one("anytime")
    assert record.status == "TIME_LIMIT"
    assert len(record.trajectory_seconds) == 2
    assert record.trajectory_seconds[0] == pytest.approx(0.1 + record.build_seconds)
    assert record.trajectory_value[-1] == record.value
    assert record.trajectory_bound == (-5.0, -4.0)


@pytest.mark.parametrize(
    ("solver", "ending", "words"),
    [
        ("dying", Ending.CRASHED, "signal 11"),
        ("broken", Ending.CRASHED, "inside the backend"),
        ("allocator", Ending.OUT_OF_MEMORY, "no more"),
        ("missing", Ending.NOT_INSTALLED, "no_such_package_at_all"),
    ],
)
def test_every_end_is_an_outcome_with_a_reason(one, solver, ending, words):
    record = one(solver)
    assert record.ending is ending
    assert words in record.reason
    assert np.isnan(record.value)


def test_a_solver_that_does_not_apply_says_why(one):
    record = one("diagonal", instances=[{"family": "barred"}])
    assert record.ending is Ending.DOES_NOT_APPLY
    assert "forbidden" in record.reason


def test_a_heuristic_that_finds_nothing_is_an_outcome(toys, one):
    np.savez(toys / "dead_end.npz", cost=np.array([[1.0, 2.0], [3.0, np.inf]]))
    record = one("greedy", instances=[{"files": str(toys / "dead_end.npz")}])
    assert (record.ending, record.family, record.size) == (Ending.NO_DECISION, "dead_end", 2)


def test_a_family_that_breaks_is_an_outcome(one):
    record = one("diagonal", instances=[{"family": "faulty"}])
    assert record.ending is Ending.CRASHED
    assert "ZeroDivisionError: no such instance" in record.reason


def test_the_time_limit_is_hard(one, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.3)
    started = time.monotonic()
    record = one("stubborn", time_limit=0.5)
    assert record.ending is Ending.TIMED_OUT
    assert "0.5 s" in record.reason
    assert time.monotonic() - started < 15


def test_the_memory_limit_is_hard(one):
    record = one("hog", memory_limit_mb=200)
    assert record.ending is Ending.OUT_OF_MEMORY
    assert "200 MiB" in record.reason
    assert 200 * 2**20 < record.peak_memory < 500 * 2**20


def test_a_stopped_cell_leaves_no_process(make):
    (cell,) = expand(make(["stubborn"])).cells
    deadline = time.monotonic() + 2
    with pytest.raises(supervisor.Stopped):
        supervisor.supervise(cell, lambda: time.monotonic() > deadline)
    assert not processes_of_cells()


def processes_of_cells() -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid,ppid,stat,args"], capture_output=True, text=True, check=True).stdout
    mine = [line for line in listed.splitlines() if "bench/child.py" in line and " Z" not in line]
    return [line for line in mine if int(line.split()[1]) == os.getpid()]


# ----------------------------------------------------------------------------------------------------- records


def test_records_come_back_as_they_were(one, tmp_path):
    record = one("anytime")
    path = write_record(tmp_path, record)
    assert path.name == f"{record.cell}.parquet"
    assert repr(read_record(path)) == repr(record)  # repr: NaN is not itself


def test_damaged_records_are_named_and_made_again(make, tmp_path):
    config, said = make(["diagonal", "greedy"]), []
    out = tmp_path / "out"
    run_bench(config, out)
    first, second = sorted((out / "cells").glob("*.parquet"))
    first.write_bytes(b"PAR1 but not really")
    (out / "cells" / "stranger.parquet").write_bytes(second.read_bytes())
    before = second.stat().st_mtime_ns
    result = run_bench(config, out, resume=True, progress=listener(said))
    assert (result.kept, result.ran, result.endings.total()) == (1, 1, 2)
    assert set(result.damaged) == {first, out / "cells" / "stranger.parquet"}
    assert any(first.stem in text for text in said)
    assert second.stat().st_mtime_ns == before
    assert read_record(first).ending is Ending.SOLVED


def listener(said: list[str]):
    from pam_opt.study.progress import Progress

    class Listener(Progress):
        def say(self, text: str) -> None:
            said.append(text)

    return Listener()


def test_a_record_under_another_name_is_refused(one, tmp_path):
    path = write_record(tmp_path, one("diagonal"))
    path.rename(tmp_path / "other.parquet")
    with pytest.raises(StorageError, match="not its name"):
        read_record(tmp_path / "other.parquet")


# ----------------------------------------------------------------------------------------------------- cells


def test_names_of_cells_never_change_and_say_what_differs(make):
    config = make(["diagonal", {"name": "math_opt", "settings": {"engine": "glop"}}], seeds=[0, 1])
    names = [cell.name for cell in expand(config).cells]
    assert names == [cell.name for cell in expand(config).cells]
    assert len(set(names)) == 4
    assert names[0].startswith("toy_3_0_seed0_diagonal-")
    other = [cell.name for cell in expand(make(["diagonal"], time_limit=21)).cells]
    assert not set(names) & set(other)


def test_the_name_of_a_cell_follows_its_file(make, toys):
    path = toys / "one.npz"
    names = set()
    for cost in (np.ones((2, 2)), np.zeros((2, 2))):
        np.savez(path, cost=cost)
        (cell,) = expand(make(instances=[{"files": str(path)}])).cells
        names.add(cell.name)
    assert len(names) == 2


def test_families_default_to_their_own_sizes_and_severities(make):
    cells = expand(make(instances=[{"family": "toy"}])).cells
    assert [(cell.instance.size, cell.instance.severity) for cell in cells] == [(3, 0.0), (3, 1.0), (5, 0.0), (5, 1.0)]
    assert cells[0].instance.dial == "shift (1)"


def test_corrupt_instances_are_skipped_and_counted(make, toys, tmp_path):
    Pairing(np.eye(4)).save(toys / "good.npz")
    (toys / "bad.npz").write_bytes(b"not an archive")
    np.savez(toys / "nan.npz", cost=np.full((2, 2), np.nan))
    said = []
    out = tmp_path / "out"
    result = run_bench(make(instances=[{"files": str(toys / "*.npz")}]), out, progress=listener(said))
    assert {Path(path).name for path in result.skipped} == {"bad.npz", "nan.npz"}
    assert sum("bad.npz" in text for text in said) == 1
    assert [record.family for record in read_all(out)] == ["good"]
    assert set(json.loads((out / "plan.json").read_text())["skipped"]) == set(result.skipped)


def test_nothing_but_corrupt_instances_is_an_error(make, toys):
    (toys / "bad.npz").write_bytes(b"not an archive")
    with pytest.raises(ConfigError, match=r"no usable instance: .*bad\.npz"):
        expand(make(instances=[{"files": str(toys / "*.npz")}]))
    with pytest.raises(ConfigError, match="no file matches"):
        expand(make(instances=[{"files": str(toys / "*.none")}]))


def test_families_of_the_repository_build_and_repeat():
    catalogue = read_catalogue(ROOT / "benchmarks" / "instances")
    assert not catalogue.broken
    assert {"planted_pairing", "low_rank_pairing", "noise_pairing"} <= set(catalogue.families)
    for family in catalogue.families.values():
        assert family.description
        problem = family(min(family.sizes), family.severities[-1], 0)
        again = family(min(family.sizes), family.severities[-1], 0)
        assert problem.kind == family.problem
        assert all(np.array_equal(array, again.arrays()[name]) for name, array in problem.arrays().items())


def test_a_family_file_that_does_not_load_is_named(make, toys):
    (toys / "instances" / "broken.py").write_text("import no_such_module_anywhere")
    assert expand(make()).cells
    with pytest.raises(ConfigError, match=r"'nobody'.*families: barred, faulty, toy.*broken\.py.*no_such_module"):
        expand(make(instances=[{"family": "nobody"}]))


def test_two_families_of_one_name_are_refused(make, toys):
    (toys / "instances" / "twice.py").write_text((toys / "instances" / "toy.py").read_text())
    with pytest.raises(ProblemError, match="both define"):
        expand(make())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"solvers": ["hungarien"]}, SolverNotFound, "hungarian"),
        ({"solvers": [{"name": "greedy", "settings": {"speed": "high"}}]}, ProblemError, "speed"),
        ({"solvers": ["math_opt:nothing"]}, ProblemError, "nothing"),
        ({"solvers": ["greedy", "greedy"]}, ConfigError, "solvers"),
        ({"solvers": []}, ConfigError, "solvers"),
        ({"seeds": [0, 0]}, ConfigError, "seeds"),
        ({"seeds": [-1]}, ConfigError, "seeds.0"),
        ({"time_limit": 0}, ConfigError, "time_limit"),
        ({"memory_limit_mb": -1}, ConfigError, "memory_limit_mb"),
        ({"threads": 0}, ConfigError, "threads"),
        ({"jobs": 0}, ConfigError, "jobs"),
        ({"colour": "red"}, ConfigError, "colour"),
        ({"instances": [{}]}, ConfigError, "family or a pattern"),
        ({"instances": [{"files": "*.npz", "sizes": [3]}]}, ConfigError, "leave sizes"),
        ({"instances": [{"family": "toy", "sizes": []}]}, ConfigError, "sizes"),
        ({"instances": [{"family": "toy"}, {"family": "toy"}]}, ConfigError, "twice"),
    ],
)
def test_bad_configurations_say_where(make, change, error, words):
    with pytest.raises(error, match=words):
        expand(make(**change))


def test_the_nearest_instances_folder_is_found(tmp_path):
    (tmp_path / "instances").mkdir()
    (tmp_path / "studies").mkdir()
    path = tmp_path / "studies" / "quick.yaml"
    raw = {"name": "x", "solvers": ["greedy"], "instances": [{"files": "a/*.npz"}]}
    path.write_text(yaml.safe_dump(raw))
    config = read_bench_config(path)
    assert config.families == str(tmp_path / "instances")
    assert config.instances[0].files == str(tmp_path / "studies" / "a" / "*.npz")


# ----------------------------------------------------------------------------------------------------- whole runs


def test_a_run_resumes_and_repeats_nothing(make, tmp_path):
    config, out = make(["diagonal", "hungarian"], seeds=[0, 1], jobs=2), tmp_path / "out"
    backend = Local(2)
    running = backend.run(expand(config).cells)
    write_record(make_folder(out / "cells"), next(running))
    running.close()
    with pytest.raises(ConfigError, match="not empty"):
        run_bench(config, out)
    (kept,) = (out / "cells").glob("*.parquet")
    (kept.rename(tmp_path / kept.name), (out / "cells").rmdir(), out.rmdir())
    run_bench(config, out)
    assert len(read_all(out)) == 4
    stamps = {path: path.stat().st_mtime_ns for path in (out / "cells").glob("*.parquet")}
    with pytest.raises(ConfigError, match="--resume"):
        run_bench(config, out)
    with pytest.raises(ConfigError, match="another"):
        run_bench(make(["diagonal"]), out, resume=True)
    kept.unlink(missing_ok=True)
    result = run_bench(config, out, resume=True)
    assert (result.kept, result.ran) == (3, 1)
    again = {path: path.stat().st_mtime_ns for path in (out / "cells").glob("*.parquet")}
    assert [path for path in stamps if again[path] != stamps[path]] == [kept]


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def write_config(folder: Path, config) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    code = "import sys; from pam_opt.cli import main; sys.argv[0] = 'pam-opt'; main()"
    command = [sys.executable, "-c", code, "bench", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=os.environ | environment, stdout=pipe, stderr=pipe, text=True)


def wait_for(done, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_harness_that_is_ended_resumes(make, tmp_path, how):
    config, out = make(["diagonal"], seeds=range(5), jobs=2), tmp_path / "out"
    arguments = [str(write_config(tmp_path, config)), "--out", str(out)]
    process = start(arguments, TOY_SECONDS="0.6")
    wait_for(lambda: len([*(out / "cells").glob("*.parquet")]) >= 2)
    process.send_signal(how)
    _, error = process.communicate(timeout=30)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in error
    wait_for(lambda: not orphans(), 10)
    early = {path: path.stat().st_mtime_ns for path in (out / "cells").glob("*.parquet")}
    assert 2 <= len(early) < 5
    result = run_bench(config, out, resume=True)
    assert (result.kept, result.ran) == (len(early), 5 - len(early))
    assert {path: path.stat().st_mtime_ns for path in early} == early
    assert sorted(record.cell for record in read_all(out)) == sorted(cell.name for cell in expand(config).cells)


def orphans() -> list[str]:
    """Processes of cells whose harness is gone."""
    listed = subprocess.run(["ps", "-eo", "ppid,stat,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "bench/child.py" in line and line.split()[0] == "1"]


def test_the_command_runs_and_counts(make, tmp_path, monkeypatch, capsys):
    config = make(["diagonal", "broken"])
    path = write_config(tmp_path, config)
    monkeypatch.setattr(sys, "argv", ["pam-opt", "bench", str(path), "--out", str(tmp_path / "out"), "--jobs", "2"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert "2 cells (0 kept, 2 run): 1 solved, 1 crashed" in capsys.readouterr().out


# ----------------------------------------------------------------------------------------------------- backends


def test_unknown_backends_and_misplaced_options_are_refused(make, tmp_path):
    request = Request(make(), tmp_path)
    with pytest.raises(ConfigError, match="backends: local, dask, slurm"):
        make_backend("cloud", request)
    with pytest.raises(ConfigError, match="--scheduler with the address"):
        make_backend("dask", request)
    with pytest.raises(ConfigError, match="--scheduler is for --backend dask"):
        make_backend("local", Request(make(), tmp_path, scheduler="tcp://x:1"))
    with pytest.raises(ConfigError, match="--jobs is for --backend local"):
        make_backend("slurm", Request(make(), tmp_path, jobs=2))


@pytest.mark.parametrize("name", ["dask", "slurm"])
def test_a_missing_package_ends_in_a_sentence(make, tmp_path, monkeypatch, name):
    def absent(module):
        raise ImportError(module)

    monkeypatch.setattr(backend_extras.importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=rf'pip install "pam-opt\[{name}\]"'):
        BACKENDS[name](Request(make(), tmp_path, scheduler="tcp://127.0.0.1:1"))


def test_a_killed_dask_worker_loses_nothing(make, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason='pip install "pam-opt[dask]"')
    monkeypatch.setenv("TOY_SECONDS", "0.7")
    config, out = make(["diagonal"], seeds=range(6)), tmp_path / "out"
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    )
    with cluster:
        backend = Killing(cluster.scheduler_address, [w.process.process.pid for w in cluster.workers.values()])
        result = run_bench(config, out, backend=backend)
    assert backend.killed
    assert (result.ran, result.endings) == (6, {Ending.SOLVED: 6})
    records = read_all(out)
    assert sorted(record.cell for record in records) == sorted(cell.name for cell in expand(config).cells)


class Killing(Dask):
    """Kill the first worker once two cells are done."""

    def __init__(self, scheduler: str, pids: list[int]) -> None:
        super().__init__(scheduler)
        self.pids, self.killed = pids, False

    def run(self, cells):
        for number, record in enumerate(super().run(cells)):
            if number == 1:
                os.kill(self.pids[0], signal.SIGKILL)
                self.killed = True
            yield record


def test_nobody_at_the_address_is_a_sentence(make, monkeypatch):
    pytest.importorskip("distributed", reason='pip install "pam-opt[dask]"')
    from pam_opt.bench.backends import dask_

    monkeypatch.setattr(dask_, "CONNECT_SECONDS", 0.5)
    with pytest.raises(ConfigError, match="no Dask scheduler answers"):
        next(Dask("tcp://127.0.0.1:9").run(expand(make()).cells))


def test_slurm_jobs_carry_the_same_cells(make, tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason='pip install "pam-opt[slurm]"')
    from pam_opt.bench.backends import slurm

    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.1)
    config, out = make(["hungarian"], threads=3), tmp_path / "out"
    backend = Slurm(SlurmConfig(partition="short"), tmp_path / "jobs", cluster="local")
    cells = expand(config).cells
    assert backend._parameters(cells) == {
        "timeout_min": 7,
        "mem_gb": 6,
        "cpus_per_task": 3,
        "slurm_array_parallelism": 256,
        "slurm_partition": "short",
    }
    result = run_bench(config, out, backend=backend)
    assert result.endings == {Ending.SOLVED: 1}
    assert read_all(out)[0].threads == 3
