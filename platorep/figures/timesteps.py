"""Alignment of a diffusion model by block and timestep."""

from __future__ import annotations

import pandas as pd

from platorep.core.errors import StoreError, unknown_name
from platorep.figures import layout, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.heat import bar_room, color_bar, heat, printed_size
from platorep.figures.layout import Margins
from platorep.results import views
from platorep.results.labels import metric_label, title_of
from platorep.results.tables import CONCATENATION


NAME = r"^(?P<block>.+)/t=(?P<time>\d+(?:\.\d+)?)$"
"""Name of a layer at a timestep: block.07/t=0.50."""


@figure("alignment")
def timesteps(data: FigureData, *, y: str | None = None, metric: str | None = None, dataset: str | None = None) -> Plot:
    """Score of every block at every timestep of diffusion models with the last layer of another model.

    One panel per model whose layers have a timestep in their names (`scripts/diffusion_features.py`), blocks up in
    depth, noise growing to the right; all panels have one colour scale.

    Args:
        data: all layer pairs.
        y: the other model; by default that with the highest score, after those with random weights are left out.
        metric: full id, when the table holds several.
        dataset: when the table holds several.

    Raises:
        StoreError: no layer has a timestep in its name.
        UnknownNameError: `y` is not in the table.
    """
    chosen = data.pairs(metric, dataset)
    rows = views.rows(data.require("alignment").frame, chosen.metric.iloc[0], chosen.dataset.iloc[0])
    table = _by_timestep(rows)
    if table.empty:
        raise StoreError(
            "no layer has a timestep in its name, such as block.07/t=0.50: run scripts/diffusion_features.py first, "
            "and name its model in the suite (source: imported)."
        )
    if y is not None and y not in set(table.other):
        raise unknown_name("model beside the diffusion models", y, table.other.unique())
    trained = table[table.other_weights != "random"]
    best = y or str((trained if len(trained) else table).sort_values("score").other.iloc[-1])
    table = table[table.other == best].reset_index(drop=True)
    models = list(dict.fromkeys(table.model))
    blocks, times = list(dict.fromkeys(table.sort_values("layer").block)), sorted(table.time.unique())
    note = f"{metric_label(rows.metric.iloc[0])} with the last layer of {best}, n = {rows.n.iloc[0]:,}, "
    note += f"{title_of(rows.dataset.iloc[0])}. t: share of noise."
    cell = min(0.36, max(0.12, 3.0 / max(len(times), 1)))
    margins = Margins(layout.widest(blocks) + 0.15, bar_room(), 0.45, 0.3, across=0.3)
    size = (cell * len(times), max(0.2 * len(blocks), 0.8))
    grid = layout.panels(len(models), len(models), size, margins, note=note, least=0.1 * len(times))
    low, high = min(0.0, float(table.score.min())), float(table.score.max())
    for number, (axes, model) in enumerate(zip(grid.axes, models, strict=True)):
        values = table[table.model == model].pivot(index="block", columns="time", values="score")
        image = heat(axes, values.reindex(index=blocks, columns=times).to_numpy(), low, high, printed_size(cell, 2), 2)
        axes.set_ylim(-0.5, len(blocks) - 0.5)
        axes.set_xticks(range(len(times)), [f"{time:g}".removeprefix("0") for time in times])
        axes.set_yticks(range(len(blocks)), blocks if grid.is_first(number) else [])
        axes.tick_params(length=0)
        axes.set_xlabel("timestep t")
        axes.set_title(model, loc="left", fontsize=style.base())
    color_bar(grid.axes[-1], image)
    return Plot(grid.figure, table.drop(columns="other_weights"))


def _by_timestep(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per model with timesteps, its layer, and other model, with the score of that model's last layer."""
    parts = []
    for own, other in ("xy", "yx"):
        named = rows[f"{own}_layer_name"].str.extract(NAME)
        last = rows[f"{other}_layer"] == rows.groupby(f"{other}_model")[f"{other}_layer"].transform("max")
        plain = ~rows[f"{other}_layer_name"].str.contains("/t=")
        part = pd.DataFrame(
            {
                "model": rows[f"{own}_model"],
                "layer": rows[f"{own}_layer"],
                "block": named.block,
                "time": named.time.astype(float),
                "other": rows[f"{other}_model"],
                "other_weights": rows[f"{other}_weights"],
                "score": rows.score,
            }
        )
        parts.append(part[named.block.notna() & last & plain & (rows[f"{other}_layer"] != CONCATENATION)])
    return pd.concat(parts, ignore_index=True)
