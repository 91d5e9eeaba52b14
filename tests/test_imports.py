from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from platorep import storage
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.imports import store_import


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
        with pytest.raises(FeatureError, match=rf"bad\.{kind} is (no \.{kind}: |damaged, or)") as caught:
            load(path, store, IDS)
        assert "allow_pickle" not in str(caught.value)
        assert str(caught.value).startswith(f"{path} is no .{kind}") or content not in (b"", b"junk" * 100)
    path.write_bytes(whole)
    assert torch.equal(load(path, store, IDS).load(0), X)


def test_archives_of_other_things_are_no_features(tmp_path):
    path, store = tmp_path / "x.npz", FeatureStore(tmp_path / "store")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word.xml", "<xml/>")
    with pytest.raises(FeatureError, match=r"is no \.npz: word.xml in it is no array"):
        load(path, store, IDS)
    np.savez(path, first=np.array([{"a": 1}] * 12, dtype=object))
    with pytest.raises(FeatureError, match="holds Python objects: pickled objects are not read") as caught:
        load(path, store, IDS)
    assert "allow_pickle" not in str(caught.value)


# right numbers, or a sentence


def npz(tmp_path, **arrays):
    """An archive with these arrays and the twelve ids."""
    np.savez(tmp_path / "x.npz", **({"ids": np.array(IDS)} | arrays))
    return tmp_path / "x.npz"


@pytest.mark.parametrize(
    "dtype", [">f4", ">f8", "<f8", "f2", ">f2", "i1", "u1", ">i2", "u2", "i4", ">u4", "i8", "u8", np.longdouble]
)
def test_numbers_of_every_kind_are_the_same_numbers(dtype, tmp_path):
    values = np.arange(60).reshape(12, 5) % 127
    features = load(npz(tmp_path, a=np.asfortranarray(values.astype(dtype))), FeatureStore(tmp_path / "store"))
    assert torch.equal(features.load(0), torch.from_numpy(values.astype(np.float32)))


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float64, torch.uint16, torch.int8]
)
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_tensors_of_every_kind_are_the_same_numbers(dtype, kind, tmp_path):
    values = (torch.arange(60).reshape(12, 5) % 8).to(dtype)
    path = tmp_path / f"x.{kind}"
    torch.save({"a": values}, path) if kind == "pt" else save_file({"a": values}, path)
    assert torch.equal(load(path, FeatureStore(tmp_path / "store"), IDS).load(0), values.to(torch.float32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (X.numpy().astype(np.float64) + 1e9, r"x.npz, a: features are stored in float32, and rounding to it takes .* of their spread .*x - x.mean\(0\).* To take the loss, save them as float32"),
        (np.arange(60).reshape(12, 5) + 2**40, "rounding to it takes .* of their spread"),
        (np.arange(60).reshape(12, 5) * 1e-60, "rounding to it takes 1 of their spread"),
        (np.where(np.arange(60).reshape(12, 5) == 17, np.nan, 1.0), r"x.npz, a: NaN or infinity for sample 'item-3' \(1 of 12 rows\). Mend these samples"),
        (np.full((12, 5), -np.inf), r"NaN or infinity for sample 'item-0' \(12 of 12 rows\)"),
        (np.full((12, 5), 1e39), r"values up to 1e\+39 are too large for float32. Scale the layer"),
        (np.where(np.eye(12, 5) > 0, 1e20, 1.0), "the value 1e\\+20 for sample 'item-0', which stands for a masked value in NumPy"),
        (np.ones((12, 5), complex), "dtype complex128 holds no real numbers"),
        (np.ones((12, 5), bool), "dtype bool holds no real numbers"),
        (np.ones((12, 5), "datetime64[s]"), "holds no real numbers"),
        (np.ones((12, 0)), r"shape \(12, 0\) holds no numbers"),
        (np.ones((12, 2, 2, 2)), r"expected \(n, d\), or \(n, layers, d\)"),
    ],
)  # fmt: skip
def test_values_that_float32_does_not_hold_are_refused_and_leave_nothing_behind(values, message, tmp_path):
    store = FeatureStore(tmp_path / "store")
    with pytest.raises(FeatureError, match=message) as caught:
        load(npz(tmp_path, a=values), store)
    assert "dtype=float32" not in str(caught.value)  # which speaks of an extraction
    assert not store.root.exists()


def test_loss_of_digits_may_be_taken_by_saving_float32(tmp_path):
    values = (X.numpy() + 1e9).astype(np.float32)
    assert torch.equal(
        load(npz(tmp_path, a=values), FeatureStore(tmp_path / "store")).load(0), torch.from_numpy(values)
    )


def test_masked_values_that_were_filled_by_default_are_refused(tmp_path):
    masked = np.ma.masked_array(X.numpy().astype(np.float64), mask=np.eye(12, 5) > 0)
    with pytest.raises(FeatureError, match="which stands for a masked value in NumPy"):
        load(npz(tmp_path, a=masked.filled()), FeatureStore(tmp_path / "store"))


@pytest.mark.parametrize("kind", ["sparse", "quantised", "meta", "nested"])
def test_tensors_that_are_no_plain_numbers_are_refused(kind, tmp_path):
    made = {
        "sparse": lambda: X.to_sparse(),
        "quantised": lambda: torch.quantize_per_tensor(X, 0.1, 0, torch.qint8),
        "meta": lambda: X.to("meta"),
        "nested": lambda: torch.nested.nested_tensor([X[:2], X[:3]]),
    }[kind]()
    torch.save({"a": made}, tmp_path / "x.pt")
    with pytest.raises(FeatureError, match=r"x.pt"):
        load(tmp_path / "x.pt", FeatureStore(tmp_path / "store"), IDS)


# ids


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
        ("ids.json", json.dumps([*IDS[:11], ["a"]]), r"x.npy, row 12: id is \['a'\] \(list\); expected text or a number"),
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
