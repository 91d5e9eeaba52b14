"""The figure of blind matching, on a table made by hand."""

from __future__ import annotations

import pytest

from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.studies import StudyTable


MODELS = {("lm", "net"): 0.9, ("lm", "pixels"): 0.4, ("glove", "net"): 0.6, ("glove", "pixels"): 0.2}


def study() -> StudyTable:
    rows = []
    for (x, y), good in [*MODELS.items(), (("", ""), 0.525)]:
        common = {"x_model": x, "y_model": y, "note": "" if x else "mean over 4 pairs of models, 30 categories"}
        for n in (3, 5, 10, 20):
            value = 1 / n + good * (1 - 1 / n) / n**0.5
            null = {"null_mean": 1 / n, "null_low": 0.6 / n, "null_high": 1.5 / n, "p_value": 0.025}
            bounds = {"low": 0.8 * value, "high": 1.2 * value}
            share = {"quantity": "share of categories matched", "position": n, "value": value, "items": 10}
            rows.append(common | share | bounds | null)
        rows.append(common | {"quantity": "correlation of the kernels", "position": 30, "value": 0.7 * good})
    return StudyTable.of_rows(rows, study="matching", dataset="toy--0", n=700)


def sample(style):
    return draw("matching", FigureData(study=study()), style=style)


def test_lines_are_means_over_vision_models_and_points_are_pairs():
    plot = sample(None)
    left, right = plot.figure.axes
    lines = {line.get_label(): line for line in left.lines}
    expected = [1 / n + 0.65 * (1 - 1 / n) / n**0.5 for n in (3, 5, 10, 20)]
    assert list(lines["lm"].get_ydata()) == pytest.approx(expected)
    assert list(lines["chance"].get_ydata()) == pytest.approx([1 / 3, 1 / 5, 1 / 10, 1 / 20])
    points = {line.get_label(): list(line.get_xdata()) for line in right.lines}
    assert sorted(points["lm"]) == pytest.approx([0.28, 0.63])
    assert right.get_ylabel().endswith("n = 20")
