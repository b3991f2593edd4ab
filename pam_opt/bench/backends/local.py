"""Cells on this machine, several at once: joblib threads that each watch one process."""

import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import joblib

from pam_opt.bench.cells import Cell
from pam_opt.bench.record import Record
from pam_opt.bench.supervisor import Stopped, supervise

STOP_SECONDS = 5.0
"""How long to wait for a stopped cell to end."""


class Local:
    """Run `jobs` cells at once. Threads are enough: the work is in the cells' own processes."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def run(self, cells: Sequence[Cell]) -> Iterator[Record]:
        """Run every cell once; closing the iterator ends those that run, and waits until they have ended."""
        stop, running = threading.Event(), threading.BoundedSemaphore(self.jobs)
        parallel = joblib.Parallel(
            n_jobs=self.jobs, backend="threading", return_as="generator_unordered", pre_dispatch="n_jobs"
        )
        records: Any = parallel(joblib.delayed(_supervise)(cell, stop, running) for cell in cells)
        try:
            yield from (record for record in records if record is not None)
        finally:
            stop.set()
            for _ in range(self.jobs):
                running.acquire(timeout=STOP_SECONDS)
            with warnings.catch_warnings():  # of joblib, that cells were stopped: they were meant to be
                warnings.simplefilter("ignore", UserWarning)
                records.close()


def _supervise(cell: Cell, stop: threading.Event, running: threading.BoundedSemaphore) -> Record | None:
    with running:
        try:
            return None if stop.is_set() else supervise(cell, stop.is_set)
        except Stopped:
            return None
