"""The base class of solvers: it refuses, times and wraps errors, so that an adapter only solves.

An adapter is one file with one class that sets the attributes below and writes ``_build`` and ``_run``. Its
module must import without its backend (import the backend inside the two methods), so that the table of
solvers stays cheap.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

from pam_opt_solvers.errors import PamOptError, ProblemError, SolverFailed, SolverNotFound, SolverUnsuitable
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome, Status
from pam_opt_solvers.problems import Feature

ModelT = TypeVar("ModelT")

ALL_FEATURES = frozenset(Feature)


class Solver(ABC, Generic[ModelT]):
    """Solve problems of some kinds by one method.

    Attributes
    ----------
    name : its name in the solver table
    backend : the package to import, ``None`` = none beyond this package's own needs
    distribution : the installable name of that package, where it differs
    module : what to import before the clock starts; default ``backend``
    exact : whether it proves optimality and infeasibility
    takes : kinds of problems it solves
    features : what they may ask of it
    description : one line for the table
    settings : its own settings: name to permitted values, the default first; ``solver:value`` sets the first
        setting
    stops_itself : whether its backend keeps a time limit by itself and then still returns what it has
    repeatable_under_limit : whether a time limit that was not reached leaves the result repeatable
    uses_threads : whether it can use more than one thread
    """

    name: ClassVar[str]
    backend: ClassVar[str | None] = None
    distribution: ClassVar[str | None] = None
    module: ClassVar[str | None] = None
    exact: ClassVar[bool]
    takes: ClassVar[frozenset[str]] = frozenset({"pairing"})
    features: ClassVar[frozenset[Feature]] = ALL_FEATURES
    description: ClassVar[str]
    settings: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    stops_itself: ClassVar[bool] = False
    repeatable_under_limit: ClassVar[bool] = True
    uses_threads: ClassVar[bool] = False

    @abstractmethod
    def _build(self, problem: Any, options: Options) -> ModelT:
        """Write the backend's model. The problem has a choice to make."""

    @abstractmethod
    def _run(self, model: ModelT, problem: Any, options: Options) -> Outcome:
        """Solve the model within ``options.time_limit``, the seconds that building has left."""

    def worst_seconds(self, problem: Any) -> float:
        """Return a safe upper estimate of the run; one well inside its limit needs no process of its own."""
        return math.inf

    @classmethod
    def missing(cls) -> str:
        """Say why the solver cannot run here; empty = it can. The backend is not imported."""
        if cls.backend is None or importlib.util.find_spec(cls.backend) is not None:
            return ""
        package = cls.distribution or cls.backend
        return f"needs the package '{package}', which is not installed (pip install {package})"

    @classmethod
    def version(cls) -> str:
        """Return the version of the installed backend, or of this package for solvers without one."""
        return _version(cls.distribution or cls.backend or "pam-opt")

    def unsupported(self, problem: Any) -> frozenset[Feature]:
        """Return what the problem asks and the solver cannot do."""
        return problem.features - self.features

    def refuse(self, problem: Any, others: Iterable[type["Solver[Any]"]] = ()) -> None:
        """Raise ``SolverUnsuitable``, naming those of ``others`` that could, before anything is built."""
        lacking = self.unsupported(problem)
        if lacking:
            could = sorted({other.name for other in others if problem.features <= other.features})
            asked = ", ".join(sorted(feature.value for feature in lacking))
            remedy = f"these can: {', '.join(could)}" if could else "no available solver can"
            raise SolverUnsuitable(f"solver '{self.name}' does not support {asked}; {remedy}")

    def resolve(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return all settings, the given ones over the defaults, or say which one is unknown."""
        for name, value in given.items():
            permitted = self.settings.get(name)
            if permitted is None:
                known = ", ".join(self.settings) or "none"
                raise ProblemError(f"solver '{self.name}' has no option {name!r}; its options: {known}")
            if value not in permitted:
                raise ProblemError(
                    f"option {name!r} of solver '{self.name}' is {value!r}; permitted: {', '.join(permitted)}"
                )
        return {name: given.get(name, permitted[0]) for name, permitted in self.settings.items()}

    def warm_up(self) -> None:
        """Import the backend, so that neither clock nor limit counts it."""
        if self.missing():
            raise SolverNotFound(f"solver '{self.name}' {self.missing()}")
        module = self.module or self.backend
        try:
            if module is not None:
                importlib.import_module(module)
        except (ImportError, OSError) as err:
            raise SolverFailed(f"solver '{self.name}' cannot import '{module}': {err}{_highspy_hint()}") from err

    def compute(self, problem: Any, options: Options) -> Outcome:
        """Build and run in this process, timed apart; backend errors become ``SolverFailed``."""
        started = time.perf_counter()
        try:
            model = self._build(problem, options)
            built = time.perf_counter()
            left = None if options.time_limit is None else options.time_limit - (built - started)
            if left is not None and left <= 0:
                outcome = Outcome(Status.TIME_LIMIT_EMPTY)
            else:
                outcome = self._run(model, problem, replace(options, time_limit=left))
        except PamOptError:
            raise
        except Exception as err:
            where = f"solver '{self.name}' broke on {problem!r}"
            # Wrappers of native code may break while they translate an error: the first one says more.
            first = err.__context__ or err
            raise SolverFailed(f"{where}: {type(first).__name__}: {first}; another solver may take it") from err
        done = time.perf_counter()
        return replace(outcome, build_seconds=built - started, solve_seconds=done - built)


@functools.cache
def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _highspy_hint() -> str:
    if importlib.util.find_spec("highspy") is None:
        return ""
    return "; highspy is installed and crashes beside ortools in one process: pip uninstall highspy"
