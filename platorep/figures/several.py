"""Scores against the number of captions (or pictures) per item: pooled, or multiplied."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.labels import title_of


LEFT = 0.55
SCORE, LIMIT, AMPLITUDE, EXPONENT = "mutual k-NN", "limit S", "amplitude C", "exponent α"
SIDES = {"captions": ("x_model", "y_model"), "pictures": ("y_model", "x_model")}
"""What there are several of: the column of the models that take them, and of the other side."""


@figure("study")
def several(data: FigureData) -> Plot:
    """Mutual k-NN against the number of captions per item, in both readings of several captions.

    Full lines, filled: the captions of an item are pooled, and the line is the law S - C n^(-alpha). Dashed, hollow:
    every caption is an item of its own. One colour per model that takes the captions, with the model of the other
    side for which one caption scores highest. Bars are 95 % over items; dotted is chance of either reading. Several
    pictures per item have a panel of their own.

    Args:
        data: the table of `reproduce several`.
    """
    rows = data.require("study").pairs()
    kinds = [kind for kind in SIDES if rows.setting.str.startswith(kind).any()]
    shown = {kind: _best(rows[rows.setting.str.startswith(kind)], kind) for kind in kinds}
    models = list(dict.fromkeys(model for kind in kinds for model in shown[kind][SIDES[kind][0]]))
    looks = dict(zip(models, style.categorical(len(models)), strict=True))
    note = f"{title_of(rows.dataset.iloc[0])}; each with its best model of the other side. Filled: pooled, and the law "
    note += "S − C n^−α. Hollow: each is an item. Bars: 95 % over items. Dotted: chance."
    margins = Margins(LEFT, marks.tag_width(models) + 0.05, 0.45, 0.15, across=0.5)
    grid = layout.panels(len(kinds), len(kinds), (2.6, 2.1), margins, note=note, least=1.2, wraps=True)
    for panel, kind in zip(grid.axes, kinds, strict=True):
        _panel(panel, shown[kind], kind, looks)
    order = sorted(looks, key=lambda model: -max(_last(shown[kind], kind, model) for kind in kinds))
    marks.key_right(grid.axes[grid.columns - 1], [(model, looks[model]) for model in order])
    columns = ["x_model", "y_model", "setting", "position", "quantity", "value", "low", "high", "null_mean"]
    return Plot(grid.figure, rows[columns].reset_index(drop=True))


def _best(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of the pairs that score highest with one caption, one pair per model that takes them."""
    own, _ = SIDES[kind]
    first = rows[(rows.quantity == SCORE) & (rows.position == 1)].sort_values("value", ascending=False, kind="stable")
    pairs = first.drop_duplicates(own)[["x_model", "y_model"]]
    return rows.merge(pairs, on=["x_model", "y_model"])


def _last(rows: pd.DataFrame, kind: str, model: str) -> float:
    part = rows[(rows[SIDES[kind][0]] == model) & (rows.quantity == SCORE)]
    return float(part[part.position == part.position.max()].value.max()) if len(part) else -np.inf


def _panel(panel: Axes, rows: pd.DataFrame, kind: str, looks: dict[str, style.Look]) -> None:
    scores = rows[rows.quantity == SCORE]
    for model in dict.fromkeys(scores[SIDES[kind][0]]):
        look = looks[model]
        for reading in ("pooled", "multiplied"):
            where = (scores[SIDES[kind][0]] == model) & (scores.setting == f"{kind} {reading}")
            part = scores[where].sort_values("position")
            law = rows[(rows[SIDES[kind][0]] == model) & (rows.setting == f"{kind} {reading}")]
            _curve(panel, part, law.set_index("quantity").value, look, reading)
    for reading in ("pooled", "multiplied"):
        chance = scores[scores.setting == f"{kind} {reading}"].groupby("position").null_mean.first()
        panel.plot(chance.index, chance, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label="chance")
    most = int(scores.position.max())
    panel.set_xlim(0.6, most + 0.4)
    panel.set_xticks(range(1, most + 1) if most <= 10 else sorted(scores.position.unique()))
    panel.set_ylim(0, 1.05 * float(scores.high.max()))
    panel.set_xlabel(f"{kind} per item")
    panel.set_ylabel(SCORE)


def _curve(panel: Axes, part: pd.DataFrame, law: pd.Series, look: style.Look, reading: str) -> None:
    pooled = reading == "pooled"
    bars = {"color": look.color, "linewidth": 0.7, "zorder": 2}
    panel.vlines(part.position, part.low, part.high, **bars)
    marker = look.line() | {"linestyle": "", "markersize": 3.2, "zorder": 3}
    if not pooled:
        marker |= {"markerfacecolor": "white", "markeredgecolor": look.color}
    panel.plot(part.position, part.value, label=reading, **marker)
    x, y = part.position.to_numpy(), part.value.to_numpy()
    if pooled and EXPONENT in law.index and np.isfinite(law[EXPONENT]):
        x = np.linspace(1, x[-1], 100)
        y = law[LIMIT] - law[AMPLITUDE] * x ** -law[EXPONENT]
    panel.plot(x, y, color=look.color, linewidth=0.9, linestyle="-" if pooled else "--", zorder=2, label="line")
