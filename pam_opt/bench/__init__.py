"""Solvers against instances: every cell in a process of its own, every outcome kept as data.

    config -> cells -> supervisor (one process a cell) -> record (one parquet file a cell) -> report

`run_bench` runs a configuration; ``pam_opt.report.bench`` reads what it leaves behind.
"""

from pam_opt.bench.config import BenchConfig, parse_bench_config, read_bench_config
from pam_opt.bench.record import Ending, Record, read_records
from pam_opt.bench.runner import BenchResult, run_bench

__all__ = [
    "BenchConfig",
    "BenchResult",
    "Ending",
    "Record",
    "parse_bench_config",
    "read_bench_config",
    "read_records",
    "run_bench",
]
