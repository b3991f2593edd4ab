"""What a study of several budgets shows, in sentences: the best method against PAM, and when the solver matters."""

import statistics
from collections.abc import Mapping, Sequence

from pam_opt.report.budgets import PAIRS, PAM, Panel, Panels, methods_in, panels, relative
from pam_opt.report.cells import Results, count_text
from pam_opt.report.intervals import Ratio
from pam_opt.report.rows import SEPARATE, Row, parents_row


def budget_findings(results: Sequence[Results]) -> str:
    """Say which method is cheapest at equal accuracy under every budget, and what solvers are worth.

    A ratio is decided if its interval leaves out 1.
    """
    found = panels(results)
    best = [_cheapest(methods, _place(panel, budget)) for panel, by in found.items() for budget, methods in by.items()]
    duels = [text for pair in PAIRS if (text := _duel(found, *pair))]
    return "\n\n".join([*best, *duels, _largest_drop(results, found), _caution(len(results))])


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


def _duel(found: Panels, first: str, second: str) -> str:
    """Say under which budgets one method beats another; empty where the study lacks one of them."""
    if not {first, second} <= set(methods_in(found)):
        return ""
    parts = [f"{panel.title}: {_course(budgets, first, second)}" for panel, budgets in found.items()]
    return f"E[C] of {first!r} against {second!r}, by epochs of training. {'; '.join(parts)}."


def _course(budgets: Mapping[float, Mapping[str, Row]], first: str, second: str) -> str:
    verdicts = [(budget, _verdict(rows.get(first), rows.get(second))) for budget, rows in budgets.items()]
    return ", ".join(f"at {budget:g} {verdict}" for budget, verdict in verdicts)


def _verdict(one: Row | None, two: Row | None) -> str:
    """Compare two methods under one budget."""
    if one is None or two is None:
        return "not compared"
    found = relative(one, two)
    if found is None:
        inside = [row.setting.method for row in (one, two) if row.counts]
        return f"only {inside[0]!r} is within the drop" if inside else "neither is within the drop"
    if found.low is None:
        return str(found)
    return f"{('undecided', 'dearer', 'cheaper')[found.side]}, {found}"


def _largest_drop(results: Sequence[Results], found: Panels) -> str:
    """Say how much the networks within the drop, which was kept on validation, lose on test."""
    parents = parents_row(results).accuracy
    drops = [
        (100 * (statistics.mean(parents[task]) - statistics.mean(values)), task, row.setting.method, panel, budget)
        for panel, budgets in found.items()
        for budget, methods in budgets.items()
        for row in methods.values()
        if row.counts
        for task, values in row.accuracy.items()
    ]
    if not drops:
        return "No network is within the allowed drop. Allow a larger drop or more training."
    points, task, method, panel, budget = max(drops, key=lambda drop: drop[0])
    return (
        f"On test, the networks within the allowed drop (which was kept on validation) are at most {points:.2f} points "
        f"below their parents, mean of the seeds: {method!r}, {_place(panel, budget)}, task {task!r}."
    )


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
