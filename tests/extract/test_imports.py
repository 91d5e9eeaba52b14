from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.extract.imports import store_import


IDS = [f"item-{i}" for i in range(12)]
DATASET = DatasetSpec(name="brains", source="synthetic", id="brains")
X = torch.arange(12 * 5, dtype=torch.float32).reshape(12, 5)
Y = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))


def write(path, kind):
    """The two layers (one for npy) in a file of each kind; whether it holds its ids."""
    if kind == ".npy":
        np.save(path, X.numpy())
    elif kind == ".npz":
        np.savez(path, first=X.numpy(), second=Y.numpy(), ids=np.array(IDS))
    elif kind == ".safetensors":
        save_file({"first": X, "second": Y}, path)
    elif kind == ".parquet":
        pd.DataFrame({"id": IDS, "first": list(X.numpy()), "second": list(Y.numpy())}).to_parquet(path)
    else:
        torch.save({"first": X, "second": Y}, path)
    return kind in (".npz", ".parquet")


def load(path, store, ids=None, **more):
    return store_import(path, store=store, dataset=DATASET, name="cortex", modality="brain", ids=ids, **more)


@pytest.mark.parametrize("kind", [".npy", ".npz", ".safetensors", ".parquet", ".pt"])
def test_every_kind_of_file_comes_back_as_it_was(kind, tmp_path):
    path, store = tmp_path / f"cortex{kind}", FeatureStore(tmp_path / "store")
    held = write(path, kind)
    features = load(path, store, None if held else IDS)
    assert torch.equal(features.load(0), X)
    if kind != ".npy":
        assert [layer.name for layer in features.layers] == ["first", "second"]
        assert torch.equal(features.load("second"), Y)
    assert (features.spec.model.source, features.spec.model.modality) == ("imported", "brain")
    assert len(features.spec.model.revision) == 64
    if not held:
        with pytest.raises(DataError, match="holds no sample ids"):
            load(path, store)


def test_rows_are_put_into_the_dataset_s_order(tmp_path):
    store = FeatureStore(tmp_path)
    store.write_samples(DATASET, Samples(IDS, [["a caption"]] * 12))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "x.npy", X[order].numpy())
    (tmp_path / "ids.json").write_text(json.dumps([IDS[i] for i in order]))
    (tmp_path / "ids.txt").write_text("\n".join(IDS[i] for i in order))
    for ids in (tmp_path / "ids.json", tmp_path / "ids.txt", [IDS[i] for i in order]):
        assert torch.equal(load(tmp_path / "x.npy", store, ids, shard_rows=5).load(0), X)


def test_other_content_is_another_revision(tmp_path):
    store, path = FeatureStore(tmp_path / "store"), tmp_path / "x.npy"
    np.save(path, X.numpy())
    one = load(path, store, IDS)
    np.save(path, X.numpy() + 1)
    two = load(path, store, IDS)
    assert one.key != two.key
    assert one.digest == two.digest
    assert torch.equal(two.load(0), one.load(0) + 1)


def test_three_dimensions_are_samples_layers_width(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([X.numpy(), 2 * X.numpy()], axis=1))
    features = load(tmp_path / "x.npy", FeatureStore(tmp_path), IDS)
    assert len(features.layers) == 2
    assert torch.equal(features.load(1), 2 * X)


def test_number_columns_of_a_parquet_are_one_layer(tmp_path):
    pd.DataFrame({"id": IDS, "alpha": range(12), "beta": np.linspace(0, 1, 12)}).to_parquet(tmp_path / "x.parquet")
    assert load(tmp_path / "x.parquet", FeatureStore(tmp_path)).load(0).shape == (12, 2)


def test_what_cannot_be_imported_says_why(tmp_path):
    store, path = FeatureStore(tmp_path / "store"), tmp_path / "x.npy"
    np.save(path, X.numpy())
    with pytest.raises(SpecError, match=r"imported from \.npy, \.npz, \.safetensors, \.parquet, \.pt; got '\.pkl'"):
        load(tmp_path / "x.pkl", store, IDS)
    with pytest.raises(DataError, match=r"x2\.npy does not exist"):
        load(tmp_path / "x2.npy", store, IDS)
    with pytest.raises(DataError, match="12 rows, but there are 11 ids"):
        load(path, store, IDS[1:])
    with pytest.raises(DataError, match="'item-3' occurs twice"):
        load(path, store, [*IDS[:11], "item-3"])
    load(path, store, IDS)
    with pytest.raises(
        DataError, match=r"1 of the dataset's are missing in the file \(first 'item-11'\), 1 of the file's are not"
    ):
        load(path, store, [*IDS[:11], "stranger"])
    np.save(path, np.array([{"a": 1}] * 12, dtype=object), allow_pickle=True)
    with pytest.raises(FeatureError, match="pickled objects are not read"):
        load(path, store, IDS)
    np.save(path, np.array([["a"]] * 12))
    with pytest.raises(FeatureError, match="holds no real numbers"):
        load(path, store, IDS)
    np.save(path, np.zeros(12))
    with pytest.raises(FeatureError, match=r"shape \(12,\); expected \(n, d\)"):
        load(path, store, IDS)


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_files_that_are_not_numpy_s_are_said_to_be_none_and_nothing_unsafe_is_advised(kind, tmp_path):
    path, store = tmp_path / f"bad.{kind}", FeatureStore(tmp_path / "store")
    made = {"npz": lambda: np.savez(path, first=X.numpy(), ids=np.array(IDS)), "npy": lambda: np.save(path, X.numpy())}[
        kind
    ]
    made()
    whole = path.read_bytes()
    broken = [b"", b"junk" * 100, whole[: len(whole) // 2]]
    if kind == "npz":  # a byte of the numbers, which the archive's sum finds
        place = whole.index(X.numpy().tobytes()) + 5
        broken.append(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(FeatureError, match=rf"bad\.{kind} is (not an \.{kind} file: |damaged, or)") as caught:
            load(path, store, IDS)
        assert "allow_pickle" not in str(caught.value)
        assert str(caught.value).startswith(f"{path} is not an .{kind} file") or content not in (b"", b"junk" * 100)
    path.write_bytes(whole)
    assert torch.equal(load(path, store, IDS).load(0), X)


def test_archives_of_other_things_are_no_features(tmp_path):
    path, store = tmp_path / "x.npz", FeatureStore(tmp_path / "store")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word.xml", "<xml/>")
    with pytest.raises(FeatureError, match=r"is not an \.npz file: word.xml in it is not an array"):
        load(path, store, IDS)
    np.savez(path, first=np.array([{"a": 1}] * 12, dtype=object))
    with pytest.raises(FeatureError, match="holds Python objects: pickled objects are not read") as caught:
        load(path, store, IDS)
    assert "allow_pickle" not in str(caught.value)
