"""The table of solvers: ours below, by kind of problem, and those that other packages announce as entry points.

A new solver of ours is one file and one line here. An outsider's is one class, which says in ``takes`` what kinds
of problems it solves, and in its ``pyproject.toml``::

    [project.entry-points."pam_opt.solvers"]
    my_solver = "my_package.my_module:MySolver"
"""

import difflib
import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from pam_opt_solvers.errors import PamOptError, SolverFailed, SolverNotFound
from pam_opt_solvers.problems import LINEAR, PROBLEMS, Feature
from pam_opt_solvers.solver import Solver

GROUP = "pam_opt.solvers"

PROGRAMS = {
    "cp_sat": "pam_opt_solvers.cp_sat:CpSat",
    "math_opt": "pam_opt_solvers.math_opt:MathOpt",
    "pulp": "pam_opt_solvers.pulp_:Pulp",
    "scipy_milp": "pam_opt_solvers.scipy_milp:ScipyMilp",
}
"""Backends of integer programming: they take every kind of problem in ``LINEAR``."""

METHODS: dict[str, dict[str, str]] = {
    "pairing": {
        "hungarian": "pam_opt_solvers.pairing.hungarian:Hungarian",
        "min_cost_flow": "pam_opt_solvers.pairing.min_cost_flow:MinCostFlow",
        "ortools_assignment": "pam_opt_solvers.pairing.ortools_assignment:OrtoolsAssignment",
        "lagrangian": "pam_opt_solvers.pairing.lagrangian:Lagrangian",
        "networkx": "pam_opt_solvers.pairing.networkx_:Networkx",
        "greedy": "pam_opt_solvers.pairing.greedy:Greedy",
        "random": "pam_opt_solvers.pairing.random_:Random",
    },
    "network_plan": {
        "branch_and_bound": "pam_opt_solvers.network_plan.branch_and_bound:BranchAndBound",
        "lagrangian": "pam_opt_solvers.network_plan.lagrangian:Lagrangian",
        "greedy": "pam_opt_solvers.network_plan.greedy:Greedy",
        "uniform": "pam_opt_solvers.network_plan.uniform:Uniform",
    },
    "cluster_plan": {
        "max_flow": "pam_opt_solvers.cluster_plan.max_flow:MaxFlow",
        "networkx": "pam_opt_solvers.cluster_plan.networkx_:Networkx",
        "greedy": "pam_opt_solvers.cluster_plan.greedy:Greedy",
    },
    "grouping": {
        "lagrangian": "pam_opt_solvers.grouping.lagrangian:Lagrangian",
        "decomposition": "pam_opt_solvers.grouping.decomposition:Decomposition",
        "cuts": "pam_opt_solvers.grouping.cuts:Cuts",
        "ratio": "pam_opt_solvers.grouping.ratio:Ratio",
        "greedy": "pam_opt_solvers.grouping.greedy:Greedy",
    },
    "paired_grouping": {
        "regrow": "pam_opt_solvers.paired_grouping.regrow:Regrow",
        "cuts": "pam_opt_solvers.paired_grouping.cuts:Cuts",
        "greedy": "pam_opt_solvers.paired_grouping.greedy:Greedy",
    },
    "representatives": {
        "lagrangian": "pam_opt_solvers.representatives.lagrangian:Lagrangian",
        "greedy": "pam_opt_solvers.representatives.greedy:Greedy",
        "swaps": "pam_opt_solvers.representatives.swaps:Swaps",
        "importance": "pam_opt_solvers.representatives.importance:Importance",
    },
    "column_subset": {
        "branch_and_bound": "pam_opt_solvers.column_subset.branch_and_bound:BranchAndBound",
        "swaps": "pam_opt_solvers.column_subset.swaps:Swaps",
        "greedy": "pam_opt_solvers.column_subset.greedy:Greedy",
        "importance": "pam_opt_solvers.column_subset.importance:Importance",
        "random": "pam_opt_solvers.column_subset.random_:Random",
    },
    "multi_pairing": {
        "column_generation": "pam_opt_solvers.multi_pairing.column_generation:ColumnGeneration",
        "lagrangian": "pam_opt_solvers.multi_pairing.lagrangian:Lagrangian",
        "triangle_cuts": "pam_opt_solvers.multi_pairing.triangle_cuts:TriangleCuts",
        "matching": "pam_opt_solvers.multi_pairing.matching:Matching",
        "local_search": "pam_opt_solvers.multi_pairing.local_search:LocalSearch",
        "cyclic": "pam_opt_solvers.multi_pairing.cyclic:Cyclic",
        "greedy": "pam_opt_solvers.multi_pairing.greedy:Greedy",
        "sequential": "pam_opt_solvers.multi_pairing.sequential:Sequential",
        "star": "pam_opt_solvers.multi_pairing.star:Star",
    },
    "joint_pairing": {
        "frank_wolfe": "pam_opt_solvers.joint_pairing.frank_wolfe:FrankWolfe",
        "coordinate_descent": "pam_opt_solvers.joint_pairing.coordinate_descent:CoordinateDescent",
        "lagrangian": "pam_opt_solvers.joint_pairing.lagrangian:Lagrangian",
        "greedy": "pam_opt_solvers.joint_pairing.greedy:Greedy",
    },
}
"""Methods of one kind of problem each."""


