"""Word drawings and clip art: small packages of the same layout, and the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from platorep.core.errors import DataError
from platorep.core.specs import AssetSpec, DatasetSpec
from platorep.data import clipart, open_dataset


CONFIGS = Path(__file__).parents[2] / "configs" / "dataset"


def configured(name: str) -> DatasetSpec:
    return DatasetSpec.from_dict(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()))


def local(name: str, *folders: Path) -> DatasetSpec:
    assets = tuple(AssetSpec(source="path", id=str(folder)) for folder in folders)
    return DatasetSpec(name=name, source=name, assets=assets)


def paint(path: Path, red: int, size: tuple[int, int] = (4, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (red, 0, 0)).save(path)


def test_a_word_drawing_is_its_word_once(tmp_path):
    root = tmp_path / "usr/share/games/pysiogame/res/images/art4apps"
    for number, name in enumerate(("animals/polar_bear", "animals/owl", "actions/bark", "nature/bark")):
        paint(root / f"{name}.jpg", 60 * number)
    data = open_dataset(local("art4apps", tmp_path))
    assert data.samples.ids == ["actions/bark", "animals/owl", "animals/polar_bear"]
    assert [captions[0] for captions in data.samples.captions] == ["bark", "owl", "polar bear"]
    assert data.samples.categories == ["actions", "animals", "animals"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no folder art4apps: it is not pySioGame's package"):
        open_dataset(local("art4apps", tmp_path / "empty"))


DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><rdf:RDF><cc:Work>
 <dc:title>{title}</dc:title><dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject>
 <dc:publisher><cc:Agent><dc:title>Open Clip Art Library</dc:title></cc:Agent></dc:publisher>
 </cc:Work></rdf:RDF></metadata></svg>"""


@pytest.fixture
def clips(tmp_path):
    """Clip art: path, title and keywords."""
    entries = {
        "animals/cow": ("A cow", ["animal", "milk", "animal"]),
        "animals/cow_2": ("a COW", ["animal"]),
        "animals/huge": ("A whale", []),
        "food/lemon": ("Lemon\n (Whole)", ["unsorted", ""]),
        "food/nameless": ("", ["food"]),
        "shapes/square": ("Square", []),
    }
    for number, (name, (title, keywords)) in enumerate(entries.items()):
        size = (3000, 3000) if name.endswith("huge") else (4, 4)
        paint(tmp_path / f"a/usr/share/openclipart/png/{name}.png", 40 * number, size)
        drawing = tmp_path / f"b/usr/share/openclipart/svg/{name}.svg"
        drawing.parent.mkdir(parents=True, exist_ok=True)
        items = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords)
        drawing.write_text(DRAWING.format(title=title, keywords=items))
    (tmp_path / "b/usr/share/openclipart/svg/food/broken.svg").write_text("<svg>")
    paint(tmp_path / "a/usr/share/openclipart/png/food/broken.png", 250)
    return tmp_path / "a", tmp_path / "b"


def test_clip_art_has_title_and_keywords_once_and_no_shapes_or_giants(clips):
    data = open_dataset(local("clipart", *clips))
    assert dict(zip(data.samples.ids, data.samples.captions, strict=True)) == {
        "animals/cow": ["A cow: animal, milk"],
        "food/lemon": ["Lemon (Whole)"],
    }
    assert data.samples.categories == ["animals", "food"]
    assert data.picture(1).getpixel((0, 0)) == (120, 0, 0)
    with pytest.raises(DataError, match="holds no folder svg: it is not the package openclipart-svg"):
        open_dataset(local("clipart", clips[0], clips[0]))


@pytest.mark.packaged
def test_the_packaged_word_drawings_have_every_word_once():
    data = open_dataset(configured("drawings"))
    assert len(data) == 581
    assert len({captions[0].lower() for captions in data.samples.captions}) == 581
    assert len(set(data.samples.categories)) == 12
    assert [sample["id"] for sample in data.samples.dropped] == [
        "jobs/cleaner", "jobs/cook", "jobs/juggler", "jobs/teacher"
    ]  # fmt: skip
    assert data.picture(0).size == (200, 200)


@pytest.mark.packaged
def test_the_packaged_clip_art():
    _, rows = clipart.pairs(configured("clipart"))
    assert len(rows) == 1656
    assert rows[0].pictures is not None
    assert max(rows[0].pictures[0]().size) > 100
