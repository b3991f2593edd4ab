"""The table of solvers: ours below, and those that other packages announce as entry points.

A new solver of ours is one file and one line here. An outsider's is one class and, in its
``pyproject.toml``::

    [project.entry-points."pam_opt.solvers"]
    my_solver = "my_package.my_module:MySolver"
"""

import difflib
import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from pam_opt_solvers.errors import PamOptError, SolverFailed, SolverNotFound
from pam_opt_solvers.problems.pairing import Feature
from pam_opt_solvers.solver import Solver

GROUP = "pam_opt.solvers"

BUILT_IN = {
    "hungarian": "pam_opt_solvers.hungarian:Hungarian",
    "min_cost_flow": "pam_opt_solvers.min_cost_flow:MinCostFlow",
    "ortools_assignment": "pam_opt_solvers.ortools_assignment:OrtoolsAssignment",
    "cp_sat": "pam_opt_solvers.cp_sat:CpSat",
    "math_opt": "pam_opt_solvers.math_opt:MathOpt",
    "pulp": "pam_opt_solvers.pulp_:Pulp",
    "networkx": "pam_opt_solvers.networkx_:Networkx",
    "greedy": "pam_opt_solvers.greedy:Greedy",
    "random": "pam_opt_solvers.random_:Random",
}


@dataclass(frozen=True)
class SolverInfo:
    """A line of the solver table.

    Parameters
    ----------
    name : what to pass as ``solver``
    available : whether it can run here
    reason : why not, with the remedy; empty if available
    backend, version : package that solves and its installed version
    exact : whether it proves optimality
    features : what it can take
    description : one line
    engines : values of its first setting, to be written ``name:engine``; empty for most
    """

    name: str
    available: bool
    reason: str
    backend: str = ""
    version: str = ""
    exact: bool = False
    features: frozenset[Feature] = frozenset()
    description: str = ""
    engines: tuple[str, ...] = ()


def places() -> dict[str, str]:
    """Return ``module:Class`` of every solver by name; ours come first and cannot be replaced."""
    outside = {entry.name: entry.value for entry in importlib.metadata.entry_points(group=GROUP)}
    return BUILT_IN | {name: place for name, place in outside.items() if name not in BUILT_IN}


def place_of(name: str) -> str:
    """Return ``module:Class`` of the solver called ``name``, or raise ``SolverNotFound`` listing close names."""
    if name in BUILT_IN:  # without reading what every installed package announces
        return BUILT_IN[name]
    known = places()
    if name not in known:
        close = difflib.get_close_matches(name, [*known, "auto"], cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        raise SolverNotFound(f"no solver is called {name!r}; {hint}Solvers: auto, {', '.join(known)}")
    return known[name]


def load(name: str) -> type[Solver[Any]]:
    """Return the class of the solver called ``name``.

    Raises
    ------
    SolverNotFound
        if no solver has that name; close ones are listed
    SolverFailed
        if another package announces it and its module does not load
    """
    return load_place(place_of(name))


def load_place(place: str) -> type[Solver[Any]]:
    """Return the solver class at ``module:Class``."""
    module, _, attribute = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as err:
        raise SolverFailed(f"cannot load the solver at {place}: {type(err).__name__}: {err}") from err
    if not (isinstance(found, type) and issubclass(found, Solver)):
        raise SolverFailed(f"{place} is no subclass of pam_opt_solvers.Solver")
    return found


def available() -> tuple[SolverInfo, ...]:
    """Return the table of all solvers, those that cannot run here included, without importing any backend."""
    return tuple(_info(name) for name in places())


def usable() -> tuple[type[Solver[Any]], ...]:
    """Return the classes of all solvers that can run here."""
    return tuple(load(info.name) for info in available() if info.available)


def _info(name: str) -> SolverInfo:
    try:
        solver = load(name)
    except PamOptError as err:
        return SolverInfo(name, False, str(err))
    return SolverInfo(
        name=name,
        available=not solver.missing(),
        reason=solver.missing(),
        backend=solver.distribution or solver.backend or "pam-opt",
        version=solver.version(),
        exact=solver.exact,
        features=solver.features,
        description=solver.description,
        engines=next(iter(solver.settings.values()), ()),
    )
