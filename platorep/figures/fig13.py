"""Figure 13: alignment of language and vision models under CKA, unbiased CKA, SVCCA and mutual k-NN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable
from platorep.results.views import Dose


Choice = tuple[str, Mapping[str, str]]
METRICS: tuple[Choice, ...] = (
    ("cka", {"hsic": "biased", "kernel": "linear"}),
    ("cka", {"hsic": "unbiased", "kernel": "linear"}),
    ("svcca", {}),
    ("mutual_knn", {"k": "10"}),
)
LEFT, LINE = 0.62, 0.115  # inches


@style.styled
def fig13(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metrics: Sequence[str] | None = None,
    dataset: str | None = None,
    doses: Mapping[str, Dose] | None = None,
) -> Figure:
    """Alignment by language model, one row a metric, one column a vision family, one line a vision model (PRH, Fig. 13).

    Language models stand in the table's order: families together, small to large, as suites list them. Panels of a row
    share their y axis. A dotted line is chance, where all pairs of the row share one.

    Args:
        alignment: language x vision pairs under several metrics.
        competence: not used.
        metrics: full ids, one a row; the paper's by default: linear CKA, linear unbiased CKA, SVCCA, mutual k-NN (k = 10).
        dataset: when the table holds several.
        doses: degraded models; read from the names by default (`views.doses`).

    Raises:
        StoreError: none of the metrics is in the table; those that are missing are named below the figure.
    """
    return by_language_model(alignment, METRICS, metrics, dataset, doses)


def by_language_model(
    alignment: AlignmentTable,
    wanted: Sequence[Choice],
    metrics: Sequence[str] | None,
    dataset: str | None,
    doses: Mapping[str, Dose] | None,
) -> Figure:
    """The grid of Figures 13 and 14: metrics down, vision families across."""
    available = list(alignment.frame.metric.unique())
    missing = []
    if metrics is None:
        metrics = []
        for name, parameters in wanted:
            found = views.find_metrics(available, name, **parameters)
            metrics += found[:1]
            if not found:
                missing.append(views.metric_label(f"{name}({','.join(f'{k}={v}' for k, v in parameters.items())})"))
        if not metrics:
            raise StoreError(
                f"the figure shows {', '.join(missing)}; the alignment table has only {', '.join(available)}."
            )
    tables = [
        views.cross_modal(views.best_pairs(alignment, views.pick_metric(available, metric), dataset))
        for metric in metrics
    ]
    languages = list(dict.fromkeys(name for pairs in tables for name in pairs.language))
    everyone = pd.concat(tables)
    named = views.doses([*languages, *everyone.vision.unique()]) if doses is None else doses
    degraded = {model: Dose(*dose) for model, dose in named.items()}
    groups = views.vision_groups(everyone, degraded)
    labels = views.named(languages, degraded)

    above = 0.5 + LINE * max(len(members) for members in groups.values())
    below = style.widest(labels) + 0.3
    width = max(
        0.85, min(1.5, (style.PAGE - LEFT - 0.1 - 0.15 * (len(groups) - 1)) / len(groups)), 0.1 * len(languages)
    )
    figure, axes = style.panels(
        len(metrics),
        len(groups),
        panel=(width, 1.05),
        left=LEFT,
        right=0.15,
        bottom=below + 0.08,
        top=above,
        gap=(0.17, 0.32),
    )
    for row, pairs in enumerate(tables):
        scores = pairs.pivot(index="language", columns="vision", values="score").reindex(languages)
        chance = views.chance(pairs)
        low, high = min(0.0, float(np.nanmin(scores))), max(float(np.nanmax(scores)), chance or 0.0)
        for column, (title, members) in enumerate(groups.items()):
            panel = axes[row * len(groups) + column]
            looks = style.ordinal(len(members))
            for vision, look in zip(members, looks, strict=True):
                if vision in scores:
                    panel.plot(
                        range(len(languages)),
                        scores[vision],
                        label=vision,
                        **(look.line() | {"markersize": 3, "linewidth": 0.9}),
                    )
            if chance is not None:
                panel.axhline(chance, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
            panel.set_xlim(-0.5, len(languages) - 0.5)
            panel.set_ylim(low - 0.05 * (high - low) * (low < 0), high + 0.07 * (high - low))
            last = row == len(metrics) - 1
            panel.set_xticks(range(len(languages)), labels if last else [""] * len(languages), rotation=90)
            panel.tick_params(labelleft=column == 0)
            if row == 0:
                _key(panel, title, views.captions(members, degraded), looks, above)
            if column == 0:
                panel.text(
                    0,
                    1.03,
                    views.metric_label(pairs.metric.iloc[0]),
                    transform=panel.transAxes,
                    fontsize=style.SMALL,
                    va="bottom",
                )
                panel.set_ylabel("alignment")
    first = tables[0]
    text = f"Best layer pair, n = {first.n.max():,}, {views.title_of(first.dataset.iloc[0])}. Dotted: chance."
    style.note(figure, text + (f" Not in the table: {', '.join(missing)}." if missing else ""), LEFT)
    return figure


def _key(panel: Axes, title: str, captions: Sequence[str], looks: Sequence[style.Look], above: float) -> None:
    """Title and legend of a column, above its first panel: the last model, the largest, on top."""
    width, height = style.inches(panel)
    panel.text(0, 1 + (above - 0.06) / height, title, transform=panel.transAxes, weight="bold", va="top")
    for line, (caption, look) in enumerate(zip(reversed(captions), reversed(looks), strict=True)):
        y = 1 + (above - 0.3 - LINE * line) / height
        x = np.array([0.0, 0.09, 0.18]) / width
        panel.plot(
            x, [y] * 3, transform=panel.transAxes, clip_on=False, markevery=[1], **(look.line() | {"markersize": 3})
        )
        panel.text(0.23 / width, y, caption, transform=panel.transAxes, fontsize=style.SMALL, va="center_baseline")
