from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.core.writer import FeatureWriter


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., FeatureSet]:
    """Writes layers as one model's features into a store under tmp_path/features."""
    store = FeatureStore(tmp_path / "features")

    def write(
        name: str,
        layers: Sequence[torch.Tensor],
        *,
        modality: str = "language",
        ids: Sequence[str] | None = None,
        dataset: str = "toy",
        rows: int = 50,
    ) -> FeatureSet:
        n = len(layers[0])
        ids = list(ids or [f"s{i}" for i in range(n)])
        spec = ExtractSpec(
            model=ModelSpec(
                name=name, modality=modality, source="imported", id=name, revision="1", family=f"{name}-family"
            ),
            dataset=DatasetSpec(name=dataset, source="synthetic", id=dataset, n=n),
        )
        writer = FeatureWriter(store, spec, Samples(ids, [[i] for i in ids]), rows)
        for index in writer.missing():
            start, stop = writer.bounds[index]
            writer.write(index, {f"layer.{i:02d}": layer[start:stop] for i, layer in enumerate(layers)})
        return FeatureSet(writer.finish({}))

    return write


@pytest.fixture
def model(stored: Callable[..., FeatureSet]) -> Callable[..., FeatureSet]:
    """A model whose layers see a shared latent through random maps and noise, of ragged widths."""

    def make(
        name: str, depth: int = 3, *, n: int = 120, noise: float = 0.7, seed: int = 0, **more: object
    ) -> FeatureSet:
        latent = torch.randn(n, 6, generator=torch.Generator().manual_seed(99))
        own = torch.Generator().manual_seed(seed + sum(map(ord, name)))
        layers = [
            latent @ torch.randn(6, 8 + 5 * i, generator=own) + noise * 2.4 * torch.randn(n, 8 + 5 * i, generator=own)
            for i in range(depth)
        ]
        return stored(name, layers, **more)

    return make
