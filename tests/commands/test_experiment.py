"""The typed experiment: what it reads, how often, and what a variant of it shares with it."""

import collections
import logging

import pytest

from platorep.commands.align import align
from platorep.commands.competence import competence
from platorep.commands.configuration import experiment
from platorep.commands.extract import extract
from platorep.commands.plot import plot
from platorep.commands.run import run
from platorep.core.store import FeatureSet
from tests.e2e.runs import configuration


SMALL = ("suite=synthetic", "dataset=synthetic", "dataset.n=40", "compute.device=cpu", "compute.workers=0")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened")
    run(experiment(configuration(folder, *SMALL, "statistics.permutations=19")))
    return folder


@pytest.fixture
def configured(root):
    return configuration(root, *SMALL, "statistics.permutations=19")


@pytest.fixture
def opened(monkeypatch):
    """How often each stored model was opened, by folder."""
    counts = collections.Counter()
    original = FeatureSet.__init__

    def counting(self, path, *rest, **named):
        counts[path.name] += 1
        original(self, path, *rest, **named)

    monkeypatch.setattr(FeatureSet, "__init__", counting)
    return counts


def test_a_run_over_stored_features_opens_each_model_once(configured, opened):
    run(experiment(configured))
    assert len(opened) == 4
    assert set(opened.values()) == {1}


@pytest.mark.parametrize("command", [extract, competence, align, plot])
def test_every_stage_alone_opens_each_model_at_most_once(configured, opened, command):
    command(experiment(configured))
    assert set(opened.values()) <= {1}


def test_a_run_says_nothing_twice(configured, caplog):
    added = {"modality": "vision", "source": "timm", "id": "test_vit", "weights": "random", "seed": 7}
    configured["models"] = {**configured["models"], "absent": added}
    with caplog.at_level(logging.WARNING):
        absent = experiment(configured)
        competence(absent)
        align(absent)
        plot(absent)
    messages = collections.Counter(record.getMessage() for record in caplog.records)
    assert messages["not extracted, left out: absent"] == 1
    assert {message: count for message, count in messages.items() if count > 1} == {}


def test_a_variant_reads_anew_and_leaves_the_experiment_as_it_was(configured):
    whole = experiment(configured)
    names = [model.name for model in whole.features]
    part = whole.replace(models=whole.models[:2])
    assert [model.name for model in part.features] == names[:2]
    assert [model.name for model in whole.features] == names


def test_an_experiment_cannot_be_changed_in_place(configured):
    with pytest.raises(AttributeError):
        experiment(configured).suite = "another"
