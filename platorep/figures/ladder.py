"""Alignment against the dial that controls a model's competence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.core.errors import StoreError
from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.figures.marks import Tag
from platorep.results import views
from platorep.results.facts import Dose
from platorep.results.labels import DIAL_TITLES, capitalised, metric_label, setting


LEFT = 0.58


class _Ladder(NamedTuple):
    """The degraded versions of one model along one dial, weakest first, and the intact model where it was scored."""

    base: str
    dial: str
    members: list[str]
    positions: list[float]
    ticks: list[str]
    scores: pd.DataFrame  # members x partners


@figure("alignment")
def ladder(data: FigureData, *, metric: str | None = None, dataset: str | None = None) -> Plot:
    """Alignment against the dose of a degradation: one panel a base model and dial, one line a partner.

    Competence rises to the right on every panel: weight noise falls from left to right, input size grows. This is the
    one experiment in which competence is set and not observed. The lines are intact models of the other modality.
    The last position is the intact base model: noise 0, or "full" size.

    Args:
        data: language x vision pairs; the columns base, dial and dose state how models were degraded.
        metric: full id, when the table holds several.
        dataset: when the table holds several.

    Raises:
        StoreError: no model of the table is degraded.
    """
    rows = data.pairs(metric, dataset)
    pairs, degraded = views.cross_modal(rows), views.doses(views.models(rows))
    ladders = _ladders(pairs, degraded)
    if not ladders:
        names = ", ".join([*pairs.language.unique(), *pairs.vision.unique()])
        raise StoreError(
            f"no model of the alignment table is degraded: expected weight_noise or input_size, got {names}."
        )
    chance = views.chance(pairs)
    margin = marks.tag_width(["chance", *(name for rungs in ladders for name in rungs.scores.columns)]) + 0.1
    note = f"{capitalised(setting(pairs))}. Competence rises to the right."
    label = layout.label(f"alignment, {metric_label(pairs.metric.iloc[0])}", 1.9 + 0.4)
    margins = Margins(LEFT + layout.label_room(label), margin, 0.5, 0.3, across=margin + 0.12)
    grid = layout.panels(len(ladders), len(ladders), (2.1, 1.9), margins, note=note, share="y", least=1.2, wraps=True)
    grid.axes[0].set_ylim(min(0.0, 1.1 * pairs.score.min()), 1.06 * max(pairs.score.max(), chance or 0.0))
    for index, (panel, rungs) in enumerate(zip(grid.axes, ladders, strict=True)):
        _panel(panel, rungs, chance)
        panel.tick_params(labelleft=grid.is_first(index))
        if grid.is_first(index):
            panel.set_ylabel(label)
    return Plot(grid.figure, pd.concat([_table(rungs) for rungs in ladders], ignore_index=True))


def _ladders(pairs: pd.DataFrame, degraded: dict[str, Dose]) -> list[_Ladder]:
    ladders = []
    for side, other in (("language", "vision"), ("vision", "language")):
        scores = pairs.pivot(index=side, columns=other, values="score")
        partners = [model for model in pairs[other].unique() if model not in degraded]
        rungs: dict[tuple[str, str], list[str]] = {}
        for model in pairs[side].unique():
            if model in degraded:
                rungs.setdefault((degraded[model].base, degraded[model].dial), []).append(model)
        for (base, dial), members in rungs.items():
            members.sort(key=lambda m: degraded[m].value, reverse=dial == "weight_noise")
            doses = [degraded[m].value for m in members]
            ticks = [f"{v:g}" for v in doses]
            if base in scores.index:
                members, ticks = [*members, base], [*ticks, "0" if dial == "weight_noise" else "full"]
                step = doses[-1] / doses[-2] if len(doses) > 1 else 2.0
                doses.append(0.0 if dial == "weight_noise" else doses[-1] * step)
            positions = doses if dial == "weight_noise" else list(np.log2(doses))
            ladders.append(_Ladder(base, dial, members, positions, ticks, scores.loc[members, partners]))
    return ladders


def _panel(panel: Axes, rungs: _Ladder, chance: float | None) -> None:
    x = np.array(rungs.positions)
    pad = 0.06 * (x[-1] - x[0]) or 0.5
    panel.set_xlim(x[0] - pad, x[-1] + pad)  # noise falls: the axis is then reversed, and the pad negative
    panel.set_xticks(x, rungs.ticks)
    tags = []
    for partner, look in zip(rungs.scores.columns, style.categorical(len(rungs.scores.columns)), strict=True):
        y = rungs.scores[partner].to_numpy()
        shown = np.isfinite(y)
        if shown.any():
            panel.plot(x[shown], y[shown], label=partner, zorder=3, **look.line())
            tags.append(Tag(y[shown][-1], partner, look))
    marks.tag_right(panel, [*tags, *marks.chance_line(panel, chance)])
    panel.set_title(rungs.base, loc="left")
    title = DIAL_TITLES.get(rungs.dial, rungs.dial.replace("_", " "))
    panel.set_xlabel(layout.label(title, layout.inches(panel)[0] + 0.9))


def _table(rungs: _Ladder) -> pd.DataFrame:
    table = rungs.scores.assign(dose=rungs.ticks).rename_axis("model").reset_index()
    table = table.melt(id_vars=["model", "dose"], var_name="partner", value_name="score").dropna(subset="score")
    return table.assign(base=rungs.base, dial=rungs.dial)
