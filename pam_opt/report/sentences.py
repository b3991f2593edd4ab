"""What a table shows, in two sentences written from the numbers."""

import statistics
from collections.abc import Sequence

from pam_opt.report.table import Results, Row, rows


def findings(results: Sequence[Results]) -> str:
    """Say which method is cheapest, and what the optimum is worth beside greedy and the controls."""
    table = [row for row in rows(results) if False not in row.within]
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
    others = [by_name[name] for name in ("greedy", "random", "select", "all-shared") if name in by_name]
    if optimal is None or not others:
        return "The table has no optimal pairing within the drop to compare with the controls."
    parts = [f"{_mean(optimal) / _mean(other):.2f} times {other.method!r}" for other in others]
    single = "on this one seed" if len(optimal.expected) == 1 else f"over {len(optimal.expected)} seeds"
    return f"Optimal pairing costs {_join(parts)}, {single}."


def _mean(row: Row) -> float:
    return statistics.mean(row.expected)


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
