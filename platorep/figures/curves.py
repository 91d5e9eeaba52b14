"""What figures that follow a score along k or n share: the score, the score corrected for chance, and the lift over chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.figures import style
from platorep.results import views


LEFT = 0.55
PANELS = {"score": "score", "corrected": "corrected for chance", "lift": "score / chance"}


def three_views(pairs: pd.DataFrame) -> pd.DataFrame:
    """Adds chance, corrected and lift to `cross_modal` rows.

    corrected = (score - chance) / (1 - chance), 0 at chance and 1 at the maximum; for mutual k-NN this is R_NX(k) of the
    dimensionality reduction literature. lift = score / chance; NaN where chance is 0 or not known. The table's own null
    mean and corrected score are taken where it has them.
    """
    parts = []
    for _, part in pairs.groupby(["dataset", "metric", "n"], sort=False):
        shared = views.chance(part)
        chance = part.null_mean.fillna(np.nan if shared is None else shared)
        corrected = part.corrected.fillna((part.score - chance) / (1 - chance))
        parts.append(part.assign(chance=chance, corrected=corrected, lift=part.score / chance.where(chance > 0)))
    return pd.concat(parts, ignore_index=True)


def draw_curves(table: pd.DataFrame, label: str, ticks: Sequence[float], names: Sequence[str], chance: bool) -> Figure:
    """Three panels, score, corrected and lift, against a logarithmic axis; one line a language model, mean over vision models.

    Args:
        table: `three_views` rows with a column position.
        label: of the x axis.
        ticks: positions that get a tick.
        names: what the ticks say.
        chance: whether to draw chance as a curve in the first panel.
    """
    models = list(table.language.unique())
    looks = style.categorical(len(models))
    margin = style.tag_width(models) + 0.05
    figure, axes = style.panels(1, 3, panel=(1.75, 1.75), left=LEFT, right=margin, bottom=0.72, top=0.3, gap=(0.5, 0))
    positions = np.sort(table.position.unique())
    pad = (positions[-1] / positions[0]) ** 0.06 if len(positions) > 1 else 1.5
    for panel, (column, title) in zip(axes, PANELS.items(), strict=True):
        lines = (
            table.pivot_table(index="position", columns="language", values=column)[models]
            if table[column].notna().any()
            else None
        )
        panel.set_xscale("log")
        panel.set_xlim(positions[0] / pad, positions[-1] * pad)
        panel.set_xticks(ticks, thinned(panel, ticks, names))
        panel.minorticks_off()
        panel.set_xlabel(label)
        panel.set_title(title, loc="left")
        if lines is None:
            panel.text(
                0.5,
                0.5,
                "no chance level known",
                transform=panel.transAxes,
                fontsize=style.SMALL,
                color=style.MUTED,
                ha="center",
            )
            panel.set_yticks([])
            continue
        level = {"score": None, "corrected": 0.0, "lift": 1.0}[column]
        values = lines.to_numpy()
        shown = [0.0, *values[np.isfinite(values)], *([level] if level is not None else [])]
        panel.set_ylim(min(shown) * 1.1, max(shown) * 1.07)
        for model, look in zip(models, looks, strict=True):
            line = lines[model].dropna()
            panel.plot(line.index, line, label=model, zorder=3, **look.line())
        if level is not None:
            panel.axhline(level, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
        elif chance:
            floor = table.groupby("position").chance.mean()
            panel.plot(floor.index, floor, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
    order = table.groupby("language").score.mean().sort_values(ascending=False).index
    style.key_right(axes[-1], [(model, looks[models.index(model)]) for model in order])
    vision = table.vision.nunique()
    data = ", ".join(dict.fromkeys(views.title_of(d) for d in table.dataset))
    if len(data) > 60:
        data = f"{table.dataset.nunique()} datasets"
    style.note(
        figure, f"Best layer pair, mean over {vision} vision model{'s' * (vision > 1)}, {data}. Dotted: chance.", LEFT
    )
    return figure


def thinned(panel: Axes, ticks: Sequence[float], names: Sequence[str]) -> list[str]:
    """Tick labels of a logarithmic axis without those that would touch the one before."""
    low, high = np.log(panel.get_xlim())
    wide = style.inches(panel)[0]
    shown, end = [], -np.inf
    for tick, name in zip(ticks, names, strict=True):
        middle, half = (np.log(tick) - low) / (high - low) * wide, style.text_width(name) / 2
        free = middle - half > end + 0.04
        shown.append(name if free else "")
        end = middle + half if free else end
    return shown
