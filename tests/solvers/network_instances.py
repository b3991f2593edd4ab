"""Small network plans at random, all of their plans, and known optima."""

import itertools

import numpy as np

from pam_opt_solvers import ClusterPlan, NetworkPlan, all_groups, run_probabilities


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
