"""What a study of several budgets shows, in sentences: the best method against PAM, and when the solver matters."""

import statistics
from collections.abc import Mapping, Sequence

from pam_opt.report.budgets import PAM, Panel, Panels, panels, relative
from pam_opt.report.cells import Results, count_text
from pam_opt.report.duels import duel_sentences
from pam_opt.report.intervals import Ratio
from pam_opt.report.rows import SEPARATE, Row, parents_row


def budget_findings(results: Sequence[Results]) -> str:
    """Say which method is cheapest at equal accuracy under every budget, and what solvers are worth.

    A ratio is decided if its interval leaves out 1.
    """
    found = panels(results)
    best = [_cheapest(methods, _place(panel, budget)) for panel, by in found.items() for budget, methods in by.items()]
    solvers = ["Does the solver matter? E[C] by the training that pruning was given:", *duel_sentences(results)]
    lines = [*best, *(solvers if len(solvers) > 1 else []), _largest_drop(results, found), _caution(len(results))]
    return "\n\n".join(lines)


def _place(panel: Panel, budget: float) -> str:
    return f"{panel.title}, {count_text(budget)}"


def _cheapest(methods: Mapping[str, Row], place: str) -> str:
    """Name the cheapest method within the drop, and compare it with PAM."""
    counting = {name: row for name, row in methods.items() if row.counts}
    if not counting:
        return f"{place}: no method stayed within the allowed drop."
    order = sorted(counting, key=lambda name: statistics.mean(counting[name].expected))
    costs = statistics.mean(counting[order[0]].expected)
    text = f"{place}: cheapest is {order[0]!r} with E[C] = {costs / 1e3:,.1f} kMAC"
    separate = relative(methods[order[0]], methods.get(SEPARATE))
    if separate is not None and order[0] != SEPARATE:
        text += f", {separate} times the parents pruned separately"
    return text + _against_pam(methods, order)


def _against_pam(methods: Mapping[str, Row], order: Sequence[str]) -> str:
    if PAM not in methods:
        return "."
    if not methods[PAM].counts:
        return f"; {PAM!r} is outside the allowed drop, so there is nothing to compare with."
    rivals = [name for name in order if name != PAM]
    if not rivals:
        return "; no other method is within the allowed drop."
    found = relative(methods[rivals[0]], methods[PAM])
    assert found is not None
    who = f"; against {PAM!r} it" if rivals[0] == order[0] else f"; the best of the others, {rivals[0]!r},"
    return f"{who} costs {found}{_seeds(found)} times as much{_decided(found)}."


def _seeds(found: Ratio) -> str:
    return "" if found.low is None else f" [seeds: {', '.join(f'{value:.2f}' for value in found.values)}]"


def _decided(found: Ratio) -> str:
    return ", undecided" if found.low is not None and not found.side else ""


def _largest_drop(results: Sequence[Results], found: Panels) -> str:
    """Say how much the networks within the drop, which was kept on validation, lose on test."""
    plain = (results[0]["experiment"].get("prune") or {}).get("limit") == "plain"
    parents = parents_row(results)
    drops = [
        (_points(parents, row, task, plain), row.setting.method, _place(panel, budget), task)
        for panel, budgets in found.items()
        for budget, methods in budgets.items()
        for row in methods.values()
        if row.counts
        for task in row.accuracy
    ]
    if not drops:
        return "No network is within the allowed drop. Allow a larger drop or more training."
    points, method, place, task = max(drops)
    return (
        f"On test, the networks within the allowed drop (which was kept on validation) lose at most {points:.2f} "
        f"points of {'plain accuracy' if plain else 'the metric'}, mean of the seeds: {method!r}, {place}, "
        f"task {task!r}."
    )


def _points(parents: Row, row: Row, task: str, plain: bool) -> float:
    """Return by how many points a task is below its parent, mean of the seeds."""
    before, after = (parents.plain, row.plain) if plain else (parents.accuracy, row.accuracy)
    return 100 * (statistics.mean(before[task]) - statistics.mean(after[task]))


def _caution(seeds: int) -> str:
    """Say what the intervals are, and what they do not cover."""
    equal = "Costs are compared at equal accuracy: of the cheapest networks within the allowed drop on validation"
    if seeds == 1:
        return f"{equal}. One seed: no ratio has an interval, so none is decided."
    return (
        f"{equal}, as geometric means over the same {seeds} seeds with 95 % intervals (Student's t on logarithms); "
        f"undecided = the interval contains 1. Intervals are not widened for their number: where nothing differs, one "
        f"in twenty leaves 1 out by chance. The cheapest method is chosen and compared on the same seeds, which "
        f"flatters it."
    )
