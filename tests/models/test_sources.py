"""A source of models is one object: everything that is done with a model goes through it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from platorep.core.errors import SpecError, UnknownNameError
from platorep.core.specs import ModelSpec
from platorep.models import evict, load, resolve, sources
from platorep.models.ahead import weight_files
from platorep.models.base import Encoded, Layers
from platorep.models.commits import commit_of
from platorep.models.examining import examine_model
from platorep.models.repositories import Repository
from platorep.models.source import Source


CPU = torch.device("cpu")
README = Path(__file__).parents[2] / "README.md"


class Counter(Layers):
    """Vectors of the lengths of texts."""

    def encode(self, batch: list[str]) -> Encoded:
        return Encoded([torch.tensor([[float(len(text))] for text in batch])], {})


class Lengths(Source):
    """The smallest source: computed, without weights."""

    modalities = ("language",)
    is_network = False

    def load(self, spec: ModelSpec, device: torch.device) -> Counter:
        return Counter(("lengths",))

    def version(self, spec: ModelSpec) -> str:
        return "3"


class Remote(Lengths):
    """One with weights in a repository."""

    is_network = True

    def version(self, spec: ModelSpec) -> None:
        return None

    def repository(self, spec: ModelSpec) -> Repository:
        return Repository(f"owner/{spec.id}", (("weights.safetensors",),))

    def parameters(self, spec: ModelSpec) -> int:
        return 12


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(sources.SOURCES, "lengths", Lengths())
    monkeypatch.setitem(sources.SOURCES, "remote", Remote())


def model(source: str, **more) -> ModelSpec:
    return ModelSpec(**{"name": "m", "modality": "language", "source": source, "id": "m", **more})


def test_one_object_makes_a_source():
    spec = resolve(model("lengths", dtype="auto"), CPU)
    assert (spec.revision, spec.dtype, spec.pool) == ("3", "float32", "mean")
    assert load(spec, CPU).encode(["abc"]).features[0].tolist() == [[3.0]]
    assert weight_files(spec) == []
    assert commit_of(spec) is None
    assert examine_model(spec, reachable=False).found == "yes"
    evict(spec)  # there is nothing to remove


def test_weights_of_a_repository_are_found_by_its_name(monkeypatch, tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"0")
    asked = []
    monkeypatch.setattr("platorep.models.resolving.resolve_revision", lambda *words: asked.append(words) or "c" * 40)
    monkeypatch.setattr("platorep.models.repositories.snapshot", lambda *words: asked.append(words) or tmp_path)
    spec = resolve(model("remote", revision="main"), CPU)
    assert (spec.revision, spec.branch) == ("c" * 40, "main")
    assert weight_files(spec) == [file]
    assert asked == [("owner/m", "main"), ("owner/m", "c" * 40, ("weights.safetensors",))]
    assert weight_files(spec.replace(weights="random")) == []
    facts = examine_model(spec, reachable=False)
    assert (facts.weights_from, facts.parameters, facts.disk, facts.estimated) == ("hub: owner/m", 12, 24, True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"modality": "vision"}, "modality is 'vision'; source=lengths has language"),
        ({"weight_noise": 0.1}, "weight_noise needs weights of a network in full precision"),
        ({"quantize": "8bit"}, "quantize is not possible for language models of source=lengths"),
        ({"input_size": 32}, "input_size is 32 for language; expected 1 or more, and pictures"),
    ],
)
def test_settings_that_a_source_does_not_declare_are_refused(more, message):
    with pytest.raises(SpecError, match=message):
        resolve(model("lengths", **more), CPU)


def test_unknown_and_imported_sources_are_refused():
    with pytest.raises(UnknownNameError, match="source of model m.*'tim'.*timm"):
        resolve(model("tim"), CPU)
    with pytest.raises(SpecError, match="m: source=imported is not run here"):
        resolve(model("imported"), CPU)
    assert commit_of(model("imported", revision="main")) is None
    assert examine_model(model("tim"), reachable=False).found == "no"


def test_the_readme_lists_every_source():
    listed = README.read_text(encoding="utf-8").partition("The sources are ")[2].partition(".\n")[0]
    assert [name for name in {*sources.SOURCES, "imported"} - {"lengths", "remote"} if f"`{name}`" not in listed] == []
