"""Figure 4: alignment with vision predicts downstream performance."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm, t

from platorep.core.errors import StoreError, unknown_name
from platorep.figures import style
from platorep.figures.labels import label_points
from platorep.results import views
from platorep.results.tables import AlignmentTable, CompetenceTable
from platorep.stats.trends import MIN_FAMILIES


TITLES = {"hellaswag": "HellaSwag", "gsm8k": "GSM8K"}
LARGEST = 0.1  # inches, radius of the largest model's marker
SMALLEST = 0.025


@style.styled
def fig4(
    alignment: AlignmentTable,
    competence: CompetenceTable | None = None,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    vision: str | None = None,
    measures: Sequence[str] = ("hellaswag", "gsm8k"),
    rank: str = "bits_per_byte",
    task: str | None = None,
) -> Figure:
    """Downstream scores of language models against their alignment with one vision model (PRH, Fig. 4).

    One panel a benchmark. A marker's area grows in proportion to the number of parameters where that is known; its colour is
    the model's rank by 1 - bits per byte. The line is the least-squares fit; its band is the 95 % percentile interval
    of a bootstrap that draws whole families of models with replacement (2,000 draws, seed 0), because models of one
    family are not independent. With fewer than 3 families there is no band.

    Args:
        alignment: language x vision pairs.
        competence: the benchmarks, and where known parameters and bits per byte.
        metric: full id, when the table holds several.
        dataset: when the table holds several.
        vision: vision model; by default the one with the highest mean alignment, which the axis names.
        measures: benchmarks, one a panel.
        rank: the measure behind the colours; a lower value is better.
        task: corpus of `rank`, when there are several.

    Raises:
        StoreError: a benchmark is known of fewer than 3 of the language models.
        UnknownNameError: no such vision model.
    """
    pairs = views.cross_modal(views.best_pairs(alignment, metric, dataset))
    if vision is None:
        vision = str(pairs.groupby("vision", sort=False).score.mean().idxmax())
    elif vision not in set(pairs.vision):
        raise unknown_name("vision model in the alignment table", vision, pairs.vision.unique())
    pairs = pairs[pairs.vision == vision].set_index("language")
    known = set() if competence is None else set(competence.frame.measure)
    size = (
        views.measure(competence, "parameters").reindex(pairs.index)
        if "parameters" in known
        else pd.Series(np.nan, pairs.index)
    )
    bits = (
        views.measure(competence, rank, task).reindex(pairs.index) if rank in known else pd.Series(np.nan, pairs.index)
    )
    ranks = (-bits).rank()  # 1 is the worst
    shade = matplotlib.colors.Normalize(1, max(ranks.max(), 2) if ranks.notna().any() else 2)

    figure, axes = style.panels(
        1, len(measures), panel=(2.7, 2.3), left=0.55, right=0.95, bottom=0.72, top=0.58, gap=(0.5, 0)
    )
    for panel, name in zip(axes, measures, strict=True):
        y = views.measure(competence, name).reindex(pairs.index).dropna()
        if len(y) < 3:
            raise StoreError(
                f"{name} is known of {len(y)} of the {len(pairs)} language models; a trend needs at least 3."
            )
        y = y.loc[size[y.index].fillna(0).sort_values(ascending=False, kind="stable").index]  # small markers on top
        data = pd.DataFrame(
            {
                "x": pairs.score[y.index],
                "y": y,
                "family": pairs.language_family[y.index],
                "size": size[y.index],
                "rank": ranks[y.index],
            }
        )
        _panel(panel, data, shade)
        panel.set_title(TITLES.get(name, name.replace("_", " ")), loc="left", pad=22)
        panel.set_xlabel(f"alignment with {vision}, {views.metric_label(pairs.metric.iloc[0])}")
        panel.set_ylabel("score")
    _keys(figure, axes[-1], size, ranks, shade)
    style.note(
        figure,
        f"Best layer pair, n = {pairs.n.max():,}, {views.title_of(pairs.dataset.iloc[0])}. Band: 95 %, families resampled.",
        0.55,
    )
    return figure


def family_band(
    x: np.ndarray, y: np.ndarray, families: np.ndarray, grid: np.ndarray, draws: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares lines of `draws` resamples of whole families (seed 0): slopes, shape (draws,), and lines, (draws, len(grid)).

    A draw whose points all have one x has no line and is drawn again.
    """
    names, codes = np.unique(families, return_inverse=True)
    sums = np.zeros((len(names), 5))  # by family: count, sum x, sum y, sum xx, sum xy
    centre = x.mean()
    np.add.at(sums, codes, np.column_stack([np.ones_like(x), x - centre, y, (x - centre) ** 2, (x - centre) * y]))
    random = np.random.default_rng(0)
    kept = np.empty((0, 5))
    while len(kept) < draws:
        drawn = sums[random.integers(len(names), size=(draws, len(names)))].sum(axis=1)
        spread = drawn[:, 3] - drawn[:, 1] ** 2 / drawn[:, 0]
        kept = np.concatenate([kept, drawn[spread > 1e-12 * sums[:, 3].sum()]])
    n, sx, sy, sxx, sxy = kept[:draws].T
    slopes = (sxy - sx * sy / n) / (sxx - sx**2 / n)
    return slopes, sy[:, None] / n[:, None] + slopes[:, None] * (grid - centre - (sx / n)[:, None])


