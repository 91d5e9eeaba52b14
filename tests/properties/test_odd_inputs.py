"""Inputs from anywhere are read right or refused by a sentence: never a traceback, never another number or word."""

from __future__ import annotations

import csv
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

import platorep
from platorep.core.errors import PlatorepError
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.data import open_dataset
from platorep.extract.imports import store_import


def attempt(action: Callable[[], Any]) -> tuple[Any, str | None]:
    """What an action gives, or the sentence by which it refuses its input; any other error is the test's."""
    try:
        return action(), None
    except PlatorepError as error:
        return None, str(error)


# metadata: what each row should come to is worked out beside the program, cell by cell

PICTURES = [f"{i}.png" for i in range(5)]
ODD_TEXT = [
    "",
    " ",
    "a cat",
    "a, b",
    'a "b"',
    "two\nlines",
    "half \ud83d",
    "\x1b[2J",
    "NA",
    "nan",
    "None",
    "日本",
    "\ufeffmark",
]
ODD_CELLS = [
    *ODD_TEXT,
    None,
    0,
    7,
    1.0,
    2.5,
    float("nan"),
    True,
    10**20,
    1e300,
    [],
    ["a", "b"],
    ["a", ""],
    ["a", None],
    {"en": "a"},
]
COLUMNS = st.sampled_from(["text", "key", "category"])
ODD_BYTES = [b"", b",", b'"', b"\n", b"\r", b"\0", b"\xff", b";", b"\xef\xbb\xbf", b"[", b"{"]
ODD_NAMES = [
    "missing.png",
    "bad.png",
    "",
    None,
    ".",
    "sub\\5.png",
    "x" * 300,
    "a\0.png",
    "\udce9.png",
    "metadata.jsonl",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    (root / "sub").mkdir()
    for i, name in enumerate([*PICTURES, "sub/5.png"]):
        Image.new("RGB", (4, 4), (40 * i, 90, 10)).save(root / name)
    (root / "bad.png").write_bytes(b"<html>")
    return root


def is_text(value) -> bool:
    return isinstance(value, str) and value.strip() != "" and not any("\ud800" <= c <= "\udfff" for c in value)


def captions_of(cell) -> list[str] | None:
    """The captions that a cell should give; None where its sample is bad."""
    captions = cell if isinstance(cell, list) else [cell]
    return captions if captions and all(map(is_text, captions)) else None


def id_of(cell) -> str | None:
    """The id or category that a cell should give; None where it has none."""
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float) and math.isfinite(cell) and cell == math.floor(cell):
        return str(int(cell)) if cell < 2**53 else None
    if isinstance(cell, (int, float)):
        return None if cell != cell else str(cell)
    return cell if is_text(cell) else None


def is_refused(cell) -> bool:
    """Whether a category is neither text nor a number, or no longer the number that it was."""
    return isinstance(cell, (list, dict)) or cell == 1e300 or (isinstance(cell, str) and "\ud83d" in cell)


def picture_of(cell) -> str | None:
    """The picture that a cell should name; None where its sample is bad."""
    if cell == "sub\\5.png":
        return "sub/5.png"
    return cell if cell in PICTURES else None


@settings(max_examples=80, deadline=None)
@given(
    cells=st.lists(st.tuples(st.integers(0, 4), COLUMNS, st.sampled_from(ODD_CELLS)), max_size=5),
    odd=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(ODD_NAMES)), max_size=2),
    chosen=st.booleans(),
    mark=st.sampled_from(["", "\ufeff"]),
)  # fmt: skip
def test_rows_of_json_give_what_their_cells_say_or_are_dropped_by_name(folder, cells, odd, chosen, mark):
    table = [{"file_name": name, "text": f"a {name}", "key": f"k{name}", "category": "bird"} for name in PICTURES]
    for i, column, cell in cells + [(i, "file_name", name) for i, name in odd]:
        table[i][column] = cell
    (folder / "metadata.jsonl").write_text(mark + "\n".join(map(json.dumps, table)), encoding="utf-8")
    columns = {"id": "key"} | ({"category": "category"} if chosen else {})
    good, ids = [], []
    for row in table:
        name, captions, kind = id_of(row["key"]), captions_of(row["text"]), id_of(row["category"])
        if is_refused(row["category"]) or (chosen and kind is None) or name is None:
            continue
        ids.append(name)
        if captions and picture_of(row["file_name"]):
            good.append((name, captions, kind, picture_of(row["file_name"])))
    # of rows that show the same picture the first good one stays
    good = [row for i, row in enumerate(good) if row[3] not in [other[3] for other in good[:i]]]
    spec = DatasetSpec(name="odd", source="folder", id=str(folder), columns=columns, on_bad_sample="drop")
    samples, refused = attempt(lambda: open_dataset(spec).samples)
    if refused is not None:
        assert len(good) < 2 or len({*ids}) < len(ids)
        return
    assert [(one, captions) for one, captions in zip(samples.ids, samples.captions, strict=True)] == [
        row[:2] for row in good
    ]
    kinds = [row[2] for row in good]
    assert samples.categories == (None if None in kinds else kinds)
    json.dumps(samples.dropped, ensure_ascii=False).encode()  # what is stored of the rest can be written


