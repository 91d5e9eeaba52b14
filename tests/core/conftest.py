"""A small store: two layers of ten samples."""

from __future__ import annotations

import pytest
import torch

from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureStore
from platorep.core.writer import FeatureWriter


MODEL = ModelSpec(name="net", modality="vision", source="timm", id="net", revision="r1")
SPEC = ExtractSpec(model=MODEL, dataset=DatasetSpec(name="pairs", source="synthetic", revision="r1"))
N, DIMS = 10, (3, 5)


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "features")


@pytest.fixture
def samples():
    return Samples(ids=[f"s{i}" for i in range(N)], captions=[[f"caption {i}"] for i in range(N)])


@pytest.fixture
def features():
    return drawn(0)


def drawn(seed):
    """Layers with values of their own."""
    generator = torch.Generator().manual_seed(seed)
    return {f"layer.{i}": torch.randn(N, dim, generator=generator) for i, dim in enumerate(DIMS)}


def fill(writer, features, indices=None, **scalars):
    """Writes the given shards, by default those that are missing."""
    for i in writer.missing() if indices is None else indices:
        start, stop = writer.bounds[i]
        writer.write(i, {k: v[start:stop] for k, v in features.items()}, {k: v[start:stop] for k, v in scalars.items()})


def complete(store, samples, features, spec=SPEC, rows=4, **how):
    """A whole extraction, opened."""
    store.write_samples(spec.dataset, samples)
    writer = FeatureWriter(store, spec, samples, rows, **how)
    fill(writer, features, bits=list(range(N)))
    writer.finish({"parameters": 7})
    return store.open(spec)


def flip(path, place=-1, bit=0):
    """Changes one bit of a file in place."""
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1 << bit
    path.write_bytes(raw)
