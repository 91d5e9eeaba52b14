"""Alignment against competence: the line of some models, and the other models beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from platorep.core.errors import SpecError, StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.labels import label_points
from platorep.figures.layout import Margins
from platorep.results import views
from platorep.results.labels import capitalised, metric_label, model_labels, setting
from platorep.results.rises import rise, rise_table


LEFT = 0.6


@figure("alignment", "competence")
def extrapolation(
    data: FigureData,
    *,
    fit_on: Sequence[str] = (),
    measure: str = "bits_per_byte",
    task: str | None = None,
    metric: str | None = None,
) -> Plot:
    """Does a line that was fitted to some language models hold for others? (Koepke et al. 2026)

    Each point is a trained language model: its alignment, the mean over the vision models, against its competence.
    Filled points are those that the least-squares line is fitted to, open ones the others. The note has R² on both,
    with intervals over families, and the mean distance of the others from the line with its p
    (`platorep.stats.extrapolation`).

    Args:
        data: language x vision pairs, and the measure of language models.
        fit_on: models or families of the line.
        measure: of competence; bits per byte are shown as 1 - value.
        task: corpus of the measure, when there are several.
        metric: full id, when the table holds several.

    Raises:
        SpecError: no model is named to fit.
        StoreError: too few models on either side.
    """
    rows = data.pairs(metric)
    if not fit_on:
        raise SpecError("figure.extrapolation.fit_on names no model or family to fit the line to, such as [llama].")
    pairs, facts = views.cross_modal(rows), views.models(rows)
    values = views.measure(data.competence, measure, task)
    x = 1 - values if measure.startswith("bits_per_byte") else values
    result = rise(pairs, facts, x, fit_on)
    if result.trend is None or result.trend.prediction is None:
        raise StoreError(result.sentence)
    line = result.trend.prediction
    table = rise_table(pairs, facts, x)
    table["fitted"] = table.index.isin(fit_on) | table.family.isin(fit_on)
    note = f"{capitalised(setting(pairs))}; mean over {pairs.vision.nunique()} vision models. {result.sentence}"
    margins = Margins(LEFT, marks.tag_width(["line's models"]) + 0.1, 0.45, 0.15)
    grid = layout.panels(1, 1, (2.6, 2.1), margins, note=note)
    (axes,) = grid.axes
    pad = 0.12 * float(np.ptp(table.x))
    axes.set_xlim(table.x.min() - pad, table.x.max() + pad)
    ends = np.array(axes.get_xlim())
    span = [table.y.min(), table.y.max()]
    room = 0.25 * (span[1] - span[0])
    axes.set_ylim(span[0] - room, span[1] + room)
    axes.plot(ends, line.intercept + line.slope * ends, color=style.INK, linewidth=0.9, zorder=2, label="line")
    looks = [style.Look(style.OKABE_ITO[0], "o", ""), style.Look("white", "o", "")]
    for fitted, look in zip((True, False), looks, strict=True):
        part = table[table.fitted == fitted]
        axes.plot(part.x, part.y, zorder=3, label="line's models" if fitted else "others", **look.line())
    label_points(axes, table.x, table.y, model_labels(list(table.index), views.doses(facts)))
    marks.key_right(axes, [("line's models", looks[0]), ("others", looks[1])])
    axes.set_xlabel("1 − bits per byte" if measure.startswith("bits_per_byte") else measure.replace("_", " "))
    axes.set_ylabel(layout.label(f"alignment, {metric_label(pairs.metric.iloc[0])}", 2.5))
    predicted = line.intercept + line.slope * table.x
    return Plot(grid.figure, table.assign(line=predicted).rename_axis("language").reset_index())
