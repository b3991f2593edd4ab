"""The figure: how many more units greedy regrouping computes than the optimum, over layers."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pam_opt.report.bench.style import COLOURS, GREY, PAGE_WIDTH

DASHES = ("-", "--", ":")


def draw(results: pd.DataFrame, path: Path) -> None:
    """Draw the share of layers within a loss of the greedy, one panel an estimator, one line a threshold."""
    figure = Figure(figsize=(PAGE_WIDTH, 2.9), layout="constrained")
    axes = figure.subplots(1, results["estimator"].nunique(), sharey=True, squeeze=False)[0]
    for axis, (estimator, rows) in zip(axes, results.groupby("estimator"), strict=True):
        for (threshold, own), colour, dashes in zip(rows.groupby("threshold"), COLOURS, DASHES, strict=False):
            _draw_line(axis, own, f"{threshold} ({len(own)})", colour, dashes)
        axis.set_title(str(estimator), fontsize=10)
        axis.set_xlabel("units computed by PAM's greedy above the optimum, %")
        axis.set_ylim(0, 1.02)
        axis.grid(color=GREY, alpha=0.2)
        axis.legend(title="threshold (layers)", fontsize=8, title_fontsize=8, loc="lower right")
    axes[0].set_ylabel("share of layers")
    figure.savefig(path, dpi=200)


def _draw_line(axis: Axes, rows: pd.DataFrame, label: str, colour: str, dashes: str) -> None:
    """Draw a cumulative share; a band to the right of it where the optimum is only bounded."""
    share = np.arange(1, len(rows) + 1) / len(rows)
    least, most = (100 * np.sort(rows[name]) for name in ("loss", "loss_at_most"))
    axis.step(np.append(0, least), np.append(0, share), where="post", color=colour, linestyle=dashes, label=label)
    if (most > least).any():
        axis.fill_betweenx(share, least, most, step="post", color=colour, alpha=0.15, linewidth=0)
