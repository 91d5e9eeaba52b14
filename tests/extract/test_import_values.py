"""Imported features are the same numbers as in their file, or are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from platorep.core.errors import FeatureError
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.extract.imports import store_import


IDS = [f"item-{i}" for i in range(12)]
DATASET = DatasetSpec(name="brains", source="synthetic", id="brains")
X = torch.arange(12 * 5, dtype=torch.float32).reshape(12, 5)
Y = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
LOST = r"x.npz, a: features are stored in float32, and rounding to it takes .* of their spread .* save them as float32"


def load(path, store, ids=None, **more):
    return store_import(path, store=store, dataset=DATASET, name="cortex", modality="brain", ids=ids, **more)


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
        (X.numpy().astype(np.float64) + 1e9, LOST),
        (np.arange(60).reshape(12, 5) + 2**40, "rounding to it takes .* of their spread"),
        (np.arange(60).reshape(12, 5) * 1e-60, "rounding to it takes 1 of their spread"),
        (np.where(np.arange(60).reshape(12, 5) == 17, np.nan, 1.0), r"NaN or infinity for sample 'item-3' \(1 of 12"),
        (np.full((12, 5), -np.inf), r"NaN or infinity for sample 'item-0' \(12 of 12 rows\)"),
        (np.full((12, 5), 1e39), r"values up to 1e\+39 are too large for float32. Scale the layer"),
        (np.where(np.eye(12, 5) > 0, 1e20, 1.0), r"the value 1e\+20 for sample 'item-0', which stands for"),
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


@pytest.mark.filterwarnings(
    "ignore:torch.quantize_per_tensor", "ignore:The PyTorch API of nested tensors"
)  # as made here
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
