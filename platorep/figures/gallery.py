"""The same queries in growing galleries."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.figures.curves import thinned
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable, GalleryTable


LEFT = 0.6

LINES = 10
"""Pairs of models up to which each has a line; with more, one line an x model is the mean over its y models."""


@style.styled
def gallery(
    alignment: AlignmentTable | None = None,
    competence: CompetenceTable | None = None,
    *,
    scores: GalleryTable | None = None,
) -> Figure:
    """mutual_knn of fixed queries over the size of the gallery: one panel a rule for k, one line a pair of models.

    A pair's layers are the same at every size: those that score best on average (`GalleryTable.best`). A fixed k asks for ever nearer
    neighbours as the gallery grows, so that scores of different sizes must not be compared; k proportional to the gallery asks
    the same at every size, and its chance level stays.

    Args:
        alignment: not used.
        competence: not used.
        scores: the table of `platorep gallery`.

    Raises:
        StoreError: no table, or one of a single gallery.
    """
    if scores is None:
        raise StoreError("a gallery's scores are a table of their own: pass scores=..., or run `platorep gallery`.")
    best = scores.best()
    sizes = sorted(best.n.unique())
    if len(sizes) < 2:
        raise StoreError(f"a curve over galleries needs two or more sizes; the table has {sizes[0]}.")
    best["line"], lines = best.x_model + " × " + best.y_model, "one line a pair of models"
    if best.line.nunique() > LINES:
        best["line"], lines = best.x_model, f"mean over {best.y_model.nunique()} y models"
    names = list(best.line.unique())
    looks = style.categorical(len(names))
    rules = [
        (rule, part) for (_, rule), part in best.groupby([best.share.notna(), best.share.fillna(best.k)], sort=True)
    ]
    figure, axes = style.panels(
        1,
        len(rules),
        panel=(2.2, 1.9),
        left=LEFT,
        right=style.tag_width(names) + 0.05,
        bottom=0.78,
        top=0.3,
        gap=(0.55, 0),
    )
    for panel, (rule, part) in zip(axes, rules, strict=True):
        fixed = part.share.isna().all()
        panel.set_title(f"k = {rule:g}" if fixed else f"k = {100 * rule:g} % of the gallery", loc="left")
        _draw(panel, part, dict(zip(names, looks, strict=True)), logarithmic=fixed)
        panel.set_xticks(sizes, thinned(panel, sizes, [_short(n) for n in sizes]))
        panel.minorticks_off()
        panel.set_xlabel("samples in the gallery")
    axes[0].set_ylabel("score")
    order = (
        best[best.share.isna() & (best.n == sizes[-1])].groupby("line").score.mean().sort_values(ascending=False).index
    )
    style.key_right(axes[-1], [(name, looks[names.index(name)]) for name in order])
    data = ", ".join(dict.fromkeys(views.title_of(d) for d in best.dataset))
    searched = sorted({backend.partition(", ")[2] for backend in best.backend} - {""})
    note = [f"{best.queries.iloc[0]:,} queries, {data}, {lines}, layers chosen over all galleries."]
    note += ["Bars: 95 % over queries in the same gallery. Dotted: chance." if "pair" in lines else "Dotted: chance."]
    if searched:
        note[1] += f" {searched[0]}, recall {best[['x_recall', 'y_recall']].to_numpy().min():.3f} or more."
    style.note(figure, "\n".join(note), LEFT)
    return figure


def _draw(panel: Axes, part: pd.DataFrame, looks: dict[str, style.Look], logarithmic: bool) -> None:
    """Lines, intervals where a line is one pair, and chance."""
    sizes = np.sort(part.n.unique())
    pad = (sizes[-1] / sizes[0]) ** 0.06
    panel.set_xscale("log")
    panel.set_xlim(sizes[0] / pad, sizes[-1] * pad)
    alone = part.groupby(["line", "n"]).size().max() == 1
    for place, (name, look) in enumerate(looks.items()):
        own = part[part.line == name]
        aside = (
            pad ** (0.15 * (place - (len(looks) - 1) / 2)) if alone else 1.0
        )  # bars of several lines do not hide each other
        line = own.groupby("n")[["score", "low", "high"]].mean()
        panel.plot(line.index * aside, line.score, label=name, zorder=3, **look.line())
        if alone:
            panel.vlines(
                line.index * aside, line.low.clip(lower=0), line.high, color=look.color, linewidth=0.8, zorder=2
            )
    chance = part.groupby("n").chance.first()
    panel.plot(chance.index, chance, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
    top = max(part.high.max() if alone else part.groupby(["line", "n"]).score.mean().max(), chance.max())
    if logarithmic:
        shown = [*part.score[part.score > 0], *chance]
        panel.set_yscale("log")
        panel.set_ylim(min(shown) / 1.5, top * 1.3)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 300 * min(shown) else (1,)))
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        panel.set_ylim(0, top * 1.07)


def _short(n: int) -> str:
    """A size on an axis: 700, 16k, 1M."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if n >= 10 * size or (n >= size and n % size == 0):
            return f"{n / size:.3g}{unit}"
    return str(n)
