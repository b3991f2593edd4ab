"""Every kind of problem with its known optima: the table of the contract suite. A new kind is an entry in ``KNOWN``."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import column_subset_instances as column_subset
import grouping_instances as grouping
import joint_instances as joint
import multi_pairing_instances as multi_pairing
import network_instances as network
import numpy as np
import paired_grouping_instances as paired_grouping
import pairing_instances as pairing
import representatives_instances as representatives

from pam_opt_solvers import (
    ColumnSubset,
    Grouping,
    JointPairing,
    MultiPairing,
    PairedGrouping,
    Pairing,
    Problem,
    Representatives,
)

EDGES = ("nothing", "one", "ties", "tiny", "huge")
"""Names that every kind has among its feasible problems: sizes 0 and 1, equal costs, costs of 1e-300 and 1e300."""

Draw = Callable[[int], tuple[Problem, float]]


@dataclass(frozen=True)
class Known:
    """What is known of one kind of problem.

    Parameters
    ----------
    feasible : name to problem and its optimum by hand
    infeasible : name to problem without any decision
    samples : problems with a choice and a unique optimum; every solver of the kind takes one of them
    draw : from a seed to a tiny random problem and its optimum by trying everything; +inf = none
    always_feasible : whether every problem of the kind has a decision
    """

    feasible: Mapping[str, tuple[Problem, float]]
    infeasible: Mapping[str, Problem]
    samples: tuple[Problem, ...]
    draw: Draw
    always_feasible: bool = field(default=False)


def _least(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _pairing(seed: int) -> tuple[Problem, float]:
    plain = pairing.random_problem(seed, 3)
    problem = plain if seed % 2 else pairing.random_side_problem(seed, 3) or plain
    return problem, _least(pairing.optimum(problem))


def _network_plan(seed: int) -> tuple[Problem, float]:
    return network.with_budget(network.two_parents if seed % 2 else network.lattice, seed)


def _cluster_plan(seed: int) -> tuple[Problem, float]:
    problem = network.clusters(np.random.default_rng(seed), submodular=seed % 3 > 0)
    return problem, network.least_cluster_value(problem)


def _grouping(seed: int) -> tuple[Problem, float]:
    problem = grouping.tiny(seed, joint=seed % 4 == 0)
    return problem, grouping.best_value(problem)


def _paired_grouping(seed: int) -> tuple[Problem, float]:
    problem = paired_grouping.tiny(seed, joint=seed % 4 == 0, most=2)
    return problem, paired_grouping.best_value(problem)


def _representatives(seed: int) -> tuple[Problem, float]:
    problem = representatives.random_problem(np.random.default_rng(seed), 5)
    return problem, representatives.best_value(problem)


def _column_subset(seed: int) -> tuple[Problem, float]:
    problem = column_subset.random_problem(seed, 5)
    return problem, column_subset.optimum(problem)


def _multi_pairing(seed: int) -> tuple[Problem, float]:
    problem = multi_pairing.random_problem(seed, most_units=6)
    return problem, _least(multi_pairing.optimum(problem))


def _joint_pairing(seed: int) -> tuple[Problem, float]:
    problem = joint.random_problem(seed)
    return problem, joint.optimum(problem)


RNG = np.random.default_rng(5)
FEATURES = RNG.normal(size=(20, 9))
COSTS = RNG.random((9, 9))

KNOWN: dict[str, Known] = {
    "pairing": Known(pairing.FEASIBLE, pairing.INFEASIBLE, (Pairing(COSTS[:7, :7]),), _pairing),
    "network_plan": Known(network.FEASIBLE, network.INFEASIBLE, (network.small(),), _network_plan),
    "cluster_plan": Known(network.CLUSTERS, {}, (network.small_clusters(),), _cluster_plan, always_feasible=True),
    "grouping": Known(
        grouping.FEASIBLE,
        grouping.INFEASIBLE,
        (Grouping(grouping.PAIR, grouping.COST, grouping.LOSS),),
        _grouping,
    ),
    "paired_grouping": Known(
        paired_grouping.FEASIBLE,
        paired_grouping.INFEASIBLE,
        (PairedGrouping(paired_grouping.PAIR, paired_grouping.ALONE, paired_grouping.PAIRS),),
        _paired_grouping,
    ),
    "representatives": Known(
        representatives.FEASIBLE,
        representatives.INFEASIBLE,
        (Representatives(np.where(np.eye(9), 0.0, COSTS), 3),),
        _representatives,
    ),
    "column_subset": Known(
        column_subset.FEASIBLE,
        {name: problem for name, (problem, _) in column_subset.INFEASIBLE.items()},
        (ColumnSubset(FEATURES.T @ FEATURES, 4, RNG.random(9)),),
        _column_subset,
    ),
    "multi_pairing": Known(
        multi_pairing.FEASIBLE,
        multi_pairing.INFEASIBLE,
        (MultiPairing(COSTS + COSTS.T, [3, 3, 3]), MultiPairing(COSTS[:8, :8] + COSTS[:8, :8].T, [4, 4])),
        _multi_pairing,
    ),
    "joint_pairing": Known(
        joint.FEASIBLE,
        {},
        (JointPairing((3,), (joint.LayerPair(COSTS[:3], COSTS[3:6], 0),), (COSTS[:3, :3],)),),
        _joint_pairing,
        always_feasible=True,
    ),
}
"""Kind to what is known of it."""
