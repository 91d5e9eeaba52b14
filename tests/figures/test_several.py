"""The figure of several captions and pictures per item, on a table made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.studies import StudyTable


MODELS = {"e5": 1.0, "letters": 0.4}
LAWS = {"captions": (0.4, 0.2, 0.9), "pictures": (0.3, 0.1, 1.4)}


def study() -> StudyTable:
    rows = []
    for x, good in MODELS.items():
        for y, better in (("net", 1.0), ("pixels", 0.5)):
            for kind, (limit, amplitude, exponent) in LAWS.items():
                pair = {"x_model": x, "y_model": y, "items": 675}
                for n in range(1, 7):
                    pooled = good * better * (limit - amplitude * n**-exponent)
                    for reading, value, chance in (("pooled", pooled, 0.015), ("multiplied", pooled / n, 0.015 / n)):
                        row = {"setting": f"{kind} {reading}", "position": n, "quantity": "mutual k-NN"}
                        row |= {"value": value, "low": 0.9 * value, "high": 1.1 * value, "null_mean": chance}
                        rows.append(pair | row)
                law = {"limit S": limit, "amplitude C": amplitude}
                law = {name: good * better * value for name, value in law.items()} | {"exponent α": exponent}
                for quantity, value in law.items():
                    rows.append(pair | {"setting": f"{kind} pooled", "quantity": quantity, "value": value})
    return StudyTable.of_rows(rows, study="several", dataset="toy--0", n=675)


def sample(style):
    return draw("several", FigureData(study=study()), style=style)


def test_each_panel_has_both_readings_of_each_model_with_its_best_partner():
    plot = sample(None)
    captions, pictures = plot.figure.axes
    assert captions.get_xlabel() == "captions per item"
    assert pictures.get_xlabel() == "pictures per item"
    by_label = [line for line in captions.lines if line.get_label() == "pooled"]
    assert [line.get_ydata()[0] for line in by_label] == pytest.approx([0.2, 0.08])  # e5 and letters, both with net
    hollow = [line for line in captions.lines if line.get_label() == "multiplied"]
    assert all(line.get_markerfacecolor() == "white" for line in hollow)
    assert hollow[0].get_ydata() == pytest.approx(by_label[0].get_ydata() / np.arange(1, 7))


def test_the_line_of_pooled_captions_is_their_law():
    (captions, _) = sample(None).figure.axes
    line = next(line for line in captions.lines if line.get_label() == "line" and len(line.get_xdata()) == 100)
    x = line.get_xdata()
    assert line.get_ydata() == pytest.approx(0.4 - 0.2 * x**-0.9)
