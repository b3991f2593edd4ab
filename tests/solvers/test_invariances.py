"""What must not matter, for all kinds of problems: order of units, a constant added to all, units of measurement."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known import KNOWN

from pam_opt_solvers import Budget, LayerPair, Pairing, Problem, Quota, SolverUnsuitable, available, solve
from pam_opt_solvers.problems import PROBLEMS
from pam_opt_solvers.problems.budgets import BudgetTable

SEEDS = st.integers(0, 2**32 - 1)
QUIET = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
PROGRAMS = {"cp_sat", "math_opt", "pulp", "scipy_milp", "triangle_cuts"}
OWN = [(info.problem, info.name) for info in available() if info.available and info.name not in PROGRAMS]
EXACT = {kind: [i.name for i in available(kind) if i.exact and i.available] for kind in PROBLEMS}
FASTEST = {
    "pairing": "math_opt",
    "network_plan": "branch_and_bound",
    "cluster_plan": "scipy_milp",
    "grouping": "cuts",
    "paired_grouping": "cuts",
    "representatives": "lagrangian",
    "column_subset": "branch_and_bound",
    "multi_pairing": "triangle_cuts",
    "joint_pairing": "scipy_milp",
}
"""The exact solver that takes every problem of a kind soonest."""

# --- the same problem with its units in another order, and what the decision of the original becomes

Permuted = tuple[Problem, Callable[[Any], Any]]


def _taken(array, order):
    return None if array is None else array[order]


def _pairing(problem: Pairing, rng) -> Permuted:
    rows, columns = (rng.permutation(length) for length in problem.shape)
    grid = np.ix_(rows, columns)
    place = [np.argsort(order) for order in (rows, columns)]

    def moved(pairs):
        return np.column_stack([place[0][pairs[:, 0]], place[1][pairs[:, 1]]])

    made = replace(
        problem,
        cost=problem.cost[grid],
        single_rows=_taken(problem.single_rows, rows),
        single_columns=_taken(problem.single_columns, columns),
        forced=None if problem.forced is None else moved(problem.forced),
        tied_rows=_taken(problem.tied_rows, rows),
        tied_columns=_taken(problem.tied_columns, columns),
        budgets=tuple(Budget(budget.weights[grid], budget.limit, budget.name) for budget in problem.budgets),
    )
    return made, moved


def _network_plan(problem, rng) -> Permuted:
    orders = [rng.permutation(len(loss)) for loss in problem.loss]
    made = replace(
        problem,
        counts=tuple(n[order] for n, order in zip(problem.counts, orders, strict=True)),
        loss=tuple(x[order] for x, order in zip(problem.loss, orders, strict=True)),
    )
    places = [np.argsort(order) for order in orders]
    return made, lambda plan: np.array([place[option] for place, option in zip(places, plan, strict=True)], np.int64)


def _cluster_plan(problem, rng) -> Permuted:
    orders = [rng.permutation(size) for size in problem.sizes]
    made = replace(
        problem,
        merge_loss=tuple(x[order] for x, order in zip(problem.merge_loss, orders, strict=True)),
        edge_loss=tuple(
            x[np.ix_(after, before)] for x, before, after in zip(problem.edge_loss, orders, orders[1:], strict=False)
        ),
    )
    starts = np.cumsum([0, *problem.sizes])
    order = np.concatenate([np.zeros(0, np.int64), *(start + o for start, o in zip(starts, orders, strict=False))])
    return made, lambda plan: plan[order]


def _grouping(problem, rng) -> Permuted:
    order = rng.permutation(problem.shape[0])
    table = problem.linear
    budgets = BudgetTable(table.weights[:, order], table.rates, table.limits, table.names)
    return replace(problem, cost=problem.cost[order], budgets=budgets, joint=()), lambda groups: groups[order]


def _paired_grouping(problem, rng) -> Permuted:
    rows = problem.pair_cost.shape[0]
    first, second = (rng.permutation(length) for length in problem.pair_cost.shape)
    order = np.concatenate([first, rows + second])
    place = np.concatenate([np.arange(problem.n_groups), problem.n_groups + np.argsort(order)])
    table = problem.linear
    made = replace(
        problem,
        alone=problem.alone[order],
        pair_cost=problem.pair_cost[np.ix_(first, second)],
        budgets=BudgetTable(table.weights[:, order], table.rates, table.limits, table.names),
        joint=(),
    )
    return made, lambda decision: place[decision[order]]


def _representatives(problem, rng) -> Permuted:
    order = rng.permutation(problem.size)
    place = np.argsort(order)
    made = replace(
        problem,
        cost=problem.cost[np.ix_(order, order)],
        capacities=_taken(problem.capacities, order),
        groups=_taken(problem.groups, order),
        forbidden=_taken(problem.forbidden, order),
        quotas=tuple(Quota(q.labels[order], *q.limits, q.name) for q in problem.quotas),
    )
    return made, lambda chosen: place[chosen[order]]


def _column_subset(problem, rng) -> Permuted:
    order, quota = rng.permutation(problem.size), problem.quota
    place = np.argsort(order)
    made = replace(
        problem,
        gram=problem.gram[np.ix_(order, order)],
        weights=problem.weights[order],
        forbidden=_taken(problem.forbidden, order),
        quota=None if quota is None else Quota(quota.labels[order], *quota.limits, quota.name),
    )
    return made, lambda kept: place[kept]


def _multi_pairing(problem, rng) -> Permuted:
    parts = zip(problem.starts, problem.sizes, strict=False)
    order = np.concatenate([start + rng.permutation(size) for start, size in parts])
    made = replace(problem, cost=problem.cost[np.ix_(order, order)], single=_taken(problem.single, order))
    return made, lambda labels: labels[order]


def _joint_pairing(problem, rng) -> Permuted:
    """Renumber the first parent's units."""
    orders = [rng.permutation(size) for size in problem.sizes]
    layers = []
    for layer in problem.layers:
        rows, columns = (np.arange(n) if s < 0 else orders[s] for s, n in zip(layer.spaces, layer.shape, strict=False))
        layers.append(LayerPair(layer.first[np.ix_(rows, columns)], layer.second, *layer.spaces))
    linear = tuple(_taken(costs, order) for costs, order in zip(problem.costs, orders, strict=True))
    made = replace(problem, layers=tuple(layers), linear=linear)
    return made, lambda decision: problem.join(
        [part[order] for part, order in zip(problem.split(decision), orders, strict=True)]
    )


