"""Datasets with any of pictures, captions and sounds: their samples, rows and checks."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from PIL import Image

from platorep.core.errors import DataError, SpecError
from platorep.core.rows import row_samples, rows_of
from platorep.core.samples import read_samples, write_samples
from platorep.core.sounds import Sound
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.data import open as opening
from platorep.data import open_dataset
from platorep.data.pair import Pair
from platorep.extract.items import items_of


MODEL = ModelSpec(name="m", modality="sound", source="mel", id="mel")


def tone(pitch: float) -> Sound:
    return Sound(np.sin(np.arange(800) * pitch).astype(np.float32), 8000)


def broken() -> Sound:
    raise DataError("sound is silent")


def picture(colour: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (colour, 0, 0))


def opened(monkeypatch, pairs, **changes):
    monkeypatch.setattr(opening, "source_of", lambda spec: lambda spec, progress: (spec.replace(revision="1"), pairs))
    return open_dataset(DatasetSpec(name="made", source="made", **changes))


def sounds_of(i: int, count: int = 1):
    return [partial(tone, 0.1 + 0.1 * i + 0.01 * j) for j in range(count)]


def test_sounds_alone_are_samples(monkeypatch, tmp_path):
    data = opened(monkeypatch, [Pair(f"s{i}", None, None, None, sounds=sounds_of(i, 1 + i % 2)) for i in range(4)])
    assert data.samples.sounds == [1, 2, 1, 2]
    assert data.samples.pictures == [0, 0, 0, 0]
    assert data.samples.captions == [[], [], [], []]
    assert np.array_equal(data.sound(1, 1).samples, tone(0.21).samples)
    write_samples(tmp_path, data.spec, data.samples)
    assert read_samples(tmp_path) == data.samples
    spec = ExtractSpec(model=MODEL, dataset=data.spec)
    assert [row.sounds for row in rows_of(spec, data.samples)] == [[0], [0, 1], [0], [0, 1]]
    for modality, kind in (("language", "captions"), ("vision", "pictures")):
        with pytest.raises(DataError, match=f"the dataset has no {kind}, which models of modality {modality} need"):
            items_of(spec, data.samples).of(modality)


def test_a_sample_may_have_all_three_and_clips_multiply(monkeypatch):
    pairs = [Pair(f"s{i}", [f"a {i}"], "c", [partial(picture, i)], sounds=sounds_of(i, 1 + i)) for i in range(3)]
    data = opened(monkeypatch, pairs)
    assert data.samples.pictures is None
    assert data.samples.sounds == [1, 2, 3]
    clips = ExtractSpec(model=MODEL, dataset=data.spec, combine="multiply_items")
    rows = row_samples(clips, data.samples)
    assert rows.ids == ["s0#:0", "s1#:0", "s1#:1", "s2#:0", "s2#:1", "s2#:2"]
    assert [captions[0] for captions in rows.captions] == ["a 0", "a 1", "a 1", "a 2", "a 2", "a 2"]
    items = items_of(clips, data.samples)
    assert items.of("sound")[4] == [(2, 1)]
    assert items.of("vision")[4] == [(2, 0)]
    first = items_of(clips.replace(sound="first"), data.samples)
    assert [len(sounds) for sounds in first.sounds] == [1, 1, 1]
    with pytest.raises(DataError, match="sample 's0' has 1 sounds; sound=1 does not exist"):
        items_of(clips.replace(sound="1"), data.samples)
    with pytest.raises(SpecError, match="sound is 'loud'; expected first, all or an index"):
        items_of(clips.replace(sound="loud"), data.samples)


def test_bad_sounds_are_named_or_dropped(monkeypatch):
    pairs = [Pair(f"s{i}", ["a"], None, None, sounds=sounds_of(i)) for i in range(3)]
    pairs += [
        Pair("silent", ["a"], None, None, sounds=[broken]),
        Pair("second", ["a"], None, None, sounds=[partial(tone, 0.9), broken]),
        Pair("same", ["a"], None, None, sounds=sounds_of(1)),
        Pair("none", ["a"], None, None, sounds=[]),
    ]
    with pytest.raises(DataError, match="4 of 7 samples are bad"):
        opened(monkeypatch, pairs)
    data = opened(monkeypatch, pairs, on_bad_sample="drop")
    assert data.samples.ids == ["s0", "s1", "s2"]
    assert {dropped["id"]: dropped["reason"] for dropped in data.samples.dropped} == {
        "silent": "sound is silent",
        "second": "sound 2 of 2: sound is silent",
        "same": "sound is the same as that of 's1'",
        "none": "sound is missing",
    }


def test_settings_of_sounds_leave_keys_alone_at_their_defaults():
    model, spec = MODEL.identity(), ExtractSpec(model=MODEL, dataset=DatasetSpec(name="d", source="d"))
    assert not {"seconds", "crop"} & model.keys()
    assert "sound" not in spec.identity()
    others = [
        spec.replace(sound="first"),
        *(spec.replace(model=MODEL.replace(**change)) for change in ({"seconds": 5.0}, {"crop": "first"})),
    ]
    assert len({spec.key(), *(other.key() for other in others)}) == 4
    with pytest.raises(SpecError, match="seconds is 0.01; expected 0.1 to 3600"):
        MODEL.replace(seconds=0.01)
