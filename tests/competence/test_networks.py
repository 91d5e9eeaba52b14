"""Cross-entropy and accuracy of trained networks against a slow reference, and datasets that have no such numbers."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from platorep.competence.networks import classified
from platorep.core.specs import DatasetSpec, ModelSpec
from platorep.training.pictures import Library, labelled_pictures
from platorep.training.trainer import trained
from tests.training.small_suite import DIGITS, TRAINING


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path_factory.getbasetemp() / "networks"))


def spec(stop: int) -> ModelSpec:
    training = TRAINING.replace(stop=stop)
    return ModelSpec(name="net", modality="vision", source="trained", id="mlp-16", seed=3, training=training)


def test_the_numbers_are_those_of_the_formulas_picture_by_picture():
    frame = classified(spec(2), DIGITS, Library()).frame.set_index("measure")
    pictures = labelled_pictures(DIGITS, 8, 1)
    losses, right = [], []
    for logits, label in zip(trained(spec(2))(pictures.inputs).double().numpy(), pictures.labels, strict=True):
        losses.append(np.log(np.exp(logits - logits.max()).sum()) - (logits[label] - logits.max()))
        right.append(logits.argmax() == int(label))
    for name, values in (("cross_entropy", losses), ("accuracy", right)):
        assert frame.value[name] == pytest.approx(np.mean(values), rel=1e-5)
        assert frame.standard_error[name] == pytest.approx(np.std(values, ddof=1) / len(values) ** 0.5, rel=1e-4)
    assert set(frame.task) == {f"classes of digits ({len(pictures)})"}
    assert set(frame.source) == {"measured"}


def test_training_lowers_the_loss_from_that_of_guessing():
    losses = [classified(spec(stop), DIGITS, Library()).frame.value.iloc[0] for stop in (0, 1, 10)]
    assert losses[0] > 0.9 * np.log(10)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5


@pytest.mark.parametrize("other", ["factors", "synthetic"])
def test_pictures_of_other_classes_or_of_none_have_no_numbers_and_that_is_logged(other, caplog):
    with caplog.at_level(logging.INFO):
        frame = classified(spec(0), DatasetSpec(name=other, source=other, n=20), Library()).frame
    assert frame.empty
    assert "net: no cross-entropy" in caplog.text
