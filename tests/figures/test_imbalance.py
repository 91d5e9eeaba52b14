"""The figure of information imbalance, on a table made by hand."""

from __future__ import annotations

from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.studies import StudyTable


def study() -> StudyTable:
    rows = []
    for q, x in enumerate(("lm", "glove", "tfidf")):
        for r, y in enumerate(("net", "net_small", "pixels")):
            there, back = 0.6 + 0.08 * q + 0.05 * r, 0.55 + 0.12 * r
            pair = {"x_model": x, "y_model": y}
            rows.append(pair | {"quantity": "information imbalance, x to y", "value": there})
            rows.append(pair | {"quantity": "information imbalance, y to x", "value": back})
            gap = there - back
            bounds = {"value": gap, "low": gap - 0.05, "high": gap + 0.05}
            rows.append(pair | {"quantity": "asymmetry of the imbalance", **bounds})
    for number, name in enumerate(("lm", "glove", "tfidf", "net", "net_small", "pixels")):
        size = 6.0 + 3 * number
        layer = {"setting": f"{name}, layer {number}", "quantity": "intrinsic dimension, TwoNN"}
        rows.append(layer | {"value": size, "low": 0.9 * size, "high": 1.1 * size})
    note = {"note": "mean over 9 pairs of models, k = 1"}
    rows.append({"quantity": "information imbalance, x to y", "value": 0.7} | note)
    return StudyTable.of_rows(rows, study="imbalance", dataset="toy--0", n=700)


def sample(style):
    return draw("imbalance", FigureData(study=study()), style=style)


def test_points_are_pairs_and_filled_where_the_ways_differ():
    plot = sample(None)
    dimensions, plane = plot.figure.axes
    points = [line for line in plane.lines if line.get_linestyle() == "None"]
    assert sum(len(line.get_xdata()) for line in points) == 9
    filled = sum(len(line.get_xdata()) for line in points if line.get_markerfacecolor() != "white")
    assert filled == ((plot.data.low > 0) | (plot.data.high < 0)).sum()
    assert 0 < filled < 9
    (sizes,) = dimensions.lines
    assert list(sizes.get_xdata()) == [6, 9, 12, 15, 18, 21]
