"""Controlled competence: alignment against the dial that degrades one model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.figures.style import Tag
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable
from platorep.results.views import Dose


LEFT = 0.58


@style.styled
def ladder(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    doses: Mapping[str, Dose] | None = None,
) -> Figure:
    """Alignment against the dose of a degradation: one panel a base model and dial, one line a model of the other modality.

    Competence rises to the right on every panel: weight noise falls from left to right, input size grows. This is the
    one experiment in which competence is set and not observed. The lines are intact models only. The intact base model
    closes the ladder, at its own dose if `doses` names it, at noise 0, or at the right end as "full".

    Args:
        alignment: language x vision pairs.
        competence: not used.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        doses: model -> (base, dial, value); read from the names by default (`views.doses`).

    Raises:
        StoreError: no model of the table is degraded.
    """
    pairs = views.cross_modal(views.best_pairs(alignment, metric, dataset))
    names = {side: list(pairs[side].unique()) for side in ("language", "vision")}
    named = views.doses(names["language"] + names["vision"]) if doses is None else doses
    degraded = {model: Dose(*dose) for model, dose in named.items()}
    ladders: dict[tuple[str, str, str], list[str]] = {}
    for side, models in names.items():
        for model in models:
            if model in degraded and degraded[model].base != model:
                ladders.setdefault((side, degraded[model].base, degraded[model].dial), []).append(model)
    if not ladders:
        raise StoreError(
            "no model of the alignment table is degraded: expected names that end in _noise_VALUE or _px_VALUE, or doses=..., "
            f"got {', '.join(names['language'] + names['vision'])}."
        )
    variants = {m for members in ladders.values() for m in members}
    partners = {
        side: [m for m in names["vision" if side == "language" else "language"] if m not in variants]
        for side, _, _ in ladders
    }
    chance = views.chance(pairs)
    margin = style.tag_width(["chance", *(m for models in partners.values() for m in models)]) + 0.1
    figure, axes = style.panels(
        1,
        len(ladders),
        panel=(2.1, 1.9),
        left=LEFT,
        right=margin,
        bottom=0.66,
        top=0.3,
        gap=(margin + 0.12, 0),
        sharey=True,
    )
    axes[0].set_ylim(min(0.0, 1.1 * pairs.score.min()), 1.06 * max(pairs.score.max(), chance or 0.0))
    for panel, ((side, base, dial), members) in zip(axes, ladders.items(), strict=True):
        scores = pairs.pivot(index=side, columns="vision" if side == "language" else "language", values="score")
        _panel(panel, scores, base, dial, members, partners[side], degraded, chance)
        panel.tick_params(labelleft=panel is axes[0])
    axes[0].set_ylabel(f"alignment, {views.metric_label(pairs.metric.iloc[0])}")
    data = views.title_of(pairs.dataset.iloc[0])
    style.note(figure, f"Best layer pair, n = {pairs.n.max():,}, {data}. Competence rises to the right.", LEFT)
    return figure


def _panel(
    panel: Axes,
    scores: pd.DataFrame,
    base: str,
    dial: str,
    members: list[str],
    partners: list[str],
    degraded: Mapping[str, Dose],
    chance: float | None,
) -> None:
    falling = dial == "weight_noise"
    members = sorted(members, key=lambda m: degraded[m].value, reverse=falling)
    values = [degraded[m].value for m in members]
    ticks = [f"{v:g}" for v in values]
    if base in scores.index:
        known = degraded[base].value if base in degraded else 0.0 if falling else None
        members, ticks = [*members, base], [*ticks, "full" if known is None else f"{known:g}"]
        values = [
            *values,
            values[-1] * (values[-1] / values[-2] if len(values) > 1 else 2.0) if known is None else known,
        ]
    x = np.array(values) if falling else np.log2(values)
    pad = 0.06 * abs(x[-1] - x[0]) or 0.5
    panel.set_xlim(x[0] + pad if falling else x[0] - pad, x[-1] - pad if falling else x[-1] + pad)
    panel.set_xticks(x, ticks)
    tags = []
    for partner, look in zip(partners, style.categorical(len(partners)), strict=True):
        y = scores[partner].reindex(members).to_numpy()
        shown = np.isfinite(y)
        if shown.any():
            panel.plot(x[shown], y[shown], label=partner, zorder=3, **look.line())
            tags.append(Tag(y[shown][-1], partner, look))
    if chance is not None:
        panel.axhline(chance, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label="chance")
        tags.append(Tag(chance, "chance"))
    style.tag_right(panel, tags)
    panel.set_title(base, loc="left")
    panel.set_xlabel(views.DIAL_TITLES.get(dial, dial.replace("_", " ")))
