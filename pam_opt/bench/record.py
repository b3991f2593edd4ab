"""What is kept of a cell: one row in one parquet file, written whole."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pam_opt.atomic import write_atomic
from pam_opt.bench.cells import Cell
from pam_opt.errors import StorageError

SCHEMA_NAME = b"pam_opt.bench/1"


class Ending(Enum):
    """How a cell ended; the value is what a reader sees."""

    SOLVED = "solved"
    NO_DECISION = "found nothing"
    DOES_NOT_APPLY = "does not apply"
    NOT_INSTALLED = "not installed"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "out of memory"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Record:
    """One cell and what came of it. NaN = there is no such number.

    Parameters
    ----------
    cell : the cell's name, and the file's
    study, problem, family, size, severity, dial, unit, seed, solver, label, settings : what ran; see `Cell`
    time_limit, memory_limit_mb, threads : its limits, in seconds and 2^20 bytes
    ending, reason : outcome, and why where it is not ``SOLVED``
    status : the solver's own, by name; empty without one
    value, bound, gap : of the solution, as `pam_opt_solvers.Solution` has them
    scale : largest finite magnitude among the problem's costs
    build_seconds, solve_seconds : writing the model and running it
    wall_seconds : the whole call, with checks and any process it starts
    peak_memory, instance_memory : bytes resident, of all the cell's processes at most, and before solving
    trajectory_seconds, trajectory_value, trajectory_bound : at every improvement; seconds count from the call's start
    backend, version, note : as the solution's run says
    started : date and time, UTC
    processor, cores, python, platform, commit, packages : where it ran
    """

    cell: str
    study: str
    problem: str
    family: str
    size: int
    severity: float
    dial: str
    unit: str
    seed: int
    solver: str
    label: str
    settings: dict[str, str]
    time_limit: float
    memory_limit_mb: float
    threads: int
    ending: Ending
    reason: str = ""
    status: str = ""
    value: float = float("nan")
    bound: float = float("nan")
    gap: float = float("nan")
    scale: float = float("nan")
    build_seconds: float = float("nan")
    solve_seconds: float = float("nan")
    wall_seconds: float = float("nan")
    peak_memory: int = 0
    instance_memory: int = 0
    trajectory_seconds: tuple[float, ...] = ()
    trajectory_value: tuple[float, ...] = ()
    trajectory_bound: tuple[float, ...] = ()
    backend: str = ""
    version: str = ""
    note: str = ""
    started: str = ""
    processor: str = ""
    cores: int = 0
    python: str = ""
    platform: str = ""
    commit: str = ""
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Building and solving together."""
        return self.build_seconds + self.solve_seconds


_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    Ending: pa.string(),
    dict[str, str]: pa.map_(pa.string(), pa.string()),
    tuple[float, ...]: pa.list_(pa.float64()),
}
SCHEMA = pa.schema(
    [(entry.name, _TYPES[entry.type]) for entry in dataclasses.fields(Record)], metadata={"schema": SCHEMA_NAME}
)


def of_cell(cell: Cell, ending: Ending, **found: Any) -> Record:
    """Start a record with what the cell itself says."""
    instance = cell.instance
    severity = float("nan") if instance.severity is None else instance.severity
    return Record(
        cell=cell.name,
        study=cell.study,
        problem=instance.problem,
        family=instance.family,
        size=instance.size,
        severity=severity,
        dial=instance.dial,
        unit=instance.unit,
        seed=cell.seed,
        solver=cell.solver,
        label=cell.label,
        settings=cell.settings,
        time_limit=cell.time_limit,
        memory_limit_mb=cell.memory_limit_mb,
        threads=cell.threads,
        ending=ending,
        **found,
    )


def write_record(folder: Path, record: Record) -> Path:
    """Write a record as ``<cell>.parquet``, whole.

    Raises
    ------
    StorageError : it cannot be written
    """
    row = {entry.name: getattr(record, entry.name) for entry in dataclasses.fields(record)}
    row |= {
        "ending": record.ending.name,
        "settings": [*record.settings.items()],
        "packages": [*record.packages.items()],
    }
    table = pa.Table.from_pylist([row], schema=SCHEMA)
    path = folder / f"{record.cell}.parquet"
    write_atomic(path, lambda temporary: pq.write_table(table, temporary))
    return path


def read_record(path: Path) -> Record:
    """Read one record.

    Raises
    ------
    StorageError : it is damaged, of another schema, or not the cell that its name says
    """
    try:
        table = pq.ParquetFile(path).read()
        if (table.schema.metadata or {}).get(b"schema") != SCHEMA_NAME or table.num_rows != 1:
            raise StorageError(f"{path} is no record of this version")
        (row,) = table.to_pylist()
        record = Record(**row | {"ending": Ending[row["ending"]]} | _containers(row))
    except StorageError:
        raise
    except Exception as err:  # bytes that are not what they claim raise nearly anything
        raise StorageError(f"{path} is damaged: {type(err).__name__}: {err}") from err
    if record.cell != path.stem:
        raise StorageError(f"{path} holds the cell {record.cell!r}, which is not its name")
    return record


def _containers(row: dict[str, Any]) -> dict[str, Any]:
    points = {name: tuple(row[name]) for name in row if name.startswith("trajectory_")}
    return points | {name: dict(row[name]) for name in ("settings", "packages")}


def read_records(paths: Iterable[Path]) -> tuple[list[Record], dict[Path, str]]:
    """Read what can be read; name the others with the reason."""
    records, damaged = [], {}
    for path in sorted(paths):
        try:
            records.append(read_record(path))
        except StorageError as err:
            damaged[path] = str(err)
    return records, damaged
