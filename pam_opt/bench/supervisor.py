"""One cell in a process of its own, watched from outside: hard limits, peak memory, and an outcome whatever happens."""

import datetime
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pam_opt.bench import child
from pam_opt.bench.cells import Cell
from pam_opt.bench.environment import cell_environment
from pam_opt.bench.processes import Tree
from pam_opt.bench.record import Ending, Record, of_cell
from pam_opt.errors import SolverFailed, SolverNotFound
from pam_opt_solvers.registry import load

GRACE_SECONDS = 3.0
"""Time after the limit in which a solver may still hand over what it has; ``solve`` itself allows half a second."""

START_SECONDS = 300.0
"""Time in which the process must have started and built its instance."""

_POLL_SECONDS = 0.01
_ENDINGS = {"NO_DECISION": Ending.NO_DECISION, "TIME_LIMIT_EMPTY": Ending.TIMED_OUT}


class Stopped(Exception):
    """The harness was told to stop before the cell ended."""


@dataclass(frozen=True)
class _Cut:
    """A cell that was ended from outside: how, and the reason in words."""

    ending: Ending
    reason: str


def supervise(cell: Cell, stop: Callable[[], bool] = lambda: False) -> Record:
    """Run a cell and return its record; nothing that the cell does raises here.

    Raises
    ------
    Stopped : `stop` said so; the cell is ended and must be run again
    """
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    missing = _missing(cell)
    if missing:
        return of_cell(cell, Ending.NOT_INSTALLED, reason=missing, started=started, **cell_environment())
    with tempfile.TemporaryDirectory(prefix="pam_opt_bench_", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps(asdict(cell)))
        with open(folder / "stderr.txt", "wb") as stderr, _start(cell, folder, stderr) as process:
            tree = Tree(process.pid)
            try:
                cut = _watch(process, tree, cell, folder, stop)
            finally:
                tree.end()
        found = _outcome(cell, folder, cut, process.returncode)
    ready = found.pop("ready", {})
    peak = max(tree.peak, found.pop("memory", 0), ready.get("memory", 0))
    measured = {"scale": ready.get("scale", math.nan), "instance_memory": ready.get("memory", 0), "peak_memory": peak}
    return of_cell(cell, **found, **measured, started=started, **cell_environment())


def _missing(cell: Cell) -> str:
    """Say why the solver cannot run on this machine; empty = it can."""
    name = cell.solver.partition(":")[0]
    try:
        return "" if name == "auto" else load(name, cell.instance.problem).missing()
    except SolverNotFound as err:
        return f"this machine does not have it: {err}"
    except SolverFailed as err:
        return str(err)


def _start(cell: Cell, folder: Path, stderr: Any) -> subprocess.Popen[bytes]:
    # -P: neither the current folder nor that of the script is a place to import from; the paths of this process are.
    paths = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(cell.threads))
    environment = os.environ | {"PYTHONPATH": paths, "TMPDIR": str(folder)} | threads
    command = [sys.executable, "-P", str(Path(child.__file__)), str(folder)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=environment,
        start_new_session=True,
    )


def _watch(
    process: subprocess.Popen[bytes], tree: Tree, cell: Cell, folder: Path, stop: Callable[[], bool]
) -> _Cut | None:
    """Wait until the cell has answered or died, or say why it must not go on."""
    deadline, running = time.monotonic() + START_SECONDS, False
    while process.poll() is None and not (folder / "answer.json").exists():
        if stop():
            raise Stopped
        if not running and (folder / "ready.json").exists():
            deadline, running = time.monotonic() + cell.time_limit + GRACE_SECONDS, True
        if tree.memory() > cell.memory_limit_mb * 2**20:
            where = "solving" if running else "building the instance"
            return _Cut(Ending.OUT_OF_MEMORY, f"ended above {cell.memory_limit_mb:g} MiB while {where}")
        if time.monotonic() > deadline:
            if running:
                return _Cut(Ending.TIMED_OUT, f"ended {GRACE_SECONDS:g} s after its limit of {cell.time_limit:g} s")
            return _Cut(Ending.CRASHED, f"the instance was not built within {START_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)
    return None


def _outcome(cell: Cell, folder: Path, cut: _Cut | None, code: int | None) -> dict[str, Any]:
    ready = _read(folder / "ready.json") or {}
    answer = _read(folder / "answer.json")
    if answer is None:
        cut = cut or _Cut(Ending.CRASHED, _last_words(folder, code))
        return {"ending": cut.ending, "reason": cut.reason, "ready": ready}
    memory = answer.pop("memory", 0)
    if "failure" in answer:
        return {"ending": Ending[answer["failure"]], "reason": answer["message"], "ready": ready, "memory": memory}
    points = [*zip(*answer.pop("trajectory"), strict=True)] or [(), (), ()]
    names = ("trajectory_seconds", "trajectory_value", "trajectory_bound")
    ending, sentence = _ENDINGS.get(answer["status"], Ending.SOLVED), answer.pop("sentence")
    reason = "" if ending is Ending.SOLVED else sentence
    return answer | dict(zip(names, points, strict=True)) | {
        "ending": ending, "reason": reason, "ready": ready, "memory": memory
    }  # fmt: skip


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def _last_words(folder: Path, code: int | None) -> str:
    said = (folder / "stderr.txt").read_text(errors="replace").strip().splitlines()[-3:]
    end = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    memory = "; it may have run out of memory" if code == -signal.SIGKILL else ""
    return f"the process died ({end}{memory}); last words: {' | '.join(said) or 'none'}"
