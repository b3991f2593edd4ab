"""How far is PAM's greedy regrouping from the optimum? ``python benchmarks/regrouping_optimality.py``.

Layers of up to 40 units of pairs of trained networks (digits; MNIST as well with ``--mnist FILE.npz``) and synthetic
ones, by both estimators, at PAM's published thresholds and at a tenth and a quarter of what all units tell; then
LeNet-5's linear layers of 168 and 240 units. Every layer is regrouped by the greedy and solved by `decomposition`
within ``--seconds``. Lines go to ``regrouping.csv`` in ``--out`` as they come; another call goes on with what is
missing. At the end the distribution of the greedy's loss is printed and drawn, ``regrouping.png``. Without MNIST about
ten minutes on one core.
"""

import argparse
import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from regrouping.figure import draw
from regrouping.layers import NETWORKS, Layer, synthetic_layer, trained_layers

from pam_opt.data import load
from pam_opt_solvers import Grouping, api, solve
from pam_opt_solvers.problems.budgets import JointBudget
from pam_opt_solvers.problems.gaussian_information import GaussianInformation
from pam_opt_solvers.problems.kernel_information import KernelInformation

Row = dict[str, Any]

ESTIMATORS = {"kde": KernelInformation, "gaussian": GaussianInformation.of_samples}
PUBLISHED = {"conv2d": 0.2, "linear": 0.15}
THRESHOLDS = {"published": None, "0.1 of all": 0.1, "0.25 of all": 0.25}
GROUPS = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
COMPUTED = np.array([1.0, 2 / 3, 2 / 3, 0.0])
"""Chance that a unit of each group is computed, all three combinations being as likely."""

LARGE = 40
"""Units above which a layer is reported by itself and only at the published thresholds."""

SYNTHETIC = (20, 30, 40)
KEY = ("data", "network_layer", "seed", "units", "estimator", "threshold")
FOUND = ("alpha_low", "alpha_high", "pam_value", "value", "bound", "status", "seconds")

LEAST = 1 / 3
"""Computed units to which a loss is related at least: one unit exclusive to one task costs twice that."""


def problem_of(layer: Layer, estimator: str, part: float | None) -> Grouping:
    """Return the regrouping of one layer as a problem."""
    functions = [ESTIMATORS[estimator](layer.values, labels) for labels in layer.labels]
    everything = np.arange(layer.values.shape[1])
    limits = [PUBLISHED[layer.kind] if part is None else part * f.value(everything) for f in functions]
    budgets = [
        JointBudget(~GROUPS[:, task], function, limit, f"task {task}")
        for task, (function, limit) in enumerate(zip(functions, limits, strict=True))
    ]
    return Grouping(GROUPS, np.tile(COMPUTED, (len(everything), 1)), None, tuple(budgets))


def layers(mnist: Path | None, seeds: int) -> Iterator[tuple[str, int, Layer]]:
    """Yield the name of the data, the seed and the layer."""
    for seed in range(seeds):
        for units in SYNTHETIC:
            yield "synthetic", seed, synthetic_layer(units, seed)
        for name, source in (("digits", "digits"), ("mnist", mnist)):
            if source is not None:
                dataset = load(source, seed=seed, limit=None if name == "digits" else 10_000)
                for network in NETWORKS:
                    yield from ((name, seed, layer) for layer in trained_layers(dataset, network, seed))


def solved(layer: Layer, estimator: str, threshold: str, seconds: float) -> dict[str, object]:
    """Regroup a layer by the greedy and by the exact solver."""
    problem = problem_of(layer, estimator, THRESHOLDS[threshold])
    greedy, exact = solve(problem, "greedy"), solve(problem, "decomposition", time_limit=seconds)
    return {
        "alpha_low": problem.joint[0].limit,
        "alpha_high": problem.joint[1].limit,
        "pam_value": greedy.value,
        "value": exact.value,
        "bound": exact.bound,
        "status": exact.status.name,
        "seconds": exact.build_seconds + exact.solve_seconds,
    }


