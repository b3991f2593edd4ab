"""A linear budget: what the choices of a decision may use up together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_array, as_float64, as_real, extent

TOLERANCE = 1e-6
"""A budget holds up to this part of its limit: backends need it. Bounds are those of the limit as it is given."""


@dataclass(frozen=True, eq=False)
class Budget:
    """Let the weights of what is chosen sum to at most a limit.

    Parameters
    ----------
    weights : float64 >= 0, of the shape of the problem's costs
    limit : float, finite; below 0 it cannot be met. A millionth more counts as kept
    name : what messages call it

    Raises
    ------
    ProblemError
        for negative or non-finite weights, or a limit that is not finite
    """

    weights: NDArray[np.float64]
    limit: float
    name: str

    def __post_init__(self) -> None:
        what = f"weights of budget {self.name!r}"
        given = as_array(self.weights, what)
        weights = as_float64(given, what, (None,) * given.ndim)
        if extent(weights, what, allow_infinity=False)[0] < 0:
            where = tuple(int(i) for i in np.argwhere(weights < 0)[0])
            raise ProblemError(f"{what}: entry {where} is {weights[where]:g}; weights must be at least 0")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "limit", as_real(self.limit, f"limit of budget {self.name!r}"))

    @property
    def allowed(self) -> float:
        """The limit with its tolerance."""
        return self.limit + TOLERANCE * max(self.limit, 0.0)

    @property
    def single(self) -> NDArray[np.bool_]:
        """Which choices keep the budget by themselves; no decision has any other, as weights add up."""
        return self.weights <= self.allowed

    @property
    def clipped(self) -> NDArray[np.float64]:
        """The weights, those that alone break the budget as twice its limit: the same budget in few digits."""
        return np.where(self.single, self.weights, max(2 * self.limit, 0.0) or 1.0)

    def excess(self, used: float) -> str:
        """Say in words that a use breaks the budget; empty if it does not."""
        broken = used > self.allowed
        return f"budget {self.name!r} allows {self.limit:g}, the decision uses {used:g}" if broken else ""


def pack(budgets: tuple[Budget, ...]) -> dict[str, NDArray[Any]]:
    """Return budgets as named arrays; nothing if there are none."""
    if not budgets:
        return {}
    return {
        "budget_weights": np.stack([budget.weights for budget in budgets]),
        "budget_limits": np.array([budget.limit for budget in budgets]),
        "budget_names": np.array([budget.name for budget in budgets]),
    }


def unpack(arrays: Any) -> tuple[Budget, ...]:
    """Return the budgets among named arrays."""
    if "budget_weights" not in arrays:
        return ()
    rows = zip(arrays["budget_weights"], arrays["budget_limits"], arrays["budget_names"], strict=True)
    return tuple(Budget(weights, float(limit), str(name)) for weights, limit, name in rows)
