"""Multi-Task Zipping of two LeNet-300-100 on MNIST, beside the published figures.

    python benchmarks/mtz_lenet300.py --data mnist.npz --out runs/mtz_lenet300

Three pairs of parents, each trained on 55,000 images to all ten digits, 5,000 held out (20 epochs of Adam, one-cycle to
1e-3, weight decay 0.1, batches of 128), about one minute a parent. Each pair is zipped with greedy pairs, as published,
with optimal and with random ones: the first layer only, and all hidden units, without and with 550 iterations of
retraining (275 behind each layer: Adam, one-cycle to 2e-3, batches of 1024, the best of five tried on the held-out
images). Errors are on the test split, in %. What ``--out`` holds already is not computed again.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

import pam_opt as pam
from pam_opt.atomic import write_text
from pam_opt.data import Batches, Dataset, load
from pam_opt.data.dataset import Split
from pam_opt.families import lenet_300_100
from pam_opt.storage import load_tensors, save_tensors
from pam_opt.training import SingleTask

PAIRS = ((0, 1), (2, 3), (4, 5))
DIGITS = {digit: digit for digit in range(10)}
TASKS = [pam.Task("a", mapping=DIGITS), pam.Task("b", mapping=DIGITS)]
PUBLISHED_PARENTS = "1.57 / 1.60"


@dataclass(frozen=True)
class Experiment:
    """One way of zipping, and the published error in %."""

    name: str
    pairs: str
    share: dict[str, float]
    steps: int
    published: str = "-"


FIRST, ALL = {"linear1": 1.0, "linear2": 0.0}, {"linear1": 1.0, "linear2": 1.0}
EXPERIMENTS = (
    Experiment("first layer, greedy pairs", "greedy", FIRST, 0, "parents + 0.95"),
    Experiment("first layer, optimal pairs", "hungarian", FIRST, 0),
    Experiment("first layer, random pairs", "random", FIRST, 0, "33.5"),
    Experiment("all, greedy pairs", "greedy", ALL, 0),
    Experiment("all, optimal pairs", "hungarian", ALL, 0),
    Experiment("all, random pairs", "random", ALL, 0),
    Experiment("all, greedy pairs, 550 iterations", "greedy", ALL, 275, "1.64"),
    Experiment("all, optimal pairs, 550 iterations", "hungarian", ALL, 275),
    Experiment("all, random pairs, 550 iterations", "random", ALL, 275),
)


@dataclass(frozen=True)
class Row:
    """Errors of both tasks for every pair of parents, in %, and the sum of functional differences."""

    name: str
    published: str
    errors: list[list[float]]
    differences: list[float]

    @property
    def mean(self) -> float:
        """Mean over pairs and tasks."""
        return sum(sum(pair) for pair in self.errors) / sum(len(pair) for pair in self.errors)


def batches(split: Split, size: int, *, shuffle: bool = False) -> Batches:
    """Return a split with the targets of both tasks."""
    return Batches(split, {task.name: task.target(split.labels) for task in TASKS}, size, shuffle=shuffle)


def errors(network: nn.Module, dataset: Dataset, tasks: list[pam.Task]) -> list[float]:
    """Return every task's error on the test split in %."""
    return [100 * (1 - accuracy) for accuracy in pam.evaluate(network, batches(dataset.test, 1000), tasks).values()]


def parent(dataset: Dataset, seed: int, folder: Path) -> nn.Module:
    """Train a parent, or read it."""
    path = folder / f"parent-{seed}.safetensors"
    torch.manual_seed(seed)
    module = lenet_300_100(dataset.input_shape, 10)
    if not path.exists():
        print(f"training parent {seed} ...", flush=True)
        task = TASKS[0]
        train = Batches(dataset.train, {task.name: task.target(dataset.train.labels)}, 128, seed=seed, shuffle=True)
        options = pam.TrainOptions(1e-3, weight_decay=0.1)
        pam.train(SingleTask(module, task.name), train, [task], 20 * len(train), options)
        save_tensors(module.state_dict(), path)
    module.load_state_dict(load_tensors(path)[0])
    return module.eval()


def run(experiment: Experiment, parents: list[nn.Module], dataset: Dataset) -> tuple[list[float], float]:
    """Zip a pair of parents; returns the errors and the sum of functional differences."""
    network, plan = pam.zip_networks(
        dict(zip("ab", parents, strict=True)),
        batches(dataset.train, 1000),
        tasks=TASKS,
        share=experiment.share,
        pairs=experiment.pairs,
        steps=experiment.steps,
        train_batches=batches(dataset.train, 1024, shuffle=True),
        training=pam.TrainOptions(2e-3),
    )
    return errors(network, dataset, TASKS), sum(record["value"] for record in plan.records)


def measure(experiment: Experiment, pairs: list[list[nn.Module]], dataset: Dataset, folder: Path) -> Row:
    """Run an experiment on all pairs, or read what it gave."""
    path = folder / f"{experiment.name}.json"
    if not path.exists():
        found = [run(experiment, pair, dataset) for pair in pairs]
        row = Row(experiment.name, experiment.published, [error for error, _ in found], [d for _, d in found])
        write_text(path, json.dumps(asdict(row)))
    return Row(**json.loads(path.read_text(encoding="utf8")))


def table(rows: list[Row]) -> str:
    """Write the rows as a table in Markdown."""
    head = ["error in %", "published", "mean", *(f"seeds {a}, {b}" for a, b in PAIRS), "sum of d"]
    lines = [head, [":--", *["--:"] * (len(head) - 1)]]
    for row in rows:
        pairs = [" / ".join(f"{error:.2f}" for error in pair) for pair in row.errors]
        difference = f"{sum(row.differences) / len(row.differences):.1f}" if row.differences else ""
        lines.append([row.name, row.published, f"{row.mean:.2f}", *pairs, difference])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Train, zip, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="MNIST as .npz")
    parser.add_argument("--out", type=Path, default=Path("runs/mtz_lenet300"), help="folder of parents and results")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    dataset = load(arguments.data, validation=1 / 12)
    pairs = [[parent(dataset, seed, arguments.out) for seed in pair] for pair in PAIRS]
    own = [[errors(SingleTask(module, "a"), dataset, TASKS[:1])[0] for module in pair] for pair in pairs]
    rows = [Row("parents", PUBLISHED_PARENTS, own, [])]
    for experiment in EXPERIMENTS:
        rows.append(measure(experiment, pairs, dataset, arguments.out))
        print(f"{experiment.name}: {rows[-1].mean:.2f} %", flush=True)
    text = table(rows)
    write_text(arguments.out / "table.md", text + "\n")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
