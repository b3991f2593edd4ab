"""A linear budget: what the choices of a decision may use up together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pam_opt_solvers.errors import ProblemError
from pam_opt_solvers.problems.checks import as_float64, extent

TOLERANCE = 1e-6
"""A budget holds up to this part of its limit or of its largest weight, whichever is larger: backends' own."""


@dataclass(frozen=True, eq=False)
class Budget:
    """Let the weights of what is chosen sum to at most a limit.

    Parameters
    ----------
    weights : float64 >= 0, of the shape of the problem's costs
    limit : float, finite; below 0 it cannot be met
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
        weights = as_float64(self.weights, what, (None,) * np.ndim(self.weights))
        if extent(weights, what, allow_infinity=False)[0] < 0:
            where = tuple(int(i) for i in np.argwhere(weights < 0)[0])
            raise ProblemError(f"{what}: entry {where} is {weights[where]:g}; weights must be at least 0")
        limit = as_float64([self.limit], f"limit of budget {self.name!r}", (1,))
        extent(limit, f"limit of budget {self.name!r}", allow_infinity=False)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "limit", float(limit[0]))

    @property
    def slack(self) -> float:
        """How far above the limit still counts as within."""
        return TOLERANCE * max(abs(self.limit), float(self.weights.max(initial=0.0)))

    def excess(self, used: float) -> str:
        """Say in words that a use breaks the budget; empty if it does not."""
        broken = used > self.limit + self.slack
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
