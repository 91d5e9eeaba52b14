"""The figure of models that hear: rows, floors as lines, chance and the null."""

from __future__ import annotations

import pytest

from platorep.core.errors import StoreError
from platorep.figures.data import Plot
from platorep.figures.style import PlotStyle
from tests.figures.tables import cross, plot, said, selected


SCORES = {
    "aisfx": (0.19, "aisfx"), "aisfx_random": (0.11, "random"), "whisper_tiny_en_5s": (0.15, "whisper"),
    "mel": (0.105, "mel"), "duration": (0.05, "duration"),
}  # fmt: skip
READERS = {"minilm_l6": 1.0, "glove_50d": 0.8, "smollm2_135m": 0.9, "smollm2_135m_random": 0.5, "tfidf": 0.7}


def table():
    scores = {
        (reader, sound): share * score for reader, share in READERS.items() for sound, (score, _) in SCORES.items()
    }
    hearing = cross(
        scores,
        {sound: family for sound, (_, family) in SCORES.items()},
        {sound: {"modality": "sound"} for sound in SCORES},
    )
    frame = hearing.frame
    intervals = selected(hearing, strata="category").frame
    tested = intervals.assign(
        low=intervals.score - 0.02, high=intervals.score + 0.02, null_mean=0.03, null_low=0.02, null_high=0.04
    )
    return type(hearing).from_frame(frame), tested


def drawn(style: PlotStyle | None = None, keep=None) -> Plot:
    from platorep.results.tables import SelectionTable

    hearing, tested = table()
    if keep is not None:
        hearing = type(hearing).from_frame(hearing.frame[hearing.frame.y_model.isin(keep)])
    return plot("hear", hearing, selection=SelectionTable.from_frame(tested), style=style)


def sample(style: PlotStyle) -> Plot:
    return drawn(style)


def test_rows_are_models_and_lines_are_floors():
    shown = drawn()
    first, *_ = shown.figure.axes
    assert first.get_title(loc="left") == "minilm_l6"
    assert [text.get_text() for text in first.get_yticklabels()] == ["aisfx_random", "whisper_tiny_en_5s", "aisfx"]
    (dots,) = [line for line in first.lines if line.get_marker() == "o"]
    assert sorted(dots.get_xdata()) == pytest.approx([0.11, 0.15, 0.19])
    floors = sorted(line.get_xdata()[0] for line in first.lines if line.get_marker() == "None")
    assert floors == pytest.approx([0.05, 0.1, 0.105])  # duration; chance, 10 of 100; mel
    assert len(shown.data) == 25
    assert "permuted within category" in said(shown.figure)
    assert "95 % intervals" in said(shown.figure)


def test_tables_without_models_that_hear_are_refused():
    with pytest.raises(StoreError, match="language against sound; the alignment table has only language x vision"):
        plot("hear", cross({("lm", "vit"): 0.2}))
    with pytest.raises(StoreError, match="models that hear besides mel and duration"):
        drawn(keep=["mel", "duration"])
