"""What a table shows, in sentences written from the numbers: costs where networks were pruned, otherwise accuracy."""

import statistics
from collections.abc import Mapping, Sequence

from pam_opt.report.budget_sentences import budget_findings
from pam_opt.report.budgets import has_budgets
from pam_opt.report.cells import Results, training_text, width_text
from pam_opt.report.comparisons import RIVALS, Comparison, HeuristicLoss, comparisons, heuristic_losses
from pam_opt.report.rows import SEPARATE, Contest, Row, contests, rows

_CONTROLS = ("greedy", "random", "select", "all-shared")


def findings(results: Sequence[Results]) -> str:
    """Say which method is cheapest, or most accurate, and what the optimum is worth beside greedy and the controls."""
    if has_budgets(results):
        return budget_findings(results)
    table = rows(results)
    if all(None in row.within for row in table):
        return _accuracy_findings(results)
    stepwise = len(results[0]["parents"]) > 2
    found = contests(table)
    lines = [_cost_findings(methods, _where(c) if len(found) > 1 else "", stepwise) for c, methods in found.items()]
    return "\n".join(lines)


def _where(contest: Contest) -> str:
    width = "" if contest.width is None else f"width {width_text(contest.width)}, "
    return f" ({width}{training_text(contest.training)})"


def _cost_findings(methods: Mapping[str, Row], where: str, stepwise: bool) -> str:
    """Write two sentences on the methods of one contest that stayed within the drop."""
    within = {name: row for name, row in methods.items() if row.counts}
    if not within:
        return f"No method stayed within the allowed drop{where}. Allow a larger drop or more fine-tuning steps."
    name, cheapest = min(within.items(), key=lambda item: statistics.mean(item[1].expected))
    first = f"Cheapest{where} is {name!r} with E[C] = {statistics.mean(cheapest.expected) / 1e3:,.1f} kMAC"
    if cheapest.ratios and name != SEPARATE:
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


def _accuracy_findings(results: Sequence[Results]) -> str:
    """Compare accuracy, mean of the tasks, two methods at a time; a difference counts if its interval leaves out 0."""
    made = comparisons(results)
    if not made:
        return "The study has no two methods that are worth comparing, such as an optimum and its greedy."
    losses = heuristic_losses(results)
    pairs = dict.fromkeys((comparison.first, comparison.second) for comparison in made)
    lines = [_pair([c for c in made if (c.first, c.second) == pair], losses, len(results)) for pair in pairs]
    return "\n\n".join([*lines, _caution(made, len(results))])


def _pair(made: Sequence[Comparison], losses: Sequence[HeuristicLoss], seeds: int) -> str:
    """Compare one method with another in one line."""
    first, second = made[0].first, made[0].second
    write = _without_interval if seeds == 1 else _with_interval
    accuracy = "; ".join(f"{training_text(comparison.training)} {write(comparison)}" for comparison in made)
    if RIVALS.get(first) != second:
        return f"{first!r} against {second!r}: {accuracy}."
    values = _objective([loss for loss in losses if loss.best == first])
    return f"Does {first!r} beat its greedy, {second!r}? {values}In accuracy: {accuracy}."


def _objective(losses: Sequence[HeuristicLoss]) -> str:
    """Say how much of the objective a heuristic loses, and how far the best one is proven."""
    if not losses:
        return ""
    gaps = [gap for loss in losses for gap in loss.gaps]
    known = [gap for gap in gaps if gap is not None]
    proof = f"proven to a gap of {max(known):.0e}" if known == gaps else "not proven"
    total = 100 * statistics.mean(value for loss in losses for value in loss.totals)
    most = 100 * max(value for loss in losses for value in loss.layers)
    return (
        f"In the objective, by {total:.2f} % of the sum over layers and at most {most:.2f} % in one layer "
        f"(the better one is {proof}). "
    )


def _with_interval(comparison: Comparison) -> str:
    """Say at which widths a difference is decided, and what remains over all widths."""
    found = comparison.differences
    ahead = [f"{i}{_at(w, found)}" for w, i in found.items() if i.sign > 0]
    behind = [f"{i}{_at(w, found)}" for w, i in found.items() if i.sign < 0]
    parts = [f"ahead by {_join(ahead)}"] if ahead else []
    parts += [f"behind by {_join(behind)}"] if behind else []
    undecided = [(width_text(w), i) for w, i in found.items() if i.sign == 0]
    if len(found) == 1 and undecided:
        return f"undecided ({undecided[0][1]} points)"
    if undecided:
        everywhere = len(undecided) == len(found)
        parts.append("undecided at every width" if everywhere else f"undecided at {_join([w for w, _ in undecided])}")
    if len(found) == 1:
        return f"{parts[0]} points"
    verdict = "" if comparison.overall.sign else ", undecided"
    return f"{_join(parts)} (all widths: {comparison.overall} points{verdict})"


def _at(width: float | None, found: Mapping[float | None, object]) -> str:
    return f" at width {width_text(width)}" if len(found) > 1 else ""


def _without_interval(comparison: Comparison) -> str:
    found = comparison.differences
    return _join([f"{value}{_at(width, found)}" for width, value in found.items()]) + " points"


def _caution(made: Sequence[Comparison], seeds: int) -> str:
    """Say what the intervals are, and how many there are."""
    if seeds == 1:
        return "One seed: none of these differences has an interval, so none is decided."
    count = sum(len(comparison.differences) for comparison in made)
    return (
        f"Differences are in points of accuracy on the same {seeds} seeds and test images, with 95 % intervals over "
        f"seeds (Student's t); undecided = the interval contains 0. The {count} intervals are not widened for their "
        f"number: where nothing differs, one in twenty leaves 0 out by chance."
    )


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
