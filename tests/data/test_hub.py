"""The hub source through local folders in the Hub's own formats: the same library, the same code, no network."""

from __future__ import annotations

import io
import json
import tarfile

import datasets
import numpy as np
import pytest
import yaml
from PIL import Image

from platorep.config import config_dir
from platorep.core.errors import DataError, SpecError, UnknownNameError
from platorep.core.specs import DatasetSpec
from platorep.data import open_dataset


N = 6


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def images() -> list[Image.Image]:
    return [Image.fromarray(np.random.default_rng(i).integers(0, 256, (6, 5, 3), dtype=np.uint8)) for i in range(N)]


@pytest.fixture
def parquet(tmp_path):
    """A dataset repository as the Hub keeps them: parquet shards, pictures inside, several captions a row."""
    folder = tmp_path / "repo"
    (folder / "data").mkdir(parents=True)
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "text": datasets.List(datasets.Value("string")),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "key": datasets.Value("string"),
        }
    )
    rows = {
        "image": images(),
        "text": [[f"first {i}", f"second {i}"] for i in range(N)],
        "label": [i % 2 for i in range(N)],
        "key": [f"k{i}" for i in range(N)],
    }
    full = datasets.Dataset.from_dict(rows, features=features)
    full.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    full.select([0, 1, 2]).to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    return DatasetSpec(name="local", source="hub", id=str(folder))


def test_parquet_repository_gives_pictures_and_all_captions(parquet):
    data = open_dataset(parquet)
    assert data.samples.ids == [str(i) for i in range(N)]
    assert data.samples.captions[2] == ["first 2", "second 2"]
    assert data.samples.categories is None
    assert all(data.picture(i).tobytes() == image.tobytes() for i, image in enumerate(images()))


def test_columns_of_other_names_and_class_labels(parquet):
    data = open_dataset(parquet.replace(columns={"category": "label", "id": "key"}))
    assert data.samples.ids[:2] == ["k0", "k1"]
    assert data.samples.categories[:2] == ["cat", "dog"]
    with pytest.raises(UnknownNameError, match="unknown text column of dataset 'local'.* 'texts'. Did you mean 'text'"):
        open_dataset(parquet.replace(columns={"text": "texts"}))
    with pytest.raises(DataError, match="column 'label' of dataset .* holds no pictures but ClassLabel"):
        open_dataset(parquet.replace(columns={"image": "label"}))


def test_splits_and_their_errors(parquet):
    assert len(open_dataset(parquet.replace(split="test"))) == 3
    assert len(open_dataset(parquet.replace(split="train[:4]"))) == 4
    with pytest.raises(
        UnknownNameError, match="unknown split of dataset .* 'trian'. Did you mean 'train'.*Known: test, train"
    ):
        open_dataset(parquet.replace(split="trian"))


def test_unknown_config_is_answered_with_the_nearest(parquet):
    with pytest.raises(UnknownNameError, match="unknown config of dataset .* 'defualt'. Did you mean 'default'"):
        open_dataset(parquet.replace(config="defualt"))


def test_revision_of_a_local_repository_is_its_content(parquet):
    spec = open_dataset(parquet).spec
    assert len(spec.revision) == 40
    assert open_dataset(spec).spec.key() == spec.key()
    with pytest.raises(DataError, match="pinned to revision .*The folder changed"):
        open_dataset(parquet.replace(revision="0" * 40))


def test_damaged_picture_in_a_row_is_named_and_the_others_stay(tmp_path):
    raw = [{"bytes": _png(image), "path": None} for image in images()]
    raw[3]["bytes"] = b"damaged"
    raw[4] = None
    rows = {"image": raw, "text": [f"caption {i}" for i in range(N)]}
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    (tmp_path / "repo").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "repo" / "train.parquet")
    spec = DatasetSpec(name="local", source="hub", id=str(tmp_path / "repo"))
    with pytest.raises(DataError, match=r"2 of 6 samples are bad .*3: picture is unreadable .*4: picture is missing"):
        open_dataset(spec)
    assert open_dataset(spec.replace(on_bad_sample="drop")).samples.ids == ["0", "1", "2", "5"]


