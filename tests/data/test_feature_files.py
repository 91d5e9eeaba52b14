"""Files of features: what each format may hold, in which order its layers are, and what is said of the rest."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import save_file

from platorep.core.errors import DataError, FeatureError
from platorep.data.feature_files import depth_order, read_features, write_features


N = 6
IDS = [f"s{i}" for i in range(N)]
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)


def refused(path, message, kind=FeatureError):
    with pytest.raises(kind, match=message) as caught:
        read_features(path)
    for advice in ("allow_pickle", "weights_only"):
        assert advice not in str(caught.value)


# order of layers


@pytest.mark.parametrize(
    "names",
    [
        [f"layer.{i}" for i in range(12)],
        ["embedding", *(f"block.{i}" for i in range(30))],
        ["Embeddings", *(f"encoder.{i}.mlp.{j}" for i in range(11) for j in range(2))],
        ["blocks.2.attn", "blocks.10.attn", "norm"],
        ["a", "a.01.b", "a.1", "a.2"],
        ["x", "y"],
    ],
)
def test_names_are_put_into_the_order_of_depth(names):
    assert depth_order(sorted(names)) == names
    assert depth_order(names[::-1]) == names


def test_safetensors_of_others_are_in_the_order_of_their_names_and_our_own_in_that_of_writing(tmp_path):
    layers = {f"layer.{i}": torch.full((N, 2), float(i)) for i in range(12)}
    save_file(layers, tmp_path / "theirs.safetensors")
    assert list(read_features(tmp_path / "theirs.safetensors")[0]) == list(layers)
    ours = {
        "block.0": layers["layer.0"],
        "embedding": layers["layer.1"],
        "block.10": layers["layer.2"],
        "block.2": layers["layer.3"],
    }
    for name in ("ours.safetensors", "ours.npz"):
        write_features(tmp_path / name, ours, IDS)
        read, ids = read_features(tmp_path / name)
        assert list(read) == list(ours)
        assert [str(one) for one in ids] == IDS
        assert all(np.array_equal(np.asarray(read[key]), values.numpy()) for key, values in ours.items())


def test_arrays_and_dicts_and_columns_keep_the_order_of_writing(tmp_path):
    layers = {name: X for name in ("z", "layer.10", "layer.9")}
    np.savez(tmp_path / "x.npz", **layers)
    torch.save({name: torch.from_numpy(values) for name, values in layers.items()}, tmp_path / "x.pt")
    pd.DataFrame({name: list(values) for name, values in layers.items()}).to_parquet(tmp_path / "x.parquet")
    for kind in ("npz", "pt", "parquet"):
        assert list(read_features(tmp_path / f"x.{kind}")[0]) == list(layers)


def test_shard_of_the_store_is_read_without_its_figures(tmp_path):
    header = {"platorep": json.dumps({"key": "k", "layers": ["b", "a"]})}
    tensors = {"a": torch.ones(N, 2), "b": torch.zeros(N, 2), "sample.bits": torch.ones(N)}
    save_file(tensors, tmp_path / "shard.safetensors", metadata=header)
    layers, ids = read_features(tmp_path / "shard.safetensors")
    assert (list(layers), ids) == (["b", "a"], None)


@pytest.mark.parametrize("note", ["[]", "{", '{"layers": ["c"]}', '{"layers": 5}'])
def test_notes_of_another_program_under_our_name_are_refused(note, tmp_path):
    save_file({"a": torch.ones(N, 2)}, tmp_path / "x.safetensors", metadata={"platorep": note})
    refused(tmp_path / "x.safetensors", r"x.safetensors is damaged, or not a .safetensors file \(\w+: ")


# damaged and foreign files


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "parquet", "pt"])
def test_files_cut_off_or_of_something_else_are_refused_in_our_own_words(kind, tmp_path):
    path = tmp_path / f"x.{kind}"
    {
        "npy": lambda: np.save(path, X),
        "npz": lambda: np.savez(path, a=X),
        "safetensors": lambda: save_file({"a": torch.from_numpy(X)}, path),
        "parquet": lambda: pd.DataFrame({"a": list(X)}).to_parquet(path),
        "pt": lambda: torch.save({"a": torch.from_numpy(X)}, path),
    }[kind]()
    whole = path.read_bytes()
    for content in (b"", b"hello", b"junk" * 1000, whole[:100], whole[: len(whole) // 2], bytes(len(whole))):
        path.write_bytes(content)
        refused(path, rf"x\.{kind} is (not|damaged)", (FeatureError, DataError))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": X}, "holds more than tensors, lists and dicts of them: other objects are not read"),
        (None, "holds NoneType; expected a tensor, a list of tensors, or a dict of tensors"),
        ([torch.ones(N, 2), "text"], "'layer.01' is str; expected a tensor"),
        ({"a": {"b": torch.ones(N, 2)}}, "'a' is dict; expected a tensor"),
        ({1: torch.ones(N, 2), "1": torch.ones(N, 2)}, "two layers have the same name once it is text"),
        ({"a": torch.ones(N, 2), "ids": 5}, "ids are int; expected a list of texts or numbers"),
        ({"a": torch.ones(N, 2), "ids": torch.ones(2, 3)}, r"ids have the shape \(2, 3\); expected one id per sample"),
        ({"\ud83d": torch.ones(N, 2)}, r"a layer is named '\\ud83d', which a file of features cannot keep"),
    ],
)  # fmt: skip
def test_pt_files_of_other_things_are_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    refused(tmp_path / "x.pt", message, (FeatureError, DataError))


def test_code_in_a_pt_file_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "run"),))

    torch.save({"a": Payload()}, tmp_path / "x.pt")
    refused(tmp_path / "x.pt", "because reading them could run code")
    assert not (tmp_path / "run").exists()
    torch.load(tmp_path / "x.pt", weights_only=False)  # what the test above would miss, were it not refused
    assert (tmp_path / "run").exists()


def test_names_that_occur_twice_in_an_archive_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", X)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "a.npy")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(tmp_path / "a.npy", "a.npy")
    refused(tmp_path / "x.npz", "holds two arrays named 'a'")


# parquet


def write(path, **columns):
    parquet.write_table(pa.table(columns), path)


def test_parquet_columns_of_every_kind_of_number(tmp_path, caplog):
    path, lists = tmp_path / "x.parquet", X.tolist()
    for kind in (pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 3)):
        write(path, id=IDS, a=pa.array(lists, kind))
        layers, ids = read_features(path)
        assert np.array_equal(layers["a"].astype(np.float32), X)
        assert ids == IDS
    short = np.array([[1, 2], [3, 4], [5, 6]])
    write(path, id=pa.array([1, 2, 3]), a=short[:, 0], b=pa.array(short[:, 1]).dictionary_encode())
    layers, ids = read_features(path)
    assert np.array_equal(layers["layer"], short)
    assert ids == [1, 2, 3]
    write(path, id=IDS, a=pa.array(lists), label=list(range(N)))
    assert list(read_features(path)[0]) == ["a"]
    assert "left out are the columns ['label']" in caplog.text


def test_index_of_a_frame_is_no_feature_and_may_be_the_ids(tmp_path):
    frame = pd.DataFrame(X.astype(np.float64), columns=["a", "b", "c"], index=[f"r{i}" for i in range(N)])
    frame.to_parquet(tmp_path / "x.parquet")
    layers, ids = read_features(tmp_path / "x.parquet")
    assert np.array_equal(layers["layer"], frame.to_numpy())
    assert ids is None
    frame.rename_axis("id").to_parquet(tmp_path / "x.parquet")
    assert read_features(tmp_path / "x.parquet")[1] == list(frame.index)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[1.0], [1.0, 2.0]]), r"'a': lists of different lengths \(1, 2\)"),
        (pa.array([[1.0], None]), r"'a': lists of different lengths \(1, no list\)"),
        (pa.array([[[1.0]], [[2.0]]]), r"the column has the type list<.*list<.*; expected lists of numbers"),
        (pa.array([["x"], ["y"]]), r"expected lists of numbers"),
        (pa.array([{"x": 1.0}, {"x": 2.0}]), "the column has the type struct<x: double>; expected numbers"),
        (pa.array(["x", "y"]), "the column has the type string"),
        (pa.array([True, False]), "the column has the type bool"),
        (pa.nulls(2), "the column has the type null"),
        (pa.array(["x", "y"]).dictionary_encode(), "the column has the type string"),
    ],
)
def test_parquet_columns_that_hold_no_numbers_are_named(column, message, tmp_path):
    write(tmp_path / "x.parquet", id=["s0", "s1"], a=column)
    refused(tmp_path / "x.parquet", message)