@settings(max_examples=80, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(ODD_BYTES)),
        min_size=1,
        max_size=3,
    ),
    form=st.sampled_from(["csv", "jsonl", "parquet"]),
)  # fmt: skip
def test_damaged_metadata_gives_whole_rows_or_a_sentence(folder, changes, form):
    frame = pd.DataFrame({"file_name": PICTURES, "text": [f"caption, number {i}" for i in range(5)]})
    path = folder / f"metadata.{form}"
    for name in ("csv", "jsonl", "parquet"):
        (folder / f"metadata.{name}").unlink(missing_ok=True)
    {
        "csv": lambda: frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }[form]()
    raw = path.read_bytes()
    for place, what in changes:
        raw = raw[:place] + what + raw[place + (not what) :]
    path.write_bytes(raw)
    spec = DatasetSpec(name="odd", source="folder", id=str(folder), on_bad_sample="drop")
    samples, refused = attempt(lambda: open_dataset(spec).samples)
    path.unlink()
    if refused is None:
        assert all(name in PICTURES for name in samples.ids)
        # what a byte left of a caption is its own row's, and nothing of another column or row
        for name, captions in zip(samples.ids, samples.captions, strict=True):
            rest = iter(f"caption, number {PICTURES.index(name)}")
            assert all(c in rest for c in captions[0] if c.isalnum())


# imports

KINDS = ["f2", "f4", ">f4", "f8", ">f8", "longdouble", "i1", "u2", ">i4", "i8", "u8", "c8", "?", "U3", "O"]
SCALES = [1.0, 1e-30, 1e30, 1e300, 1e-300]
OFFSETS = [0.0, 1.0, 1e6, 1e9, 1e17]
SPECIAL = [None, None, None, np.nan, np.inf, 1e20]


@st.composite
def arrays(draw, n: int) -> np.ndarray:
    """An array of n samples, whole or odd."""
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(
        size=draw(st.sampled_from([(n, 3), (n, 1), (n, 2, 3), (n,), (n, 0), (n + 1, 3)]))
    )
    values = values.astype(np.longdouble) * draw(st.sampled_from(SCALES)) + draw(st.sampled_from(OFFSETS))
    if (special := draw(st.sampled_from(SPECIAL))) is not None and values.size:
        values.flat[draw(st.integers(0, values.size - 1))] = special
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return values.astype(draw(st.sampled_from(KINDS)))


def names(n: int) -> st.SearchStrategy:
    """Ids in one of the kinds in which files hold them, and as text (None where they cannot be ids)."""
    text = [f"s{i}" for i in range(n)]
    numbers = [str(i) for i in range(n)]
    return st.sampled_from(
        [
            (np.array(text), text),
            (np.array(text, dtype="S"), text),
            (np.array(text)[:, None], text),
            (np.arange(n), numbers),
            (np.arange(n).astype(">f4"), numbers),
            (np.array(["same"] * n), None),
            (np.array([1.0, np.nan] * n)[:n], None),
            (np.array(text[1:]), None),
        ]
    )  # fmt: skip


def loss_of(values: np.ndarray) -> float:
    """What rounding takes of the spread, pooled over columns, in the longest numbers that there are."""
    wide = values.reshape(len(values), -1).astype(np.longdouble)
    error = wide - wide.astype(np.float32).astype(np.longdouble)
    spread = sum(np.var(column - column[0]) for column in wide.T)
    return float(np.sqrt(sum(np.var(column) for column in error.T) / spread)) if spread else 0.0


