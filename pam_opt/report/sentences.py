"""What a table shows, in sentences written from the numbers: costs where networks were pruned, otherwise accuracy."""

import statistics
from collections.abc import Sequence

from pam_opt.report.table import Results, Row, rows

_CONTROLS = ("greedy", "random", "select", "all-shared")


def findings(results: Sequence[Results]) -> str:
    """Say which method is cheapest, and what the optimum is worth beside greedy and the controls."""
    table = rows(results)
    if all(None in row.within for row in table):
        return _accuracy_findings(table, results)
    return _cost_findings([row for row in table if False not in row.within])


def _cost_findings(table: Sequence[Row]) -> str:
    if not table:
        return "No method stayed within the allowed drop. Allow a larger drop or more fine-tuning steps."
    cheapest = min(table, key=lambda row: statistics.mean(row.expected))
    first = f"Cheapest is {cheapest.method!r} with E[C] = {_mean(cheapest) / 1e3:,.1f} kMAC"
    if cheapest.ratios and cheapest.method != "separate":
        ratio = statistics.mean(cheapest.ratios)
        first += f", {ratio:.2f} times the cost of the parents pruned separately"
    return f"{first}. {_optimum(table)}"


def _optimum(table: Sequence[Row]) -> str:
    by_name = {row.method: row for row in table}
    optimal = by_name.get("optimal")
    others = [by_name[name] for name in _CONTROLS if name in by_name]
    if optimal is None or not others:
        return "The table has no optimal pairing within the drop to compare with the controls."
    parts = [f"{_mean(optimal) / _mean(other):.2f} times {other.method!r}" for other in others]
    single = "on this one seed" if len(optimal.expected) == 1 else f"over {len(optimal.expected)} seeds"
    return f"Optimal pairing costs {_join(parts)}, {single}."


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


def _mean(row: Row) -> float:
    return statistics.mean(row.expected)


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
