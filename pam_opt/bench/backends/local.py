"""Cells on this machine, several at once: joblib threads that each watch one process."""

import threading
from collections.abc import Iterator, Sequence

import joblib

from pam_opt.bench.cells import Cell
from pam_opt.bench.record import Record
from pam_opt.bench.supervisor import Stopped, supervise


class Local:
    """Run `jobs` cells at once. Threads are enough: the work is in the cells' own processes."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def run(self, cells: Sequence[Cell]) -> Iterator[Record]:
        """Run every cell once; closing the iterator ends those that run."""
        stop = threading.Event()
        parallel = joblib.Parallel(
            n_jobs=self.jobs, backend="threading", return_as="generator_unordered", pre_dispatch="n_jobs"
        )
        records = parallel(joblib.delayed(_supervise)(cell, stop) for cell in cells)
        try:
            yield from (record for record in records if record is not None)
        finally:
            stop.set()


def _supervise(cell: Cell, stop: threading.Event) -> Record | None:
    try:
        return supervise(cell, stop.is_set)
    except Stopped:
        return None
