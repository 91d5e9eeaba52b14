"""The figure of wrong captions, on a table made by hand."""

from __future__ import annotations

import pytest

from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.studies import StudyTable


KINDS = {"caption of another item": 0.4, "one_word_wrong": 0.15}
MODELS = {"minilm": 1.0, "lm": 0.7, "glove": 0.4}


def study() -> StudyTable:
    rows = []
    for x, good in MODELS.items():
        for y, better in (("net", 1.0), ("pixels", 0.2)):
            for kind, effect in KINDS.items():
                value = 0.5 + effect * good * better
                row = {"x_model": x, "y_model": y, "setting": kind, "quantity": "own caption nearer", "value": value}
                row |= {"low": value - 0.03, "high": value + 0.03, "null_mean": 0.5, "null_low": 0.47}
                rows.append(row | {"null_high": 0.53, "p_value": 0.005, "items": 700})
    return StudyTable.of_rows(rows, study="negatives", dataset="toy--0", n=700)


def sample(style):
    return draw("negatives", FigureData(study=study()), style=style)


def test_each_model_is_shown_with_its_best_vision_model():
    plot = sample(None)
    (axes,) = plot.figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["glove", "lm", "minilm"]
    assert list(lines["one_word_wrong"].get_xdata()) == pytest.approx([0.56, 0.605, 0.65])
    assert len(plot.data) == 12
