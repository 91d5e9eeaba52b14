"""Compiled blocks give the same features, hooks included, and leave nothing behind."""

from __future__ import annotations

import gc
import weakref
from functools import partial

import pytest
import torch

from platorep.core.errors import SpecError
from platorep.models import Text, TextRules, load, resolve
from platorep.models.compiling import compiled_blocks
from tests import small_models
from tests.extract.conftest import run as run
from tests.extract.conftest import synthetic as synthetic


CPU = torch.device("cpu")
TEXTS = ["A Sumatran tiger.", "x", "An adjustable wrench, of steel.", "red"]


@pytest.fixture
def traced(monkeypatch):
    """torch.compile without a compiler: all steps before it run as usual, and the captured graphs are counted."""
    graphs = []

    def count(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=count))
    return graphs


def batches(encoder):
    """Batches of several shapes, a single item among them."""
    if encoder.spec.modality == "language":
        tokens = encoder.tokenize([Text.of(text) for text in TEXTS], TextRules())
        return [tokens, tokens[:1], tokens[1:2], tokens[2:]]
    pictures = torch.randn(
        4, 3, *map(int, encoder.facts["input"].split(" x ")), generator=torch.Generator().manual_seed(0)
    )
    return [pictures, pictures[:1], pictures[1:]]


def close(want, got):
    for one, other in zip(want, got, strict=True):
        for a, b in zip(
            (*one.features, *one.scalars.values()), (*other.features, *other.scalars.values()), strict=True
        ):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


def test_features_are_the_same_and_one_code_serves_all_blocks(tmp_path, traced):
    for spec in (small_models.llama(tmp_path / "llama", layers=6), small_models.picture()):
        encoder = load(resolve(spec, CPU), CPU)
        own = batches(encoder)
        want = [encoder.encode(batch) for batch in own]
        traced.clear()
        with compiled_blocks(encoder, CPU) as compiled:
            close(want, [encoder.encode(batch) for batch in own])
        assert compiled
        assert 1 <= len(traced) <= 3 < len(encoder.blocks)  # a batch of one and of several, not one a block


def test_nothing_is_left_behind(tmp_path, traced):
    encoder = load(resolve(small_models.llama(tmp_path / "llama"), CPU), CPU)
    own = batches(encoder)
    with compiled_blocks(encoder, CPU):
        encoder.encode(own[0])
    assert not any("forward" in vars(block) for block in encoder.blocks)
    count = len(traced)
    encoder.encode(own[0])
    assert len(traced) == count  # it runs as it did before
    model = weakref.ref(encoder.model)
    del encoder
    traced.clear()
    gc.collect()
    assert model() is None


def test_extraction_says_whether_it_was_compiled_and_keeps_its_key(run, tmp_path, traced):
    spec = small_models.llama(tmp_path / "llama")
    plain, compiled = run(spec), run(spec, compiled=True, store="compiled")
    assert traced
    assert compiled.key == plain.key
    torch.testing.assert_close(compiled.load(-1), plain.load(-1), rtol=1e-4, atol=1e-5)
    assert (plain.manifest["provenance"]["compiled"], compiled.manifest["provenance"]["compiled"]) == (False, True)
    stages = run(small_models.picture("test_efficientnet"), compiled=True)  # no blocks of one kind: it runs as it is
    assert stages.manifest["provenance"]["compiled"] is False


def test_without_a_compiler_there_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    encoder = load(resolve(small_models.picture(), CPU), CPU)
    with (
        pytest.raises(SpecError, match=r"needs a C\+\+ compiler, and no-such-compiler is not there. Install one"),
        compiled_blocks(encoder, CPU),
    ):
        pass


@pytest.mark.slow
def test_features_are_the_same_when_really_compiled(tmp_path):
    blocks_of_two_kinds = small_models.gemma(tmp_path / "gemma")
    for spec in (
        small_models.llama(tmp_path / "llama"),
        blocks_of_two_kinds,
        small_models.clip(tmp_path / "clip", "vision"),
    ):
        encoder = load(resolve(spec, CPU), CPU)
        own = batches(encoder)
        want = [encoder.encode(batch) for batch in own]
        with compiled_blocks(encoder, CPU):
            close(want, [encoder.encode(batch) for batch in own])
