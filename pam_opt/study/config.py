"""The configuration of a study, read from YAML and checked key by key."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pam_opt.errors import PlanError
from pam_opt.families import FAMILIES
from pam_opt.information.options import Information
from pam_opt.losses import LOSSES
from pam_opt.pair_costs import COSTS
from pam_opt.pruning import METHODS as PRUNING_METHODS
from pam_opt.pruning import Schedule
from pam_opt.sections import Section, check_section
from pam_opt.tasks import Task, check_tasks, distribution
from pam_opt.training import TrainOptions
from pam_opt.yaml_files import read_mapping

_Width = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Epochs = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Seed = Annotated[int, Field(ge=0, lt=2**31)]


class DataConfig(Section):
    """Where the data comes from: ``digits``, an ``.npz`` file, an image folder or a zip of one."""

    source: str = "digits"
    validation: float = Field(default=0.1, gt=0, lt=1)
    limit: int | None = Field(default=None, gt=0)
    image_size: int | None = Field(default=None, gt=0)


class TaskConfig(Section):
    """One task; exactly one of the four target rules of `pam_opt.Task`, and a loss of `pam_opt.losses`."""

    name: str
    classes: list[int] | None = None
    one_vs_rest: list[int] | None = None
    mapping: dict[int, int] | None = None
    multi_label: list[int] | None = None
    loss: str | None = None

    def task(self) -> Task:
        """Build the task."""
        loss = None if self.loss is None else LOSSES[self.loss]
        rules = {"one_vs_rest": self.one_vs_rest, "mapping": self.mapping, "multi_label": self.multi_label}
        return Task(self.name, self.classes, loss=loss, **rules)


class FamilyConfig(Section):
    """A built-in network family and its options, such as `widths`."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class _TrainConfig(Section):
    """The keys of `pam_opt.TrainOptions`."""

    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    optimiser: Literal["adam", "sgd"] = "adam"
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    bfloat16: bool = False
    channels_last: bool = False

    def options(self) -> TrainOptions:
        """Build the options."""
        return TrainOptions(**{field.name: getattr(self, field.name) for field in fields(TrainOptions)})


class ParentsConfig(_TrainConfig):
    """How the parents are trained."""

    epochs: int = Field(default=10, gt=0)
    batch_size: int = Field(default=128, gt=0)
    augment: Literal["crop", "crop-flip"] | None = None


class InformationConfig(Section):
    """How information is estimated and how much of it is little, as in `pam_opt.Information`.

    The sections ``alpha``, nats, and ``part`` exclude each other; ``alpha`` is one number or one for each kind of layer
    or layer name.
    """

    estimator: str = "kde"
    alpha: float | dict[str, float] | None = None
    part: float | None = None
    labels: Literal["binary", "joint"] = "binary"
    pooling: Literal["max", "mean", "flatten"] = "max"
    samples: int = 128
    noise: float = 0.1
    scan: Literal["lazy", "full"] = "lazy"
    layers: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> "InformationConfig":
        try:
            self.options()
        except PlanError as err:
            raise ValueError(str(err).removeprefix("information: ")) from err
        return self

    def options(self) -> Information:
        """Build the options."""
        return Information(**dict(self))


class MergeConfig(Section):
    """How parents are measured and merged.

    `calibration` counts training samples; `widths` are fractions as in `pam_opt.plan`, each a result of its own.
    """

    cost: str = "fisher"
    weights: Literal["refit", "average", "side_by_side"] = "refit"
    target: Literal["mean", "keep"] = "mean"
    calibration: int = Field(default=2000, gt=0)
    widths: tuple[_Width | None, ...] = (None,)
    ridge: float | None = Field(default=None, ge=0)
    reestimate_batch_norm: bool = False
    time_limit: float | None = Field(default=None, gt=0)
    information: InformationConfig | None = None


class FineTuneConfig(_TrainConfig):
    """Fine-tuning after the merge; every entry of `epochs` is a result of its own, zero included."""

    epochs: tuple[_Epochs, ...] = (0,)
    batch_size: int = Field(default=128, gt=0)
    augment: Literal["crop", "crop-flip"] | None = None


REFIT = "+refit"
"""Behind the name of a pruning method: every removal is made up for by least squares."""


