"""Every figure on its sample: as the baseline image that was looked at, no label clipped, no two labels on each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from platorep.figures import known
from tests.figures.samples import BASELINES, DPI, SAMPLES


TOLERANCE = 0.03
"""Root mean square difference of pixel values in [0, 1]. Another version of FreeType moves the edges of glyphs, which
stays below .02; a missing line or a moved label exceeds .03 (see the negative control)."""


@pytest.fixture(scope="module")
def drawn() -> dict[str, object]:
    return {name: make() for name, make in SAMPLES.items()}


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
    from platorep.figures import draw
    from tests.figures.samples import measured, models

    other = pixels(draw("fig3", models(scale=0.7), measured()), tmp_path / "other.png")
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


@pytest.mark.parametrize("name", SAMPLES)
def test_no_text_is_clipped_by_the_edge_of_the_figure(name, drawn):
    figure = drawn[name]
    for text in shown_texts(figure):
        box = text.get_window_extent()
        inside = (
            box.x0 >= -0.5
            and box.y0 >= -0.5
            and box.x1 <= figure.bbox.width + 0.5
            and box.y1 <= figure.bbox.height + 0.5
        )
        assert inside, text.get_text()


@pytest.mark.parametrize("name", SAMPLES)
def test_no_text_lies_on_another(name, drawn):
    texts = [
        t for t in shown_texts(drawn[name]) if t.get_rotation() in (0.0, 90.0)
    ]  # boxes of slanted texts overlap where they do not
    boxes = [(t.get_text(), t.get_window_extent().padded(-0.6)) for t in texts]
    clashes = [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]
    assert not clashes
