"""The figure of what two models share of neighbours, on a table made by hand."""

from __future__ import annotations

import pytest

from platorep.core.errors import StoreError
from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.studies import StudyTable
from platorep.stats.categories import PARTS


def study(pair=("lm", "net")) -> StudyTable:
    """Shares of items that fall as the gallery grows, and shares of categories that rise."""
    rows = []
    for setting, positions in (("samples in the gallery", (88, 175, 350, 700)), ("samples a category", (2, 4, 8))):
        for step, position in enumerate(positions):
            parts = (0.2 - 0.03 * step, 0.1 + 0.08 * step, 0.15, 0.2)
            for part, value in zip(PARTS, (*parts, 1 - sum(parts)), strict=True):
                row = {"setting": setting, "position": position, "quantity": part, "value": value, "items": 88}
                row |= {"low": value - 0.03, "high": value + 0.03}
                if part == PARTS[0]:
                    row |= {"null_mean": 0.05, "null_low": 0.03, "null_high": 0.08, "p_value": 0.01}
                rows += [row | {"note": "mean over 1 pair of models, k = 1"}]
                rows += [row | {"x_model": pair[0], "y_model": pair[1], "value": value / 2}]
    return StudyTable.of_rows(rows, study="coarse", dataset="toy--0", n=700)


def sample(style):
    return draw("coarse", FigureData(study=study()), style=style)


def test_the_parts_are_stacked_to_one_and_the_null_stands_in_the_lowest():
    plot = sample(None)
    panel = plot.figure.axes[0]
    bars = [container for container in panel.containers if hasattr(container, "patches")]
    heights = [[bar.get_height() for bar in container.patches] for container in bars]
    assert [sum(column) for column in zip(*heights, strict=True)] == pytest.approx([1.0] * 4)
    assert heights[0] == pytest.approx([0.2, 0.17, 0.14, 0.11])
    assert [bar.get_y() for bar in bars[1].patches] == pytest.approx(heights[0])
    marks = panel.lines[0].get_ydata()
    assert list(marks) == pytest.approx([0.05] * 4)
    assert set(plot.data.quantity) == set(PARTS)


def test_one_pair_is_drawn_when_it_is_named_and_an_unknown_one_is_refused():
    plot = draw("coarse", FigureData(study=study()), x="lm", y="net")
    assert plot.data.value.max() < 0.5
    with pytest.raises(StoreError, match="no numbers of lm and pixels"):
        draw("coarse", FigureData(study=study()), x="lm", y="pixels")


def test_without_its_table_the_figure_says_how_to_get_it():
    with pytest.raises(StoreError, match="run `platorep reproduce` with its name"):
        draw("coarse", FigureData())
