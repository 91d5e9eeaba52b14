"""Experiment (f) of the theory: where it must fail."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import style
from platorep.theory.figures.parts import METRIC_LABELS, chance


@style.styled
def theory_failures(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Left: the residual that a world without a Gram matrix leaves, by step. Right: agreement that must vanish or shrink.

    Args:
        tables: those of `platorep.theory.failures.failures`.
    """
    residuals, floors, verdicts = tables["residuals"], tables["floors"].set_index("floor"), tables["verdicts"]
    figure, axes = style.panels(1, 2, panel=(2.75, 1.8), left=0.55, right=0.15, bottom=1.15, top=0.55, gap=(0.65, 0))
    left, right = axes
    learners = list(dict.fromkeys(residuals.learner))
    for learner, look in zip(learners, style.categorical(len(learners)), strict=True):
        rows = residuals[residuals.learner == learner]
        left.plot(
            rows.step + 1,
            rows.residual,
            **look.line() | {"markersize": 2.5},
            label={"sgns": "sgns: two tables"}.get(learner, learner),
        )
    for kind, text in (("loss", "least nce loss of any Gram matrix"), ("frobenius", "nearest Gram matrix")):
        left.axhline(
            floors.loc[kind, "residual"],
            color=style.MUTED,
            linewidth=0.8,
            linestyle="--" if kind == "loss" else ":",
            label=text,
        )
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_ylim(bottom=max(residuals.residual.min(), 1e-3) / 2)
    left.set_xlabel("training step + 1")
    left.set_ylabel("|Gram − $K_{PMI}$ − offset|")
    left.set_title("no Gram matrix: the residual stays", loc="left")
    left.legend(loc="lower left")
    pairs, metrics = (list(dict.fromkeys(verdicts[c])) for c in ("pair", "metric"))
    for offset, metric, look in zip(
        np.linspace(-0.24, 0.24, len(metrics)), metrics, style.categorical(len(metrics)), strict=True
    ):
        mine = verdicts[verdicts.metric == metric].set_index("pair").loc[pairs]
        error = np.maximum([mine.score - mine.score_low, mine.score_high - mine.score], 0)
        at, label = np.arange(len(pairs)) + offset, METRIC_LABELS.get(metric, metric)
        right.errorbar(
            at,
            mine.score,
            error,
            fmt=look.marker,
            color=look.color,
            markeredgecolor=style.INK,
            markeredgewidth=0.4,
            capsize=1.5,
            label=label,
        )
    rejected = verdicts[verdicts.metric == "mutual_knn"].set_index("pair").rejected
    right.set_xticks(
        range(len(pairs)),
        [f"{pair.replace(' ', chr(10), 1)}\np < .05:\n{100 * rejected[pair]:.0f} %" for pair in pairs],
    )
    right.set_xlim(-0.5, len(pairs) - 0.5)
    right.set_ylim(-0.08, 1.04)
    chance(right, verdicts[verdicts.metric == "mutual_knn"].null_mean.iloc[0], "chance, k-NN", end="left")
    right.set_title("agreement of x and y", loc="left")
    right.legend(loc="upper right")
    width, height = figure.get_size_inches()
    figure.text(0.5 / width, 1 - 0.1 / height, "Where the theory must fail", weight="bold", va="top")
    ratios = f"{floors.loc['loss', 'ratio']:.3f} (least loss), {floors.loc['frobenius', 'ratio']:.3f} (nearest)"
    text = f"Residual over the best Gram matrix's: {ratios}.\n"
    text += f"Right: {int(verdicts.seeds.iloc[0])} seeds, 95 % t intervals; p-values of mutual k-NN from its exact null moments."
    style.note(figure, text, 0.5)
    return figure
