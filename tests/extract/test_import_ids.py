"""Imported samples have the ids of their file however it writes them; layers keep their order and names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from platorep.commands import store as storage
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.extract.imports import store_import


IDS = [f"item-{i}" for i in range(12)]
DATASET = DatasetSpec(name="brains", source="synthetic", id="brains")
X = torch.arange(12 * 5, dtype=torch.float32).reshape(12, 5)
Y = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))


def load(path, store, ids=None, **more):
    return store_import(path, store=store, dataset=DATASET, name="cortex", modality="brain", ids=ids, **more)


def npz(tmp_path, **arrays):
    """An archive with these arrays and the twelve ids."""
    np.savez(tmp_path / "x.npz", **({"ids": np.array(IDS)} | arrays))
    return tmp_path / "x.npz"


@pytest.mark.parametrize(
    "ids",
    [
        np.array(IDS, dtype="S"),
        np.array(IDS)[:, None],
        np.array(IDS)[None, :],
    ],
)
def test_ids_of_every_shape_and_kind_are_the_same_ids(ids, tmp_path):
    store = FeatureStore(tmp_path / "store")
    features = load(npz(tmp_path, a=X.numpy(), ids=ids), store)
    assert store.read_samples(features.path.parent).ids == IDS


@pytest.mark.parametrize("dtype", ["i8", "u2", "f4", "f8", ">i4", "S", "U"])
def test_ids_that_are_numbers_in_one_file_and_text_in_another_are_the_same(dtype, tmp_path):
    store, numbers = FeatureStore(tmp_path / "store"), np.arange(12)
    first = load(npz(tmp_path, a=X.numpy(), ids=numbers.astype(dtype)), store)
    np.save(tmp_path / "y.npy", Y.numpy())
    (tmp_path / "ids.json").write_text(json.dumps(list(range(12))))
    second = load(tmp_path / "y.npy", store, tmp_path / "ids.json")
    assert first.digest == second.digest
    assert store.read_samples(first.path.parent).ids == [str(i) for i in range(12)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.txt", "\ufeff" + "\n".join(IDS)),
        ("ids.txt", "\r\n".join(IDS) + "\r\n\r\n"),
        ("ids.json", "\ufeff" + json.dumps(IDS)),
        ("IDS.JSON", json.dumps(IDS)),
    ],
)
def test_files_of_ids_are_read_however_they_were_written(name, content, tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    (tmp_path / name).write_bytes(content.encode())
    store = FeatureStore(tmp_path / "store")
    assert store.read_samples(load(tmp_path / "x.npy", store, tmp_path / name).path.parent).ids == IDS


def test_line_separators_inside_an_id_do_not_part_it(tmp_path):
    odd = ["a\u2028b", "c\x85d", *IDS[2:]]
    np.save(tmp_path / "x.npy", X.numpy())
    (tmp_path / "ids.txt").write_text("\n".join(odd), encoding="utf-8")
    store = FeatureStore(tmp_path / "store")
    assert store.read_samples(load(tmp_path / "x.npy", store, tmp_path / "ids.txt").path.parent).ids == odd


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ids.json", "{", r"ids.json is no JSON: Expecting property name.* Expected a list of ids"),
        ("ids.json", "[" * 100_000, r"ids.json is no JSON"),
        ("ids.json", '{"a": 1}', r"ids.json holds dict; expected a list of ids"),
        ("ids.json", json.dumps([*IDS[:11], None]), r"x.npy, row 12: the id is missing"),
        ("ids.json", json.dumps([*IDS[:11], ["a"]]), r"x.npy, row 12: id is \['a'\] \(list\); expected"),
        ("ids.json", json.dumps([*IDS[:11], "\ud83d"]), r"x.npy, row 12: id '\\ud83d' is not valid Unicode"),
        ("ids.txt", "\n".join(["", *IDS[1:]]), r"x.npy, row 1: the id is missing"),
        ("ids.txt", "caf\xe9".encode("latin-1"), r"ids.txt is not UTF-8"),
        ("other.txt", None, r"ids.txt does not exist; expected a file of ids"),
        ("ids.txt/inside", "", r"ids.txt is no regular file"),
    ],
)  # fmt: skip
def test_files_of_ids_that_are_none_say_why(name, content, message, tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ids = tmp_path / ("ids.json" if name == "ids.json" else "ids.txt")
    with pytest.raises(DataError, match=message):
        load(tmp_path / "x.npy", FeatureStore(tmp_path / "store"), ids)


# order, names, and there and back


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_export_and_import_keep_layers_their_order_and_ids(kind, tmp_path):
    names = ["embedding", *(f"block.{i}" for i in range(12)), "file", "norm"]
    arrays = {name: X.numpy() + i for i, name in enumerate(names)}
    store = FeatureStore(tmp_path / "store")
    features = load(save(tmp_path / "x.pt", arrays), store)
    storage.export(store, "cortex", tmp_path / f"out.{kind}")
    again = load(tmp_path / f"out.{kind}", FeatureStore(tmp_path / "other"))
    assert [layer.name for layer in again.layers] == [layer.name for layer in features.layers] == names
    assert all(torch.equal(again.load(name), features.load(name)) for name in names)
    assert again.digest == features.digest


def save(path, arrays):
    torch.save({name: torch.from_numpy(values) for name, values in arrays.items()} | {"ids": IDS}, path)
    return path


def test_layers_of_one_name_after_taking_apart_are_refused(tmp_path):
    stacked = np.stack([X.numpy(), X.numpy()], axis=1)
    with pytest.raises(FeatureError, match=r"two layers would be named 'a.01'. Rename one"):
        load(npz(tmp_path, **{"a.01": X.numpy(), "a": stacked}), FeatureStore(tmp_path / "store"))
    with pytest.raises(FeatureError, match=r"a layer is named '__metadata__', which a file of features cannot keep"):
        load(npz(tmp_path, __metadata__=X.numpy()), FeatureStore(tmp_path / "store"))


def test_name_of_a_file_need_not_be_utf8_and_its_ending_may_be_of_any_case(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.NPY"))
    np.save(tmp_path / "x.npy", X.numpy())
    (tmp_path / "x.npy").rename(path)
    assert load(path, FeatureStore(tmp_path / "store"), IDS).spec.model.id == r"caf\xe9.NPY"
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(DataError, match="pipe.npy is no regular file"):
        load(tmp_path / "pipe.npy", FeatureStore(tmp_path / "store"), IDS)
    with pytest.raises(SpecError, match=r"'caf\\udce9' is not valid Unicode; expected a text for name"):
        load(path, FeatureStore(tmp_path / "store"), IDS, family="caf\udce9")
