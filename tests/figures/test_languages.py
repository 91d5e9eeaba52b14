"""The figure of languages on a table made by hand: series, triangles, layers and partners."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from platorep.core.errors import StoreError
from platorep.figures import draw
from platorep.figures.data import FigureData, Plot
from platorep.results.studies import StudyTable


WRITTEN = {"en": 0.15, "fr": 0.12, "de": 0.13, "ru": 0.11, "ja": 0.10}
SPOKEN = ("fr", "es")
READERS = {"e5": 1.0, "letters": 0.5, "e5_random": 0.4}
HEARERS = {"whisper": 0.06, "mel": 0.04, "duration": 0.03}
EYES = {"lite0": 1.0, "pixels": 0.5}


def study() -> StudyTable:
    rows = []

    def add(quantity: str, x: tuple[str, str], y: tuple[str, str], value: float, **more) -> None:
        row = {"setting": "last layer", "quantity": quantity, "value": value, "items": 600 - 10 * len(x[1])}
        row |= {"low": value - 0.01, "high": value + 0.01, "null_mean": 0.016, "null_low": 0.013, "null_high": 0.02}
        row |= {"x_model": x[0], "x_language": x[1], "y_model": y[0], "y_language": y[1], "position": 1.0}
        rows.append(row | more)

    for reader, share in READERS.items():
        for language, value in WRITTEN.items():
            for eye, part in EYES.items():
                add("captions and pictures", (reader, language), (eye, ""), share * part * value)
        for one, other in combinations(WRITTEN, 2):
            add("captions and captions", (reader, one), (reader, other), share * (0.2 + WRITTEN[one]))
    add("captions and pictures", ("minilm", "en"), ("lite0", ""), 0.18)
    for hearer, value in HEARERS.items():
        for language in SPOKEN:
            add("speech and pictures", (hearer, language), ("lite0", ""), value)
            for written in WRITTEN:
                add("speech and captions", (hearer, language), ("e5", written), value + 0.03 * (written == language))
        add("speech and speech", (hearer, "fr"), (hearer, "es"), 1.6 * value)
    for language in SPOKEN:
        for layer, depth in enumerate(np.linspace(0, 1, 4)):
            more = {"setting": "every layer", "x_layer": layer, "position": depth}
            add("speech and pictures", ("whisper", language), ("lite0", ""), 0.03 + 0.03 * depth, **more)
    return StudyTable.of_rows(
        rows, study="languages", dataset="stamps--0", n=700, metric="mutual_knn(k=10,similarity=cosine)"
    )


def sample(style) -> Plot:
    return draw("languages", FigureData(study=study()), style=style)


@pytest.fixture(scope="module")
def axes():
    return sample(None).figure.axes


def points(panel) -> list[list[float]]:
    return [sorted(line.get_xdata()) for line in panel.lines if line.get_linestyle() == "None"]


def test_languages_are_ordered_by_the_model_that_agrees_most_in_several(axes):
    read = axes[2]
    assert [text.get_text() for text in read.get_yticklabels()] == ["ja", "ru", "fr", "de", "en"]
    assert points(read)[0] == pytest.approx(sorted(WRITTEN.values()))  # not MiniLM, which reads one language
    assert len(points(read)) == 5  # e5, letters, random and MiniLM with the best eye; e5 with pixels
    assert [len(series) for series in points(read)] == [5, 5, 5, 1, 5]


def test_the_triangles_are_two_models(axes):
    values = axes[0].images[0].get_array()
    assert values[1, 0] == pytest.approx(0.35)  # e5: fr and en
    assert values[0, 1] == pytest.approx(0.5 * 0.35)  # letters, the best of the others
    assert np.ma.getmaskarray(np.ma.masked_invalid(values)).diagonal().all()


def test_layers_are_lines_and_models_of_one_layer_are_levels(axes):
    thick = [line for line in axes[1].lines if line.get_marker() == "o"]
    assert list(thick[0].get_ydata()) == pytest.approx([0.03, 0.04, 0.05, 0.06])
    levels = sorted(line.get_ydata()[0] for line in axes[1].lines if list(line.get_xdata()) == [0, 1])
    assert levels == pytest.approx([0.016, 0.03, 0.04])


def test_a_spoken_language_meets_pictures_captions_and_other_voices(axes):
    french = axes[3]
    assert french.get_title(loc="left") == "speech: fr"
    assert [text.get_text() for text in french.get_yticklabels()][::-1] == ["pictures", *WRITTEN, "es, spoken"]
    assert points(french)[0] == pytest.approx(sorted([0.06, 0.06, 0.09, 0.06, 0.06, 0.06, 0.096]))


def test_a_table_without_voices_is_refused():
    table = study()
    mute = type(table).from_frame(table.frame[~table.frame.quantity.str.startswith("speech")])
    with pytest.raises(StoreError, match="captions and voices against pictures; the table lacks one"):
        draw("languages", FigureData(study=mute))
