"""The figure of lines between networks, on a table made by rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.basin import BasinTable


DIPS = {"none": 0.6, "weights": 0.2, "weights+repair": 0.05, "activations+repair": 0.04, "ensemble": -0.01}


def table() -> BasinTable:
    """Three widths, two epochs, two pairs of seeds and a fork: barriers fall with width and method."""
    rows = []
    for width, narrow in ((32, 1.0), (128, 0.7), (512, 0.4)):
        for epoch, pairs in ((2, 1), (15, 3)):
            for pair in range(pairs):
                facts = {"architecture": "mlp", "width": width, "epoch": epoch, "relation": "seeds", "shared": 0}
                facts |= {"x_model": f"a{pair // 2}", "y_model": f"a{1 + (pair + 1) // 2}"}
                for method, dip in DIPS.items():
                    rows += line(facts, method, dip * narrow * (0.9 + 0.1 * pair))
                score = 0.2 + 0.1 * np.log2(width) / 9 + 0.01 * epoch
                more = {"experiment": "kernel", "quantity": "kernel", "layer": 0, "value": score, "chance": 0.005}
                rows.append(facts | more | {"metric": "mutual_knn(k=10,similarity=cosine)"})
        for shared in (0, 5):
            fork = {"architecture": "mlp", "width": width, "epoch": 15, "relation": "fork", "shared": shared}
            rows += line(fork | {"x_model": "a0", "y_model": f"fork {shared}"}, "none", 0.3 if shared == 0 else 0.0)
    empty = {"dataset": "fashion_mnist", "n": 10000, "seed": 0, "version": "1", "layer": -1, "share": np.nan}
    empty |= {"chance": np.nan, "metric": "", "method": ""}
    return BasinTable.from_frame(pd.DataFrame([empty | row for row in rows]))


def line(facts, method, dip):
    found = []
    for share in np.linspace(0, 1, 5):
        depth = 4 * share * (1 - share) * dip
        for quantity, value in (("test_accuracy", 0.89 - depth), ("test_loss", 0.35 + 3 * depth)):
            more = {"experiment": "path", "method": method, "share": float(share), "quantity": quantity, "value": value}
            found.append(facts | more)
    return found


def sample(style):
    return draw("basin", FigureData(basin=table()), style=style)


def test_lines_are_means_of_pairs_and_points_are_barriers():
    plot = sample(None)
    assert len(plot.figure.axes) == 4
    middle = plot.data[(plot.data.line == "none") & (plot.data.share == 0.5) & (plot.data.width == 32)]
    assert middle.value.item() == pytest.approx(0.89 - 0.6 * np.mean([0.9, 1.0, 1.1]))
    points = plot.data[plot.data.barrier.notna()]
    assert len(points) == 3 * 2 * 2  # widths, epochs, methods
    wide = points[(points.width == 512) & (points.epoch == 15)].set_index("line")
    assert wide.barrier["none"] == pytest.approx(3 * 0.6 * 0.4)
    assert wide.barrier["weights+repair"] < 0.1 * wide.barrier["none"]


def test_the_fork_with_the_most_shared_epochs_is_drawn():
    data = sample(None).data
    fork = data[data.line == "fork"]
    assert (fork.shared == 5).all()
    assert fork.value.min() == pytest.approx(0.89)
