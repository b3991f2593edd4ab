"""Instance families: problems by the dozen, each with a size and a dial for how hard it is.

A family is one function in a file of its own; the file registers it by being in the folder::

    @family("planted_pairing", problem="pairing", sizes=(64, 256), severities=(0.0, 1.0), dial="noise")
    def planted_pairing(size: int, severity: float, seed: int) -> Pairing:
        \"\"\"One line that says what it is.\"\"\"
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pam_opt_solvers.errors import PamOptError, ProblemError

Build = Callable[[int, float, int], Any]


@dataclass(frozen=True)
class Family:
    """A way to make instances.

    Parameters
    ----------
    name : unique among the families of a folder
    problem : kind of the problems it makes, such as ``pairing``
    build : from size, severity and seed to a problem; the same three give the same problem everywhere
    sizes, severities : those run where a study asks for no others, easiest first
    dial : what the severity is, with its unit, for axes
    unit : what the size counts, for axes
    description : one line
    """

    name: str
    problem: str
    build: Build = field(repr=False)
    sizes: tuple[int, ...]
    severities: tuple[float, ...]
    dial: str
    unit: str
    description: str

    def __call__(self, size: int, severity: float, seed: int) -> Any:
        """Build one instance.

        Raises
        ------
        ProblemError
            if the family breaks, or makes another kind of problem than it says
        """
        try:
            return self.build(size, severity, seed)
        except PamOptError:
            raise
        except Exception as err:
            where = f"size {size}, severity {severity:g}, seed {seed}"
            raise ProblemError(f"family {self.name!r} broke at {where}: {type(err).__name__}: {err}") from err


def family(
    name: str,
    *,
    problem: str,
    sizes: Sequence[int],
    severities: Sequence[float] = (0.0,),
    dial: str = "severity",
    unit: str = "units per parent",
) -> Callable[[Build], Family]:
    """Make a family of the function below; its docstring's first line describes it.

    Examples
    --------
    >>> import numpy as np
    >>> from pam_opt_solvers import Pairing
    >>> @family("noise", problem="pairing", sizes=(4,))
    ... def noise(size, severity, seed):
    ...     "Costs without any structure."
    ...     return Pairing(np.random.default_rng(seed).random((size, size)))
    >>> noise(3, 0.0, 0)
    Pairing(3 x 3, exactly 3 pairs)
    """

    def register(build: Build) -> Family:
        words = (build.__doc__ or "").strip().partition("\n")[0]
        return Family(name, problem, build, tuple(sizes), tuple(severities), dial, unit, words)

    return register


@dataclass(frozen=True)
class Catalogue:
    """The families of a folder.

    Parameters
    ----------
    families : by name
    files : where each family is defined, by its name
    broken : files that do not load, with the reason
    """

    families: dict[str, Family]
    files: dict[str, Path]
    broken: dict[Path, str]


def read_catalogue(folder: Path) -> Catalogue:
    """Load every family file of a folder; files whose name starts with ``_`` are helpers of others.

    Raises
    ------
    ProblemError
        if there is no such folder, or two files define families of one name
    """
    if not folder.is_dir():
        raise ProblemError(f"folder of instance families {str(folder)!r} does not exist")
    found = Catalogue({}, {}, {})
    for path in sorted(folder.glob("[!_]*.py")):
        try:
            families = read_families(path)
        except ProblemError as err:
            found.broken[path] = str(err)
            continue
        for entry in families:
            if entry.name in found.families:
                raise ProblemError(f"{path} and {found.files[entry.name]} both define the family {entry.name!r}")
            found.families[entry.name], found.files[entry.name] = entry, path
    return found


def read_families(path: Path) -> tuple[Family, ...]:
    """Return the families that one file defines; this runs the file.

    Raises
    ------
    ProblemError
        if it does not load
    """
    try:
        module = _load(path)
    except Exception as err:
        raise ProblemError(f"{path} does not load: {type(err).__name__}: {err}") from err
    entries = (entry for entry in vars(module).values() if isinstance(entry, Family))
    return tuple(entry for entry in entries if entry.build.__module__ == module.__name__)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"pam_opt_instances_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    with _importable(path.parent):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    # Last in the path, so that a family file cannot hide an installed package from anybody.
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
