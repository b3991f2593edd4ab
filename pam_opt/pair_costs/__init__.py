"""Costs of merging two units: interchangeable functions behind one interface, found by name in `COSTS`.

To add a cost: write a file with a function (PairStatistics) -> (m, n) float64, and enter it below.
"""

from collections.abc import Callable

import numpy as np

from pam_opt.pair_costs.correlation import correlation_cost
from pam_opt.pair_costs.fisher import fisher_cost
from pam_opt.pair_costs.statistics import PairStatistics, Side
from pam_opt.pair_costs.weights import weights_cost

__all__ = ["COSTS", "PairStatistics", "Side", "correlation_cost", "fisher_cost", "weights_cost"]

COSTS: dict[str, Callable[[PairStatistics], np.ndarray]] = {
    "fisher": fisher_cost,
    "correlation": correlation_cost,
    "weights": weights_cost,
}
