"""Cells on a Dask cluster (BSD 3-clause). A worker that dies loses nothing: the scheduler gives its cells to another.

Every machine needs this package, and instance files under the same paths. A worker runs as many cells at once as it has
threads; for undisturbed times start it with ``dask worker --nthreads 1``.
"""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from pam_opt.bench.backends.extras import require
from pam_opt.bench.cells import Cell
from pam_opt.bench.record import Ending, Record, of_cell
from pam_opt.bench.supervisor import supervise
from pam_opt.errors import ConfigError, PamOptError

CONNECT_SECONDS = 20


class Dask:
    """Run cells on the workers of a running scheduler, such as ``tcp://host:8786``."""

    def __init__(self, scheduler: str) -> None:
        self._distributed = require("distributed", "dask", "dask")
        self.scheduler = scheduler

    def run(self, cells: Sequence[Cell]) -> Iterator[Record]:
        """Run every cell; closing the iterator cancels those that have not begun.

        Raises
        ------
        ConfigError : nobody answers at the address
        PamOptError : the cluster is lost, or its workers cannot load this package
        """
        client = self._connect()
        # The run's own mark: the scheduler may still know the cells of an earlier one.
        mark = secrets.token_hex(4)
        try:
            futures = {client.submit(supervise, cell, key=f"{cell.name}-{mark}", pure=False): cell for cell in cells}
            for future in self._distributed.as_completed(futures, loop=client.loop):
                yield self._record(future, futures.pop(future))
                future.release()
        finally:
            client.close()  # which also drops the cells that nobody waits for

    def _connect(self) -> Any:
        try:
            return self._distributed.Client(self.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as err:
            raise ConfigError(f"no Dask scheduler answers at {self.scheduler!r}: {err}") from err

    def _record(self, future: Any, cell: Cell) -> Record:
        try:
            return future.result()
        except self._distributed.KilledWorker as err:
            return of_cell(cell, Ending.CRASHED, reason=f"every worker that ran it died: {err}")
        except Exception as err:
            raise PamOptError(
                f"the Dask cluster failed at cell {cell.name}: {type(err).__name__}: {err}; every worker needs this "
                "version of pam-opt. Finished cells are kept; --resume goes on"
            ) from err
