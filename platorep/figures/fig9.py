"""Alignment against the length of the captions, over datasets whose captions are cut or summarised (Figure 9)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.figures.marks import Tag
from platorep.results import views
from platorep.results.labels import capitalised, metric_label, setting


LEFT = 0.62
MEAN = "mean of all pairs"


@figure("alignment")
def fig9(data: FigureData, *, metric: str | None = None) -> Plot:
    """Alignment against the length of the captions: mean over all pairs, and each language model (PRH, Fig. 9).

    The thick line is the mean over all language and vision models, its whisker the standard deviation over language
    models (each the mean over vision models), as in the paper. Thin lines are the language models.

    Args:
        data: language x vision pairs, one dataset for each caption length (column `words`).
        metric: full id, when the table holds several.

    Raises:
        StoreError: no row has a caption length.
    """
    pairs = views.by_variant(data.chosen, metric, "words")
    table = pairs.pivot_table(index="words", columns="language", values="score")[list(pairs.language.unique())]
    chance = views.chance(pairs)
    note = f"{capitalised(setting(pairs))}; {pairs.vision.nunique()} vision models. Whiskers: SD over language models."
    label = layout.label(f"alignment, {metric_label(pairs.metric.iloc[0])}", 2.1 + 0.4)
    margins = Margins(LEFT + layout.label_room(label), marks.tag_width([MEAN, *table.columns]) + 0.1, 0.45, 0.15)
    grid = layout.panels(1, 1, (2.7, 2.1), margins, note=note)
    (axes,) = grid.axes
    _limits(axes, table, chance)
    tags = [*_lines(axes, table), *marks.chance_line(axes, chance)]
    marks.tag_right(axes, tags)
    axes.set_xlabel("words a caption")
    axes.set_ylabel(label)
    columns = ["dataset", "words", "language", "vision", "score"]
    return Plot(grid.figure, pairs[columns].sort_values("words", kind="stable", ignore_index=True))


def _spread(table: pd.DataFrame) -> pd.Series | None:
    return table.std(axis=1, ddof=1) if len(table.columns) > 1 else None


def _limits(axes: Axes, table: pd.DataFrame, chance: float | None) -> None:
    x, mean, spread = table.index.to_numpy(), table.mean(axis=1), _spread(table)
    pad = 0.06 * (np.ptp(x) or 1)
    axes.set_xlim(x.min() - pad, x.max() + pad)
    highest = [np.nanmax(table.to_numpy()), (mean + (0 if spread is None else spread)).max(), chance or 0.0]
    axes.set_ylim(min(0.0, 1.1 * float(np.nanmin(table.to_numpy()))), 1.08 * max(map(float, highest)))
    axes.set_xticks(x, [f"{v:g}" for v in x])


def _lines(axes: Axes, table: pd.DataFrame) -> list[Tag]:
    tags = []
    for name, look in zip(table.columns, style.categorical(len(table.columns)), strict=True):
        y = table[name].dropna()
        axes.plot(y.index, y, label=name, zorder=2, **(look.line() | {"linewidth": 0.6, "markersize": 2.8}))
        tags.append(Tag(y.iloc[-1], name, look))
    whole, mean = style.Look(style.INK, "o", "-"), table.mean(axis=1)
    bars = whole.line() | {"linewidth": 1.8, "capsize": 2.5, "elinewidth": 0.9, "zorder": 4}
    axes.errorbar(table.index, mean, yerr=_spread(table), label=MEAN, **bars)
    return [*tags, Tag(mean.iloc[-1], MEAN, whole)]
