"""From a configuration to its cells: solver x instance x seed, each with a name that never changes."""

import glob
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pam_opt.bench.config import BenchConfig, InstancesConfig, SolverConfig
from pam_opt.errors import ConfigError, PamOptError
from pam_opt_solvers.instances import Catalogue, Family, read_catalogue
from pam_opt_solvers.problems import Problem, load_problem
from pam_opt_solvers.registry import load, place_of, places


@dataclass(frozen=True)
class Instance:
    """Where a problem comes from.

    Parameters
    ----------
    family : name of the family, or of the instance file
    problem : kind of the problem
    file : the family's Python file, or the instance file itself
    fingerprint : of an instance file's bytes; empty for families, whose commit is on record
    size, severity : None where a file does not say
    dial, unit : what severity and size are, for axes
    """

    family: str
    problem: str
    file: str
    fingerprint: str
    size: int
    severity: float | None
    dial: str
    unit: str


@dataclass(frozen=True)
class Cell:
    """One solver on one instance with one seed, under limits: all that another machine must know.

    `time_limit` is in seconds, `memory_limit_mb` in 2^20 bytes of resident memory.
    """

    study: str
    instance: Instance
    seed: int
    solver: str
    label: str
    settings: dict[str, str]
    time_limit: float
    memory_limit_mb: float
    threads: int

    @property
    def name(self) -> str:
        """The cell's own name, readable and unique: the same cell has it in every run."""
        identity = asdict(self)
        del identity["study"], identity["label"]  # names and places may change, what is computed may not
        for words in ("file", "dial", "unit"):
            del identity["instance"][words]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        severity = "" if self.instance.severity is None else f"-{self.instance.severity:g}"
        words = f"{self.instance.family}-{self.instance.size}{severity}-seed{self.seed}-{self.solver}"
        return f"{re.sub(r'[^A-Za-z0-9.]+', '_', words)[:120]}-{digest}"


@dataclass(frozen=True)
class Plan:
    """The cells of a benchmark, and the instance files that could not be used, with the reason."""

    cells: tuple[Cell, ...]
    skipped: dict[str, str]


def expand(config: BenchConfig) -> Plan:
    """List every cell of a benchmark; a solver gets no cell with kinds of problems that it is not made for.

    Raises
    ------
    ConfigError : unknown families, no instance left, two cells of one name
    SolverNotFound, ProblemError : a solver or one of its settings that does not exist
    """
    skipped: dict[str, str] = {}
    catalogue = _catalogue(config)
    instances = [found for entry in config.instances for found in _instances(entry, catalogue, skipped)]
    if not instances:
        reasons = "; ".join(f"{path}: {why}" for path, why in skipped.items()) or "no file matches"
        raise ConfigError(f"benchmark {config.name!r} has no usable instance: {reasons}")
    present = sorted({instance.problem for instance in instances})
    kinds = {solver.shown: _kinds(solver, present) for solver in config.solvers}
    cells = tuple(
        _cell(config, instance, seed, solver)
        for instance in instances
        for seed in config.seeds
        for solver in config.solvers
        if instance.problem in kinds[solver.shown]
    )
    if len({cell.name for cell in cells}) < len(cells):
        raise ConfigError(f"benchmark {config.name!r} lists some instances twice; merge the entries of 'instances'")
    return Plan(cells, skipped)


def _kinds(solver: SolverConfig, present: list[str]) -> set[str]:
    """Return the kinds of problems among those present that a solver is for, and check its settings."""
    name, _, engine = solver.name.partition(":")
    asked = [kind for kind in present if solver.problems is None or kind in solver.problems]
    if name == "auto":
        return set(asked)
    found = {kind for kind in asked if name in places(kind)}
    if asked and (not found or (solver.problems is not None and found != set(asked))):
        place_of(name, next(kind for kind in asked if kind not in found))  # says what is wrong
    for kind in found:
        chosen = load(name, kind)()
        first = next(iter(chosen.settings), "engine")
        chosen.resolve(({first: engine} if engine else {}) | solver.settings)
    return found


def _cell(config: BenchConfig, instance: Instance, seed: int, solver: SolverConfig) -> Cell:
    limits = config.time_limit, config.memory_limit_mb, config.threads
    return Cell(config.name, instance, seed, solver.name, solver.shown, dict(solver.settings), *limits)


def _catalogue(config: BenchConfig) -> Catalogue:
    if all(entry.family is None for entry in config.instances):
        return Catalogue({}, {}, {})
    if config.families is None:
        raise ConfigError("there is no folder 'instances' beside the config or above it; set 'families' to yours")
    return read_catalogue(Path(config.families))


def _instances(entry: InstancesConfig, catalogue: Catalogue, skipped: dict[str, str]) -> Iterator[Instance]:
    if entry.files is not None:
        return _of_files(entry.files, skipped)
    if entry.family not in catalogue.families:
        broken = "".join(f"; {why}" for why in catalogue.broken.values())
        known = ", ".join(sorted(catalogue.families)) or "none"
        raise ConfigError(f"no instance family is called {entry.family!r}; families: {known}{broken}")
    return _of_family(entry, catalogue.families[entry.family], catalogue.files[entry.family])


def _of_family(entry: InstancesConfig, family: Family, file: Path) -> Iterator[Instance]:
    for size in entry.sizes if entry.sizes is not None else family.sizes:
        for severity in entry.severities if entry.severities is not None else family.severities:
            yield Instance(
                family.name, family.problem, str(file.resolve()), "", size, severity, family.dial, family.unit
            )


def _of_files(pattern: str, skipped: dict[str, str]) -> Iterator[Instance]:
    for name in sorted(glob.glob(pattern, recursive=True)):
        path = Path(name).resolve()
        try:
            problem = load_problem(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        except (PamOptError, OSError) as err:
            skipped[str(path)] = str(err)
            continue
        yield Instance(path.stem, problem.kind, str(path), digest, _largest_side(problem), None, "", "largest side")


def _largest_side(problem: Problem) -> int:
    return max((length for array in problem.arrays().values() for length in array.shape), default=0)
