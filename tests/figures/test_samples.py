"""Every figure on its sample equals the reviewed baseline image; no label is clipped or overlaps another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from platorep.core.errors import SpecError
from platorep.figures import known
from platorep.figures.data import Plot
from platorep.figures.style import PlotStyle
from tests.figures.samples import BASELINES, DPI, SAMPLES, measured, models
from tests.figures.tables import plot


TOLERANCE = 0.03
"""Root mean square difference of pixel values in [0, 1]. Another version of FreeType moves the edges of glyphs, which
stays below .02; a missing line or a moved label exceeds .03 (see the negative control)."""


@pytest.fixture(scope="module")
def plots() -> dict[str, Plot]:
    return {name: make(None) for name, make in SAMPLES.items()}


@pytest.fixture
def drawn(plots) -> dict[str, object]:
    return {name: plot.figure for name, plot in plots.items()}


def pixels(figure, path) -> np.ndarray:
    figure.savefig(path, dpi=DPI)
    return imread(path)[..., :3]


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(((one - other) ** 2).mean()))


def test_every_figure_has_a_sample_and_a_baseline():
    assert set(SAMPLES) == set(known())
    assert {path.stem for path in BASELINES.glob("*.png")} == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_figure_looks_like_its_baseline(name, drawn, tmp_path):
    made, kept = pixels(drawn[name], tmp_path / "made.png"), imread(BASELINES / f"{name}.png")[..., :3]
    assert made.shape == kept.shape
    assert difference(made, kept) < TOLERANCE


def test_a_figure_of_other_data_does_not_look_like_the_baseline(tmp_path):
    other = pixels(plot("fig3", models(scale=0.7), measured()).figure, tmp_path / "other.png")
    assert difference(other, imread(BASELINES / "fig3.png")[..., :3]) > TOLERANCE


def shown_texts(figure):
    FigureCanvasAgg(figure).draw()
    found = [*figure.texts]
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            if axes.axison:
                low, high = sorted(axis.get_view_interval())
                found += [
                    t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high and t.label1.get_visible()
                ]
                found += [
                    t.label2 for t in axis.get_major_ticks() if low <= t.get_loc() <= high and t.label2.get_visible()
                ]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def clipped(figure) -> list[str]:
    """Texts that the edge of the figure cuts."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    width, height = figure.bbox.width + 0.5, figure.bbox.height + 0.5
    return [text for text, box in boxes if min(box.x0, box.y0) < -0.5 or box.x1 > width or box.y1 > height]


def overlapping(figure) -> list[tuple[str, str]]:
    """Texts that lie on each other; the boxes of slanted texts overlap where the texts do not."""
    texts = [text for text in shown_texts(figure) if text.get_rotation() in (0.0, 90.0)]
    boxes = [(text.get_text(), text.get_window_extent().padded(-0.6)) for text in texts]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize("name", SAMPLES)
def test_no_text_is_clipped_or_lies_on_another(name, drawn):
    assert clipped(drawn[name]) == []
    assert overlapping(drawn[name]) == []


def test_the_checks_find_a_clipped_text_and_one_on_another(drawn):
    figure = plot("matrix", models()).figure
    figure.text(0.9, 0.5, "a text that is much too long")
    figure.text(0.9, 0.5, "another")
    assert "a text that is much too long" in clipped(figure)
    assert ("a text that is much too long", "another") in overlapping(figure)


TOO_NARROW = {"fig10", "fig13", "fig14", "generated"}
"""Figures of four columns of panels, or of two with long labels, which no single column of a paper holds."""


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    ("style", "inches"),
    [
        (PlotStyle(width="single", font_size=7), 3.4),
        (PlotStyle(width=9.5, font_size=10), 9.5),
    ],
    ids=["single", "poster"],
)
def test_a_figure_is_as_wide_as_asked_for_and_its_texts_fit(name, style, inches):
    if style.width == "single" and name in TOO_NARROW:
        with pytest.raises(SpecError, match=r"a width of 3\.4 inches is too small for this figure: it needs [3-5]\.\d"):
            SAMPLES[name](style)
        return
    figure = SAMPLES[name](style).figure
    assert figure.get_size_inches()[0] == pytest.approx(inches)
    assert clipped(figure) == []
    assert overlapping(figure) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_the_data_of_a_figure_are_a_tidy_table_without_empty_columns(name, plots):
    data = plots[name].data
    assert len(data)
    assert not data.columns.duplicated().any()
    assert data.notna().any().drop(["low", "high", "p_value", "p_family", "q_value"], errors="ignore").all()