def run(out: Path, mnist: Path | None, seeds: int, seconds: float) -> list[Row]:
    """Solve what is not in the file yet, line by line."""
    path = out / "regrouping.csv"
    known = {tuple(row[name] for name in KEY) for row in read(path)}
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [*KEY, *FOUND])
        if not path.stat().st_size:
            writer.writeheader()
        for data, seed, layer in layers(mnist, seeds):
            for estimator, threshold in cells(layer, seed):
                key = (data, layer.name, seed, layer.values.shape[1], estimator, threshold)
                if key not in known:
                    row: Row = dict(zip(KEY, key, strict=True)) | solved(layer, estimator, threshold, seconds)
                    writer.writerow(row)
                    file.flush()
                    print(", ".join(_short(value) for value in row.values()), flush=True)
    return read(path)


def cells(layer: Layer, seed: int) -> list[tuple[str, str]]:
    """Return the estimators and thresholds for a layer; large ones are looked at once, as published."""
    large = layer.values.shape[1] > LARGE
    if large and seed:
        return []
    return [
        (estimator, threshold) for estimator in ESTIMATORS for threshold in (THRESHOLDS if not large else ["published"])
    ]


def read(path: Path) -> list[Row]:
    """Read the lines of a file, with what the greedy computes above the best decision, and above the bound."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [_with_losses({name: _parsed(name, text) for name, text in row.items()}) for row in csv.DictReader(file)]


def _parsed(name: str, text: str) -> Any:
    if name in ("seed", "units"):
        return int(text)
    return float(text) if name in FOUND and name != "status" else text


def _with_losses(row: Row) -> Row:
    above = (row["pam_value"] - row["value"]) / max(row["value"], LEAST)
    most = (row["pam_value"] - row["bound"]) / max(row["bound"], LEAST)
    return row | {"loss": above, "loss_at_most": max(above, 0.0 if row["status"] == "OPTIMAL" else most)}


def summary(rows: list[Row]) -> Iterator[str]:
    """Say how far the greedy is from the optimum, or from the bound."""
    proved = sum(row["status"] == "OPTIMAL" for row in rows)
    yield f"{len(rows)} cases of layers of up to {LARGE} units, {proved} proved optimal"
    for kind in (("trained", False), ("synthetic", True)):
        for estimator in ESTIMATORS:
            for threshold in THRESHOLDS:
                chosen = [
                    row
                    for row in rows
                    if (row["estimator"], row["threshold"], row["data"] == "synthetic")
                    == (estimator, threshold, kind[1])
                ]
                if chosen:
                    yield f"  {kind[0]:9} {estimator:8} {threshold:11} " + _losses(chosen)


def _losses(rows: list[Row]) -> str:
    loss = 100 * np.array([row["loss"] for row in rows])
    proved = sum(row["status"] == "OPTIMAL" for row in rows)
    return (
        f"proved {proved:2} of {len(rows):2}; greedy as good on {100 * (loss <= 1e-7).mean():3.0f} %, "
        f"above the best found by mean {loss.mean():5.2f} %, median {np.median(loss):5.2f} %, most {loss.max():5.2f} %"
    )


def large(rows: list[Row]) -> Iterator[str]:
    """Say the same of every large layer."""
    yield "Large layers, published thresholds"
    for row in rows:
        yield (
            f"  {row['data']} {row['network_layer']}, {row['units']} units, {row['estimator']}: "
            f"greedy {row['pam_value']:.3f}, best {row['value']:.3f}, bound {row['bound']:.3f} ({row['status']}); "
            f"greedy at most {100 * row['loss_at_most']:.2f} % above the optimum"
        )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Run, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "regrouping")
    parser.add_argument("--mnist", type=Path, help="npz file of MNIST, for the same networks on it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of one layer")
    options = parser.parse_args()
    api.IN_PROCESS_PART = math.inf  # starting a process for each layer would take longer than most layers
    options.out.mkdir(parents=True, exist_ok=True)
    rows = run(options.out, options.mnist, options.seeds, options.seconds)
    small = [row for row in rows if row["units"] <= LARGE]
    text = "\n".join([*summary(small), *large([row for row in rows if row["units"] > LARGE])])
    print(text)
    (options.out / "regrouping.md").write_text(f"```\n{text}\n```\n")
    draw(small, options.out / "regrouping.png")


if __name__ == "__main__":
    main()
