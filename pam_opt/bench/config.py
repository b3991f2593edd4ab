"""The configuration of a benchmark, read from YAML and checked key by key."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from pam_opt.sections import Section, check_section
from pam_opt.yaml_files import read_mapping

_Seed = Annotated[int, Field(ge=0, lt=2**31)]
_Size = Annotated[int, Field(ge=0, le=2**20)]
_Severity = Annotated[float, Field(allow_inf_nan=False)]


class InstancesConfig(Section):
    """Instances of one family, or instance files by pattern; sizes and severities default to the family's own."""

    family: str | None = None
    sizes: tuple[_Size, ...] | None = None
    severities: tuple[_Severity, ...] | None = None
    files: str | None = None

    @model_validator(mode="after")
    def _check(self) -> "InstancesConfig":
        if (self.family is None) == (self.files is None):
            raise ValueError("give either a family or a pattern of files")
        if self.files is not None and (self.sizes or self.severities):
            raise ValueError("files have the sizes they have; leave sizes and severities out")
        for name, values in (("sizes", self.sizes), ("severities", self.severities)):
            if values is not None and (not values or len(set(values)) < len(values)):
                raise ValueError(f"{name}: needs at least one entry, and each only once")
        return self


class SolverConfig(Section):
    """A solver with its own settings; `problems` restricts it to some kinds of problems.

    `label` names it in the report; by default its name and what its settings say.
    """

    name: str = Field(min_length=1)
    settings: dict[str, str] = Field(default_factory=dict)
    problems: tuple[str, ...] | None = None
    label: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, raw: Any) -> Any:
        return {"name": raw} if isinstance(raw, str) else raw

    @property
    def shown(self) -> str:
        """What the report calls it."""
        settings = ",".join(f"{name}={value}" for name, value in sorted(self.settings.items()))
        return self.label or self.name + (f"[{settings}]" if settings else "")


class SlurmConfig(Section):
    """What a Slurm cluster wants to know, beside what follows from the limits."""

    partition: str | None = None
    account: str | None = None
    array_parallelism: int = Field(default=256, gt=0)


class BenchConfig(Section):
    """A whole benchmark: solver x instance x seed.

    The seed makes the instance and is given to the solver. `time_limit` is in seconds and covers building and solving;
    `memory_limit_mb` is resident memory of a cell's processes together; `threads` are what a solver may use; `jobs` is
    how many cells run at once on this machine. `families` is the folder of instance families; by default the nearest
    ``instances`` beside the file or above it.
    """

    name: str = Field(pattern=r"^\w[\w .-]*$")
    families: str | None = None
    instances: list[InstancesConfig] = Field(min_length=1)
    solvers: list[SolverConfig] = Field(min_length=1)
    seeds: tuple[_Seed, ...] = (0,)
    time_limit: float = Field(default=60.0, gt=0, le=30 * 86400, allow_inf_nan=False)
    memory_limit_mb: float = Field(default=4096.0, gt=0, allow_inf_nan=False)
    threads: int = Field(default=1, gt=0, le=1024)
    jobs: int = Field(default=1, gt=0, le=1024)
    slurm: SlurmConfig = SlurmConfig()

    @model_validator(mode="after")
    def _check(self) -> "BenchConfig":
        for name, entries in (("seeds", self.seeds), ("solvers", [solver.shown for solver in self.solvers])):
            if not entries or len(set(entries)) < len(entries):
                raise ValueError(f"{name}: needs at least one entry, and each only once")
        return self


def read_bench_config(path: str | Path) -> BenchConfig:
    """Read and check a benchmark's YAML file; paths in it are relative to it and come back absolute.

    Raises
    ------
    ConfigError : no such file, no YAML, unknown keys or keys twice, impossible values; says where in the file
    """
    path = Path(path)
    return _anchored(parse_bench_config(read_mapping(path), str(path)), path.resolve().parent)


def parse_bench_config(raw: dict[str, Any], where: str = "config") -> BenchConfig:
    """Check a configuration given as plain data; `where` names it in messages.

    Raises
    ------
    ConfigError : unknown keys, impossible values
    """
    return check_section(BenchConfig, raw, where)


def _anchored(config: BenchConfig, folder: Path) -> BenchConfig:
    families = config.families
    if families is None:
        nearest = [place / "instances" for place in (folder, *folder.parents) if (place / "instances").is_dir()]
        families = str(nearest[0]) if nearest else None
    else:
        families = str(folder / families)
    instances = [
        entry if entry.files is None else entry.model_copy(update={"files": str(folder / entry.files)})
        for entry in config.instances
    ]
    return config.model_copy(update={"families": families, "instances": instances})
