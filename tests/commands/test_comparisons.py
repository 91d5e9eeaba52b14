"""Which models a word of `protocol.pairs` compares."""

from types import SimpleNamespace

import pytest

from platorep.commands.comparisons import compared
from platorep.core.errors import DataError, SpecError


def model(name, key=None):
    modality = {"l": "language", "v": "vision", "b": "brain"}[name[0]]
    return SimpleNamespace(name=name, key=key or name, spec=SimpleNamespace(model=SimpleNamespace(modality=modality)))


def names(models, word):
    return [f"{a.name} {b.name}" for a, b in compared(models, word)]


MODELS = [model(name) for name in ("v1", "l1", "l2", "v2")]


def test_cross_has_language_down_and_vision_across():
    assert names(MODELS, "cross") == ["l1 v1", "l1 v2", "l2 v1", "l2 v2"]
    assert names([*MODELS[:2], model("b1")], "cross") == ["l1 b1", "l1 v1", "b1 v1"]


def test_within_and_all_have_each_pair_once_and_no_model_with_itself():
    assert names(MODELS, "within") == ["v1 v2", "l1 l2"]
    assert names(MODELS, "all") == ["v1 l1", "v1 l2", "v1 v2", "l1 l2", "l1 v2", "l2 v2"]
    assert names([model("v1"), model("v2", key="v1")], "all") == []  # one extraction under two names


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="protocol.pairs=cross compares modalities, but all models are of vision"):
        names([MODELS[0], MODELS[3]], "cross")
    with pytest.raises(SpecError, match="protocol.pairs is 'some'; expected cross, within or all"):
        names(MODELS, "some")
