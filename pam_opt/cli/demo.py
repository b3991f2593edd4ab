"""``pam-opt demo``: what the project is for, on data that ships inside scikit-learn."""

from pathlib import Path
from typing import Annotated

import typer

from pam_opt.cli.console import OUTPUT
from pam_opt.cli.run import run_and_report
from pam_opt.study.config import parse_config

DEMO = {
    "name": "demo",
    "data": {"source": "digits", "validation": 0.2},
    "tasks": [
        {"name": "low", "classes": [0, 1, 2, 3, 4]},
        {"name": "high", "classes": [5, 6, 7, 8, 9]},
        {"name": "even", "mapping": {digit: digit % 2 for digit in range(10)}},
    ],
    "family": {"name": "lenet5", "options": {"widths": [8, 16, 64, 32]}},
    "parents": {"epochs": 30, "batch_size": 32, "learning_rate": 0.005},
    "merge": {"calibration": 1000},
    "methods": ["separate", "all-shared", "random", "select", "greedy", "optimal", "half"],
    "fine_tune": {"epochs": [6], "batch_size": 32, "learning_rate": 0.003},
    "prune": {
        "max_drop": 0.02,
        "fraction": 0.2,
        "steps": 100,
        "patience": 3,
        "batch_size": 32,
        "learning_rate": 0.005,
    },
    "threads": 1,
}
"""The demo's study: any keys of a configuration file."""


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path("runs/demo"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a demo that was stopped.")] = False,
) -> None:
    """Merge and prune three digit networks, with every method, in under three minutes."""
    OUTPUT.print(
        "Three networks read handwritten digits: 'low' tells 0-4 apart, 'high' tells 5-9 apart, 'even' tells even from "
        "odd.\nEach method makes one cheap system of them, which answers any combination of the three tasks.\n",
        highlight=False,
    )
    run_and_report(parse_config(DEMO, "the demo"), out, resume)
