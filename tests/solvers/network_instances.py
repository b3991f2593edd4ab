"""Small network plans at random, all of their plans, and known optima."""

import itertools

import numpy as np

from pam_opt_solvers import ClusterPlan, NetworkPlan, all_groups, run_probabilities

INF = np.inf


def small(**changes):
    """Return a plan of two layers; sharing 0 and 1 pairs takes 16 MACs and loses 0.5."""
    arguments = {
        "widths": [(2, 3), (3, 2)],
        "loss": [np.array([0.0, 1.0, 4.0]), np.array([0.0, 0.5, 3.0])],
        "macs": [1.0, 2.0, 1.0],
        "inputs": 1,
        "heads": (1, 1),
    }
    budget = {} if "macs_budget" in changes else {"loss_budget": 1.5}
    return NetworkPlan.of_two_parents(**(arguments | budget | changes))


def small_clusters(**changes):
    """Return a plan of two layers, of two pairs and of one."""
    arguments = {
        "merge_loss": [[0.1, 9.0], [0.2]],
        "edge_loss": [[[5.0, 5.0]]],
        "macs": [1.0, 1.0, 1.0],
        "inputs": 2,
        "singles": [[0, 1], [1, 0]],
        "heads": [1, 1],
        "price": 1.0,
    }
    return ClusterPlan(**(arguments | changes))


def one_layer(scale=1.0):
    """Return the cluster plan of the docstring in other units."""
    losses, price = [[0.1 * scale, 9.0 * scale]], scale
    return ClusterPlan(losses, [], [1.0, 1.0], inputs=2, singles=[[0, 0]], heads=[1, 1], price=price)


def two_layers(edge, first=0.0, second=0.0):
    """Return one pair in each of two layers; sharing (none, first, second, both) takes 4, 11/3, 8/3, 10/3 MACs."""
    return ClusterPlan([[first], [second]], [[[edge]]], np.ones(3), 1, np.zeros((2, 2), int), [1, 1], 1.0)


CURVE = np.array([0.0, 1.0, 4.0])
NO_LAYERS = np.zeros((0, 2), np.int64)

FEASIBLE = {
    "small": (small(), 16.0),
    "within MACs": (small(macs_budget=16.0), 0.5),
    "one": (NetworkPlan.of_two_parents([(2, 2)], [CURVE], [1.0, 1.0], 1, (1, 1), loss_budget=1.5), 5.0),
    "nothing": (NetworkPlan.of_two_parents(NO_LAYERS, [], [2.0], 3, (1, 1), loss_budget=0.0), 8.0),
    "one option each": (small(loss=[[0.0], [0.25]]), 68 / 3),
    "forbidden": (small(loss=[[INF, INF, 1.0], [INF, 0.5, 3.0]]), 58 / 3),
    "cut edges": (small(edge_loss=[[9.0, 9.0], [0.5, 0.25], [9.0, 9.0]]), 67 / 3),
    "ties": (small(loss=[np.zeros(3), np.zeros(3)], macs=np.zeros(3)), 0.0),
    "tiny": (small(macs=[1e-300, 2e-300, 1e-300]), 16e-300),
    "huge": (small(macs=[1e290, 2e290, 1e290]), 16e290),
    "tiny losses": (small(loss=[1e-300 * CURVE, [0.0, 0.5e-300, 3e-300]], loss_budget=1.5e-300), 16.0),
    "huge losses": (small(loss=[1e290 * CURVE, [0.0, 0.5e290, 3e290]], loss_budget=1.5e290), 16.0),
}
"""Name to problem and optimal value of network plans."""

INFEASIBLE = {
    "all forbidden": small(loss=[[0.0, 1.0], [INF, INF]]),
    "one option, above the budget": small(loss=[[0.0], [2.0]]),
    "no layers, too many MACs": NetworkPlan.of_two_parents(NO_LAYERS, [], [2.0], 3, (1, 1), macs_budget=1.0),
    "too many MACs": small(macs_budget=1.0),
    "too much loss": small(loss=[CURVE + 1, CURVE + 1]),
}
"""Name to network plan that no decision satisfies."""

CLUSTERS = {
    "one layer": (one_layer(), 0.1 + 22 / 3),
    "two layers": (two_layers(edge=5.0), 10 / 3),
    "not submodular": (two_layers(edge=0.0), 8 / 3),
    "edges must stay": (two_layers(edge=INF), 10 / 3),
    "forbidden": (two_layers(edge=5.0, second=INF), 11 / 3),
    "all forbidden": (two_layers(edge=5.0, first=INF, second=INF), 4.0),
    "nothing": (ClusterPlan([], [], [1.0], 2, [], [1, 1], 1.0), 8 / 3),
    "no pairs": (ClusterPlan([[]], [], [1.0, 1.0], 1, [[0, 1]], [1, 1], 1.0), 4 / 3),
    "one": (ClusterPlan([[0.5]], [], [3.0, 0.0], 1, [[0, 0]], [0, 0], 1.0), 3.5),
    "ties": (ClusterPlan([[0.0] * 3] * 2, [np.zeros((3, 3))], np.zeros(3), 1, [[0, 0]] * 2, [1, 1], 1.0), 0.0),
    "tiny": (one_layer(1e-300), (0.1 + 22 / 3) * 1e-300),
    "huge": (one_layer(1e290), (0.1 + 22 / 3) * 1e290),
}
"""Name to problem and optimal value of cluster plans; keeping all pairs apart is always one, so none is infeasible."""


