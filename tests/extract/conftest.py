"""Pairs in memory, and a store to extract into."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from safetensors import safe_open

from platorep.core.resources import Resources
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec
from platorep.core.store import FeatureStore
from platorep.data import open_dataset
from platorep.extract import extract
from platorep.models import resolve


CPU = torch.device("cpu")


@dataclass
class Run:
    """Extracts one model on the synthetic pairs with a few rows a shard."""

    root: object
    pairs: object
    dataset: DatasetSpec

    def __call__(self, model, *, store="store", pairs=None, fields=None, compiled=False, **settings):
        spec = ExtractSpec(model=resolve(model, CPU), dataset=self.dataset, **(fields or {}))
        at = FeatureStore(self.root / store)
        how = {name: settings.pop(name) for name in ("tokens", "workers", "shard_rows", "shard") if name in settings}
        folder = extract(spec, pairs or self.pairs, at, resources(compile=compiled, **how), **settings)
        return at.open(spec) if at.has(spec) else folder


def resources(**changes):
    """How the tests compute: on the CPU, in this process, seven rows a shard."""
    usual = {"device": "cpu", "threads": None, "tokens": None, "workers": 0, "shard_rows": 7, "compile": False}
    return Resources(**{**usual, "memory": 10**9, **changes})


@pytest.fixture(scope="session")
def synthetic():
    return open_dataset(DatasetSpec(name="synthetic", source="synthetic", n=23))


@pytest.fixture
def run(synthetic, tmp_path):
    return Run(tmp_path, synthetic, synthetic.spec)


@dataclass
class Views:
    """The synthetic pictures in groups: of each sample, which pictures it has; and its captions."""

    pairs: object
    shown: list
    captions: list

    @property
    def samples(self):
        return Samples(
            [f"s{i}" for i in range(len(self.shown))], self.captions, pictures=[len(own) for own in self.shown]
        )

    def picture(self, index, number=0):
        return self.pairs.picture(self.shown[index][number])


@dataclass
class Captions:
    """Pairs with the given captions and no pictures."""

    captions: list

    @property
    def samples(self):
        return Samples([f"s{i}" for i in range(len(self.captions))], self.captions)


def tensors(features):
    """Every stored tensor of an extraction, per-sample figures included."""
    found = {}
    for shard in features.shards:
        with safe_open(features.path / shard.file, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                found.setdefault(name, []).append(file.get_tensor(name))
    return {name: torch.cat(parts) for name, parts in found.items()}


def shard_bytes(folder):
    """Names and bytes of the shards in a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.glob("shard-*"))}
