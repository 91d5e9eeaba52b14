"""Alignment of the tokens that a language model generates after a prompt, and what each prompt adds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.labels import title_of


SCORE, NO_PROMPT = "mutual k-NN", "no prompt"


@figure("study")
def generated(data: FigureData) -> Plot:
    """Left: mutual k-NN of every version of a language model. Right: each version less that without a prompt.

    One row per language model, with the other model for which the score without a prompt is highest; one marker per
    version. Bars are 95 % over samples, of the difference paired; filled differences have p < .05 (signs of the
    samples' differences drawn at random). Dotted: chance, and no difference.

    Args:
        data: the table of `reproduce generated`.
    """
    rows = data.require("study").pairs()
    base = rows[(rows.quantity == SCORE) & (rows.setting == NO_PROMPT)].sort_values("value", ascending=False)
    best = base.drop_duplicates("x_model")
    shown = rows.merge(best[["x_model", "y_model"]], on=["x_model", "y_model"])
    models, versions = list(best.x_model)[::-1], list(dict.fromkeys(shown.setting))
    looks = dict(zip(versions, style.categorical(len(versions)), strict=True))
    note = f"{title_of(rows.dataset.iloc[0])}; each with the model of the other side that scores highest without a "
    note += "prompt. Bars: 95 % over samples. Filled differences: p < .05, signs drawn at random."
    margins = Margins(
        layout.widest(models) + 0.15,
        marks.tag_width([version.replace("_", " ") for version in versions]) + 0.05,
        0.45,
        0.15,
        across=0.25,
    )
    height = max(0.16 * len(versions) * len(models) + 0.3, 1.2)
    grid = layout.panels(2, 2, (2.3, height), margins, note=note, least=1.2)
    left, right = grid.axes
    scores, differences = shown[shown.quantity == SCORE], shown[shown.quantity == f"less {NO_PROMPT}"]
    _forest(left, scores, models, looks, filled=pd.Series(True, index=scores.index))
    _forest(right, differences, models, looks, filled=differences.p_value < 0.05)
    chance = float(scores.null_mean.mean())
    for panel, level, name in ((left, chance, "chance"), (right, 0.0, "no difference")):
        panel.axvline(level, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label=name)
    left.set_xlabel(SCORE)
    right.set_xlabel(f"less {NO_PROMPT}")
    left.set_yticks(np.arange(len(models)), models)
    right.set_yticks([])
    marks.key_right(right, [(version.replace("_", " "), look) for version, look in looks.items()])
    columns = ["x_model", "y_model", "setting", "quantity", "value", "low", "high", "null_mean", "p_value"]
    return Plot(grid.figure, rows[columns].reset_index(drop=True))


def _forest(
    panel: Axes, rows: pd.DataFrame, models: list[str], looks: dict[str, style.Look], *, filled: pd.Series
) -> None:
    for place, (version, look) in enumerate(looks.items()):
        part = rows[rows.setting == version].set_index("x_model")
        full = filled[rows.setting == version].to_numpy()
        at = np.array([models.index(model) for model in part.index]) - 0.15 * (place - (len(looks) - 1) / 2)
        panel.hlines(at, part.low, part.high, color=look.color, linewidth=0.9, zorder=2)
        for solid in (True, False):
            more = look.line() | {"linestyle": "", "zorder": 3}
            if not solid:
                more |= {"markerfacecolor": "white", "markeredgecolor": look.color}
            panel.plot(part.value[full == solid], at[full == solid], label=version if solid else "", **more)
    panel.set_ylim(-0.6, len(models) - 0.4)
    low, high = float(rows.low.min()), float(rows.high.max())
    room = 0.06 * (high - low)
    panel.set_xlim(min(low, 0) - room, max(high, 0) + room)
