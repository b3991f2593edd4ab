"""Run a benchmark: every cell that has no record yet, one file each; stopped anywhere, it goes on from there."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pam_opt.atomic import write_text
from pam_opt.bench.backends import Backend, Local
from pam_opt.bench.cells import Cell, expand
from pam_opt.bench.config import BenchConfig
from pam_opt.bench.record import Ending, read_records, write_record
from pam_opt.study.folder import claim_folder, make_folder
from pam_opt.study.progress import Progress

CELLS = "cells"
PLAN = "plan.json"


@dataclass(frozen=True)
class BenchResult:
    """What a run did.

    Parameters
    ----------
    folder : of the whole run
    kept, ran : numbers of cells that had a record already, and that were run now
    endings : number of cells by outcome, kept ones included
    skipped : instance files that could not be used, with the reason
    damaged : records that could not be read and were made again, with the reason
    """

    folder: Path
    kept: int
    ran: int
    endings: Counter[Ending]
    skipped: dict[str, str]
    damaged: dict[Path, str]


def run_bench(
    config: BenchConfig,
    out: Path,
    *,
    resume: bool = False,
    backend: Backend | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Run a benchmark into a folder: ``cells/*.parquet``, one file a cell, and ``plan.json``, which lists them all.

    Parameters
    ----------
    config : what to run; see `read_bench_config`
    out : folder for everything it writes
    resume : go on with a run that was stopped: cells with a readable record are not run again
    backend : where the cells run; default: on this machine
    progress : who is told

    Raises
    ------
    ConfigError : nothing to run, or `out` holds another benchmark, or this one without `resume`
    SolverNotFound, ProblemError : a solver or a family that does not exist
    StorageError : records that cannot be written
    """
    progress = progress or Progress()
    plan = expand(config)
    for path, reason in plan.skipped.items():
        progress.say(f"Skipped instance {path}: {reason}")
    described = config.model_dump(mode="json", exclude={"families", "jobs", "slurm"})
    claim_folder(out, {"benchmark": described}, resume)
    folder = out / CELLS
    make_folder(folder)
    names = {cell.name for cell in plan.cells}
    write_text(out / PLAN, json.dumps({"cells": sorted(names), "skipped": plan.skipped}, indent=1))
    records, damaged = read_records(folder.glob("*.parquet"))
    for path, reason in damaged.items():
        progress.say(f"Run again, as its record cannot be read: {path.stem} ({reason})")
    endings = Counter(record.ending for record in records if record.cell in names)
    kept = endings.total()
    done = {record.cell for record in records}
    todo = [cell for cell in plan.cells if cell.name not in done]
    endings += _run(todo, backend or Local(config.jobs), folder, progress, f"{config.name}: {len(todo)} cells")
    return BenchResult(out, kept, len(todo), endings, plan.skipped, damaged)


def _run(cells: list[Cell], backend: Backend, folder: Path, progress: Progress, title: str) -> Counter[Ending]:
    endings: Counter[Ending] = Counter()
    if not cells:
        return endings
    with progress.stage(title) as update:
        update(0, len(cells))
        for record in backend.run(cells):
            write_record(folder, record)
            endings[record.ending] += 1
            update(endings.total(), len(cells))
    return endings
