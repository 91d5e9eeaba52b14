"""Shared by figures of a score over k or n: the score, the score corrected for chance, and the lift over chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import layout, marks, style
from platorep.figures.data import Plot
from platorep.figures.layout import Margins
from platorep.results import views
from platorep.results.labels import capitalised, setting


LEFT = 0.55
PANELS = {"score": "score", "corrected": "corrected for chance", "lift": "score / chance"}
LEVEL = {"corrected": 0.0, "lift": 1.0}
"""Chance in the panels where it is one number."""


def three_views(pairs: pd.DataFrame) -> pd.DataFrame:
    """Adds chance, corrected and lift to `views.cross_modal` rows.

    corrected = (score - chance) / (1 - chance), 0 at chance and 1 at the maximum; for mutual k-NN this is R_NX(k) of
    the dimensionality reduction literature. lift = score / chance; NaN where chance is 0 or not known. If the table has
    the null mean and corrected score of fixed layers, these are used.
    """
    parts = []
    for _, part in pairs.groupby(["dataset", "metric", "n"], sort=False):
        shared = views.chance(part)
        chance = part.null_mean_fixed.fillna(np.nan if shared is None else shared)
        corrected = part.corrected_fixed.fillna((part.score - chance) / (1 - chance))
        parts.append(part.assign(chance=chance, corrected=corrected, lift=part.score / chance.where(chance > 0)))
    return pd.concat(parts, ignore_index=True)


def draw_curves(table: pd.DataFrame, label: str, ticks: Sequence[float], names: Sequence[str]) -> Plot:
    """Score, corrected and lift against a logarithmic axis; one line per language model, the mean over vision models.

    Args:
        table: `three_views` rows with a column position.
        label: of the x axis.
        ticks: positions that get a tick.
        names: labels of the ticks.
    """
    models = list(table.language.unique())
    looks = dict(zip(models, style.categorical(len(models)), strict=True))
    vision = table.vision.nunique()
    note = f"{capitalised(setting(table))}; mean over {vision} vision model{'s' * (vision > 1)}. Dotted: chance."
    margins = Margins(LEFT, marks.tag_width(models) + 0.05, 0.58, 0.3, across=0.5)
    grid = layout.panels(3, 3, (1.75, 1.75), margins, note=note, least=1.0, wraps=True)
    positions = np.sort(table.position.unique())
    pad = (positions[-1] / positions[0]) ** 0.06 if len(positions) > 1 else 1.5
    for panel, (column, title) in zip(grid.axes, PANELS.items(), strict=True):
        panel.set_xscale("log")
        panel.set_xlim(positions[0] / pad, positions[-1] * pad)
        panel.set_xticks(ticks, thinned(panel, ticks, names))
        panel.minorticks_off()
        panel.set_xlabel(layout.label(label, layout.inches(panel)[0] + 0.4))
        panel.set_title(title, loc="left")
        _curves(panel, table, column, looks)
    order = table.groupby("language").score.mean().sort_values(ascending=False).index
    marks.key_right(grid.axes[grid.columns - 1], [(model, looks[model]) for model in order])
    columns = ["dataset", "n", "metric", "language", "vision", "position", "score", "chance", "corrected", "lift"]
    return Plot(grid.figure, table[columns])


def _curves(panel: Axes, table: pd.DataFrame, column: str, looks: dict[str, style.Look]) -> None:
    if table[column].isna().all():
        words: dict[str, Any] = {"fontsize": style.small(), "color": style.MUTED, "ha": "center"}
        panel.text(0.5, 0.5, "no chance level known", transform=panel.transAxes, **words)
        panel.set_yticks([])
        return
    lines = table.pivot_table(index="position", columns="language", values=column)[list(looks)]
    level, values = LEVEL.get(column), lines.to_numpy()
    shown = [0.0, *values[np.isfinite(values)], *([level] if level is not None else [])]
    panel.set_ylim(min(shown) * 1.1, max(shown) * 1.07)
    for model, look in looks.items():
        line = lines[model].dropna()
        panel.plot(line.index, line, label=model, zorder=3, **look.line())
    if level is not None:
        marks.chance_line(panel, level)
    else:
        floor = table.groupby("position").chance.mean()
        panel.plot(floor.index, floor, color=style.INK, linewidth=0.8, linestyle=":", label="chance")


def thinned(panel: Axes, ticks: Sequence[float], names: Sequence[str]) -> list[str]:
    """Tick labels of an x axis of any scale, without labels that would touch the previous one."""
    scale = panel.xaxis.get_transform()
    low, high = scale.transform(np.array(panel.get_xlim()))
    wide = layout.inches(panel)[0]
    shown, end = [], -np.inf
    for tick, name in zip(scale.transform(np.array(ticks, dtype=float)), names, strict=True):
        middle, half = (tick - low) / (high - low) * wide, layout.text_width(name) / 2
        free = middle - half > end + 0.04
        shown.append(name if free else "")
        end = middle + half if free else end
    return shown
