"""The figure: how many more units greedy regrouping computes than the optimum; bands: than the bound, if not proved."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pam_opt.report.style import COLOURS, GREY, PAGE_WIDTH

DASHES = ("-", "--", ":")

MOST = 20.0
"""Percent; bounds may be farther."""


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the share of layers within a loss of the greedy, one panel an estimator, one line a threshold."""
    estimators, thresholds = (list(dict.fromkeys(row[name] for row in rows)) for name in ("estimator", "threshold"))
    figure = Figure(figsize=(PAGE_WIDTH, 2.9), layout="constrained")
    axes = figure.subplots(1, len(estimators), sharey=True, squeeze=False)[0]
    for axis, estimator in zip(axes, estimators, strict=True):
        for threshold, colour, dashes in zip(thresholds, COLOURS, DASHES, strict=False):
            own = [row for row in rows if (row["estimator"], row["threshold"]) == (estimator, threshold)]
            _draw_line(axis, own, f"{threshold} ({len(own)})", colour, dashes)
        axis.set_title(str(estimator), fontsize=10)
        axis.set_xlabel("PAM's greedy above the optimum, % of units", fontsize=9)
        axis.set_ylim(0, 1.02)
        axis.set_xlim(0, MOST)
        axis.grid(color=GREY, alpha=0.2)
        axis.legend(title="threshold (cases)", fontsize=8, title_fontsize=8, loc="lower right")
    axes[0].set_ylabel("share of cases")
    figure.savefig(path, dpi=200)


def _draw_line(axis: Axes, rows: list[dict[str, Any]], label: str, colour: str, dashes: str) -> None:
    """Draw a cumulative share; a band to the right of it where the optimum is only bounded."""
    share = np.arange(1, len(rows) + 1) / len(rows)
    least, most = (100 * np.sort([row[name] for row in rows]) for name in ("loss", "loss_at_most"))
    axis.step(np.append(0, least), np.append(0, share), where="post", color=colour, linestyle=dashes, label=label)
    if (most > least).any():
        axis.fill_betweenx(share, least, np.minimum(most, MOST), step="post", color=colour, alpha=0.15, linewidth=0)