@dataclass(frozen=True)
class SolverInfo:
    """A line of the solver table.

    Parameters
    ----------
    problem : kind of problem that it solves
    name : what to pass as ``solver``
    available : whether it can run here
    reason : why not, with the remedy; empty if available
    backend, version : package that solves and its installed version
    exact : whether it proves optimality
    features : what its problems may ask of it
    description : one line
    engines : values of its first setting, to be written ``name:engine``; empty for most
    """

    problem: str
    name: str
    available: bool
    reason: str
    backend: str = ""
    version: str = ""
    exact: bool = False
    features: frozenset[Feature] = frozenset()
    description: str = ""
    engines: tuple[str, ...] = ()


def built_in(kind: str) -> dict[str, str]:
    """Return ``module:Class`` of our solvers for a kind of problem, by name."""
    return METHODS.get(kind, {}) | (PROGRAMS if kind in LINEAR else {})


def places(kind: str) -> dict[str, str]:
    """Return ``module:Class`` of every solver for a kind of problem; ours come first and cannot be replaced.

    An outsider's that does not load is listed for pairings, so that its user learns why.
    """
    ours = built_in(kind)
    outside = {entry.name: entry.value for entry in importlib.metadata.entry_points(group=GROUP)}
    return ours | {name: place for name, place in outside.items() if name not in ours and _takes(place, kind)}


def _takes(place: str, kind: str) -> bool:
    try:
        return kind in load_place(place).takes
    except SolverFailed:
        return kind == "pairing"


def place_of(name: str, kind: str) -> str:
    """Return ``module:Class`` of a solver for a kind of problem, or raise ``SolverNotFound`` listing close names."""
    ours = built_in(kind)
    if name in ours:  # without reading what every installed package announces
        return ours[name]
    known = places(kind)
    if name not in known:
        others = [other for other in PROBLEMS if other != kind and name in places(other)]
        elsewhere = f"it solves {', '.join(others)}, not {kind}; " if others else ""
        close = difflib.get_close_matches(name, [*known, "auto"], cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close and not others else ""
        subject = f"'{name}' is no solver of {kind}: " if others else f"no solver is called {name!r}; "
        raise SolverNotFound(f"{subject}{elsewhere}{hint}Solvers of {kind}: auto, {', '.join(known)}")
    return known[name]


def load(name: str, kind: str) -> type[Solver[Any]]:
    """Return the class of the solver called ``name`` for a kind of problem.

    Raises
    ------
    SolverNotFound
        if no solver of that kind has the name; close ones are listed
    SolverFailed
        if another package announces it and its module does not load
    """
    return load_place(place_of(name, kind))


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


def available(kind: str | None = None) -> tuple[SolverInfo, ...]:
    """Return the table of the solvers of one kind of problem, or of all, without importing any backend.

    Those that cannot run here are included.
    """
    kinds = PROBLEMS if kind is None else [kind]
    return tuple(_info(name, each) for each in kinds for name in places(each))


def usable(kind: str) -> tuple[type[Solver[Any]], ...]:
    """Return the classes of all solvers of a kind that can run here."""
    return tuple(load(info.name, kind) for info in available(kind) if info.available)


def _info(name: str, kind: str) -> SolverInfo:
    try:
        solver = load(name, kind)
    except PamOptError as err:
        return SolverInfo(kind, name, False, str(err))
    return SolverInfo(
        problem=kind,
        name=name,
        available=not solver.missing(),
        reason=solver.missing(),
        backend=solver.distribution or solver.backend or "pam-opt",
        version=solver.version(),
        exact=solver.exact,
        features=solver.features & PROBLEMS[kind].asks,
        description=solver.description,
        engines=next(iter(solver.settings.values()), ()),
    )
