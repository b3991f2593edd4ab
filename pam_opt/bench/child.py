"""The process of one cell: ``python child.py FOLDER``; not for users.

Run as a file and not as a module, so that nothing is imported beside the solvers: what a cell is charged for in memory
is its problem and its solver, not torch.
"""

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pam_opt_solvers import PamOptError, SolverNotFound, SolverUnsuitable, solve
from pam_opt_solvers.errors import SolverFailed
from pam_opt_solvers.instances import read_families
from pam_opt_solvers.problems import load_problem

FAILURES: dict[type[BaseException], str] = {
    SolverUnsuitable: "DOES_NOT_APPLY",
    SolverNotFound: "NOT_INSTALLED",
    MemoryError: "OUT_OF_MEMORY",
}
"""Errors that say something other than that the solver broke."""


def main(folder: Path) -> None:
    """Build the instance, say that the clock starts, solve, write the answer."""
    _end_with_the_parent()
    request = json.loads((folder / "request.json").read_text())
    try:
        problem = _problem(request)
    except (PamOptError, MemoryError) as err:
        _write(folder / "answer.json", {"failure": _failure(err), "message": f"no instance: {err}"})
        return
    ready = {"scale": float(problem.magnitudes().max(initial=0.0)), "memory": _peak_memory()}
    _write(folder / "ready.json", ready)
    _write(folder / "answer.json", _answer(problem, request) | {"memory": _peak_memory()})


def _problem(request: dict[str, Any]) -> Any:
    instance, file = request["instance"], Path(request["instance"]["file"])
    if instance["fingerprint"]:
        return load_problem(file)
    families = {family.name: family for family in read_families(file)}
    return families[instance["family"]](instance["size"], instance["severity"], request["seed"])


def _answer(problem: Any, request: dict[str, Any]) -> dict[str, Any]:
    limits = {"time_limit": request["time_limit"], "seed": request["seed"], "threads": request["threads"]}
    started = time.perf_counter()
    try:
        solution = solve(problem, request["solver"], options=request["settings"], **limits)
        wall = time.perf_counter() - started
    except (PamOptError, MemoryError) as err:
        return {"failure": _failure(err), "message": str(err) or type(err).__name__}
    return {
        "status": solution.status.name,
        "sentence": solution.status.value,
        "value": solution.value,
        "bound": solution.bound,
        "gap": solution.gap,
        "build_seconds": solution.build_seconds,
        "solve_seconds": solution.solve_seconds,
        "wall_seconds": wall,
        "trajectory": _after_building(solution),
        "backend": solution.run.backend,
        "version": solution.run.version,
        "note": solution.run.note,
    }


def _after_building(solution: Any) -> list[tuple[float, float, float]]:
    # A trajectory counts from the start of the run; a user waits for the model too.
    return [(solution.build_seconds + seconds, value, bound) for seconds, value, bound in solution.trajectory]


def _failure(err: BaseException) -> str:
    if isinstance(err, SolverFailed) and isinstance(err.__cause__, MemoryError):
        return "OUT_OF_MEMORY"
    return next((name for kind, name in FAILURES.items() if isinstance(err, kind)), "CRASHED")


def _peak_memory() -> int:
    """Return the peak resident memory of this process in bytes; 0 where the system does not say."""
    # Not getrusage: it inherits the peak of the process that started this one.
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0


def _end_with_the_parent() -> None:
    # The parent holds the other end of standard input and never writes: its end is ours, however it dies.
    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write(path: Path, content: dict[str, Any]) -> None:
    # Renamed into place, so that the reader never sees half a file.
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, default=float))
    os.replace(temporary, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
