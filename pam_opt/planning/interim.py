"""Stand-ins for the problems and solvers of `pam_opt_solvers` until they are there; same call."""

import time
from dataclasses import dataclass

import numpy as np

from pam_opt_solvers import Status
from pam_opt_solvers.solution import Run


@dataclass(frozen=True, eq=False)
class Representatives:
    cost: np.ndarray
    n_kept: int

    def run(self, swaps):
        c, p = self.cost, self.n_kept
        best, kept = np.full(len(c), c[np.isfinite(c)].max() + 1.0), []
        forced = np.flatnonzero(np.isinf(c).sum(1) == len(c) - 1) if len(c) > 1 else []
        for j in forced:
            kept.append(int(j))
            best = np.minimum(best, c[:, j])
        while len(kept) < p:
            gain = np.minimum(best[:, None], c).sum(0)
            gain[kept] = np.inf
            kept.append(int(gain.argmin()))
            best = np.minimum(best, c[:, kept[-1]])
        value = best.sum()
        while swaps:
            improved = False
            for k in range(p):
                rest = kept[:k] + kept[k + 1 :]
                left = c[:, rest].min(1) if rest else np.full(len(c), np.inf)
                gain = np.minimum(left[:, None], c).sum(0)
                gain[rest] = np.inf
                j = int(gain.argmin())
                if gain[j] < value * (1 - 1e-12):
                    kept[k], value, improved = j, gain[j], True
            if not improved:
                break
        return np.array(kept)[c[:, kept].argmin(1)], float(value)


@dataclass(frozen=True, eq=False)
class ColumnSubset:
    gram: np.ndarray
    n_kept: int
    weights: np.ndarray

    def run(self, swaps):
        g, kept = self.gram.copy(), []
        scale = g.diagonal().copy()
        for _ in range(self.n_kept):
            d = g.diagonal()
            ok = d > 1e-9 * np.maximum(scale, 1e-300)
            gain = np.where(ok, (self.weights[:, None] * g**2).sum(0) / np.where(ok, d, 1.0), -1.0)
            gain[kept] = -2.0
            kept.append(int(gain.argmax()))
            if ok[kept[-1]]:
                g -= np.outer(g[:, kept[-1]], g[kept[-1]]) / g[kept[-1], kept[-1]]
        return np.sort(kept), float(self.weights @ np.maximum(g.diagonal(), 0.0))


@dataclass
class Solution:
    decision: np.ndarray | None
    value: float
    bound: float
    status: Status
    run: Run
    build_seconds: float
    solve_seconds: float


def solve(problem, solver, *, time_limit=None, seed=0, threads=1):
    started = time.perf_counter()
    decision, value = problem.run(swaps=solver != "greedy")
    return Solution(decision, value, 0.0, Status.FEASIBLE, Run(solver), 0.0, time.perf_counter() - started)
