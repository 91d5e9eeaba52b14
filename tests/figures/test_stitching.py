"""The figure of stitched networks, on a table made by rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.figures.stitching import SENDERS
from platorep.results.stitching import STITCHING_COLUMNS, StitchingTable


PENALTIES = {"": 0.02, "unrelated": 0.15, "noise": -0.05, "random": 0.4, "pixels": 0.3, "shuffled": 0.78, "probe": 0.1}


def table() -> StitchingTable:
    """Two kinds of network; corresponding layers fit best by direct matching, later senders best by the task."""
    rows = []
    for architecture, width, layers in (("mlp", 128, 3), ("conv", 24, 4)):
        kind = {"architecture": architecture, "width": width, "receiver": 0.88, "n_fit": 5000, "n_test": 10000}
        for x in range(layers):
            for y in range(layers):
                for method in ("direct", "task"):
                    off = 0.1 * abs(x - y) if method == "direct" else 0.04 * max(0, y - x)
                    for pair in ("ab", "ba"):
                        more = {"x_model": pair[0], "y_model": pair[1], "x_layer": x, "y_layer": y, "method": method}
                        penalty = PENALTIES[""] + off
                        rows.append(kind | more | {"penalty": penalty, "accuracy": 0.88 - penalty})
        for control, penalty in PENALTIES.items():
            for layer in range(layers if control else 0):
                methods = {"probe": ["probe"], "shuffled": ["direct"]}.get(control, ["direct", "task"])
                for method in methods:
                    value = penalty * (1 if method == "direct" else 0.5) * (1 + 0.1 * layer)
                    more = {"x_model": control, "y_model": "a", "x_layer": layer, "y_layer": layer, "control": control}
                    rows.append(kind | more | {"method": method, "penalty": value, "accuracy": 0.88 - value})
    empty = {name: "" if dtype == "string" else 0 for name, dtype in STITCHING_COLUMNS.items()}
    return StitchingTable.from_frame(pd.DataFrame([empty | {"dataset": "fashion_mnist"} | row for row in rows]))


def sample(style):
    return draw("stitching", FigureData(stitching=table()), style=style)


def test_lines_are_penalties_by_control_and_matrices_accuracies():
    plot = sample(None)
    assert len(plot.figure.axes) == 8
    lines = {line.get_label(): line for line in plot.figure.axes[0].lines}
    assert {*lines} >= {*SENDERS.values(), "none"}
    assert list(lines["another seed"].get_ydata()) == pytest.approx([0.02] * 3)
    assert list(lines["noise by class"].get_ydata()) == pytest.approx([-0.05, -0.055, -0.06])
    direct, task = (plot.figure.axes[number].images[0].get_array() for number in (2, 3))
    assert direct[0, 2] == pytest.approx(0.86 - 0.2)
    assert direct[1, 1] == pytest.approx(0.86)
    assert task[2, 0] == pytest.approx(0.86)
    assert task[0, 2] == pytest.approx(0.86 - 0.08)
    texts = " ".join(text.get_text() for text in plot.figure.texts).replace("\n", " ")
    assert "mlp-128 direct 1.00" in texts
    assert "another seed" in texts + str([text.get_text() for panel in plot.figure.axes for text in panel.texts])


def test_pretrained_networks_are_named_by_family_and_miss_cells_that_were_not_stitched():
    frame = table().frame
    frame = frame[frame.architecture == "conv"].assign(width=0, architecture="resnet")
    frame = frame[(frame.method == "direct") | (frame.x_layer == frame.y_layer)]
    plot = draw("stitching", FigureData(stitching=StitchingTable.from_frame(frame)))
    assert plot.figure.axes[0].get_title(loc="left") == "resnet, direct"
    task = plot.figure.axes[3].images[0].get_array()
    assert [bool(np.isfinite(task[i, j])) for i in (0, 1) for j in (0, 1)] == [True, False, False, True]
    texts = " ".join(text.get_text() for text in plot.figure.texts).replace("\n", " ")
    assert "resnet direct 1.00" in texts
    assert "resnet task" not in texts  # only corresponding layers were stitched by the task
    words = {text.get_text() for panel in plot.figure.axes for text in panel.texts} | {texts}
    assert any("another network" in word for word in words)
