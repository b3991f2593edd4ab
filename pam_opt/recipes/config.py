"""The recipe of a merge, read from YAML and checked key by key."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pam_opt.losses import LOSSES
from pam_opt.merging import Weights
from pam_opt.pair_costs import COSTS
from pam_opt.planning import PLANNERS
from pam_opt.sections import Section, check_section
from pam_opt.study.config import InformationConfig, TaskConfig
from pam_opt.tasks import Task, check_tasks, distribution
from pam_opt.yaml_files import read_mapping

_Budget = Annotated[float, Field(ge=0, allow_inf_nan=False)]
DIGITS = "digits"


class DataConfig(Section):
    """Calibration and test data; see `pam_opt.data.load`.

    `mean` and `std` are what the parents were trained with, one number per channel of values in [0, 1]; without them
    the training split's own.
    """

    source: str = DIGITS
    limit: int | None = Field(default=None, gt=0)
    image_size: int | None = Field(default=None, gt=0)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both of mean and std, or none of them")
        return self


class ParentConfig(TaskConfig):
    """One task and the network that is trained for it.

    `network` is ``module:callable``, called with `options`, or a family with its options; `checkpoint` a safetensors
    file or a torch file with its state dict, which lies under `entry` where the file holds more than that.
    """

    network: str
    options: dict[str, Any] = Field(default_factory=dict)
    checkpoint: str
    entry: str | None = None


class PlanConfig(Section):
    """The options of `pam_opt.plan`."""

    problem: str | None = None
    solver: str = "auto"
    cost: str | None = None
    share: float | dict[str, float] = 1.0
    width: float | None = None
    loss_budget: _Budget | None = None
    macs_budget: _Budget | None = None
    information: InformationConfig | None = None
    time_limit: float | None = Field(default=None, gt=0)


class WeightsConfig(Section):
    """The options of `pam_opt.merge`; `method` is its `weights`."""

    method: Weights = "refit"
    target: Literal["mean", "keep"] = "mean"
    ridge: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    rescale: bool = False
    reestimate: bool = False


class Recipe(Section):
    """A whole merge: parents, data, plan and weights.

    `calibration` counts training samples; `combinations` says how often each combination of tasks is run.
    """

    data: DataConfig = DataConfig()
    tasks: list[ParentConfig]
    combinations: dict[str, float] | None = None
    calibration: int = Field(default=2000, gt=0)
    plan: PlanConfig = PlanConfig()
    weights: WeightsConfig = WeightsConfig()
    seed: int = Field(default=0, ge=0, lt=2**31)
    threads: int | None = Field(default=None, gt=0, le=1024)

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        for given, known, what in (
            (self.plan.problem, PLANNERS, "plan.problem"),
            (self.plan.cost, COSTS, "plan.cost"),
            *((task.loss, LOSSES, f"tasks.{task.name}.loss") for task in self.tasks),
        ):
            if given is not None and given not in known:
                raise ValueError(f"{what}: {given!r} is unknown; known are {sorted(known)}")
        if len(self.tasks) < 2:
            raise ValueError("tasks: merging needs at least two tasks, each with its trained network")
        check_tasks(self.build_tasks())
        distribution([task.name for task in self.tasks], self.combinations)
        return self

    def build_tasks(self) -> tuple[Task, ...]:
        """Build the tasks."""
        return tuple(task.task() for task in self.tasks)


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe; paths in it are relative to it and come back absolute.

    Raises
    ------
    ConfigError : no such file, no YAML, unknown keys or keys twice, impossible values; says where in the file
    """
    path = Path(path)
    return _anchored(parse_recipe(read_mapping(path), str(path)), path.resolve().parent)


def parse_recipe(raw: dict[str, Any], where: str = "recipe") -> Recipe:
    """Check a recipe given as plain data; `where` names it in messages.

    Raises
    ------
    ConfigError : unknown keys, impossible values
    """
    return check_section(Recipe, raw, where)


def with_source(recipe: Recipe, source: str, folder: Path) -> Recipe:
    """Return the recipe with other data; a path is relative to `folder`."""
    found = source if source == DIGITS else _anchor(source, folder)
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"source": found})})


def _anchored(recipe: Recipe, folder: Path) -> Recipe:
    tasks = [task.model_copy(update={"checkpoint": _anchor(task.checkpoint, folder)}) for task in recipe.tasks]
    return with_source(recipe.model_copy(update={"tasks": tasks}), recipe.data.source, folder)


def _anchor(path: str, folder: Path) -> str:
    return str(folder / Path(path).expanduser())