def two_parents(rng, **budget):
    widths = rng.integers(1, 6, (rng.integers(1, 5), 2))
    curves = [np.cumsum(np.append(0, np.sort(rng.random(pair.min())))) for pair in widths]
    cut = rng.random((len(widths) + 1, 2)) * 0.2 if rng.random() < 0.5 else None
    macs = rng.integers(1, 9, len(widths) + 1)
    return NetworkPlan.of_two_parents(widths, curves, macs, 3, (2, 3), edge_loss=cut, **budget)


def lattice(rng, **budget):
    """Three tasks, options anywhere or on a line, some forbidden, edge losses of either sign."""
    groups, n_layers = all_groups(3), rng.integers(1, 5)
    counts = [
        rng.integers(0, 5, (rng.integers(1, 6), 7))
        if rng.random() < 0.5
        else 1 + np.arange(rng.integers(1, 6))[:, None] * rng.integers(0, 3, 7)
        for _ in range(n_layers)
    ]
    loss = [np.where((rng.random(len(n)) < 0.1) & (np.arange(len(n)) > 0), np.inf, rng.random(len(n))) for n in counts]
    cut = rng.normal(size=(n_layers + 1, 7, 7)) * 0.01 if rng.random() < 0.5 else None
    ends = np.array([0] * 6 + [3]), np.array([1, 2, 1, 0, 0, 0, 0])
    return NetworkPlan(groups, run_probabilities(groups), rng.random(n_layers + 1), *ends, counts, loss, cut, **budget)


def every_plan(problem):
    """Return (P, L) all plans without a forbidden option, and their MACs and losses (P,), by plain enumeration."""
    plans = np.array(list(itertools.product(*(np.flatnonzero(loss < np.inf) for loss in problem.loss))))
    units = [np.broadcast_to(problem.inputs, (len(plans), len(problem.inputs)))]
    units += [n[plans[:, layer]] for layer, n in enumerate(problem.counts)]
    units += [np.broadcast_to(problem.heads, (len(plans), len(problem.heads)))]
    reads = np.array(
        [[set(np.flatnonzero(g)) <= set(np.flatnonzero(h)) for h in problem.groups] for g in problem.groups]
    )
    macs = sum(
        k * np.einsum("g,pg,gh,ph->p", problem.runs, after, reads, before)
        for k, before, after in zip(problem.macs, units, units[1:], strict=False)
    )
    loss = sum(x[plans[:, layer]] for layer, x in enumerate(problem.loss))
    if problem.edge_loss is not None:
        loss = loss + sum(
            np.einsum("gh,pg,ph->p", cut, after, before)
            for cut, before, after in zip(problem.edge_loss, units, units[1:], strict=False)
        )
    return plans, macs, loss


def with_budget(make, seed):
    """Return a problem with a budget that may be anything from infeasible to loose, and its optimum (inf = none)."""
    rng = np.random.default_rng(seed)
    state = rng.bit_generator.state
    _, macs, loss = every_plan(make(rng, loss_budget=0.0))
    drawn = np.random.default_rng(seed + 10**6)
    name, spent, objective = ("loss_budget", loss, macs) if drawn.random() < 0.5 else ("macs_budget", macs, loss)
    budget = (
        drawn.choice(spent)
        if drawn.random() < 0.5
        else drawn.uniform(1.2 * spent.min() - 0.2 * spent.max(), spent.max())
    )
    rng.bit_generator.state = state
    problem = make(rng, **{name: budget})
    return problem, objective[spent <= problem.allowed].min(initial=np.inf)


def clusters(rng, submodular):
    sizes = rng.integers(0, 4, rng.integers(1, 4))
    macs, price = rng.random(len(sizes) + 1), rng.random()
    edges = [
        rng.random((b, a)) * 1.5 + submodular * price * k for k, a, b in zip(macs[1:], sizes, sizes[1:], strict=False)
    ]
    edges = [np.where(rng.random(x.shape) < 0.1, np.inf, x) for x in edges]
    merged = [np.where(rng.random(n) < 0.1, np.inf, 6 * rng.random(n)) for n in sizes]
    singles = rng.integers(0, 3, (len(sizes), 2))
    return ClusterPlan(merged, edges, macs, 3, singles, [2, 1], price, rng.random(3))


def least_cluster_value(problem):
    plans = (np.array(x, np.int64) for x in itertools.product((0, 1), repeat=sum(problem.sizes)))
    return min(problem.value(plan) for plan in plans if not problem.violations(plan))