class PruneConfig(_TrainConfig):
    """Pruning to an allowed drop or to a number of MACs; see `pam_opt.pruning.Schedule`.

    Every entry of `methods` is a result of its own; ``taylor+refit`` is ``taylor`` with every removal made up for by
    least squares on the calibration samples. So is every entry of `epochs`, the fine-tuning that the pruning
    may spend in all, spread over `removals`; without `epochs`, `steps`, `warm_up` and `patience` say how long is
    trained. `limit` says which metric may drop: the task's own or plain accuracy. The learning rate's schedule
    starts anew after every removal.
    """

    methods: tuple[str, ...] = ("taylor",)
    epochs: tuple[_Epochs, ...] | None = None
    removals: int = Field(default=24, gt=0)
    max_drop: float | None = Field(default=0.01, ge=0, allow_inf_nan=False)
    limit: Literal["metric", "plain"] = "metric"
    target_macs: float | None = Field(default=None, gt=0)
    fraction: float = Field(default=0.1, gt=0, lt=1)
    steps: int = Field(default=100, ge=0)
    warm_up: int = Field(default=0, ge=0)
    patience: int = Field(default=2, ge=0)
    groups: Literal["all", "shared"] = "all"
    batch_size: int = Field(default=128, gt=0)
    augment: Literal["crop", "crop-flip"] | None = None

    @property
    def budgets(self) -> tuple[float | None, ...]:
        """Epochs of fine-tuning, each a result of its own; None where `steps` says how long is trained."""
        return (None,) if self.epochs is None else self.epochs

    def plan(self, budget: float | None, epoch_steps: int) -> Schedule:
        """Build the schedule for a budget in epochs of so many steps."""
        common = {"max_drop": self.max_drop, "target_macs": self.target_macs, "fraction": self.fraction}
        if budget is not None:
            return Schedule.of_effort(round(budget * epoch_steps), self.removals, groups=self.groups, **common)
        return Schedule(steps=self.steps, warm_up=self.warm_up, patience=self.patience, groups=self.groups, **common)


class StudyConfig(Section):
    """A whole study: data, tasks, parents, methods, budgets and seeds.

    `threads` sets torch's threads; one is fastest for small networks, and results are repeatable for a fixed number.
    """

    name: str = Field(pattern=r"^\w[\w .-]*$")
    data: DataConfig = DataConfig()
    tasks: list[TaskConfig]
    combinations: dict[str, float] | None = None
    family: FamilyConfig
    parents: ParentsConfig = ParentsConfig()
    merge: MergeConfig = MergeConfig()
    methods: list[str]
    fine_tune: FineTuneConfig = FineTuneConfig()
    prune: PruneConfig | None = None
    seeds: tuple[_Seed, ...] = (0,)
    threads: int | None = Field(default=None, gt=0, le=1024)

    @model_validator(mode="after")
    def _check(self) -> "StudyConfig":
        from pam_opt.study.methods import METHODS

        pruners = self.prune.methods if self.prune else ()
        for given, known, what in (
            ([self.family.name], FAMILIES, "family"),
            ([self.merge.cost], COSTS, "merge.cost"),
            (self.methods, METHODS, "methods"),
            ([name.removesuffix(REFIT) for name in pruners], PRUNING_METHODS, "prune.methods"),
            ([task.loss for task in self.tasks if task.loss is not None], LOSSES, "tasks.loss"),
        ):
            unknown = [name for name in given if name not in known]
            if unknown:
                raise ValueError(f"{what}: unknown {unknown}; known are {sorted(known)}")
        if len(self.tasks) < 2:
            raise ValueError("tasks: a multitask network needs at least two tasks")
        lists = {
            "seeds": self.seeds,
            "methods": self.methods,
            "merge.widths": self.merge.widths,
            "fine_tune.epochs": [f"{epochs:g}" for epochs in self.fine_tune.epochs],
            "prune.methods": self.prune.methods if self.prune else ("",),
            "prune.epochs": [f"{epochs or 0:g}" for epochs in self.prune.budgets] if self.prune else ("",),
        }
        for name, entries in lists.items():
            if not entries or len(set(entries)) < len(entries):
                raise ValueError(f"{name}: needs at least one entry, and each only once")
        fixed = [name for name in self.methods if not METHODS[name].takes_width]
        if fixed and self.merge.widths != (None,):
            raise ValueError(f"merge.widths: the methods {fixed} have one width only; leave them or the widths out")
        informed = [name for name in self.methods if METHODS[name].informed]
        if informed and self.merge.information is None:
            raise ValueError(f"merge.information: the methods {informed} need thresholds; give its alpha or part")
        if self.prune and self.prune.max_drop is None and self.prune.target_macs is None:
            raise ValueError("prune: give max_drop or target_macs")
        check_tasks(self.build_tasks())
        distribution([task.name for task in self.tasks], self.combinations)
        return self

    def build_tasks(self) -> tuple[Task, ...]:
        """Build the tasks."""
        return tuple(task.task() for task in self.tasks)


def read_config(path: str | Path) -> StudyConfig:
    """Read and check a study's YAML file.

    Raises
    ------
    ConfigError : no such file, no YAML, unknown keys or keys twice, impossible values; says where in the file
    """
    path = Path(path)
    return parse_config(read_mapping(path), str(path))


def parse_config(raw: dict[str, Any], where: str = "config") -> StudyConfig:
    """Check a configuration given as plain data; `where` names it in messages."""
    return check_section(StudyConfig, raw, where)
