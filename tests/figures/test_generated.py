"""The figure of generated tokens, on a table made by hand."""

from __future__ import annotations

import pytest

from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.studies import StudyTable


EFFECTS = {"see": 0.03, "hear": -0.01, "caption_itself": 0.002}
MODELS = {"lm": 0.12, "lm_random": 0.05}


def study() -> StudyTable:
    rows = []
    for x, score in MODELS.items():
        for y, better in (("net", 1.0), ("pixels", 0.5)):
            for version, effect in {"no prompt": 0.0, **EFFECTS}.items():
                pair = {"x_model": x, "y_model": y, "setting": version}
                value = better * score + effect
                row = {"quantity": "mutual k-NN", "value": value, "low": value - 0.01, "high": value + 0.01}
                rows.append(pair | row | {"null_mean": 0.0143})
                if version != "no prompt":
                    row = {"quantity": "less no prompt", "value": effect, "low": effect - 0.008, "high": effect + 0.008}
                    rows.append(pair | row | {"p_value": 0.001 if abs(effect) > 0.008 else 0.6})
    return StudyTable.of_rows(rows, study="generated", dataset="toy--0", n=700)


def sample(style):
    return draw("generated", FigureData(study=study()), style=style)


def test_each_model_is_shown_with_its_best_partner_and_what_prompts_add():
    left, right = sample(None).figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["lm_random", "lm"]
    scores = {line.get_label(): list(line.get_xdata()) for line in left.lines}
    assert scores["see"] == pytest.approx([0.15, 0.08])
    assert scores["no prompt"] == pytest.approx([0.12, 0.05])
    filled = {line.get_label(): list(line.get_xdata()) for line in right.lines if line.get_label() in EFFECTS}
    assert filled["see"] == pytest.approx([0.03, 0.03])
    assert filled["caption_itself"] == []  # p above .05: hollow
