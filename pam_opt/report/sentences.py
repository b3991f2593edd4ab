"""What a table shows, in sentences written from the numbers: costs where networks were pruned, otherwise accuracy."""

import statistics
from collections.abc import Mapping, Sequence

from pam_opt.report.table import Results, Row, rows

_CONTROLS = ("greedy", "random", "select", "all-shared")


def findings(results: Sequence[Results]) -> str:
    """Say which method is cheapest, and what the optimum is worth beside greedy and the controls."""
    table = rows(results)
    if all(None in row.within for row in table):
        return _accuracy_findings(table, results)
    budgets = dict.fromkeys(row.method.partition(",")[2] for row in table)
    stepwise = len(results[0]["parents"]) > 2
    lines = [_cost_findings([row for row in table if row.method.partition(",")[2] == b], b, stepwise) for b in budgets]
    return "\n".join(lines)


def _cost_findings(table: Sequence[Row], budget: str, stepwise: bool) -> str:
    """Write two sentences on the methods of one budget that stayed within the drop."""
    within = {row.method.partition(",")[0]: row for row in table if False not in row.within}
    where = f" ({budget.strip()})" if budget else ""
    if not within:
        return f"No method stayed within the allowed drop{where}. Allow a larger drop or more fine-tuning steps."
    name, cheapest = min(within.items(), key=lambda item: statistics.mean(item[1].expected))
    first = f"Cheapest{where} is {name!r} with E[C] = {statistics.mean(cheapest.expected) / 1e3:,.1f} kMAC"
    if cheapest.ratios and name != "separate":
        first += f", {_ratio(cheapest.ratios)} times the cost of the parents pruned separately"
    return f"{first}. {_optimum(within, stepwise)}"


def _optimum(within: Mapping[str, Row], stepwise: bool) -> str:
    optimal = within.get("optimal")
    others = [name for name in _CONTROLS if name in within]
    if optimal is None or not others:
        return "No optimal pairing and control are both within the drop, to be compared."
    parts = []
    for name in others:
        ratios = [a / b for a, b in zip(optimal.expected, within[name].expected, strict=True)]
        parts.append(f"{_ratio(ratios)} times {name!r}")
    seeds = "one seed" if len(optimal.expected) == 1 else f"{len(optimal.expected)} seeds"
    what = "Optimal pairing, parent after parent," if stepwise else "Optimal pairing"
    return f"{what} costs {_join(parts)} ({seeds})."


def _ratio(ratios: Sequence[float]) -> str:
    """Write a mean over seeds, with its range where there are several."""
    mean = f"{statistics.mean(ratios):.2f}"
    return mean if len(ratios) == 1 else f"{mean} ({min(ratios):.2f} to {max(ratios):.2f})"


def _accuracy_findings(table: Sequence[Row], results: Sequence[Results]) -> str:
    """Compare accuracy, mean over tasks and seeds, with the parents and the controls at every budget."""
    by_name = {row.method: row for row in table}
    parents = statistics.mean(parent["accuracy"] for result in results for parent in result["parents"].values())
    lines = []
    for name, row in by_name.items():
        method, comma, budget = name.partition(",")
        if method != "optimal":
            continue
        others = [(other, by_name.get(other + comma + budget)) for other in _CONTROLS]
        leads = [f"{other!r} by {100 * (_accuracy(row) - _accuracy(found)):+.1f}" for other, found in others if found]
        against = f" and leads {_join(leads)} points" if leads else ""
        where = f" ({budget.strip()})" if budget else ""
        lines.append(
            f"Optimal pairing is {100 * (_accuracy(row) - parents):+.1f} points from its parents{against}{where}."
        )
    return "\n".join(lines) or "The table has no optimal pairing to compare with the controls."


def _accuracy(row: Row) -> float:
    return statistics.mean(value for values in row.accuracy.values() for value in values)


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
