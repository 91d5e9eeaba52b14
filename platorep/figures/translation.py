"""What maps between models carry, against the number of anchors: rotation, ridge and relative representations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError, unknown_name
from platorep.figures import layout, marks, style
from platorep.figures.curves import thinned
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.labels import title_of
from platorep.results.translation import LADDER, SELF, SHUFFLED, TranslationTable
from platorep.stats.resampled import corrected_resampled


LEFT = 0.6

NAMES = {"orthogonal": "rotation and scale", "relative": "relative representation", "asif": "ASIF, power 8"}
"""Words for maps that are longer than their names in the table."""

BROKEN = style.Look(style.MUTED, "", "-")
"""Look of the control."""

WORDS = {
    "recall_at_1": "partner is first",
    "recall_at_5": "partner among first 5",
    "recall_at_10": "partner among first 10",
    "median_rank": "median rank of partner",
    "reciprocal_rank": "mean reciprocal rank",
    "cosine_gap": "cosine of partners − of others",
    "r2": "variance explained",
    "class_recall_at_1": "class of first is right",
    "class_accuracy": "nearest class is right",
}
"""Words for the measures that can be drawn."""


@figure("translation")
def translation(data: FigureData, *, measure: str = "recall_at_10") -> Plot:
    """Score of each map over the number of anchors: one panel an x model, one line a map, all from the same anchors.

    A line is the mean over both directions and over the intact, trained y models; where none is, over all of them. The
    grey line is the mean over maps that were fitted to broken pairs, the dotted line chance in closed form. Degraded x
    models have no panel.

    Args:
        data: the table of `platorep translate`.
        measure: the score to draw.

    Raises:
        StoreError: the table has no pair of different models.
        UnknownNameError: a measure that the table does not have.
    """
    table: TranslationTable = data.require("translation")
    frame = table.frame[(table.frame.experiment == "translation") & (table.frame.y_model != SELF)]
    known = [name for name in WORDS if name in set(frame.measure)]
    if frame.empty:
        raise StoreError("the table of maps has no pair of different models: run `platorep translate`.")
    if measure not in known:
        raise unknown_name("measure in the table of maps", measure, known)
    rows = frame[frame.measure == measure]
    lines = _lines(rows)
    maps = [name for name in LADDER if name in set(lines["map"])]
    looks = dict(zip(maps, style.categorical(len(maps)), strict=True))
    models = list(lines.x_model.unique())
    words = [NAMES.get(name, name) for name in maps]
    margins = Margins(LEFT, marks.tag_width([*words, "broken pairs"]) + 0.05, 0.45, 0.3, across=0.18, down=0.4)
    columns, note = min(3, len(models)), _note(rows, lines)
    grid = layout.panels(len(models), columns, (1.8, 1.7), margins, note=note, share="xy", least=1.1, wraps=True)
    _limits(grid.axes[0], lines)
    ticks = sorted(lines.n_fit.unique())[::-2][::-1]  # the last one among them
    for number, (panel, model) in enumerate(zip(grid.axes, models, strict=True)):
        _panel(panel, lines[lines.x_model == model], looks)
        panel.set_title(model, loc="left")
        panel.set_xticks(ticks, thinned(panel, ticks, [str(count) for count in ticks]))
        panel.xaxis.minorticks_off()
        panel.tick_params(labelleft=grid.is_first(number), labelbottom=grid.is_lowest(number))
        if grid.is_lowest(number):
            panel.set_xlabel("anchors")
        if grid.is_first(number):
            panel.set_ylabel(WORDS[measure])
    entries = [*zip(words, looks.values(), strict=True), ("broken pairs", BROKEN)]
    marks.key_right(grid.axes[min(grid.columns, len(models)) - 1], entries)
    return Plot(grid.figure, lines)


def _limits(panel: Axes, lines: pd.DataFrame) -> None:
    """One range for all panels: a logarithmic axis of anchors, and scores from 0 or below."""
    panel.set_xscale("log")
    panel.set_xlim(lines.n_fit.min() / 1.3, lines.n_fit.max() * 1.3)
    shown = lines[["score", "low", "high", "chance"]].to_numpy()
    low, high = min(0.0, np.nanmin(shown)), np.nanmax(shown)
    panel.set_ylim(low * 1.05, high * 1.05)


def _lines(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over y models and directions with the interval over splits: one row an x model, map and number of anchors.

    Scores from broken pairs, of which there is one split, are rows of the map "broken pairs", as means over maps.
    """
    rows = rows[rows.x_dial == ""]
    partners = rows[(rows.y_dial == "") & (rows.y_weights == "pretrained")]
    rows = partners if len(partners) else rows
    broken = rows.control == SHUFFLED
    rows = rows.assign(map=rows["map"].where(~broken, "broken pairs"))
    by = ["x_model", "map", "n_fit"]
    splits = rows.pivot_table(index=by, columns="seed", values="score", sort=False)
    groups = rows.groupby(by, sort=False)
    lines = splits.mean(axis=1).rename("score").to_frame().join(groups.chance.mean())
    lines = lines.join(groups.y_model.nunique().rename("partners")).assign(low=np.nan, high=np.nan)
    whole = splits.notna().all(axis=1).to_numpy()
    if splits.shape[1] > 1 and whole.any():
        n, n_test = int(rows.n.iloc[0]), int(rows.n_test.iloc[0])
        means = corrected_resampled(splits[whole].to_numpy(), n_test, n - n_test)
        lines.loc[whole, "low"], lines.loc[whole, "high"] = means.low, means.high
    return lines.reset_index()


def _note(rows: pd.DataFrame, lines: pd.DataFrame) -> str:
    data = ", ".join(dict.fromkeys(title_of(dataset) for dataset in rows.dataset))
    splits, partners = rows.seed.nunique(), lines.partners.max()
    note = f"{data}, {rows.n_test.iloc[0]} test samples. Mean over both directions"
    note += f" and {partners} models. " if partners > 1 else ". "
    if splits > 1:
        note += f"Bars: 95 % over {splits} splits (corrected for their overlap). "
    return note + "Dotted: chance. Scores of maps are translatability, not alignment."


def _panel(panel: Axes, part: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    """Lines with their intervals, the control and chance."""
    for place, (name, look) in enumerate(looks.items()):
        line = part[part["map"] == name].sort_values("n_fit")
        # bars of several maps do not hide each other
        aside = 1.035 ** (place - (len(looks) - 1) / 2)
        panel.plot(line.n_fit * aside, line.score, label=name, zorder=3, **look.line())
        panel.vlines(line.n_fit * aside, line.low, line.high, color=look.color, linewidth=0.8, zorder=2)
    for name, values, dash in (("broken pairs", "score", "-"), (next(iter(looks)), "chance", ":")):
        line = part[part["map"] == name].sort_values("n_fit")
        color = style.MUTED if dash == "-" else style.INK
        panel.plot(line.n_fit, line[values], color=color, linewidth=0.8, linestyle=dash, zorder=1)