@settings(max_examples=100, deadline=None)
@given(data=st.data(), form=st.sampled_from(["npz", "pt", "safetensors", "parquet"]))
def test_imports_are_the_same_numbers_for_the_same_samples_or_are_refused(data, form, tmp_path_factory):
    out, n = tmp_path_factory.mktemp("import"), 4
    values, (ids, text) = data.draw(arrays(n)), data.draw(names(n))
    path = out / f"x.{form}"
    try:
        given_ids = written(path, values, ids)
    except (TypeError, ValueError, KeyError, RuntimeError, NotImplementedError, OverflowError):
        return  # the format's own library does not write it
    features, refused = attempt(lambda: imported(path, given_ids))
    if refused is not None:
        assert "\n" not in refused
        layers = layers_of(values, form)
        with np.errstate(all="ignore"):
            fits = (
                layers
                and text is not None
                and np.isfinite(values.astype(np.float32)).all()
                and not (np.abs(values - 1e20) < 1e13).any()
            )
        assert not fits or max(map(loss_of, layers)) > 0.9e-3
        return
    layers = layers_of(values, form)
    assert FeatureStore(out / "store").read_samples(features.path.parent).ids == text
    assert len(features.layers) == len(layers)
    for i, layer in enumerate(layers):
        assert np.array_equal(features.load(i).numpy(), layer.astype(np.float32))
        assert loss_of(layer) < 1.1e-3


def imported(path: Path, ids: list | None) -> FeatureSet:
    dataset = DatasetSpec(name="d", source="folder", id="imported")
    store = FeatureStore(path.parent / "store")
    return store_import(path, store=store, dataset=dataset, name="m", modality="brain", ids=ids)


def layers_of(values: np.ndarray, form: str) -> list[np.ndarray]:
    """The layers that a file with this array for four samples holds; none where it holds no such thing."""
    if values.dtype.kind not in "fiu" or len(values) != 4 or values.size == 0:
        return []
    if form == "parquet":  # numbers are a column of one layer, lists a layer, and lists of lists nothing
        return {1: [values.reshape(4, -1)], 2: [values]}.get(values.ndim, [])
    return {2: [values], 3: [values[:, i] for i in range(values.shape[1])] if values.ndim == 3 else []}.get(
        values.ndim, []
    )


def written(path: Path, values: np.ndarray, ids: np.ndarray) -> list | None:
    """Writes an array as the format's own library does; returns the ids where they are to be given beside it."""
    if path.suffix == ".npz":
        np.savez(path, a=values, ids=ids)
        return None
    if path.suffix == ".parquet":
        pd.DataFrame({"id": ids.tolist() if ids.ndim == 1 else ids[:, 0], "a": list(values)}).to_parquet(path)
        return None
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    torch.save({"a": tensor}, path) if path.suffix == ".pt" else save_file({"a": tensor}, path)
    return ids.ravel().tolist()


@settings(max_examples=100, deadline=None)
@given(
    form=st.sampled_from(["npz", "npy", "pt", "safetensors", "parquet"]),
    start=st.integers(0, 2000),
    change=st.sampled_from([b"", b"\0", b"\xff", b"\xff" * 8, b"{", b"9"]),
    cut=st.booleans(),
)
def test_damaged_files_of_features_end_in_a_sentence(form, start, change, cut, tmp_path_factory):
    out = tmp_path_factory.mktemp("damaged")
    path, values = out / f"x.{form}", np.arange(12.0, dtype=np.float32).reshape(4, 3)
    np.save(path, values) if form == "npy" else written(path, values, np.array(list("abcd")))
    raw = path.read_bytes()
    start %= len(raw)
    path.write_bytes(raw[:start] if cut else raw[:start] + change + raw[start + max(len(change), 1) :])
    features, refused = attempt(lambda: imported(path, list("abcd")))
    if refused is not None:
        assert str(path) in refused
    else:
        assert features.load(0).shape[0] == 4
        assert not cut or start == len(raw)


# features in hand


@settings(max_examples=40, deadline=None)
@given(data=st.data(), metric=st.sampled_from(["mutual_knn", "cka", "rsa"]))
def test_odd_arrays_score_as_the_same_numbers_in_float32_or_are_refused(data, metric):
    n = 12
    x, y = (data.draw(arrays(n)) for _ in range(2))
    params = {"k": 3} if metric == "mutual_knn" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score, refused = attempt(lambda: platorep.score(x, y, metric, **params))
        if refused is not None:
            return
        assert {x.dtype.kind, y.dtype.kind} <= {*"fiu"}
        assert x.shape[0] == y.shape[0]
        clean = [np.ascontiguousarray(side, np.float32) for side in (x, y)]
        assert score == platorep.score(*clean, metric, **params)
        assert math.isfinite(score)
