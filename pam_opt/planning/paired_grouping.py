"""Plan by regrouping and pairing: the information decides whom a unit serves, and shared units merge in pairs.

PAM [1]_ concatenates its parents, so the group that all tasks share starts with up to K N units, although most of these
have a twin in another parent. Here shared units are paired across the parents at least predicted loss, and the group
starts at about the width of one parent. What PAM's conditions say is kept, for they are about units that do not serve
a task: a pair serves all tasks of its group, as its members did.

In two steps, ``solver="pam"``: the groups are PAM's (`pam_opt.planning.pam`), and the units of every shared group are
paired within it; any number of tasks. In one, any solver of ``paired_grouping``: groups and pairs of two parents are
one problem for each layer (`pam_opt.planning.paired_problem`), at no more E[C] than in two steps. ``auto`` takes one
step for two tasks and two steps for more, and for networks that are no chain.

On MNIST (LeNet-5, digits 0-4 and 5-9, thresholds 0.2 and 0.15, weights refitted, no training) two steps gave 98.67 and
98.67 % at 536 kMACs, one problem 98.71 and 98.82 % at 520; PAM's groups without pairs 99.00 and 99.00 % at 1547.

Deviations from PAM: pairs; weights may be refitted (`pam_opt.merge`); in one step also which groups are chosen.

.. [1] X. He, D. Gao, Z. Zhou, Y. Tong, L. Thiele, "Pruning-Aware Merging for Efficient Multitask Inference", KDD 2021,
   arXiv:1905.09676.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pam_opt.errors import PlanError
from pam_opt.macs import run_probability
from pam_opt.pair_costs import COSTS
from pam_opt.planning.chains import refuse_branches
from pam_opt.planning.clusters import Clusters, Incoming
from pam_opt.planning.controls import LayersAndRecords
from pam_opt.planning.grouping import groups_of
from pam_opt.planning.incoming import incoming_weights
from pam_opt.planning.lattice import refuse_unreadable
from pam_opt.planning.paired_problem import paired_problem
from pam_opt.planning.pam import plan_pam
from pam_opt.planning.request import Request
from pam_opt.plans import LayerPlan
from pam_opt.tasks import Group, combination_key
from pam_opt_solvers import PairedGrouping, Pairing, Solution, solve

REGROUPER = "pam"
"""The solver that regroups first and pairs afterwards; ``pam:NAME`` pairs by another solver of `Pairing`."""


def plan_paired_grouping(request: Request) -> LayersAndRecords:
    """Decide whom every unit serves and which shared units merge.

    `share` is the part of the possible pairs that are made, in two steps only. `width` limits the units computed on the
    average, as a fraction of the widest parent's: then the least important go, whatever the information says of them.

    Raises
    ------
    PlanError : options that do not apply; more than two tasks in one step; see `plan_pam`
    """
    if request.loss_budget is not None:
        raise PlanError(
            "loss_budget= does not apply to problem='paired-grouping'; say by width= how many units to keep"
        )
    regrouper, _, pairs = request.solver.partition(":")
    at_once = len(request.tasks) == 2 and request.structure.is_chain
    if regrouper == REGROUPER or (request.solver == "auto" and not at_once):
        return _in_two_steps(request, pairs or "auto")
    return _in_one(request)


def _in_two_steps(request: Request, solver: str) -> LayersAndRecords:
    regrouped, records = plan_pam(replace(request, shares={}, width=None))
    layers, made = pair_within_groups(request, regrouped, solver)
    known = {record["layer"]: record for record in records}
    return layers, [{**record, "regrouping": known.get(record["layer"])} for record in made]


def _in_one(request: Request) -> LayersAndRecords:
    """Decide groups and pairs of every layer of two parents as one problem."""
    if len(request.tasks) != 2:
        raise PlanError(
            f"problem='paired-grouping' is one problem for two tasks, not {len(request.tasks)}; use "
            f"solver={REGROUPER!r}, which regroups first and then takes the parents one after the other"
        )
    refuse_branches(request.structure, f"problem='paired-grouping' in one step (solver={REGROUPER!r} takes two)")
    if request.asks_for_share:
        raise PlanError(f"share= is for solver={REGROUPER!r}; else the problem decides how many units merge")
    assert request.information is not None
    assert request.responses is not None
    regrouped = request.information.regrouped([layer.name for layer in request.responses.layers])
    in_two_steps, _ = _in_two_steps(replace(request, width=None), "auto")
    layers: list[LayerPlan] = []
    records: list[dict[str, Any]] = []
    for index, responses in enumerate(request.responses.layers):
        informed = responses if responses.name in regrouped else None
        problem = paired_problem(request, index, layers, in_two_steps, informed)
        solution = solve(
            problem, request.solver, time_limit=request.time_limit, seed=request.seed, threads=request.threads
        )
        if solution.decision is None:
            raise PlanError(
                f"layer {responses.name!r}: solver {solution.run.solver!r} found neither groups nor pairs: "
                f"{solution.status.value} {solution.run.note}".rstrip()
            )
        decided = within_width(request, index, _decided(request, index, problem, solution.decision))
        refuse_unreadable(responses.name, decided.groups, request.tasks, layers[-1].groups if layers else None)
        layers.append(decided.clusters.plan(decided.groups))
        records.append(_record(request, problem, solution, decided))
    return layers, records


def _decided(request: Request, index: int, problem: PairedGrouping, decision: np.ndarray) -> "Grouped":
    """Turn a decision into clusters with groups; dropped units are left out."""
    groups, rows = groups_of(request.tasks), problem.pair_cost.shape[0]
    pairs = problem.pairs(decision)
    single = np.array([unit for unit in np.flatnonzero(decision < len(groups)) if groups[decision[unit]]], np.int64)
    alone = np.where(np.stack([single < rows, single >= rows], axis=1), np.stack([single, single - rows], axis=1), -1)
    members = np.concatenate([pairs, alone])
    clusters = Clusters(request.statistics.layers[index], request.tasks, members)
    return Grouped(clusters, (*[request.everything] * len(pairs), *[groups[choice] for choice in decision[single]]))


def _record(request: Request, problem: PairedGrouping, solution: Solution, decided: "Grouped") -> dict[str, Any]:
    """Write down what ran as plain data; behind the first layer, the problem is what the layers before left of it."""
    assert solution.decision is not None
    used = {b.name: b.function.value(problem.members(solution.decision, b.groups)) for b in problem.joint}
    return {
        "layer": decided.clusters.layer.name,
        "solver": solution.run.solver,
        "backend": f"{solution.run.backend} {solution.run.version}".strip(),
        "note": solution.run.note,
        "status": solution.status.name,
        "value": solution.value,
        "bound": solution.bound,
        "gap": solution.gap,
        "stepwise": True,
        "pairs": len(problem.pairs(solution.decision)),
        "alpha": {budget.name: budget.limit for budget in problem.joint},
        "information": used,
        **_units(request, decided.groups),
        "seconds": solution.build_seconds + solution.solve_seconds,
    }


def _units(request: Request, groups: Sequence[Group]) -> dict[str, Any]:
    """Count the units of every group, and those that are computed on the average."""
    return {
        "computed_units": sum(run_probability(group, request.probabilities) for group in groups),
        "units": {combination_key(group): list(groups).count(group) for group in dict.fromkeys(groups)},
    }


def pair_within_groups(request: Request, regrouped: Sequence[LayerPlan], solver: str = "auto") -> LayersAndRecords:
    """Pair the units of every shared group across the parents, layer by layer, K > 2 parent after parent.

    In a group of m and n units of two parents ``round(share * min(m, n))`` pairs are made; the other units stay alone
    in the group. Units of exclusive groups never merge.

    Parameters
    ----------
    request : its `cost` says what a pair costs, its `shares` what part of the possible pairs is made, and its `width`
        how many units are computed on the average, as a fraction of the widest parent's: the least important go
    regrouped : for every layer the groups of all units, each for itself
    solver : of `Pairing`

    Raises
    ------
    PlanError : a layer in which units have merged before; no pairs were found
    SolverNotFound, SolverUnsuitable, SolverFailed : see `pam_opt_solvers.solve`
    """
    layers: list[LayerPlan] = []
    records: list[dict[str, Any]] = []
    for index, layer in enumerate(regrouped):
        if request.kept_per_task(index):
            layers.append(layer)
            continue
        pairer = _LayerPairer(request, index, incoming_weights(request, layers), solver)
        paired = Grouped.joined([pairer.paired(part) for part in _groups_of(request, index, layer)])
        kept = within_width(request, index, paired)
        layers.append(kept.clusters.plan(kept.groups))
        records.append(pairer.record(kept))
    return layers, records


@dataclass(frozen=True, eq=False)
class Grouped:
    """Hold the clusters of a layer and the group of every one."""

    clusters: Clusters
    groups: tuple[Group, ...]

    @classmethod
    def joined(cls, parts: Sequence["Grouped"]) -> "Grouped":
        """Put the parts of one layer one after the other."""
        first = parts[0].clusters
        members = np.concatenate([part.clusters.members for part in parts])
        return cls(Clusters(first.layer, first.tasks, members), tuple(group for part in parts for group in part.groups))

    def chosen(self, rows: np.ndarray) -> "Grouped":
        """Keep the clusters of these rows."""
        clusters = Clusters(self.clusters.layer, self.clusters.tasks, self.clusters.members[rows])
        return Grouped(clusters, tuple(self.groups[row] for row in rows))


def within_width(request: Request, index: int, given: Grouped) -> Grouped:
    """Keep the clusters of most importance per computed unit while ``sum pi(g) <= width x units of the widest parent``.

    pi(g) is the probability that a group runs. Without a width all are kept, and of every group the most important one
    is, so that what the layer's readers could read before they can read still.
    """
    kept = request.kept(index)
    if kept is None:
        return given
    rates = np.array([run_probability(group, request.probabilities) for group in given.groups])
    worth = given.clusters.total("importance") / np.maximum(rates, 1e-300)
    order = np.argsort(-worth, kind="stable").tolist()
    first = [next(row for row in order if given.groups[row] == group) for group in dict.fromkeys(given.groups)]
    rows, left = list(first), kept - rates[first].sum()
    for row in [row for row in order if row not in set(first)]:
        if rates[row] <= left + 1e-9:
            rows.append(row)
            left -= rates[row]
    return given.chosen(np.sort(rows))


def _groups_of(request: Request, index: int, layer: LayerPlan) -> list[Grouped]:
    """Return the units of every group of a regrouped layer, each for itself."""
    members = np.full((len(layer.groups), len(layer.places)), -1)
    for column, place in enumerate(layer.places):
        units = np.flatnonzero(place >= 0)
        members[place[units], column] = units
    placed = sum(int((place >= 0).sum()) for place in layer.places)
    if ((members >= 0).sum(axis=1) != 1).any() or placed != len(members):
        raise PlanError(f"layer {layer.name!r}: units have merged already; pair units of which each stands for itself")
    clusters = Clusters(request.statistics.layers[index], request.tasks, members)
    return [Grouped(clusters, layer.groups).chosen(layer.rows(group)) for group in layer.widths]


class _LayerPairer:
    """The pairs of one layer, group after group, and what was solved for them."""

    def __init__(self, request: Request, index: int, incoming: Incoming, solver: str) -> None:
        self.request, self.index, self.incoming, self.solver = request, index, incoming, solver
        self.layer = request.statistics.layers[index]
        self.solutions: list[Solution] = []

    def paired(self, given: Grouped) -> Grouped:
        """Merge the units of one group, parent after parent; those of an exclusive group are left alone."""
        group, tasks = given.groups[0], self.request.tasks
        if len(group) < 2:
            return given
        members = given.clusters.members
        first, *others = [members[members[:, column] >= 0] for column in range(len(tasks))]
        clusters = Clusters(self.layer, tasks, first)
        for task, units in zip(tasks[1:], others, strict=True):
            clusters = clusters.paired(Clusters(self.layer, tasks, units), self._pairs(clusters, task, units))
        return Grouped(clusters, (group,) * len(clusters.members))

    def _pairs(self, clusters: Clusters, task: str, units: np.ndarray) -> np.ndarray:
        """Return as (k, 2) the cheapest pairs of clusters and some units, (n, K), of the parent of `task`."""
        request, tasks = self.request, self.request.tasks
        wanted = round(request.share(self.index) * min(len(clusters.members), len(units)))
        if not wanted:
            return np.zeros((0, 2), np.int64)
        whole = clusters.pair_statistics(Clusters.of_parent(self.layer, tasks, task), task, self.incoming)
        cost = COSTS[request.cost](whole)[:, units[:, tasks.index(task)]]
        solution = solve(
            Pairing(cost, n_pairs=wanted),
            self.solver,
            time_limit=request.time_limit,
            seed=request.seed,
            threads=request.threads,
        )
        if solution.pairs is None:
            raise PlanError(
                f"layer {self.layer.name!r}: solver {solution.run.solver!r} found no pairs: {solution.status.value}"
            )
        self.solutions.append(solution)
        return solution.pairs

    def record(self, kept: Grouped) -> dict[str, Any]:
        """Write down what ran as plain data; the groups are given, so that a bound on the pairs bounds no plan."""
        runs = [solution.run for solution in self.solutions]
        return {
            "layer": self.layer.name,
            "solver": runs[0].solver if runs else self.solver,
            "backend": f"{runs[0].backend} {runs[0].version}".strip() if runs else "",
            "note": "; ".join(dict.fromkeys(run.note for run in runs if run.note)),
            "status": "; ".join(sorted({solution.status.name for solution in self.solutions})) or "OPTIMAL",
            "value": sum(solution.value for solution in self.solutions),
            "bound": sum(solution.bound for solution in self.solutions),
            "gap": None,
            "stepwise": True,
            "pairs": sum(len(solution.decision) for solution in self.solutions if solution.decision is not None),
            **_units(self.request, kept.groups),
            "seconds": sum(solution.build_seconds + solution.solve_seconds for solution in self.solutions),
        }
