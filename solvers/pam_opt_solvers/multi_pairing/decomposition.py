"""A bound for more than three parents: every three of them are a problem of their own.

Each pair of parents shares its costs evenly among the triples of parents that hold it. A decision restricted to three
parents is a decision of their problem, so the bounds of all triples sum to one of the whole.
"""

import itertools
import math
import time

import numpy as np

from pam_opt_solvers.multi_pairing.lagrangian import Ascent
from pam_opt_solvers.multi_pairing.rematching import Rematching
from pam_opt_solvers.multi_pairing.triples import Triples
from pam_opt_solvers.problems import MultiPairing
from pam_opt_solvers.search import Search

STEPS = 60

Three = tuple[int, int, int]


def raise_by_triples(problem: MultiPairing, search: Search, seconds: float) -> None:
    """Raise a search's bound by the bounds of all triples of parents, each climbed for its share of the time."""
    triples = _usable(problem)
    held = {
        pair: sum(set(pair) <= set(three) for three in triples)
        for pair in itertools.combinations(range(problem.n_parents), 2)
    }
    bounds = [_outside(problem, pair) for pair, count in held.items() if count == 0]
    for number, three in enumerate(triples):
        stop = time.perf_counter() + seconds / max(1, len(triples) - number)
        seconds -= max(0.0, min(stop - time.perf_counter(), seconds))
        bounds.append(_bound(_part(problem, three, held), stop))
    search.raise_bound(math.fsum(bounds) - problem.float_error())


def _usable(problem: MultiPairing) -> list[Three]:
    """List the triples of parents that have just as many complete clusters as the whole."""
    every = itertools.combinations(range(problem.n_parents), 3)
    if problem.required is None:
        return list(every)
    return [three for three in every if min(problem.sizes[list(three)]) == problem.required]


def _outside(problem: MultiPairing, pair: tuple[int, int]) -> float:
    """Bound the costs between two parents that are in no usable triple: as many pairs as there are clusters."""
    block = problem.merging[problem.parent == pair[0]][:, problem.parent == pair[1]]
    return math.fsum(np.sort(block.min(axis=1))[: problem.required])


def _part(problem: MultiPairing, three: Three, held: dict[tuple[int, int], int]) -> MultiPairing:
    chosen = np.isin(problem.parent, three)
    cost = np.array(problem.merging[np.ix_(chosen, chosen)])
    parent = problem.parent[chosen]
    for p, q in itertools.combinations(three, 2):
        block = np.ix_(parent == p, parent == q)
        cost[block] /= held[p, q]
        cost[np.ix_(parent == q, parent == p)] = cost[block].T
    single = None
    if problem.single is not None:
        # A unit that is alone among three may have a partner in a fourth: only what being alone earns is sure.
        single = np.minimum(problem.single[chosen], 0.0) / math.comb(problem.n_parents - 1, 2)
    return MultiPairing(cost, problem.sizes[list(three)], single)


def _bound(part: MultiPairing, stop: float) -> float:
    settled = part.settled()
    if settled is not None:
        return part.trivial_bound() if settled.decision is None else part.value(settled.decision)
    search = Search(part, max(stop - time.perf_counter(), 1e-3))
    search.raise_bound(part.trivial_bound())
    ascent = Ascent(part, Rematching(part), Triples.of(part))
    ascent.sequential(search)
    ascent.climb(search, STEPS, stop)
    return search.bound
