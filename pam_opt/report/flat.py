"""Results of all seeds as one flat table: ``results.parquet``, to be queried with pandas, DuckDB or the like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pam_opt.atomic import write_atomic
from pam_opt.report.cells import Results, setting_of
from pam_opt.report.rows import PARENTS, parents_row

SCHEMA_NAME = b"pam_opt.study/1"

_COLUMNS: dict[str, pa.DataType] = {
    "study": pa.string(),
    "seed": pa.int64(),
    "result": pa.string(),
    "method": pa.string(),
    "width": pa.float64(),
    "fine_tune_epochs": pa.float64(),
    "pruner": pa.string(),
    "prune_epochs": pa.float64(),
    "combination": pa.string(),
    "macs": pa.int64(),
    "expected_macs": pa.float64(),
    "within_drop": pa.bool_(),
    "solver": pa.string(),
    "solver_status": pa.string(),
    "solver_value": pa.float64(),
    "solver_bound": pa.float64(),
}
_STAGES = ("measure", "solve", "merge", "fine_tune", "prune")


def write_parquet(results: Sequence[Results], path: Path) -> Path:
    """Write one row for every seed, result and combination; the parents side by side are a result, too.

    Columns: the study and seed, name and axes of the result, the combination with its MACs, E[C], whether the
    allowed drop was met, what the solver says, ``seconds_<stage>``, and for every task ``accuracy_<task>`` (its
    metric) and ``plain_<task>`` (plain accuracy). Null = there is no such number, or the combination lacks the task.

    Raises
    ------
    StorageError : it cannot be written

    Examples
    --------
    ``select method, prune_epochs, avg(expected_macs) from 'results.parquet' where within_drop group by all``
    """
    tasks = sorted(results[0]["parents"])
    rows = [row for number, result in enumerate(results) for row in _seed(results, number, result)]
    table = pa.Table.from_pylist(rows, schema=_schema(tasks))
    write_atomic(path, lambda temporary: pq.write_table(table, temporary))
    return path


def _schema(tasks: Sequence[str]) -> pa.Schema:
    numbers = [f"seconds_{stage}" for stage in _STAGES]
    numbers += [f"{what}_{task}" for task in tasks for what in ("accuracy", "plain")]
    columns = _COLUMNS | dict.fromkeys(numbers, pa.float64())
    return pa.schema(list(columns.items()), metadata={"schema": SCHEMA_NAME})


def _seed(results: Sequence[Results], number: int, result: Results) -> list[dict[str, Any]]:
    """Return the rows of one seed."""
    experiment = result["experiment"]
    common = {"study": experiment.get("name"), "seed": experiment["seed"]}
    made = []
    for name, cell in result["methods"].items():
        described = common | {"result": name} | _axes(result, name) | _of_cell(cell)
        made += [described | _combination(key, found) for key, found in cell["combinations"].items()]
    return made + _parents(results, number, common | {"result": PARENTS, "method": PARENTS})


def _axes(result: Results, name: str) -> dict[str, Any]:
    setting = setting_of(result, name)
    return {
        "method": setting.method,
        "width": setting.width,
        "fine_tune_epochs": setting.training.epochs,
        "pruner": setting.training.pruner,
        "prune_epochs": setting.training.prune_epochs,
    }


def _of_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    seconds, solver = cell.get("seconds", {}), cell.get("solver", {})
    return {
        "expected_macs": cell["expected_macs"],
        "within_drop": cell["within_drop"],
        "solver": solver.get("name"),
        **{f"solver_{key}": solver.get(key) for key in ("status", "value", "bound")},
        **{f"seconds_{stage}": seconds.get(stage) for stage in _STAGES},
    }


def _combination(key: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "combination": key,
        "macs": found["macs"],
        **{f"accuracy_{task}": value for task, value in found["accuracy"].items()},
        **{f"plain_{task}": value for task, value in found.get("plain", {}).items()},
    }


def _parents(results: Sequence[Results], number: int, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the parents side by side, before merging and pruning."""
    row = parents_row(results)
    return [
        {
            **common,
            "combination": key,
            "macs": macs[number],
            "expected_macs": row.expected[number],
            **{f"accuracy_{task}": row.accuracy[task][number] for task in key.split("+")},
            **{f"plain_{task}": row.plain[task][number] for task in key.split("+") if row.plain},
        }
        for key, macs in row.macs.items()
    ]
