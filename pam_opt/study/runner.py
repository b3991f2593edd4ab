"""Run a study: for each seed train the parents, then every method; each finished unit of work is a file."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pam_opt.data import Batches, Dataset
from pam_opt.data import load as load_data
from pam_opt.errors import PlanError, SolverUnsuitable
from pam_opt.macs import costs
from pam_opt.measuring import Statistics, measure
from pam_opt.merging import single
from pam_opt.plans import Plan
from pam_opt.pruning import PruneStep
from pam_opt.storage import save
from pam_opt.study.config import REFIT, StudyConfig
from pam_opt.study.environment import environment
from pam_opt.study.folder import claim_folder, make_folder, read_record, write_record
from pam_opt.study.methods import METHODS, Built, Ingredients
from pam_opt.study.parents import Parent, draw_calibration, split_batches, train_parents
from pam_opt.study.progress import Progress
from pam_opt.study.system import System
from pam_opt.study.units import Cell, cells, files_beside_record, network_path, plan_path, record_path
from pam_opt.tasks import Task, combination_key

SCHEMA = 1


def run_study(config: StudyConfig, out: Path, *, resume: bool = False, progress: Progress | None = None) -> list[Path]:
    """Run all seeds of a study and return the paths of their ``results.json``.

    With one seed the results lie in `out`, with several in a folder for each. A run that was stopped loses
    only the parent or method it was working on; `resume` goes on behind the last finished one. A method that
    cannot be planned for these parents is a result too, "does not apply" with the reason.

    Raises
    ------
    ConfigError : `out` holds another experiment, or this one without `resume`
    PlanError : none of the methods applies
    DataError, StorageError : data that cannot be read, results that cannot be written
    """
    progress = progress or Progress()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    options = config.data.model_dump(exclude={"source", "validation"})
    with progress.stage("read data"):
        datasets = {
            seed: load_data(config.data.source, validation=config.data.validation, seed=seed, **options)
            for seed in config.seeds
        }
    described = config.model_dump(mode="json", exclude={"data": {"source"}})
    prints = {str(seed): dataset.fingerprint for seed, dataset in datasets.items()}
    claim_folder(out, {"config": described, "data": prints}, resume)
    paths = []
    for seed, dataset in datasets.items():
        folder = out if len(config.seeds) == 1 else out / f"seed-{seed}"
        paths.append(_SeedRun(config, dataset, seed, folder, progress).run())
    return paths


@dataclass(frozen=True)
class _SeedRun:
    """One seed of a study."""

    config: StudyConfig
    dataset: Dataset
    seed: int
    folder: Path
    progress: Progress

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.config.build_tasks()

    def run(self) -> Path:
        parents = train_parents(self.config, self.dataset, self.seed, self.folder / "parents", self.progress)
        statistics: list[Statistics] = []
        for unit in cells(self.config):
            left = [cell for cell in unit if not self._is_finished(cell)]
            if left:
                if not statistics:
                    statistics.append(self._measure(parents))
                self._run_unit(left, parents, statistics[0])
        return self._write_results(parents)

    def _is_finished(self, cell: Cell) -> bool:
        """Whether the record of a result is there with its plan and networks; say which of these was removed."""
        name = cell.name(self.config)
        if self._reason(cell.unit(self.config)) or self._reason(name):
            return True
        if not record_path(self.folder, name).exists():
            return False
        missing = [path for path in files_beside_record(self.folder, cell, self.config) if not path.exists()]
        if missing:
            self.progress.say(f"seed {self.seed}: {missing[0]} is missing, so {name} is run again")
        return not missing

    def _reason(self, name: str) -> str:
        """Say why a unit or a result does not apply; empty where it does."""
        path = record_path(self.folder, name)
        return str(read_record(path).get("does_not_apply", "")) if path.exists() else ""

    def _measure(self, parents: Mapping[str, Parent]) -> Statistics:
        batches = self._calibration()
        total = sum(len(x) for x, _ in batches)
        with self.progress.stage(f"seed {self.seed}: measure the parents") as update:
            modules = {name: parent.module for name, parent in parents.items()}
            within = any(METHODS[name].needs_within for name in self.config.methods)
            return measure(modules, batches, tasks=self.tasks, within=within, progress=lambda done: update(done, total))

    def _calibration(self) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
        return draw_calibration(self.config, self.dataset, self.seed)

    def _run_unit(self, left: Sequence[Cell], parents: Mapping[str, Parent], statistics: Statistics) -> None:
        """Plan and merge, or merge anew by the plan of an earlier run, and finish what is left."""
        torch.manual_seed(self.seed)
        unit = left[0].unit(self.config)
        label, path = f"seed {self.seed}: {unit}", plan_path(self.folder, unit)
        ingredients = Ingredients(
            {task: parent.module for task, parent in parents.items()},
            self.tasks,
            statistics,
            self._calibration(),
            self.config.merge,
            self.config.combinations,
            self.seed,
        )
        for kind in ("methods", "networks", "plans"):
            make_folder(self.folder / kind)
        try:
            with self.progress.stage(f"{label}: plan and merge"):
                made = Plan.load(path) if path.exists() else None
                built = METHODS[left[0].method].build(ingredients, left[0].width, made)
        except (PlanError, SolverUnsuitable) as err:
            self._write_does_not_apply(unit, err)
            return
        if built.plan is not None and made is None:
            built.plan.save(path)
        for cell in left:
            name = cell.name(self.config)
            try:
                write_record(record_path(self.folder, name), self._finish(cell, built, parents))
            except PlanError as err:
                self._write_does_not_apply(name, err)

    def _write_does_not_apply(self, name: str, reason: Exception) -> None:
        self.progress.say(f"seed {self.seed}: {name}: does not apply: {reason}")
        write_record(record_path(self.folder, name), {"does_not_apply": str(reason)})

    def _finish(self, cell: Cell, built: Built, parents: Mapping[str, Parent]) -> dict[str, Any]:
        """Fine-tune and prune a copy of the merged system, save it, and read the test split once."""
        torch.manual_seed(self.seed)
        name = cell.name(self.config)
        label = f"seed {self.seed}: {name}"
        system = copy.deepcopy(built.system)
        started = time.perf_counter()
        batches = self._train_batches(self.config.fine_tune.batch_size, self.config.fine_tune.augment)
        steps = round(cell.fine_tune_epochs * len(batches))
        if steps:
            with self.progress.stage(f"{label}: fine-tune {cell.fine_tune_epochs:g} epochs") as update:
                system.fine_tune(batches, self.tasks, steps, self.config.fine_tune.options(), update)
        tuned = time.perf_counter()
        system, histories = self._prune(label, cell, system, parents)
        seconds = {**built.seconds, "fine_tune": tuned - started, "prune": time.perf_counter() - tuned}
        for network in system.networks:
            task = network.tasks[0] if len(system.networks) > 1 else None
            save(network, network_path(self.folder, name, task))
        return {
            "axes": cell.axes(),
            **self._describe(system, built.plan, seconds),
            "within_drop": all(history[-1].within for history in histories) if histories else None,
            "ended": [history[-1].ended for history in histories],
            "history": [[_step(step) for step in history] for history in histories],
        }

    def _prune(
        self, label: str, cell: Cell, system: System, parents: Mapping[str, Parent]
    ) -> tuple[System, list[list[PruneStep]]]:
        config = self.config.prune
        if config is None or cell.pruner is None:
            return system, []
        plain = config.limit == "plain"
        method, plus, _ = cell.pruner.partition(REFIT)
        reference = {name: parent.plain_validation if plain else parent.validation for name, parent in parents.items()}
        batches = self._train_batches(config.batch_size, config.augment)
        validation = split_batches(self.dataset, "validation", self.tasks)
        with self.progress.stage(f"{label}: prune") as update:
            start = max(costs(network).expected for network in system.networks)
            return system.pruned(
                batches,
                validation,
                [task.plain() for task in self.tasks] if plain else self.tasks,
                method,
                config.plan(cell.prune_epochs, len(batches)),
                config.options(),
                self.config.combinations,
                reference,
                self._calibration() if plus else None,
                lambda step: update(start - step.expected_macs, start),
            )

    def _train_batches(self, batch_size: int, augment: str | None) -> Batches:
        return split_batches(self.dataset, "train", self.tasks, batch_size, self.seed, augment)

    def _describe(self, system: System, plan: Plan | None, seconds: dict[str, float]) -> dict[str, Any]:
        test = split_batches(self.dataset, "test", self.tasks)
        accuracy = system.accuracy(test, self.tasks)
        plain = system.accuracy(test, [task.plain() for task in self.tasks])
        return {
            "combinations": {
                combination_key(combination): {
                    "macs": macs,
                    "accuracy": {name: accuracy[name] for name in sorted(combination)},
                    "plain": {name: plain[name] for name in sorted(combination)},
                }
                for combination, macs in system.macs().items()
            },
            "expected_macs": system.expected_macs(self.config.combinations),
            "seconds": seconds,
            "solver": plan.summary() if plan else Plan((), ()).summary(),
            "layers": [
                {"name": layer.name, "groups": {combination_key(group): n for group, n in widths.items()}}
                for network in system.networks
                for index, (layer, widths) in enumerate(
                    zip(network.structure.layers, network.structure.widths, strict=True)
                )
                if layer.ties == index
            ],
        }

    def _experiment(self) -> dict[str, Any]:
        """Describe what was run; of the data's path only the name, so that results can be shared."""
        described = self.config.model_dump(mode="json")
        described["data"]["source"] = Path(self.config.data.source).name
        return {"seed": self.seed, "data_fingerprint": self.dataset.fingerprint, **described}

    def _write_results(self, parents: Mapping[str, Parent]) -> Path:
        methods: dict[str, Any] = {}
        objectives: dict[str, Any] = {}
        not_applicable: dict[str, str] = {}
        for unit in cells(self.config):
            name = unit[0].unit(self.config)
            if reason := self._reason(name):
                not_applicable[name] = reason
                continue
            for cell in (cell.name(self.config) for cell in unit):
                if reason := self._reason(cell):
                    not_applicable[cell] = reason
                else:
                    methods[cell] = read_record(record_path(self.folder, cell), axes=dict, combinations=dict)
            if METHODS[unit[0].method].problem is not None:
                objectives[name] = _objectives(read_record(plan_path(self.folder, name), records=list)["records"])
        if not methods:
            reasons = "; ".join(f"{unit!r}: {reason}" for unit, reason in not_applicable.items())
            raise PlanError(f"none of the study's methods applies to its parents: {reasons}")
        results = {
            "schema": SCHEMA,
            "experiment": self._experiment(),
            "environment": environment(),
            "parents": {
                task.name: {
                    "accuracy": parents[task.name].accuracy,
                    "plain": parents[task.name].plain,
                    "macs": sum(costs(single(parents[task.name].module, task), self.dataset.input_shape).macs.values()),
                }
                for task in self.tasks
            },
            "methods": methods,
            "does_not_apply": not_applicable,
            "objectives": objectives,
        }
        path = self.folder / "results.json"
        write_record(path, results)
        return path


def _objectives(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pick what was minimised in each layer, how it ended, and its bound."""
    return [{key: record.get(key) for key in ("layer", "status", "value", "bound", "stepwise")} for record in records]


def _step(step: PruneStep) -> dict[str, Any]:
    kept = {"expected_macs": step.expected_macs, "accuracy": dict(step.accuracy), "within": step.within}
    return kept | ({"note": step.note} if step.note else {})
