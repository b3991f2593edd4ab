"""The problems that the trained parents of a study pose, as instance files that anybody's solver can read."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pam_opt.data import Dataset, load
from pam_opt.errors import ConfigError
from pam_opt.measuring import LayerStatistics, Statistics, measure
from pam_opt.planning.clusters import unit_costs
from pam_opt.representation import Pool
from pam_opt.study.config import StudyConfig, parse_config
from pam_opt.study.folder import make_folder, read_record
from pam_opt.study.parents import draw_calibration, read_parents
from pam_opt.study.progress import Progress
from pam_opt_solvers import ColumnSubset, MultiPairing, Pairing, Problem, Representatives

Named = Iterator[tuple[str, Problem]]
"""(what tells it from others of its layer, problem)."""


@dataclass(frozen=True)
class _Layer:
    """A layer of all parents, and the parts of a parent's width that may be kept."""

    statistics: LayerStatistics
    tasks: tuple[str, ...]
    widths: tuple[float, ...]

    def cost(self, first: str, second: str) -> np.ndarray:
        """Return the Fisher cost of merging units of two parents, (m, n), in units of the loss."""
        return unit_costs("fisher", self.statistics, self.tasks, first, second)

    def sizes(self) -> list[int]:
        """Return the units of every parent."""
        return [len(self.statistics.units[task].mean) for task in self.tasks]

    def kept(self) -> Iterator[tuple[str, int]]:
        """Return name and number of the units to keep at every width."""
        for width in self.widths:
            yield f"width{width:g}", min(sum(self.sizes()), max(1, round(width * max(self.sizes()))))


def _pairings(layer: _Layer) -> Named:
    for first, second in itertools.combinations(layer.tasks, 2):
        yield f"{first}-{second}", Pairing(layer.cost(first, second))


def _multi_pairings(layer: _Layer) -> Named:
    if len(layer.tasks) < 3:
        return
    zeros = {task: np.zeros((size, size)) for task, size in zip(layer.tasks, layer.sizes(), strict=True)}
    upper = {pair: layer.cost(*pair) for pair in itertools.combinations(layer.tasks, 2)}
    blocks = upper | {(t, s): cost.T for (s, t), cost in upper.items()} | {(t, t): own for t, own in zeros.items()}
    cost = np.block([[blocks[s, t] for t in layer.tasks] for s in layer.tasks])
    yield "-".join(layer.tasks), MultiPairing(cost, np.array(layer.sizes()))


def _representatives(layer: _Layer) -> Named:
    pool = Pool.of(layer.statistics, layer.tasks)
    cost = pool.cost
    np.fill_diagonal(cost, 0.0)
    importance = np.concatenate([layer.statistics.units[task].importance for task in layer.tasks])
    for name, count in layer.kept():
        yield name, Representatives(cost, count, importance=importance)


def _column_subsets(layer: _Layer) -> Named:
    pool = Pool.of(layer.statistics, layer.tasks)
    for name, count in layer.kept():
        yield name, ColumnSubset(pool.covariance, count, pool.weight)


EXPORTS: dict[str, Callable[[_Layer], Named]] = {
    "pairing": _pairings,
    "multi_pairing": _multi_pairings,
    "representatives": _representatives,
    "column_subset": _column_subsets,
}
"""Kind of problem to the function that poses it for one layer; ``multi_pairing`` needs three parents."""


@dataclass(frozen=True)
class Wanted:
    """Which instances of an experiment to write.

    Parameters
    ----------
    problems : kinds, of `EXPORTS`
    widths : units to keep as fractions of the widest parent's, for the problems that keep some
    layers : names; empty = all hidden layers
    """

    problems: tuple[str, ...] = tuple(EXPORTS)
    widths: tuple[float, ...] = (0.5,)
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.problems) - set(EXPORTS))
        if unknown:
            raise ConfigError(f"no instances of {', '.join(unknown)} can be exported; choose from {', '.join(EXPORTS)}")
        for width in self.widths:
            if not 0 < width < math.inf:
                raise ConfigError(f"width {width:g} is no fraction of a parent's units; it must be above 0")
        if not self.problems or not self.widths:
            raise ConfigError("name at least one problem and one width")


