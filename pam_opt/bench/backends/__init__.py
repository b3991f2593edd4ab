"""Where cells run: this machine, a Dask cluster, a Slurm cluster. The cells are the same everywhere."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pam_opt.bench.backends.dask_ import Dask
from pam_opt.bench.backends.local import Local
from pam_opt.bench.backends.slurm import Slurm
from pam_opt.bench.cells import Cell
from pam_opt.bench.config import BenchConfig
from pam_opt.bench.record import Record
from pam_opt.errors import ConfigError


class Backend(Protocol):
    """Run cells and hand over their records in the order in which they end."""

    def run(self, cells: Sequence[Cell]) -> Iterator[Record]:
        """Run every cell once; closing the iterator stops those that have not ended."""
        ...


@dataclass(frozen=True)
class Request:
    """What a user says about where to run.

    Parameters
    ----------
    config : the benchmark
    out : its output folder
    jobs : cells at once, for the local backend; None = as configured
    scheduler : address of the Dask scheduler
    """

    config: BenchConfig
    out: Path
    jobs: int | None = None
    scheduler: str | None = None


def _local(request: Request) -> Backend:
    return Local(request.jobs or request.config.jobs)


def _dask(request: Request) -> Backend:
    if not request.scheduler:
        raise ConfigError("--backend dask needs --scheduler with the address of a running scheduler (tcp://host:8786)")
    return Dask(request.scheduler)


def _slurm(request: Request) -> Backend:
    return Slurm(request.config.slurm, request.out / "slurm")


BACKENDS: dict[str, Callable[[Request], Backend]] = {"local": _local, "dask": _dask, "slurm": _slurm}
"""Name to maker."""


def make_backend(name: str, request: Request) -> Backend:
    """Return the backend called `name`.

    Raises
    ------
    ConfigError : there is none, an option is missing or not its own, or its package is not installed
    """
    if name not in BACKENDS:
        raise ConfigError(f"no backend is called {name!r}; backends: {', '.join(BACKENDS)}")
    for option, value, owner in (("--jobs", request.jobs, "local"), ("--scheduler", request.scheduler, "dask")):
        if value is not None and name != owner:
            raise ConfigError(f"{option} is for --backend {owner}, not for {name}")
    return BACKENDS[name](request)


__all__ = ["BACKENDS", "Backend", "Dask", "Local", "Request", "Slurm", "make_backend"]