PERMUTED = {
    "pairing": _pairing,
    "network_plan": _network_plan,
    "cluster_plan": _cluster_plan,
    "grouping": _grouping,
    "paired_grouping": _paired_grouping,
    "representatives": _representatives,
    "column_subset": _column_subset,
    "multi_pairing": _multi_pairing,
    "joint_pairing": _joint_pairing,
}

# --- the same problem with all costs times a power of two, and by what this multiplies the value


def _times(array, factor):
    return None if array is None else array * factor


def _scaled_network(problem, factor):
    if problem.minimises_macs:
        return replace(problem, macs=problem.macs * factor)
    losses = tuple(loss * factor for loss in problem.loss)
    return replace(problem, loss=losses, edge_loss=_times(problem.edge_loss, factor))


def _scaled_clusters(problem, factor):
    losses = {name: tuple(x * factor for x in getattr(problem, name)) for name in ("merge_loss", "edge_loss")}
    return replace(problem, **losses, price=problem.price * factor)


def _scaled_joint(problem, factor):
    root = math.sqrt(factor)
    layers = tuple(LayerPair(layer.first * root, layer.second * root, *layer.spaces) for layer in problem.layers)
    return replace(problem, layers=layers, linear=tuple(_times(costs, factor) for costs in problem.costs))


SCALED = {
    "pairing": lambda problem, factor: replace(
        problem,
        cost=problem.cost * factor,
        single_rows=_times(problem.single_rows, factor),
        single_columns=_times(problem.single_columns, factor),
    ),
    "network_plan": _scaled_network,
    "cluster_plan": _scaled_clusters,
    "grouping": lambda problem, factor: replace(problem, cost=problem.cost * factor),
    "paired_grouping": lambda problem, factor: replace(
        problem, alone=problem.alone * factor, pair_cost=problem.pair_cost * factor
    ),
    "representatives": lambda problem, factor: replace(problem, cost=problem.cost * factor),
    "column_subset": lambda problem, factor: replace(problem, weights=problem.weights * factor),
    "multi_pairing": lambda problem, factor: replace(
        problem, cost=problem.cost * factor, single=_times(problem.single, factor)
    ),
    "joint_pairing": _scaled_joint,
}

# --- the same problem with a constant added wherever every decision pays it equally often, and how often that is


def _shifted_pairing(problem, shift):
    return None if problem.required is None else (replace(problem, cost=problem.cost + shift), problem.required)


def _shifted_network(problem, shift):
    if problem.minimises_macs or not problem.n_layers:
        return None
    first, *others = problem.loss
    return replace(problem, loss=(first + shift, *others)), 1


def _shifted_multi(problem, shift):
    clusters, parents = problem.required, problem.n_parents
    return None if clusters is None else (replace(problem, cost=problem.cost + shift), clusters * math.comb(parents, 2))