def export_instances(
    experiment: Path,
    out: Path,
    *,
    data: str = "digits",
    wanted: Wanted | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Measure the trained parents of an experiment and write the problems that they pose, one file each.

    Parameters
    ----------
    experiment : folder that ``pam-opt run`` wrote, finished or not; its parents must be trained
    out : folder for ``NAME-seedS-LAYER-PROBLEM-DETAIL.npz``
    data : the data that it was trained on; the folder does not hold it
    seeds : of the experiment; default: all

    Raises
    ------
    ConfigError : no experiment, other data, parents that are not trained, unknown seeds or layers
    DataError, StorageError, ProblemError : files that cannot be read or written
    """
    wanted, progress = wanted or Wanted(), progress or Progress()
    config, prints = _experiment(experiment)
    chosen = tuple(seeds) if seeds else config.seeds
    unknown = sorted(set(chosen) - set(config.seeds))
    if unknown:
        raise ConfigError(f"{str(experiment)!r} has the seeds {list(config.seeds)}, not {unknown}")
    make_folder(out)
    written = []
    for seed in chosen:
        dataset = _dataset(config, data, seed, prints.get(str(seed)), progress)
        folder = experiment if len(config.seeds) == 1 else experiment / f"seed-{seed}"
        statistics = _measure(config, dataset, seed, folder / "parents", progress)
        written += _write(config, statistics, wanted, out, f"{config.name}-seed{seed}", progress)
    return written


def _experiment(folder: Path) -> tuple[StudyConfig, dict[str, str]]:
    path = folder / "experiment.json"
    if not path.exists():
        raise ConfigError(f"{str(folder)!r} is no experiment: it has no experiment.json, as 'pam-opt run' writes it")
    found = read_record(path)
    if not isinstance(found.get("config"), dict) or not isinstance(found.get("data"), dict):
        raise ConfigError(f"{str(folder)!r} is no experiment of 'pam-opt run', but of something else")
    return parse_config(found["config"], str(path)), found["data"]


def _dataset(config: StudyConfig, source: str, seed: int, fingerprint: str | None, progress: Progress) -> Dataset:
    options = config.data.model_dump(exclude={"source", "validation"})
    with progress.stage(f"seed {seed}: read data"):
        dataset = load(source, validation=config.data.validation, seed=seed, **options)
    if fingerprint != dataset.fingerprint:
        raise ConfigError(f"{source!r} is not the data that the experiment was trained on; name those with --data")
    return dataset


def _measure(config: StudyConfig, dataset: Dataset, seed: int, folder: Path, progress: Progress) -> Statistics:
    parents = {name: parent.module for name, parent in read_parents(config, dataset, folder).items()}
    batches = draw_calibration(config, dataset, seed)
    total = sum(len(x) for x, _ in batches)
    with progress.stage(f"seed {seed}: measure the parents") as update:
        return measure(
            parents, batches, tasks=config.build_tasks(), within=True, progress=lambda done: update(done, total)
        )


def _write(
    config: StudyConfig, statistics: Statistics, wanted: Wanted, out: Path, prefix: str, progress: Progress
) -> list[Path]:
    tasks = tuple(task.name for task in config.build_tasks())
    names = [layer.name for layer in statistics.layers]
    unknown = sorted(set(wanted.layers) - set(names))
    if unknown:
        raise ConfigError(f"the parents have no layers {unknown}; they have {names}")
    chosen = [layer for layer in statistics.layers if not wanted.layers or layer.name in wanted.layers]
    written = []
    with progress.stage(f"{prefix}: write instances") as update:
        for done, layer in enumerate(chosen):
            update(done, len(chosen))
            for kind in wanted.problems:
                for detail, problem in EXPORTS[kind](_Layer(layer, tasks, wanted.widths)):
                    written.append(problem.save(out / f"{prefix}-{layer.name}-{kind}-{detail}.npz"))
    return written
