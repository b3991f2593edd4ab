"""Greedy cluster plans: share the pair that gains most, again and again; the usual baseline."""

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.cluster_plan.form import Form
from pam_opt_solvers.options import Options
from pam_opt_solvers.outcome import Outcome
from pam_opt_solvers.problems import Feature
from pam_opt_solvers.problems.cluster_plan import ClusterPlan
from pam_opt_solvers.search import Search
from pam_opt_solvers.solver import Solver

Vector = NDArray[np.float64]


class Greedy(Solver[Form]):
    """From nothing shared, share the pair that lowers the value most, while one does.

    A pair that gains only together with others in the layers around it is what greedy cannot see.
    """

    name = "greedy"
    takes = frozenset({"cluster_plan"})
    exact = False
    features = frozenset({Feature.FORBIDDEN, Feature.NOT_SUBMODULAR})
    description = "heuristic; shares the pair that gains most while one does; the baseline"
    stops_itself = True

    def _build(self, problem: ClusterPlan, options: Options) -> Form:
        return problem.form

    def _run(self, model: Form, problem: ClusterPlan, options: Options) -> Outcome:
        search = Search(problem, options.time_limit)
        shared = np.zeros(sum(problem.sizes), np.int64)
        search.offer(shared)
        changes = _Changes(model, problem.sizes)
        while shared.size and not search.out_of_time:
            best = int(changes.now.argmin())
            if not changes.now[best] < 0:
                break
            shared[best] = 1
            changes.share(best)
        search.offer(shared)
        return search.outcome()


class _Changes:
    """What sharing each pair would change, (n,), the others staying as they are; +inf = it must not, or is shared."""

    def __init__(self, form: Form, sizes: tuple[int, ...]) -> None:
        self.ends = np.cumsum(sizes)
        self.missing = [np.isinf(pairs) for pairs in form.pairs]
        self.finite = [np.where(lacking, 0.0, pairs) for lacking, pairs in zip(self.missing, form.pairs, strict=True)]
        self.sums, self.lacks = form.linear.copy(), np.zeros(len(form.linear), np.int64)
        for layer, (pairs, lacking) in enumerate(zip(self.finite, self.missing, strict=True), start=1):
            self.sums[self._part(layer)] += pairs.sum(axis=1)
            self.lacks[self._part(layer)] += lacking.sum(axis=1)

    @property
    def now(self) -> Vector:
        return np.where(self.lacks > 0, np.inf, self.sums)

    def share(self, pair: int) -> None:
        """Take note that a pair is shared: those after it may read it, those before it gain a reader."""
        layer = int(np.searchsorted(self.ends, pair, side="right"))
        place = pair - self._part(layer).start
        self.sums[pair] = np.inf
        if layer > 0:
            self.sums[self._part(layer - 1)] -= self.finite[layer - 1][place]
        if layer < len(self.ends) - 1:
            self.sums[self._part(layer + 1)] -= self.finite[layer][:, place]
            self.lacks[self._part(layer + 1)] -= self.missing[layer][:, place]

    def _part(self, layer: int) -> slice:
        return slice(int(self.ends[layer - 1]) if layer else 0, int(self.ends[layer]))
