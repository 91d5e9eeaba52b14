"""The figure of cycle k-NN both ways, on a table made by hand."""

from __future__ import annotations

import pytest

from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.studies import StudyTable


def study() -> StudyTable:
    rows = []
    for q, x in enumerate(("lm", "glove", "tfidf")):
        for r, y in enumerate(("net", "net_small", "pixels")):
            forth, back = 0.5 - 0.05 * q - 0.1 * r, 0.45 - 0.08 * r
            values = {"cycle k-NN, back through x": forth, "cycle k-NN, back through y": back}
            values |= {"asymmetry": forth - back, "in-degree skewness, x less y": 0.5 * r - q}
            values |= {"spread of density, x less y": 0.02 * q - 0.03 * r}
            for name, value in values.items():
                row = {"x_model": x, "y_model": y, "quantity": name, "value": value}
                if name == "asymmetry":
                    row |= {"low": value - 0.03, "high": value + 0.03, "p_value": 0.005 if abs(value) > 0.03 else 0.4}
                rows.append(row)
    rows.append({"quantity": "mean asymmetry", "value": 0.0, "note": "over 9 pairs of models, k = 10"})
    return StudyTable.of_rows(rows, study="direction", dataset="toy--0", n=700)


def sample(style):
    return draw("direction", FigureData(study=study()), style=style)


def test_points_are_pairs_and_filled_where_the_asymmetry_is_significant():
    plot = sample(None)
    ways, hubs, _ = plot.figure.axes
    points = [line for line in ways.lines if line.get_label() != "equal"]
    assert sum(len(line.get_xdata()) for line in points) == 9
    filled = sum(len(line.get_xdata()) for line in points if line.get_markerfacecolor() != "white")
    assert filled == (plot.data.p_value < 0.05).sum()
    bars = sum(len(collection.get_segments()) for collection in hubs.collections)
    assert bars == 9
    assert list(plot.data.asymmetry) == pytest.approx(
        list(plot.data["cycle k-NN, back through x"] - plot.data["cycle k-NN, back through y"])
    )
