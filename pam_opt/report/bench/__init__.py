"""The report of a benchmark: one HTML page, the figures as PDF and PNG, and the conclusion in words."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from pam_opt.atomic import write_atomic, write_text
from pam_opt.bench.record import Record, read_records
from pam_opt.errors import ConfigError
from pam_opt.report.bench.board import Board, make_boards
from pam_opt.report.bench.conclusion import conclusion
from pam_opt.report.bench.figures import FIGURES, Looks
from pam_opt.report.bench.page import Picture, Section, render
from pam_opt.report.style import looks
from pam_opt.study.folder import make_folder

_SETTINGS: Any = {"font.family": "DejaVu Sans", "font.size": 9, "pdf.fonttype": 42, "svg.hashsalt": "pam-opt"}
"""Fonts stay text in PDF, and the same data gives the same file."""

FORMATS = ("pdf", "png")
"""Of the figures for a paper; the page holds them as SVG."""


@dataclass(frozen=True)
class Report:
    """What was written.

    Parameters
    ----------
    page : the HTML page
    figures : PDF and PNG files
    conclusion : a paragraph for each kind of problem
    damaged : records that could not be read, with the reason
    """

    page: Path
    figures: tuple[Path, ...]
    conclusion: tuple[str, ...]
    damaged: dict[Path, str]


def write_report(folder: Path, out: Path) -> Report:
    """Write the report on a benchmark's folder.

    Parameters
    ----------
    folder : what `pam_opt.bench.run_bench` wrote, or any folder of its records
    out : folder for ``report.html`` and ``figures/``

    Raises
    ------
    ConfigError : there is no readable record
    StorageError : the report cannot be written
    """
    cells = folder / "cells"
    records, damaged = read_records((cells if cells.is_dir() else folder).glob("*.parquet"))
    if not records:
        named = "".join(f"; {reason}" for reason in damaged.values())
        raise ConfigError(f"{str(folder)!r} holds no readable record of 'pam-opt bench'{named}")
    planned, skipped = _plan(folder)
    make_folder(out / "figures")
    sections, figures = [], []
    for board in make_boards(records):
        if board.entries:
            labels = sorted({record.label for record in records if record.problem == board.problem})
            pictures, paths = _draw(board, looks(labels), out / "figures")
            sections.append(Section(board, conclusion(board), pictures))
            figures += paths
    page = out / "report.html"
    write_text(page, render(_title(records), tuple(sections), records, planned, skipped, damaged))
    return Report(page, tuple(figures), tuple(section.conclusion for section in sections), damaged)


def _draw(board: Board, by_label: Looks, folder: Path) -> tuple[tuple[Picture, ...], list[Path]]:
    pictures, paths = [], []
    for name, (caption, draw) in FIGURES.items():
        with rc_context(_SETTINGS):
            figure = draw(board, by_label)
            if figure is None:
                continue
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once, not for every format
            pictures.append(Picture(name, caption, _svg(figure)))
            for suffix in FORMATS:
                path = folder / f"{board.problem}_{name}.{suffix}"
                _save(figure, path, suffix)
                paths.append(path)
    return tuple(pictures), paths


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _save(figure: Figure, path: Path, suffix: str) -> None:
    metadata = {"CreationDate": None} if suffix == "pdf" else {}
    write_atomic(path, lambda temporary: figure.savefig(temporary, format=suffix, dpi=200, metadata=metadata))


def _plan(folder: Path) -> tuple[int, dict[str, str]]:
    """Return how many cells were planned, 0 = not known, and the skipped instances."""
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf8"))
        return len(plan["cells"]), dict(plan["skipped"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, {}


def _title(records: list[Record]) -> str:
    return ", ".join(sorted({record.study for record in records}))
