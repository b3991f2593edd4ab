"""What a user may ask of any solver."""

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_count


@dataclass(frozen=True)
class Options:
    """Limits and switches of one solve.

    Parameters
    ----------
    time_limit : seconds for building and solving together, > 0; ``None`` = none
    seed : 0..2^31 - 1; deterministic solvers ignore it
    threads : >= 1; single-threaded solvers use one
    settings : a solver's own settings by name, e.g. ``{"engine": "glop"}``

    Raises
    ------
    ProblemError
        for a limit that is not above 0, a count that is not an integer in range
    """

    time_limit: float | None = None
    seed: int = 0
    threads: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.time_limit is not None:
            self._set("time_limit", _as_limit(self.time_limit))
        self._set("seed", as_count(self.seed, "seed", 2**31 - 1))
        self._set("threads", as_count(self.threads, "threads", 4096))
        if self.threads < 1:
            raise ProblemError("threads is 0; it must be at least 1")
        if not isinstance(self.settings, Mapping):
            raise ProblemError(f"options must map names to values, not {self.settings!r}")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _as_limit(limit: object) -> float:
    if isinstance(limit, bool) or not isinstance(limit, numbers.Real):
        raise ProblemError(f"time_limit must be a number of seconds or None, not {limit!r}")
    seconds = float(limit)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ProblemError(f"time_limit is {seconds:g}; it must be a finite number above 0, or None for no limit")
    return seconds
