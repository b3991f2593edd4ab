"""One HTML page with everything inside: it opens offline, prints well and needs no script."""

import base64
import math
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from pam_opt.bench.record import Ending, Record
from pam_opt.report.bench.board import Board, Entry, mean_seconds
from pam_opt.report.bench.conclusion import choose, percent, variants

_MOST_REASONS = 12


@dataclass(frozen=True)
class Picture:
    """A figure as SVG, with its caption."""

    name: str
    caption: str
    svg: bytes

    @property
    def uri(self) -> str:
        """The figure itself, for the ``src`` of an image."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


@dataclass(frozen=True)
class Section:
    """What the page shows of one kind of problem."""

    board: Board
    conclusion: str
    pictures: tuple[Picture, ...]


def render(
    title: str,
    sections: tuple[Section, ...],
    records: list[Record],
    planned: int,
    skipped: dict[str, str],
    damaged: dict[Path, str],
) -> str:
    """Return the page as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("page.html").render(
        title=title,
        sections=[_section(section) for section in sections],
        facts=_facts(records, planned),
        endings=Counter(record.ending.value for record in records),
        skipped=skipped,
        damaged={path.name: reason for path, reason in damaged.items()},
    )


def _section(section: Section) -> dict[str, Any]:
    board = section.board
    return {
        "problem": board.problem,
        "conclusion": section.conclusion.partition(": ")[2],
        "pictures": section.pictures,
        "sizes": board.sizes,
        "unit": board.unit,
        "rows": [_row(board, label) for label in board.labels],
        "cells": {size: _best_cells(board, size) for size in board.sizes},
        "reasons": _reasons(board),
    }


def _row(board: Board, label: str) -> dict[str, Any]:
    entries = board.of(label)
    losses = [entry.loss for entry in entries if entry.decided]
    gaps = [entry.record.gap for entry in entries if not math.isnan(entry.record.gap)]
    return {
        "label": label,
        "count": len(entries),
        "reached": percent(statistics.fmean(entry.reached for entry in entries)),
        "proved": percent(statistics.fmean(entry.proved for entry in entries)),
        "median": percent(statistics.median(losses)) if losses else "",
        "worst": percent(max(losses)) if losses else "",
        "gap": percent(statistics.median(gaps)) if gaps else "",
        "memory": f"{max(entry.record.peak_memory for entry in entries) / 2**20:,.0f}",
        "seconds": [_mean_time(board, entries, size) for size in board.sizes],
    }


def _mean_time(board: Board, entries: list[Entry], size: int) -> str:
    found = [entry for entry in entries if board.size_class(entry.record.size) == size]
    if not found:
        return ""
    seconds = mean_seconds(found)
    digits = f"{seconds:.2g}" if seconds < 10 else f"{seconds:,.0f}"
    return digits + ("" if all(entry.decided for entry in found) else "*")


def _best_cells(board: Board, size: int) -> set[str]:
    return {choose(part, size).label for part in variants(board) if size in part.sizes}


def _reasons(board: Board) -> list[dict[str, Any]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for record in [*(entry.record for entry in board.entries), *board.absent]:
        if record.ending is not Ending.SOLVED:
            found[record.label, record.ending.value, record.reason] += 1
    rows = [
        {"label": label, "ending": ending, "reason": reason, "count": count}
        for (label, ending, reason), count in sorted(found.items())
    ]
    more = len(rows) - _MOST_REASONS
    last = [{"label": "", "ending": "", "reason": f"and {more} more, in the records", "count": ""}] if more > 0 else []
    return rows[:_MOST_REASONS] + last


def _facts(records: list[Record], planned: int) -> dict[str, str]:
    packages = {f"{name} {version}" for record in records for name, version in record.packages.items()}
    limits = {
        f"{r.time_limit:g} s, {r.memory_limit_mb:g} MiB, {r.threads} thread{'s' if r.threads > 1 else ''}"
        for r in records
    }
    facts = {
        "cells": f"{len(records)} of {planned}" if planned else str(len(records)),
        "instances": str(len({(r.family, r.size, str(r.severity), r.seed) for r in records})),
        "limits of a cell": _joined(limits),
        "processor": _joined({f"{record.processor}, {record.cores} cores" for record in records}),
        "platform": _joined({f"{record.platform}, Python {record.python}" for record in records}),
        "packages": _joined(packages),
        "commit": _joined({record.commit or "not a checkout" for record in records}),
        "run": _span([record.started for record in records]),
    }
    return {name: text for name, text in facts.items() if text}


def _joined(texts: set[str]) -> str:
    return ", ".join(sorted(texts))


def _span(moments: list[str]) -> str:
    return f"{min(moments)} to {max(moments)}" if moments else ""
