"""How far is PAM's greedy regrouping from the optimum? ``python benchmarks/regrouping_optimality.py``.

Layers of up to 40 units of pairs of trained networks (digits; MNIST as well with ``--mnist FILE.npz``) and synthetic
ones, by both estimators, at PAM's published thresholds and at a tenth and a quarter of what all units tell; then
LeNet-5's linear layers of 168 and 240 units. Every layer is regrouped by the greedy and solved by `decomposition` within
``--seconds``. Lines go to ``regrouping.csv`` in ``--out`` as they come; another call goes on with what is missing. At the
end the distribution of the greedy's loss is printed and drawn, ``regrouping.png``. About ten minutes on one core.
"""

import argparse
import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from regrouping.figure import draw
from regrouping.layers import NETWORKS, Layer, synthetic_layer, trained_layers

from pam_opt.data import load
from pam_opt_solvers import Grouping, api, solve
from pam_opt_solvers.problems.budgets import JointBudget
from pam_opt_solvers.problems.gaussian_information import GaussianInformation
from pam_opt_solvers.problems.kernel_information import KernelInformation

ESTIMATORS = {"kde": KernelInformation, "gaussian": GaussianInformation.of_samples}
PUBLISHED = {"conv2d": 0.2, "linear": 0.15}
THRESHOLDS = {"published": None, "0.1 of all": 0.1, "0.25 of all": 0.25}
GROUPS = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
COMPUTED = np.array([1.0, 2 / 3, 2 / 3, 0.0])
"""Chance that a unit of each group is computed, all three combinations being as likely."""

LARGE = 40
"""Units above which a layer is reported by itself and only at the published thresholds."""

SYNTHETIC = (20, 30, 40)
FIELDS = "data network_layer seed units estimator threshold alpha_low alpha_high pam_value value bound status seconds".split()


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


def run(out: Path, mnist: Path | None, seeds: int, seconds: float) -> pd.DataFrame:
    """Solve what is not in the file yet, line by line."""
    path = out / "regrouping.csv"
    known = set()
    if path.exists():
        table = pd.read_csv(path)
        known = set(table[FIELDS[:6]].itertuples(index=False, name=None))
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not known:
            writer.writeheader()
        for data, seed, layer in layers(mnist, seeds):
            units = layer.values.shape[1]
            for estimator in ESTIMATORS:
                for threshold in THRESHOLDS if units <= LARGE else ("published",):
                    key = (data, layer.name, seed, units, estimator, threshold)
                    if key in known or (units > LARGE and seed):
                        continue
                    row = dict(zip(FIELDS, key, strict=False)) | solved(layer, estimator, threshold, seconds)
                    writer.writerow(row)
                    file.flush()
                    print(", ".join(_short(value) for value in row.values()), flush=True)
    return pd.read_csv(path)


def summary(table: pd.DataFrame) -> str:
    """Say how far the greedy is from the optimum, or from the bound."""
    proved = table["status"] == "OPTIMAL"
    lines = [f"{len(table)} layers of up to {table['units'].max()} units, {proved.sum()} proved optimal"]
    for (estimator, threshold), rows in table.groupby(["estimator", "threshold"]):
        loss = 100 * rows["loss"]
        lines.append(
            f"  {estimator:9} {threshold:12} greedy optimal on {100 * (rows['loss'] <= 1e-9).mean():3.0f} %, "
            f"loss mean {loss.mean():4.2f} %, 90th percentile {loss.quantile(0.9):4.2f} %, most {loss.max():5.2f} %; "
            f"proved {(rows['status'] == 'OPTIMAL').sum()} of {len(rows)}"
        )
    return "\n".join(lines)


def with_losses(table: pd.DataFrame) -> pd.DataFrame:
    """Add what the greedy computes above the best decision, and at most above the optimum, as parts of each."""
    scale = table["bound"].clip(lower=1 / 3)  # a layer of which everything may be dropped costs nothing
    loss = (table["pam_value"] - table["value"]) / table["value"].clip(lower=1 / 3)
    return table.assign(loss=loss, loss_at_most=np.maximum(loss, (table["pam_value"] - table["bound"]) / scale))


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
    table = with_losses(run(options.out, options.mnist, options.seeds, options.seconds))
    small = table[table["units"] <= LARGE]
    text = [summary(small), "Large layers, published thresholds:"]
    for row in table[table["units"] > LARGE].itertuples():
        text.append(
            f"  {row.data} {row.network_layer}, {row.units} units, {row.estimator}: greedy {row.pam_value:.3f}, "
            f"best {row.value:.3f}, bound {row.bound:.3f}: greedy at most {100 * row.loss_at_most:.2f} % above the optimum"
        )
    print("\n".join(text))
    (options.out / "regrouping.txt").write_text("\n".join(text) + "\n")
    draw(small, options.out / "regrouping.png")


if __name__ == "__main__":
    main()
