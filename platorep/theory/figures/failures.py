"""Experiment (f) of the theory: where it must fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import layout, style
from platorep.figures.layout import Margins
from platorep.theory.figures.parts import METRIC_LABELS, chance, intervals, title


FLOORS = {"loss": "least nce loss of any Gram matrix", "frobenius": "nearest Gram matrix"}


@style.styled
def theory_failures(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Left: residual by step in a world without a Gram matrix. Right: agreement that must vanish or shrink.

    Args:
        tables: result of `platorep.theory.failures.failures`.
    """
    residuals, floors, verdicts = tables["residuals"], tables["floors"].set_index("floor"), tables["verdicts"]
    ratios = f"{floors.loc['loss', 'ratio']:.3f} (least loss), {floors.loc['frobenius', 'ratio']:.3f} (nearest)"
    note = f"Residual over the best Gram matrix's: {ratios}.\n"
    note += f"Right: {int(verdicts.seeds.iloc[0])} seeds, 95 % t intervals; p-values of mutual k-NN from its exact "
    note += "null moments."
    margins = Margins(0.55, 0.15, 0.62, 0.55, across=0.65)
    grid = layout.panels(2, 2, (2.75, 1.8), margins, note=note)
    _residuals(grid.axes[0], residuals, floors)
    _verdicts(grid.axes[1], verdicts)
    title(grid.figure, "Where the theory must fail")
    return grid.figure


def _residuals(panel: Axes, residuals: pd.DataFrame, floors: pd.DataFrame) -> None:
    learners = list(dict.fromkeys(residuals.learner))
    for learner, look in zip(learners, style.categorical(len(learners)), strict=True):
        rows = residuals[residuals.learner == learner]
        name = {"sgns": "sgns: two tables"}.get(learner, learner)
        panel.plot(rows.step + 1, rows.residual, **look.line() | {"markersize": 2.5}, label=name)
    for kind, text in FLOORS.items():
        line: dict[str, Any] = {"color": style.MUTED, "linewidth": 0.8, "linestyle": "--" if kind == "loss" else ":"}
        panel.axhline(floors.loc[kind, "residual"], label=text, **line)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_ylim(bottom=max(residuals.residual.min(), 1e-3) / 2)
    panel.set_xlabel("training step + 1")
    panel.set_ylabel("|Gram − $K_{PMI}$ − offset|")
    panel.set_title("no Gram matrix: the residual stays", loc="left")
    panel.legend(loc="lower left")


def _verdicts(panel: Axes, verdicts: pd.DataFrame) -> None:
    pairs, metrics = (list(dict.fromkeys(verdicts[column])) for column in ("pair", "metric"))
    offsets, looks = np.linspace(-0.24, 0.24, len(metrics)), style.categorical(len(metrics))
    for offset, metric, look in zip(offsets, metrics, looks, strict=True):
        rows = verdicts[verdicts.metric == metric].set_index("pair").loc[pairs]
        intervals(panel, np.arange(len(pairs)) + offset, rows, look, METRIC_LABELS.get(metric, metric))
    neighbours = verdicts[verdicts.metric == "mutual_knn"]
    rejected = neighbours.set_index("pair").rejected
    names = [f"{pair.replace(' ', chr(10), 1)}\np < .05:\n{100 * rejected[pair]:.0f} %" for pair in pairs]
    panel.set_xticks(range(len(pairs)), names)
    panel.set_xlim(-0.5, len(pairs) - 0.5)
    panel.set_ylim(-0.08, 1.04)
    chance(panel, neighbours.null_mean.iloc[0], "chance, k-NN", end="left")
    panel.set_title("agreement of x and y", loc="left")
    panel.legend(loc="upper right")
