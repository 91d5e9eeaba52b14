"""The result does not depend on how an extraction is run: equal bytes for equal batches, else within rounding."""

from __future__ import annotations

import pytest
import torch

from platorep.extract import engine
from tests import small_models
from tests.extract.conftest import Run, run, shard_bytes, synthetic, tensors  # noqa: F401 - two are fixtures


CLOSE = {"rtol": 1e-4, "atol": 1e-5}
"""Batches of another composition take other paths through the matrix kernels: float32 rounding, over a few layers."""


@pytest.fixture(scope="module", params=["llama", "test_vit", "test_efficientnet"])
def model(request, tmp_path_factory):
    if request.param == "llama":
        return small_models.llama(tmp_path_factory.mktemp("model") / "llama")
    return small_models.picture(request.param)


@pytest.fixture(scope="module")
def usual(model, synthetic, tmp_path_factory):  # noqa: F811
    """The features of the model as the defaults extract them."""
    return Run(tmp_path_factory.mktemp("usual"), synthetic, synthetic.spec)(model)


def same(a, b, **close):
    assert tensors(a).keys() == tensors(b).keys()
    for name, values in tensors(a).items():
        torch.testing.assert_close(values, tensors(b)[name], **(close or {"rtol": 0, "atol": 0}))


@pytest.mark.parametrize("tokens", [1, 100_000])
def test_batch_size_changes_no_more_than_rounding_and_no_neighbour(run, model, usual, tokens):  # noqa: F811
    other = run(model, tokens=tokens)
    same(usual, other, **CLOSE)
    for layer in range(len(usual.layers)):
        a, b = (
            torch.cdist(f.load(layer), f.load(layer)).fill_diagonal_(torch.inf).topk(5, largest=False).indices
            for f in (usual, other)
        )
        assert torch.equal(a.sort(1).values, b.sort(1).values)


@pytest.mark.parametrize("workers", [2])
def test_worker_count_changes_nothing(run, workers):  # noqa: F811
    spec = small_models.picture("test_efficientnet")
    same(run(spec), run(spec, store="other", workers=workers, tokens=None))


def test_order_of_models_changes_nothing(run, tmp_path):  # noqa: F811
    models = [
        small_models.llama(tmp_path / "llama"),
        small_models.picture(),
        small_models.llama(tmp_path / "twin", weights="random"),
    ]
    forward = {model.name: run(model) for model in models}
    backward = {model.name: run(model, store="other") for model in reversed(models)}
    for name, features in forward.items():
        assert shard_bytes(features.path) == shard_bytes(backward[name].path)


def test_shards_made_by_several_runs_merge_to_the_bytes_of_one(run, model, usual):  # noqa: F811
    for index in (2, 0, 1):
        merged = run(model, shard=(index, 3))
        assert hasattr(merged, "manifest") == (index == 1)  # only the last one finds all shards there
    assert shard_bytes(merged.path) == shard_bytes(usual.path)
    assert merged.scalars == usual.scalars


@pytest.mark.parametrize("rows", [1, 500])
def test_rows_a_shard_change_no_more_than_rounding(run, model, usual, rows):  # noqa: F811
    same(usual, run(model, shard_rows=rows), **CLOSE)


def test_out_of_memory_ends_with_the_same_features(run, model, usual, monkeypatch):  # noqa: F811
    real = engine.load

    def small_device(spec, device):
        encoder = real(spec, device)
        encode = encoder.encode

        def limited(batch):
            if len(batch) > 2:
                raise torch.OutOfMemoryError("out of memory, on purpose")
            return encode(batch)

        encoder.encode = limited
        return encoder

    monkeypatch.setattr(engine, "load", small_device)
    pressed = run(model)
    assert pressed.manifest["provenance"]["out_of_memory"] >= 1
    same(usual, pressed, **CLOSE)


def test_running_twice_gives_the_same_bytes(run, model, usual):  # noqa: F811
    assert shard_bytes(run(model).path) == shard_bytes(usual.path)
