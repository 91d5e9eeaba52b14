"""Figure 2: vision models converge as competence increases."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import warnings
from collections.abc import Sequence
from typing import Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platorep.core.errors import StoreError
from platorep.figures import style
from platorep.figures.labels import label_points
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable


log = logging.getLogger(__name__)

LEFT = 0.72
NAMED = 30
"""The map names its points up to this many models."""


@style.styled
def fig2(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    modality: str = "vision",
    measure: str = "vtab_solved",
    task: str | None = None,
    edges: Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    projection: Literal["auto", "umap", "mds"] = "auto",
) -> Figure:
    """Left: mean alignment within buckets of models by share of tasks solved. Right: a map of the models (PRH, Fig. 2).

    A bucket holds the models with lower < share <= upper (the first one also share = lower). A bar is the mean over its
    pairs of models, its whisker the standard error by a jackknife that leaves out one model at a time: pairs share
    models, and a standard error over pairs would be too small. The map places models by the distance -log(alignment).

    Args:
        alignment: pairs of models of one modality; the two orders of a pair are averaged.
        competence: share of tasks solved, in [0, 1].
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        modality: which models.
        measure: of the competence table.
        task: of the measure, when there are several.
        edges: of the buckets.
        projection: "umap" as the paper, random state 0; "mds" is metric multidimensional scaling from the classical
            solution; "auto" takes UMAP where umap-learn is installed. The map's title says which it was.

    Raises:
        StoreError: a share outside [0, 1], a pair of models without a score or with one that has no logarithm.
    """
    best = views.best_pairs(alignment, metric, dataset)
    scores = views.within(best, modality)
    solved = views.measure(competence, measure, task).reindex(scores.index)
    if solved.isna().any():
        raise StoreError(
            f"no {measure} for {', '.join(solved.index[solved.isna()])}: measure it, or leave the model out of the alignment."
        )
    if not solved.between(0, 1).all():
        raise StoreError(f"{measure} is a share of tasks, in [0, 1]; got {solved.min():g} to {solved.max():g}.")
    families = pd.concat(
        [
            best[["x_model", "x_family"]].set_axis(["model", "family"], axis=1),
            best[["y_model", "y_family"]].set_axis(["model", "family"], axis=1),
        ]
    )
    family = families.drop_duplicates("model").set_index("model").family.reindex(scores.index)

    legend = style.tag_width(list(family.unique()))
    figure, (bars, space) = style.panels(
        1, 2, panel=(2.75, 2.5), left=LEFT, right=max(legend, 0.9), bottom=0.78, top=0.32, gap=(0.5, 0)
    )
    _bars(bars, scores, solved, list(edges), views.chance(best))
    bars.set_ylabel(f"alignment within the bucket,\n{views.metric_label(best.metric.iloc[0])}")
    bars.set_xlabel("share of tasks solved")
    how = _map(space, scores, solved, family, projection)
    bars.set_title("Agreement within buckets", loc="left")
    space.set_title(f"{how} of −log alignment", loc="left")
    height = figure.get_size_inches()[1]
    box = space.get_position()
    bar = figure.add_axes((box.x0, 0.52 / height, box.width * 0.6, 0.08 / height))
    figure.colorbar(
        matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), f"{style.HEAT}_r"),
        cax=bar,
        orientation="horizontal",
    )
    bar.tick_params(labelsize=style.SMALL - 0.5)
    figure.text(box.x0 + box.width * 0.63, 0.56 / height, "share of tasks solved", fontsize=style.SMALL, va="center")
    named = task or next(
        (one for one in competence.frame.task[competence.frame.measure == measure].dropna() if one), ""
    )
    data = f"n = {best.n.max():,}, {views.title_of(best.dataset.iloc[0])}"
    words = (
        f"{len(scores)} {modality} models, best layer pair, {data}. Whiskers: standard error (jackknife over models)."
    )
    style.note(figure, words + (f" Tasks: {named}." if named else ""), LEFT)
    return figure


def bucket_mean(scores: np.ndarray) -> tuple[float, float]:
    """Mean over the pairs of m models, and its standard error by leaving out each model in turn; NaN below 3 models.

    Args:
        scores: symmetric, shape (m, m), the diagonal ignored, NaN for pairs without a score.
    """
    values = np.where(np.eye(len(scores), dtype=bool), np.nan, scores)
    if not np.isfinite(values).any():
        return np.nan, np.nan
    count = len(values)
    without = [np.delete(np.delete(values, i, 0), i, 1) for i in range(count)] if count > 2 else []
    means = np.array([np.nanmean(part) for part in without if np.isfinite(part).any()])
    error = np.sqrt((count - 1) / count * ((means - means.mean()) ** 2).sum()) if len(means) == count else np.nan
    return float(np.nanmean(values)), float(error)


def _bars(axes: Axes, scores: pd.DataFrame, solved: pd.Series, edges: list[float], chance: float | None) -> None:
    shade = matplotlib.colormaps[f"{style.HEAT}_r"]
    names = []
    for position, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = solved.index[(solved > low) & (solved <= high) | (solved == low) & (position == 0)]
        mean, error = bucket_mean(scores.loc[inside, inside].to_numpy())
        names.append(f"{100 * low:g}–{100 * high:g} %\n{len(inside)} models")
        if np.isfinite(mean):
            whisker = error if np.isfinite(error) else None
            axes.bar(
                position,
                mean,
                0.75,
                yerr=whisker,
                color=shade((low + high) / 2),
                edgecolor=style.INK,
                linewidth=0.5,
                capsize=2.5,
                error_kw={"linewidth": 0.8},
            )
        else:
            axes.text(
                position,
                0.02,
                "no pair",
                transform=axes.get_xaxis_transform(),
                fontsize=style.SMALL,
                color=style.MUTED,
                ha="center",
            )
    axes.set_xticks(range(len(names)), names, fontsize=style.SMALL - 0.8)
    axes.set_xlim(-0.6, len(names) - 0.4)
    if chance is not None:
        axes.axhline(chance, color=style.INK, linewidth=0.8, linestyle=":", label="chance")
        axes.text(1.01, chance, "chance", transform=axes.get_yaxis_transform(), fontsize=style.SMALL, va="center")
    axes.margins(y=0.08)


def _map(axes: Axes, scores: pd.DataFrame, solved: pd.Series, family: pd.Series, projection: str) -> str:
    values = scores.to_numpy()
    off = ~np.eye(len(values), dtype=bool)
    bad = np.argwhere(off & ~(values > 0))
    if len(bad):
        one, other = scores.index[bad[0][0]], scores.index[bad[0][1]]
        raise StoreError(
            f"the map needs a positive score for every pair; {one} x {other} has {scores.loc[one, other]}. "
            "Score the pair, use mutual_knn, or leave a model out."
        )
    distances = np.where(off, -np.log(np.where(off, values, 1.0)), 0.0)
    if distances.min() < 0:
        raise StoreError(
            "the map's distance -log(alignment) needs scores of at most 1: this metric is not bounded by 1."
        )
    points, how = layout(distances, projection)
    span = np.ptp(points, axis=0).max() * 1.25 or 1.0
    middle = (points.max(0) + points.min(0)) / 2
    axes.set_xlim(middle[0] - span / 2, middle[0] + span / 2)
    axes.set_ylim(middle[1] - span / 2, middle[1] + span / 2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(style.FAINT)
    kinds = list(family.unique())
    shade = matplotlib.colormaps[f"{style.HEAT}_r"]
    for kind, marker in zip(kinds, style.MARKERS * (len(kinds) // len(style.MARKERS) + 1), strict=False):
        chosen = (family == kind).to_numpy()
        axes.scatter(
            *points[chosen].T,
            c=shade(solved[chosen]),
            marker=marker,
            s=26,
            edgecolors=style.INK,
            linewidths=0.5,
            label=kind or "no family",
            zorder=3,
        )
    key = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), handletextpad=0.2, borderaxespad=0.2)
    for handle in key.legend_handles:
        handle.set_facecolor("white")  # the key tells markers apart; colour is competence
    if len(points) <= NAMED:
        label_points(axes, *points.T, list(scores.index), radii=0.04, size=style.SMALL - 1.5)
    return how


def layout(distances: np.ndarray, projection: str) -> tuple[np.ndarray, str]:
    """Points in the plane, shape (m, 2), for a symmetric matrix of distances, and the name of the method.

    Deterministic: UMAP with random state 0 and min(15, m - 1) neighbours; multidimensional scaling (SMACOF) from the
    classical solution, rotated to its principal axes.

    Raises:
        StoreError: UMAP was asked for and umap-learn is not installed.
    """
    there = importlib.util.find_spec("umap") is not None
    if projection == "umap" and not there:
        raise StoreError(
            "projection=umap needs umap-learn: install platorep with its extra umap, or use projection=mds."
        )
    if there and projection != "mds" and len(distances) > 4:  # UMAP's spectral start needs more than 4 points
        import umap

        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # that a precomputed metric has no inverse, and that a seed means one thread
            made = umap.UMAP(
                metric="precomputed", random_state=0, n_neighbors=min(15, len(distances) - 1)
            ).fit_transform(distances)
        return np.asarray(made, dtype=float), "UMAP"
    if projection == "auto" and not there:
        log.warning("umap-learn is not installed: the map of models is made by multidimensional scaling.")
    from sklearn.manifold import smacof

    start = _classical(distances)
    made, _ = smacof(distances, n_components=2, init=start, n_init=1, normalized_stress=False)
    made = made - made.mean(0)
    _, _, axes = np.linalg.svd(made, full_matrices=False)
    turned = made @ axes.T
    return turned * np.sign(turned[np.abs(turned).argmax(0), [0, 1]]), "MDS"


def _classical(distances: np.ndarray) -> np.ndarray:
    """Classical scaling to the plane: top two eigenvectors of the doubly centred squared distances."""
    squared = distances**2
    centred = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
    values, vectors = np.linalg.eigh(centred)
    return vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