def family_interval(
    estimate: np.ndarray | float, draws: np.ndarray, families: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles of a bootstrap over families, stretched around the estimate for few families.

    The percentiles of F resampled families are too narrow: they are stretched by sqrt(F / (F - 1)) and by the ratio of
    the t quantile with F - 1 degrees of freedom to the normal one.

    Args:
        estimate: what the whole sample gives, a number or shape (m,).
        draws: what the resamples give, shape (draws,) or (draws, m).
        families: F, at least 2.
        level: nominal coverage.
    """
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    stretch = np.sqrt(families / (families - 1)) * t.ppf(1 - tail, families - 1) / norm.ppf(1 - tail)
    return estimate + stretch * (low - estimate), estimate + stretch * (high - estimate)


def radius(parameters: pd.Series) -> np.ndarray:
    """Marker radii in inches: area in proportion to the number of parameters, at least a visible dot; that dot where unknown."""
    values = parameters.to_numpy(dtype=float)
    largest = np.nanmax(values) if np.isfinite(values).any() else 1.0
    return np.where(np.isfinite(values), np.maximum(LARGEST * np.sqrt(values / largest), SMALLEST), 2 * SMALLEST)


def _panel(axes: Axes, data: pd.DataFrame, shade: matplotlib.colors.Normalize) -> None:
    x, y = data.x.to_numpy(), data.y.to_numpy()
    radii = radius(data["size"])
    for limits, values in ((axes.set_xlim, x), (axes.set_ylim, y)):
        pad = 0.14 * np.ptp(values) or 0.05
        limits(values.min() - pad, values.max() + pad)
    colors = [
        matplotlib.colormaps[f"{style.HEAT}_r"](shade(r)) if np.isfinite(r) else style.FAINT for r in data["rank"]
    ]
    axes.scatter(x, y, s=(2 * 72 * radii) ** 2, c=colors, edgecolors=style.INK, linewidths=0.5, alpha=0.9, zorder=3)
    if np.ptp(x) > 0:
        grid = np.linspace(x.min(), x.max(), 50)
        slope, start = np.polyfit(x, y, 1)
        axes.plot(grid, start + slope * grid, color=style.INK, linewidth=0.9, label="fit", zorder=2)
        explained = np.corrcoef(x, y)[0, 1] ** 2 if np.ptp(y) > 0 else 0.0
        families = data.family.nunique()
        text = f"slope {slope:.1f}"
        if families >= MIN_FAMILIES:
            slopes, lines = family_band(x, y, data.family.to_numpy(str), grid)
            axes.fill_between(
                grid,
                *family_interval(start + slope * grid, lines, families),
                color=style.FAINT,
                alpha=0.6,
                linewidth=0,
                label="band",
                zorder=1,
            )
            low, high = family_interval(slope, slopes, families)
            text += f" [{low:.1f}, {high:.1f}]".replace("-", "−")
        text += (
            f", $R^2$ = {explained:.2f}\n{len(data)} models of {families} {'family' if families == 1 else 'families'}"
        )
        axes.text(
            0,
            1.01,
            text,
            transform=axes.transAxes,
            fontsize=style.SMALL,
            color=style.MUTED,
            va="bottom",
            linespacing=1.1,
        )
    label_points(axes, x, y, list(data.index), radii=radii, size=style.SMALL - 1)


def _keys(figure: Figure, axes: Axes, size: pd.Series, ranks: pd.Series, shade: matplotlib.colors.Normalize) -> None:
    """What colour and size mean, to the right of the last panel."""
    width, height = figure.get_size_inches()
    box = axes.get_position()
    if ranks.notna().any():
        bar = figure.add_axes((box.x1 + 0.2 / width, box.y1 - 1.0 / height, 0.1 / width, 0.9 / height))
        figure.colorbar(matplotlib.cm.ScalarMappable(shade, f"{style.HEAT}_r"), cax=bar, ticks=[1, shade.vmax])
        bar.set_yticklabels(["worst", "best"])
        bar.tick_params(labelsize=style.SMALL)
        bar.set_title("1 − bits\nper byte", fontsize=style.SMALL, weight="normal", loc="left", pad=8)
    if size.notna().any():
        shown = pd.Series([size.min(), size.max()])
        key = figure.add_axes((box.x1 + 0.1 / width, box.y0 + 0.1 / height, 0.8 / width, 0.7 / height))
        key.set_xlim(0, 0.8)
        key.set_ylim(0, 0.7)
        key.axis("off")
        for value, r, y in zip(shown, radius(size)[[size.argmin(), size.argmax()]], (0.42, 0.15), strict=True):
            key.scatter([0.15], [y], s=(2 * 72 * r) ** 2, facecolors="none", edgecolors=style.INK, linewidths=0.5)
            key.text(
                0.32,
                y,
                f"{value / 1e9:.2g} B" if value >= 1e9 else f"{value / 1e6:.3g} M",
                fontsize=style.SMALL,
                va="center",
            )
        key.text(0.02, 0.62, "parameters", fontsize=style.SMALL, va="center")
