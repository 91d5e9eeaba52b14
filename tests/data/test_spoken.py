"""The stamps' spoken captions and the sound effects: small packages of the same layout, and the real ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from platorep.core.errors import SpecError, UnknownNameError
from platorep.core.specs import AssetSpec, DatasetSpec
from platorep.data import open_dataset


CONFIGS = Path(__file__).parents[2] / "configs" / "dataset"


def configured(name: str, **options) -> DatasetSpec:
    values = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    return DatasetSpec.from_dict(values | {"options": values["options"] | options})


def record(path: Path, pitch: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(4000) * pitch), 8000)


@pytest.fixture
def stamps(tmp_path):
    """Three stamps and a letter: name, picture, texts and recordings."""
    folder = tmp_path / "tuxpaint-stamps-default"
    root = folder / "usr/share/tuxpaint/stamps"
    texts = {
        "animals/owl": "An owl.\nde.utf8=Eine Eule.\nfr.utf8=Un hibou.\n",
        "animals/owl2": "A little owl.\nfr.utf8=Un hibou.\n",
        "clothes/hat": "A hat.\nfr.utf8=Un chapeau.\n",
        "symbols/a": "The letter A.\nfr.utf8=La lettre A.\n",
    }
    for number, (name, text) in enumerate(texts.items()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.txt").write_text(text, encoding="utf-8")
        Image.new("RGB", (4, 4), (number, 0, 0)).save(root / f"{name}.png")
        record(root / f"{name}_desc_fr.ogg", 0.1 + 0.1 * number)
    record(root / "animals/owl_desc.ogg", 0.9)
    record(root / "animals/owl.ogg", 1.1)
    record(root / "clothes/hat.wav", 1.3)
    return AssetSpec(source="path", id=str(folder))


def spoken(stamps, **options) -> DatasetSpec:
    return DatasetSpec(name="spoken", source="spoken", assets=(stamps,), options=options, on_bad_sample="drop")


def test_one_row_for_every_spoken_text_with_its_picture(stamps):
    data = open_dataset(spoken(stamps, language="fr"))
    assert data.samples.ids == ["animals/owl", "clothes/hat"]
    assert data.samples.captions == [["An owl."], ["A hat."]]
    assert data.samples.sounds == [1, 1]
    assert data.samples.pictures is None
    assert data.sound(1).rate == 8000
    assert data.picture(1).getpixel((0, 0)) == (2, 0, 0)
    own = open_dataset(spoken(stamps, language="fr", caption_language="fr"))
    assert own.samples.captions == [["Un hibou."], ["Un chapeau."]]
    assert own.spec.key() != data.spec.key()


def test_languages_that_are_not_spoken_or_not_written(stamps):
    with pytest.raises(UnknownNameError, match=r"spoken language of the stamps 'frr'.*fr"):
        open_dataset(spoken(stamps, language="frr"))
    with pytest.raises(SpecError, match=r"dataset.options.language is 3; expected a language"):
        open_dataset(spoken(stamps, language=3))
    data = DatasetSpec(name="stamps", source="stamps", assets=(stamps,), options={"language": "fr"})
    assert open_dataset(data).samples.captions == [["Un hibou."], ["Un hibou."], ["Un chapeau."]]
    with pytest.raises(UnknownNameError, match="language of the stamps' captions 'xx'.*de, fr"):
        open_dataset(data.replace(options={"language": "xx"}))


def effects(stamps, tmp_path, **options) -> DatasetSpec:
    for number, name in enumerate(("core/sounds/ogre-hit-1.ogg", "core/sounds/ogre-hit-2.ogg", "sounds/bell.wav")):
        record(tmp_path / "wesnoth-1.16-data/usr/share/games/wesnoth/1.16" / name, 0.15 + 0.2 * number)
    record(tmp_path / "sonic-pi-samples/samples/drum_snare_hard.flac", 0.4)
    record(tmp_path / "sound-icons/glass-water-1.wav", 0.5)
    assets = [AssetSpec(source="path", id=str(tmp_path / name)) for name in (
        "wesnoth-1.16-data", "sonic-pi-samples", "sound-icons"
    )]  # fmt: skip
    return DatasetSpec(name="effects", source="effects", assets=(stamps, *assets), options=options)


def test_effects_have_names_in_words_and_takes_of_one_are_clips(stamps, tmp_path):
    data = open_dataset(effects(stamps, tmp_path))
    assert dict(zip(data.samples.ids, (captions[0] for captions in data.samples.captions), strict=True)) == {
        "stamps/animals/owl": "An owl.",
        "stamps/clothes/hat": "A hat.",
        "wesnoth/bell": "bell",
        "wesnoth/ogre-hit": "ogre hit",
        "sonic_pi/drum_snare_hard": "drum snare hard",
        "sound_icons/glass-water-1": "glass water 1",
    }
    assert data.samples.sounds == [1, 1, 1, 2, 1, 1]
    assert data.samples.pictures == [0] * 6
    assert data.samples.categories == ["stamps", "stamps", "wesnoth", "wesnoth", "sonic_pi", "sound_icons"]


def test_the_effects_of_the_stamps_alone_have_pictures(stamps, tmp_path):
    data = open_dataset(effects(stamps, tmp_path, packages=["stamps"]))
    assert data.samples.pictures is None
    assert data.picture(1).getpixel((0, 0)) == (2, 0, 0)
    with pytest.raises(UnknownNameError, match="package of sound effects 'wesnot'"):
        open_dataset(effects(stamps, tmp_path, packages=["wesnot"]))
    with pytest.raises(SpecError, match=r"packages is 'stamps'; expected a list"):
        open_dataset(effects(stamps, tmp_path, packages="stamps"))
    spec = effects(stamps, tmp_path)
    with pytest.raises(SpecError, match="has no asset of sound-icons"):
        open_dataset(spec.replace(assets=spec.assets[:3]))


@pytest.mark.packaged
def test_the_packaged_effects_of_two_packages():
    data = open_dataset(configured("effects", packages=["sonic_pi", "sound_icons"]))
    assert Counter(data.samples.categories) == {"sonic_pi": 165, "sound_icons": 32}
    assert not data.samples.dropped


@pytest.mark.packaged
@pytest.mark.parametrize(("language", "count"), [("fr", 596), ("es", 578), ("ro", 591)])
def test_the_packaged_voices(language, count):
    from platorep.data.spoken import pairs

    _, rows = pairs(configured("spoken", language=language))
    assert len(rows) == count
    assert rows[0].captions == ["A frog."]
    assert 0.3 < rows[0].sounds[0]().seconds < 3