def _shifted_joint(problem, shift):
    costs = (np.zeros((n, n)) if c is None else c for c, n in zip(problem.costs, problem.sizes, strict=True))
    linear = tuple(c + shift for c in costs)
    return replace(problem, linear=linear), sum(problem.sizes)


SHIFTED = {
    "pairing": _shifted_pairing,
    "network_plan": _shifted_network,
    "grouping": lambda problem, shift: (replace(problem, cost=problem.cost + shift), problem.shape[0]),
    "paired_grouping": lambda problem, shift: (
        replace(problem, alone=problem.alone + shift, pair_cost=problem.pair_cost + 2 * shift),
        problem.n_units,
    ),
    "representatives": lambda problem, shift: (replace(problem, cost=problem.cost + shift), problem.size),
    "multi_pairing": _shifted_multi,
    "joint_pairing": _shifted_joint,
}
"""Costs of cluster plans and column subsets have no such constant: how often each is paid is what they decide."""


# --- the tests


def size_of(problem: Problem, decision) -> float:
    return math.fsum(abs(problem.terms(decision)))


def solved(problem: Problem, name: str):
    """Solve; ``None`` where the solver refuses the problem."""
    try:
        return solve(problem, name, seed=1)
    except SolverUnsuitable:
        return None


def same_claims(first: float, second: float, slack: float) -> bool:
    return abs(first - second) <= slack or first == second or (math.isnan(first) and math.isnan(second))


@pytest.mark.parametrize("kind", PROBLEMS)
@settings(max_examples=25, **QUIET)
@given(SEEDS)
def test_permuted_units_permute_the_decision(kind, seed):
    problem, _ = KNOWN[kind].draw(seed)
    if kind in ("grouping", "paired_grouping") and problem.joint:
        return
    other, moved = PERMUTED[kind](problem, np.random.default_rng(seed))
    first, second = solve(problem, FASTEST[kind]), solve(other, FASTEST[kind])
    assert (first.decision is None) == (second.decision is None)
    if first.decision is not None:
        size = size_of(problem, first.decision)
        assert other.violations(moved(first.decision)) == ()
        assert other.value(moved(first.decision)) == pytest.approx(first.value, rel=1e-9, abs=problem.float_error())
        assert same_claims(first.value, second.value, 2e-6 * size + 2 * problem.float_error())


@pytest.mark.parametrize(("kind", "name"), OWN)
@settings(max_examples=25, **QUIET)
@given(SEEDS, st.integers(-40, 40))
def test_a_power_of_two_scales_value_and_bound(kind, name, seed, exponent):
    problem, _ = KNOWN[kind].draw(seed)
    factor = 4.0**exponent
    first, second = (solved(each, name) for each in (problem, SCALED[kind](problem, factor)))
    if first is None or second is None:
        assert first is second
        return
    assert second.status is first.status
    assert same_claims(second.value, first.value * factor, 0.0)
    assert same_claims(second.bound, first.bound * factor, 0.0)
    np.testing.assert_array_equal(first.decision, second.decision)


@pytest.mark.parametrize("kind", SHIFTED)
@settings(max_examples=25, **QUIET)
@given(SEEDS, st.integers(-50, 50))
def test_a_constant_shift_keeps_the_decision(kind, seed, shift):
    problem, _ = KNOWN[kind].draw(seed)
    if problem.magnitude > 1e6 or problem.magnitude < 1e-6:
        return  # the constant would swallow the costs
    found = SHIFTED[kind](problem, float(shift))
    if found is None or (kind == "network_plan" and solve(problem, FASTEST[kind]).decision is None):
        return
    other, times = found
    first, second = solve(problem, FASTEST[kind]), solve(other, FASTEST[kind])
    assert (first.decision is None) == (second.decision is None)
    if first.decision is not None:
        size = size_of(problem, first.decision) + abs(shift) * times
        assert same_claims(second.value, first.value + shift * times, 4e-6 * size)
        assert same_claims(other.value(first.decision), first.value + shift * times, 1e-9 * size)


@pytest.mark.parametrize("kind", PROBLEMS)
@settings(max_examples=6, **QUIET)
@given(SEEDS)
def test_exact_solvers_agree(kind, seed):
    problem, best = KNOWN[kind].draw(seed)
    for name in EXACT[kind]:
        solution = solved(problem, name)
        if solution is None:
            continue
        assert (solution.decision is None) == (best == math.inf)
        if solution.decision is not None:
            slack = 2e-6 * size_of(problem, solution.decision) + problem.float_error()
            assert same_claims(solution.value, best, max(slack, solution.value - solution.bound)), name
            assert solution.bound <= min(best + slack, solution.value)
