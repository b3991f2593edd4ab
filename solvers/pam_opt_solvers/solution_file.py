"""Solutions on disk: one ``.npz`` without objects, which anybody can check against the instance."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.problem import Problem
from pam_opt_solvers.problems.storage import read_npz, write_npz
from pam_opt_solvers.solution import Solution

SCHEMA = "pam_opt.solution/1"


@dataclass(frozen=True, eq=False)
class StoredSolution:
    """Hold what a file claims of an instance.

    Parameters
    ----------
    decision : int64 in the problem's form; None = none was found
    value, bound : NaN and whatever was proven where there is no decision
    status : name of a `Status`
    solver : name of what ran
    problem : schema of the problem, such as ``pam_opt.pairing/1``
    fingerprint : of the problem's arrays, see `fingerprint`
    """

    decision: NDArray[np.int64] | None
    value: float
    bound: float
    status: str
    solver: str
    problem: str
    fingerprint: str

    def check(self, problem: Problem) -> str:
        """Check the claim against an instance and return what holds, as a sentence.

        The bound cannot be checked without solving again; it is repeated as a claim.

        Raises
        ------
        ProblemError
            if it is about another instance, its decision is not valid or has another value
        """
        if (self.problem, self.fingerprint) != (problem.schema(), fingerprint(problem)):
            raise ProblemError(f"the solution is of another instance ({self.problem}), not of {problem!r}")
        if self.decision is None:
            return f"The solution claims {self.status} without a decision; there is nothing to check."
        value = problem.value(self.decision)
        if not np.isclose(value, self.value, rtol=1e-12, atol=problem.float_error()):
            raise ProblemError(f"the solution claims the value {self.value:.12g}, but its decision has {value:.12g}")
        if not self.bound <= self.value:
            raise ProblemError(
                f"the solution claims the bound {self.bound:.12g}, above its own value {self.value:.12g}"
            )
        return f"Valid: value {value:.8g}, {problem.describe(self.decision)}; bound {self.bound:.8g} as claimed."


def fingerprint(problem: Problem) -> str:
    """Return a digest of a problem's arrays: names, types, shapes and contents."""
    digest = hashlib.sha256()
    for name, array in sorted(problem.arrays().items()):
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save_solution(solution: Solution, path: str | os.PathLike[str]) -> Path:
    """Write a solution to exactly this path, whole or not at all.

    Arrays: ``decision`` int64 (absent without one), ``value``, ``bound``, ``gap``, ``build_seconds`` and
    ``solve_seconds`` float64, ``seed`` and ``threads`` int64, and as text ``status``, ``problem`` (its schema),
    ``fingerprint``, ``solver``, ``backend``, ``version`` and ``note``.

    Raises
    ------
    PamOptError
        if it cannot be written
    """
    run = solution.run
    numbers = ("value", "bound", "gap", "build_seconds", "solve_seconds")
    arrays = {name: np.array(getattr(solution, name), np.float64) for name in numbers}
    arrays |= {"seed": np.array(run.seed, np.int64), "threads": np.array(run.threads, np.int64)}
    texts = {"status": solution.status.name, "problem": solution.problem.schema()}
    texts |= {name: getattr(run, name) for name in ("solver", "backend", "version", "note")}
    texts["fingerprint"] = fingerprint(solution.problem)
    arrays |= {name: np.array(text, np.str_) for name, text in texts.items()}
    if solution.decision is not None:
        arrays["decision"] = solution.decision
    return write_npz(path, SCHEMA, arrays)


def load_solution(path: str | os.PathLike[str]) -> StoredSolution:
    """Read what `save_solution` wrote; `StoredSolution.check` says whether it is true.

    Raises
    ------
    ProblemError
        for a damaged file, or one of something else
    """
    arrays = read_npz(path, SCHEMA)
    missing = sorted({"value", "bound", "status", "solver", "problem", "fingerprint"} - set(arrays))
    if missing:
        raise ProblemError(f"{path} is no solution: it holds no {', '.join(missing)}; write it with save_solution()")
    try:
        value, bound = (float(arrays[name]) for name in ("value", "bound"))
    except (TypeError, ValueError) as err:
        raise ProblemError(f"{path} is no solution: value and bound must be numbers; {err}") from err
    texts = [str(arrays[name]) for name in ("status", "solver", "problem", "fingerprint")]
    return StoredSolution(arrays.get("decision"), value, bound, *texts)
