"""Cells as an array of Slurm jobs, by submitit (MIT).

The output folder and the instances must lie on a file system that all nodes share.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pam_opt.bench.backends.extras import require
from pam_opt.bench.cells import Cell
from pam_opt.bench.config import SlurmConfig
from pam_opt.bench.record import Ending, Record, of_cell
from pam_opt.bench.supervisor import GRACE_SECONDS, START_SECONDS, supervise

SPARE_MB = 2048
"""Memory of a job beyond its cell's limit, for the process that watches it."""

POLL_SECONDS = 2.0


class Slurm:
    """Submit one job a cell; limits, memory and threads of the job follow from the cell's.

    `folder` takes the jobs' logs; `cluster` is ``slurm``, or ``local`` to try it without one.
    """

    def __init__(self, config: SlurmConfig, folder: Path, cluster: str = "slurm") -> None:
        self._submitit = require("submitit", "slurm", "slurm")
        self.config, self.folder, self.cluster = config, folder, cluster

    def run(self, cells: Sequence[Cell]) -> Iterator[Record]:
        """Submit every cell and wait; closing the iterator cancels the jobs that have not ended."""
        executor = self._submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
        executor.update_parameters(**self._parameters(cells))
        jobs = dict(zip(executor.map_array(supervise, cells), cells, strict=True))
        try:
            for job in self._submitit.helpers.as_completed(list(jobs), poll_frequency=POLL_SECONDS):
                yield _record(job, jobs.pop(job))
        finally:
            for job in jobs:
                job.cancel(check=False)

    def _parameters(self, cells: Sequence[Cell]) -> dict[str, Any]:
        seconds = max(cell.time_limit for cell in cells) + GRACE_SECONDS + START_SECONDS
        parameters = {
            "timeout_min": math.ceil(seconds / 60) + 1,
            "mem_gb": math.ceil((max(cell.memory_limit_mb for cell in cells) + SPARE_MB) / 1024),
            "cpus_per_task": max(cell.threads for cell in cells),
            "slurm_array_parallelism": self.config.array_parallelism,
            "slurm_partition": self.config.partition,
            "slurm_account": self.config.account,
        }
        return {name: value for name, value in parameters.items() if value is not None}


def _record(job: Any, cell: Cell) -> Record:
    try:
        return job.result()
    except Exception as err:  # submitit's own errors; they hold the job's log
        words = (str(err).strip().splitlines() or [type(err).__name__])[-1]
        return of_cell(cell, Ending.CRASHED, reason=f"Slurm job {job.job_id} ended without a record: {words}")
