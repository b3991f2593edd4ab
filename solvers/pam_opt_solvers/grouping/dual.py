"""The Lagrangian dual of a grouping: prices on the budgets, the units then choose one by one.

``L(p) = sum_u min_g (c_ug + sum_b p_b a_bug) - sum_b p_b`` is a lower bound for all prices p >= 0, and its best
value is that of the linear relaxation [1]. With few prices and many units, Newton's method on a smoothed L beats
subgradients by far: each minimum becomes ``-mu log sum exp(-./mu)`` [2], a barrier ``mu log p_b`` keeps prices
positive, and mu falls to nearly nothing. A step costs one softmax over all choices and a (B, B) Hessian.

[1] A. M. Geoffrion, "Lagrangean relaxation for integer programming", Mathematical Programming Study 2, 1974.
[2] Y. Nesterov, "Smooth minimization of non-smooth functions", Mathematical Programming 103, 2005,
    doi:10.1007/s10107-004-0552-5.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.grouping.normal import Normal
from pam_opt_solvers.problems.budgets import TOLERANCE

Floats = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
FALL = 0.4
FIRST, SOFT, LAST = 1.0, 1e-4, 1e-7
STEPS = 12
SMALL_STEP = 1e-3
FARTHEST = 1e12


def bound(normal: Normal, prices: Floats) -> float:
    """Return the Lagrangian bound at prices (B,) of the scaled costs, in the problem's own costs and rounded down."""
    problem, table = normal.problem, normal.problem.linear
    with np.errstate(over="ignore", invalid="ignore"):
        own = prices * normal.scale
        priced = (own @ normal.flat).reshape(normal.shape)
        costs = np.where(problem.permitted, problem.cost, np.inf)
        # Every entry may be off by the rounding of the B products and sums that make it.
        slack = 4 * EPS * (len(prices) + 4) * (np.abs(costs) + priced)
        least = np.where(problem.permitted, costs + priced - slack, np.inf).min(axis=1, initial=np.inf)
    allowed = table.allowed[normal.kept] / table.limits[normal.kept]
    total = math.fsum([*least, *(-own * (allowed + 4 * EPS))])
    return total - 4 * EPS * abs(total) if math.isfinite(total) else -math.inf


def proves_infeasible(normal: Normal, prices: Floats) -> bool:
    """Whether the units use more than all limits at these prices, whatever they choose (Farkas)."""
    if not len(prices) or not (prices > 0).any():
        return False
    weights = prices / prices.max()
    loads = (weights @ normal.flat).reshape(normal.shape)
    least = np.where(normal.extra < np.inf, loads, np.inf).min(axis=1)
    margin = (1 + 2 * TOLERANCE) * (1 + 1e-9)
    return math.fsum(least) > margin * math.fsum(weights)


def shares(normal: Normal, prices: Floats, smoothing: float) -> Floats:
    """Return (n, G) how much of each unit the smoothed dual puts into each group: nearly optimal for the relaxation."""
    priced = normal.priced(prices)
    parts = np.exp((priced.min(axis=1, keepdims=True) - priced) / smoothing)
    return parts / parts.sum(axis=1, keepdims=True)


def paths(normal: Normal, last: float = LAST) -> Iterator[Floats]:
    """Yield prices (B,) that approach the best ones, one array per smoothing level down to ``last``."""
    prices = np.full(len(normal.kept), 0.1)
    smoothing = FIRST
    while smoothing > last and len(prices):
        prices = _newton(normal, prices, smoothing)
        yield prices
        smoothing *= FALL


def _newton(normal: Normal, prices: Floats, smoothing: float) -> Floats:
    value, gradient, hessian = _smoothed(normal, prices, smoothing)
    for _ in range(STEPS):
        step = _direction(gradient, hessian)
        slope = float(gradient @ step)
        if slope <= SMALL_STEP * smoothing or prices.max() > FARTHEST:
            break
        falling = step < 0
        longest = min(1.0, 0.9 * float((prices[falling] / -step[falling]).min(initial=math.inf)))
        while longest > 1e-10:
            reached = _smoothed(normal, prices + longest * step, smoothing)
            if reached[0] >= value + 1e-4 * longest * slope:
                break
            longest *= 0.4
        else:
            break
        prices = prices + longest * step
        value, gradient, hessian = reached
    return prices


def _direction(gradient: Floats, curvature: Floats) -> Floats:
    """Return the Newton step of a concave function whose negative Hessian is given."""
    scale = np.sqrt(np.maximum(curvature.diagonal(), 1e-300))
    inner = curvature / np.outer(scale, scale) + 1e-12 * np.eye(len(scale))
    return np.linalg.solve(inner, gradient / scale) / scale


def _smoothed(normal: Normal, prices: Floats, smoothing: float) -> tuple[float, Floats, Floats]:
    """Return value, gradient and negative Hessian of the smoothed dual with its barrier."""
    priced = normal.priced(prices)
    least = priced.min(axis=1, keepdims=True)
    shares = np.exp((least - priced) / smoothing)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    value = least.sum() - smoothing * np.log(total).sum() - prices.sum() + smoothing * np.log(prices).sum()
    mean = np.einsum("bug,ug->bu", normal.loads, shares)
    gradient = mean.sum(axis=1) - 1.0 + smoothing / prices
    second = (normal.flat * shares.ravel()) @ normal.flat.T - mean @ mean.T
    return float(value), gradient, second / smoothing + np.diag(smoothing / prices**2)
