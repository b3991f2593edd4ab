"""Tables of results: combination x method, for one seed or the mean over several."""

import statistics
from collections.abc import Sequence

from pam_opt.report.cells import Results
from pam_opt.report.rows import SEPARATE, Row, rows

_MOST_COLUMNS = 9


def not_applicable(results: Sequence[Results]) -> list[str]:
    """Say of all that does not apply why, a line for each reason; results of earlier versions name none."""
    found: dict[tuple[str, str], list[int]] = {}
    for result in results:
        for name, reason in result.get("does_not_apply", {}).items():
            found.setdefault((name, reason), []).append(result["experiment"]["seed"])
    together: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (name, reason), seeds in found.items():
        together.setdefault((reason, tuple(seeds)), []).append(repr(name))
    return [
        f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} not apply{_which(seeds, len(results))}: {reason}"
        for (reason, seeds), names in together.items()
    ]


def _which(seeds: Sequence[int], count: int) -> str:
    return "" if len(seeds) == count else f" (seed {', '.join(map(str, seeds))})"


def markdown_table(results: Sequence[Results]) -> str:
    """Write the table as Markdown."""
    return as_markdown(result_cells(results))


def as_markdown(lines: Sequence[Sequence[str]]) -> str:
    """Write lines of cells as a Markdown table: the first is the header, the first column the names."""
    header, *others = lines
    rule = [":--"] + ["--:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *others]) + "\n"


def seed_ratios_table(results: Sequence[Results]) -> str:
    """Write E[C] / separate of every method seed by seed, as Markdown; empty where there are no such ratios."""
    table = [row for row in rows(results) if row.ratios and row.setting.method != SEPARATE]
    if not table or len(results) == 1:
        return ""
    header = ["E[C] / separate", *(f"seed {result['experiment']['seed']}" for result in results)]
    return as_markdown([header, *([row.name, *(f"{ratio:.2f}" for ratio in row.ratios)] for row in table)])


def result_cells(results: Sequence[Results]) -> list[list[str]]:
    """Write all cells, header first: one column for each method, or one row where that would be too wide."""
    table = rows(results)
    tasks = sorted(results[0]["parents"])
    combinations = list(next(iter(results[0]["methods"].values()))["combinations"])
    names = [*(f"{task} %" for task in tasks), *combinations, "E[C]", "/ separate"]
    accuracies = [spread([100 * result["parents"][task]["accuracy"] for result in results], 1) for task in tasks]
    ratio = any(row.ratios for row in table)
    columns = [["%, kMAC", *names], ["parents", *accuracies, *("" for _ in [*combinations, "", ""])]]
    columns += [_column(row) for row in table]
    absent = {unit: None for result in results for unit in result.get("does_not_apply", {})}
    columns += [[f"{unit} (does not apply)", *("-" for _ in names)] for unit in absent]
    columns = columns if ratio else [column[:-1] for column in columns]
    transposed = [list(line) for line in zip(*columns, strict=True)]
    return transposed if len(columns) <= _MOST_COLUMNS else columns


def _column(row: Row) -> list[str]:
    mark = "" if row.counts else " (!)"
    accuracy = [spread([100 * value for value in values], 1) for values in row.accuracy.values()]
    macs = [kilo(values) for values in row.macs.values()]
    ratio = spread(row.ratios, 2) if row.ratios else ""
    return [row.name + mark, *accuracy, *macs, kilo(row.expected), ratio]


def spread(values: Sequence[float], digits: int) -> str:
    """Write a mean, with the standard deviation where there are several values."""
    mean = f"{statistics.mean(values):,.{digits}f}"
    return mean if len(set(values)) < 2 else f"{mean} ± {statistics.stdev(values):,.{digits}f}"


def kilo(macs: Sequence[float]) -> str:
    """Write MACs in thousands, as `spread` does."""
    return spread([value / 1e3 for value in macs], 1 if statistics.mean(macs) < 1e5 else 0)
