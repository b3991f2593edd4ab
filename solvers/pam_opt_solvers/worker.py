"""The process behind ``limited``: ``python -m pam_opt_solvers.worker FOLDER``; not for users."""

import json
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from pam_opt_solvers.errors import PamOptError
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import load_problem
from pam_opt_solvers.registry import load_place

_ORPHAN_SECONDS = 5.0
"""How long after its limit the process ends itself if nobody is left to end it."""


def main(folder: Path) -> None:
    """Read the request of a folder, solve it and write the answer."""
    try:
        answer = _as_plain(_solve(folder))
    except PamOptError as err:
        answer = {"failure": type(err).__name__, "message": str(err)}
    _write(folder / "answer.json", json.dumps(answer))


def _solve(folder: Path) -> Outcome:
    request = json.loads((folder / "request.json").read_text())
    options = Options(**request["options"])
    solver = load_place(request["place"])()
    solver.warm_up()
    problem = load_problem(folder / "problem.npz")
    _end_if_orphaned(options.time_limit or 0.0)
    _write(folder / "ready", "")
    return solver.compute(problem, options)


def _end_if_orphaned(limit: float) -> None:
    # The kernel's default action of the alarm ends the process even while a backend holds the lock.
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limit + _ORPHAN_SECONDS)


def _as_plain(outcome: Outcome) -> dict[str, Any]:
    plain = {item.name: getattr(outcome, item.name) for item in fields(outcome)}
    decision = None if outcome.decision is None else outcome.decision.tolist()
    return plain | {"status": outcome.status.name, "decision": decision}


def _write(path: Path, text: str) -> None:
    # Renamed into place, so that the reader never sees half a file.
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