def test_imagefolder_on_disk(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    with open(folder / "metadata.jsonl", "w") as table:
        for i, image in enumerate(images()):
            image.save(folder / f"{i}.png")
            table.write(json.dumps({"file_name": f"{i}.png", "text": f"caption {i}"}) + "\n")
    data = open_dataset(DatasetSpec(name="local", source="hub", id=str(folder)))
    assert sorted(c[0] for c in data.samples.captions) == [f"caption {i}" for i in range(N)]
    by_caption = {c[0]: data.picture(i).tobytes() for i, c in enumerate(data.samples.captions)}
    assert by_caption["caption 4"] == images()[4].tobytes()


def test_id_is_required():
    with pytest.raises(SpecError, match="has no id: set dataset.id=owner/name, or a local folder"):
        open_dataset(DatasetSpec(name="local", source="hub"))


def _png(image: Image.Image) -> bytes:
    import io

    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_labels_serve_as_captions_of_pictures_that_have_none(parquet):
    data = open_dataset(parquet.replace(columns={"text": "label", "category": "label"}))
    assert data.samples.captions[:2] == [["cat"], ["dog"]]
    assert data.samples.categories[:2] == ["cat", "dog"]


def test_a_task_of_labelled_tar_files_opens_as_configured(tmp_path):
    """The layout of VTAB's tasks on the Hub: one folder a split, tar files of NAME.webp and NAME.cls."""
    for split, shift in (("train", 0), ("test", 1)):
        (tmp_path / "repo" / split).mkdir(parents=True)
        with tarfile.open(tmp_path / "repo" / split / "0.tar", "w") as tar:
            for i, image in enumerate(images()):
                file = io.BytesIO()
                image.save(file, "webp", lossless=True)
                for ending, raw in (("cls", str((i + shift) % 3).encode()), ("webp", file.getvalue())):
                    member = tarfile.TarInfo(f"s{i:07d}.{ending}")
                    member.size = len(raw)
                    tar.addfile(member, io.BytesIO(raw))
    task = yaml.safe_load((config_dir() / "probe" / "vtab.yaml").read_text())["tasks"]["dtd"]
    for part, shift in (("dataset", 0), ("validation", 1)):
        data = open_dataset(DatasetSpec.from_dict({**task[part], "id": str(tmp_path / "repo"), "order_seed": None}))
        assert data.samples.categories == [str((i + shift) % 3) for i in range(N)]
        assert data.picture(3).tobytes() == images()[3].tobytes()


def test_every_task_of_the_nineteen_has_two_splits_of_one_repository():
    tasks = yaml.safe_load((config_dir() / "probe" / "vtab.yaml").read_text())["tasks"]
    assert len(tasks) == 19
    for name, task in tasks.items():
        train, validation = (DatasetSpec.from_dict(task[part]) for part in ("dataset", "validation"))
        assert (train.id, train.split, validation.split) == (validation.id, "train", "test"), name
        assert all(one.n in (None, 10_000) for one in (train, validation))
    assert len({task["dataset"]["id"] for task in tasks.values()}) == 19


def test_column_of_lists_gives_several_pictures_a_sample(tmp_path):
    (tmp_path / "repo").mkdir()
    features = datasets.Features({"image": datasets.List(datasets.Image()), "text": datasets.Value("string")})
    one = images()
    rows = {"image": [one[:3], one[3:4], one[4:]], "text": ["a film", "a still", "two views"]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "repo" / "train.parquet")
    spec = DatasetSpec(name="local", source="hub", id=str(tmp_path / "repo"))
    data = open_dataset(spec)
    assert data.samples.pictures == [3, 1, 2]
    for i, own in enumerate(rows["image"]):
        assert [data.picture(i, j).tobytes() for j in range(len(own))] == [picture.tobytes() for picture in own]
    part = open_dataset(spec.replace(split="train[1:]"))  # counts are those of the rows asked for
    assert part.samples.pictures == [1, 2]
    assert part.picture(1, 1).tobytes() == one[5].tobytes()
