"""A solve in a process of its own, which ends at the limit whatever its backend does.

Problem and answer travel as ``.npz`` and JSON files in a temporary folder, never as pickles. The clock starts
when the process says that it has loaded its backend and the problem, so that starting it eats nothing of the
limit.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pam_opt_solvers import errors
from pam_opt_solvers.errors import PamOptError, SolverFailed
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Problem
from pam_opt_solvers.solver import Solver

GRACE_SECONDS = 0.5
"""Time after the limit in which a backend that keeps limits itself may still hand over what it has."""

START_SECONDS = 120.0
"""Time in which the process must have started; only a broken installation takes as long."""

_POLL_SECONDS = 0.004


def compute_limited(solver: Solver[Any], place: str, problem: Problem, options: Options) -> Outcome:
    """Compute as ``Solver.compute`` does, in a process that is ended at the limit plus the grace.

    Parameters
    ----------
    solver : for its name and whether it stops itself
    place : ``module:Class`` of the solver, for the process to load
    """
    assert options.time_limit is not None
    with tempfile.TemporaryDirectory(prefix="pam_opt_", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        problem.save(folder / "problem.npz")
        (folder / "request.json").write_text(json.dumps({"place": place, "options": _plain(options)}))
        with open(folder / "stderr.txt", "wb") as stderr:
            process = _start(folder, stderr)
            try:
                seconds = _wait(process, folder, options.time_limit + (GRACE_SECONDS if solver.stops_itself else 0.0))
            finally:
                _end(process)
        return _answer(folder, solver, process.returncode, seconds)


def _plain(options: Options) -> dict[str, Any]:
    settings = dict(options.settings)
    return {
        "time_limit": options.time_limit,
        "seed": options.seed,
        "threads": options.threads,
        "settings": settings,
    }


def _start(folder: Path, stderr: Any) -> subprocess.Popen[bytes]:
    # -P: the current folder is no place to import from. The paths of this process are, so that a bare
    # checkout and an outsider's solver are found. TMPDIR: a backend's files go with the folder, also when it
    # is killed.
    paths = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    environment = os.environ | {"PYTHONPATH": paths, "TMPDIR": str(folder)}
    command = [sys.executable, "-P", "-m", "pam_opt_solvers.worker", str(folder)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=stderr, env=environment, start_new_session=True)


def _wait(process: subprocess.Popen[bytes], folder: Path, limit: float) -> float | None:
    """Wait for answer, end or limit of the process; return the seconds used if it was the limit."""
    deadline, started = time.monotonic() + START_SECONDS, None
    while process.poll() is None and not (folder / "answer.json").exists():
        now = time.monotonic()
        if started is None and (folder / "ready").exists():
            started, deadline = now, now + limit
        if now > deadline:
            if started is None:
                raise SolverFailed(
                    f"the solver process did not start within {START_SECONDS:g} s; is the machine overloaded?"
                )
            return now - started
        time.sleep(_POLL_SECONDS)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    # The whole process group: CBC is a child of the child.
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
    else:
        process.kill()
    process.wait()


def _answer(folder: Path, solver: Solver[Any], code: int, seconds: float | None) -> Outcome:
    try:
        answer = json.loads((folder / "answer.json").read_text())
    except FileNotFoundError:
        if seconds is not None:
            return Outcome(Status.TIME_LIMIT_EMPTY, note="the process was ended at the limit", solve_seconds=seconds)
        raise SolverFailed(_post_mortem(folder, solver, code)) from None
    if "failure" in answer:
        raise _error_class(answer["failure"])(answer["message"])
    return _outcome(answer)


def _post_mortem(folder: Path, solver: Solver[Any], code: int) -> str:
    said = (folder / "stderr.txt").read_text(errors="replace").strip().splitlines()[-5:]
    end = f"signal {-code}" if code < 0 else f"exit code {code}"
    remedy = "it may have run out of memory; another solver or a smaller problem may do"
    words = " | ".join(said) or "none"
    return f"the process of solver '{solver.name}' died ({end}); {remedy}. Its last words: {words}"


def _error_class(name: str) -> type[PamOptError]:
    found = getattr(errors, name, SolverFailed)
    return found if isinstance(found, type) and issubclass(found, PamOptError) else SolverFailed


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    decision = None if answer["decision"] is None else np.array(answer["decision"], np.int64)
    trajectory = tuple((second, value, bound) for second, value, bound in answer["trajectory"])
    return Outcome(**{**answer, "status": Status[answer["status"]], "decision": decision, "trajectory": trajectory})
