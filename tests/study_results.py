"""Results of studies made by hand, as ``results.json`` has them."""

from collections.abc import Callable
from typing import Any

Cost = Callable[[str, str, float, int], float]
"""(method, pruner, epochs of pruning, seed) -> E[C] of the network in MACs."""
Within = Callable[[str, str, float, int], bool]
"""The same -> whether it is within the allowed drop."""

BUDGETS = (0.0, 1.0, 5.0, 20.0)
TASKS = ("low", "high")


def budget_cell(method: str, pruner: str, budget: float, cost: float, within: bool, accuracy: float = 0.98) -> dict:
    """One network: a task alone costs nine tenths of E[C], both together six fifths."""
    macs = {"high": round(0.9 * cost), "low": round(0.9 * cost), "high+low": round(1.2 * cost)}
    return {
        "axes": {"method": method, "width": None, "fine_tune_epochs": 0.0, "pruner": pruner, "prune_epochs": budget},
        "combinations": {
            key: {
                "macs": value,
                "accuracy": dict.fromkeys(key.split("+"), accuracy),
                "plain": dict.fromkeys(key.split("+"), accuracy - 0.01),
            }
            for key, value in macs.items()
        },
        "expected_macs": cost,
        "within_drop": within,
        "history": [],
        "seconds": {"measure": 1.0, "solve": 0.5, "merge": 0.25, "fine_tune": 0.0, "prune": 2.0},
        "solver": {"name": "hungarian", "status": "OPTIMAL", "value": 1.0, "bound": 1.0, "gap": 0.0},
        "layers": [{"name": "conv1", "groups": {"high+low": 4, "low": 1}}, {"name": "head", "groups": {"low": 5}}],
    }


def budget_results(
    cost: Cost,
    within: Within = lambda method, pruner, budget, seed: True,
    *,
    methods: tuple[str, ...] = ("separate", "pam", "greedy", "optimal"),
    pruners: tuple[str, ...] = ("vib", "taylor-pam"),
    budgets: tuple[float, ...] = BUDGETS,
    seeds: int = 3,
) -> list[dict[str, Any]]:
    """Make the results of a study of several pruners and budgets, one a seed."""
    return [
        {
            "schema": 1,
            "experiment": {
                "name": "made-up",
                "seed": seed,
                "seeds": list(range(seeds)),
                "tasks": [{"name": task} for task in TASKS],
                "fine_tune": {"epochs": [0.0]},
                "prune": {"methods": list(pruners), "epochs": list(budgets), "max_drop": 0.01, "target_macs": None},
            },
            "parents": {task: {"accuracy": 0.985, "plain": 0.975, "macs": 700} for task in TASKS},
            "methods": {
                f"{method}, {pruner}, {budget:g} epochs": budget_cell(
                    method, pruner, budget, cost(method, pruner, budget, seed), within(method, pruner, budget, seed)
                )
                for method in methods
                for pruner in pruners
                for budget in budgets
            },
            "does_not_apply": {},
            "objectives": {},
        }
        for seed in range(seeds)
    ]
