"""IDX files: pictures and classes as written, damaged files refused, and the packaged Fashion-MNIST if it is cached."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

from platorep.assets import cached
from platorep.cli.schema import config_dir
from platorep.core.errors import DataError, SpecError, UnknownNameError
from platorep.core.specs import AssetSpec, DatasetSpec
from platorep.data import open_dataset
from platorep.data.idx import read_idx
from tests.training.idx_files import NAMES, TRAIN, encoded, write_idx


@pytest.fixture
def spec(tmp_path):
    write_idx(tmp_path)
    asset = AssetSpec(source="path", id=str(tmp_path))
    return DatasetSpec(name="small", source="idx", split="test", assets=(asset,), options={"names": NAMES}, n=50)


def test_pictures_and_classes_are_those_of_the_files(spec):
    data, digits = open_dataset(spec), load_digits()
    assert data.samples.ids[:2] == ["test-000", "test-001"]
    assert data.samples.categories == [NAMES[label] for label in digits.target[TRAIN : TRAIN + 50]]
    assert data.samples.captions[0] == [data.samples.categories[0]]
    shown = np.asarray(data.picture(7))
    assert shown.shape == (8, 8, 3)
    assert np.array_equal(shown[..., 0], (digits.images[TRAIN + 7] * (255 / 16)).round().astype(np.uint8))
    train = open_dataset(spec.replace(split="train", n=5))
    assert train.samples.ids[0] == "train-0000"  # read from a compressed file
    assert train.samples.categories == [NAMES[label] for label in digits.target[:5]]


def test_what_is_missing_or_damaged_is_refused(spec, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown split of dataset small 'tst'. Did you mean 'test'"):
        open_dataset(spec.replace(split="tst"))
    with pytest.raises(SpecError, match=r"dataset\.options\.names is None; expected the classes' names"):
        open_dataset(spec.replace(options={}))
    with pytest.raises(DataError, match=r"label 9 has no name: dataset\.options\.names lists 3 classes"):
        open_dataset(spec.replace(options={"names": NAMES[:3]}))
    path = tmp_path / "t10k-images-idx3-ubyte"
    whole = path.read_bytes()
    for broken, message in (
        (whole[:-1], r"holds .* bytes; its header says \(597, 8, 8\)"),
        (whole[4:], "is no IDX file of unsigned bytes in 3 dimensions"),
        (b"", "is no IDX file"),
        (encoded(np.zeros((3, 8, 8), np.uint8)), "holds 3 pictures and 597 labels of test"),
    ):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=message):
            open_dataset(spec)
    path.unlink()
    with pytest.raises(DataError, match="holds no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz"):
        open_dataset(spec)
    packed = tmp_path / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be decompressed"):
        read_idx(packed, 3)


def test_the_packaged_pictures_are_fashion_mnist():
    fields = yaml.safe_load((config_dir() / "dataset" / "fashion_mnist.yaml").read_text())
    spec = DatasetSpec.from_dict(fields | {"n": 200, "order_seed": None})
    if cached(spec.assets[0]) is None:
        pytest.skip("the Debian package is not in the cache")
    data = open_dataset(spec)
    assert data.samples.categories[:5] == ["ankle boot", "pullover", "trousers", "trousers", "shirt"]
    assert data.picture(0).size == (28, 28)


def test_the_suite_trains_on_the_same_package():
    """The suite repeats the dataset's asset, because a file of a suite cannot refer to one of a dataset."""
    dataset = yaml.safe_load((config_dir() / "dataset" / "fashion_mnist.yaml").read_text())
    suite = yaml.safe_load((config_dir() / "suite" / "fashion.yaml").read_text())
    for model in suite["models"].values():
        if model["source"] == "trained":
            training = model["training"]["dataset"]
            assert training["assets"] == dataset["assets"]
            assert training["options"] == dataset["options"]
            assert (training["split"], dataset["split"]) == ("train", "test")
