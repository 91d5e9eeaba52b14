"""The command `translate` from its configuration to a table, a figure and a line of Python."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import platorep
from platorep.cli import schema
from platorep.commands import translate as command
from platorep.commands.align import align
from platorep.commands.configuration import experiment
from platorep.commands.plot import figure_data
from platorep.core.errors import StoreError
from platorep.core.features import ArrayFeatures
from platorep.core.files import write_json
from platorep.core.samples import Samples
from platorep.core.store import FeatureStore
from platorep.core.writer import FeatureWriter
from platorep.results.translation import TranslationTable


schema.register()

N = 120


@pytest.fixture
def configured(tmp_path):
    """Configurations over two language and two vision models whose features are stored; some samples are equal."""
    models = {"l1": "language", "l2": "language", "v1": "vision", "v2": "vision"}
    base = [
        f"+models.{name}={{modality: {kind}, source: imported, id: {name}, revision: '1', family: f}}"
        for name, kind in models.items()
    ]
    base += ["suite=synthetic", "~models.pixels", "~models.tfidf", "~models.vit_random", "~models.efficientnet_random"]
    base += ["dataset=synthetic", f"dataset.n={N}", f"root={tmp_path}", "statistics.permutations=0"]
    base += ["translation.draws=2"]

    def make(*words):
        with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
            return experiment(OmegaConf.to_container(compose("translate", overrides=[*base, *words]), resolve=True))

    run = make()
    latent = torch.randn(N, 6, generator=torch.Generator().manual_seed(0))
    latent[1] = latent[0]
    captions = [["one caption"], ["one caption"], *([f"caption {i}"] for i in range(2, N))]
    samples = Samples([f"s{i}" for i in range(N)], captions, [f"kind{i % 3}/{i % 5}" for i in range(N)])
    store, dataset = FeatureStore(run.root / "features"), run.dataset
    store.write_samples(dataset, samples)
    for seed, model in enumerate(run.models):
        own = torch.Generator().manual_seed(seed)
        x = latent @ torch.randn(6, 12, generator=own) + 0.3 * torch.randn(N, 12, generator=own)
        layers = {"a": torch.randn(N, 4, generator=own), "b": x}
        if model.modality == "vision":
            for layer in layers.values():
                layer[3 + seed] = layer[2]
        writer = FeatureWriter(store, run.extract_spec(model), samples, 60)
        for i, (start, stop) in enumerate(writer.bounds):
            writer.write(i, {name: layer[start:stop] for name, layer in layers.items()})
        writer.finish({})
    return make


def test_a_run_leaves_table_and_figure_and_plot_finds_them(configured, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run = configured()
    align(run)
    paths = command.translate(run)
    table = command.stored_translation(run)
    assert paths[0] == command.translation_path(run)
    assert (tmp_path / "figures" / "synthetic--synthetic--latest" / "translation.png").is_file()
    pairs = table.frame[table.frame.control == ""]
    assert len(pairs[["x_model", "y_model"]].drop_duplicates()) == 4
    assert set(pairs.x_layer_name) <= {"b", "concatenation"}
    assert figure_data(run, "translation").translation.frame.equals(table.frame)
    assert "no model of the suite is a control (weights: random): the table has no such rows" in caplog.text
    made = paths[0].stat().st_mtime_ns
    command.translate(configured())
    assert paths[0].stat().st_mtime_ns == made  # a table that is there is read


def test_classes_are_the_top_level_of_the_categories(configured):
    run = configured()
    design = command._design(run, run.features)
    assert set(design.categories) == {"kind0", "kind1", "kind2"}


def test_equal_captions_and_equal_pictures_are_one_group(configured):
    run = configured()
    groups = command._design(run, run.features).groups
    assert groups[0] == groups[1]  # by the caption
    assert groups[2] == groups[5] == groups[6]  # as v1 and v2 see them
    assert len(set(groups.tolist())) == N - 3


def test_a_model_that_tells_no_pictures_apart_says_nothing_of_them():
    blind = ArrayFeatures("blind", [torch.ones(10, 3)], modality="vision")
    assert command.seen_as(blind) is None
    seeing = ArrayFeatures("seeing", [torch.eye(10)], modality="vision")
    assert len(set(command.seen_as(seeing))) == 10
    assert command.seen_as(ArrayFeatures("reading", [torch.eye(10)], modality="language")) is None


def test_more_samples_than_asked_for_are_drawn(configured, caplog):
    caplog.set_level(logging.INFO)
    run = configured("translation.samples=90")
    align(run)
    command.translate(run)
    frame = command.stored_translation(run).frame
    assert set(frame.n) == {90}
    assert frame.n_fit.max() + frame.n_test.iloc[0] < 90
    assert "90 of 120 samples are used (translation.samples)" in caplog.text


def test_without_scores_the_message_names_align_and_without_a_table_translate(configured):
    with pytest.raises(StoreError, match="no scores under .* Run `platorep align` with the same settings first"):
        command.translate(configured())
    run = configured()
    align(run)
    with pytest.raises(StoreError, match="no scores of maps at .* Run `platorep translate` with the same settings"):
        command.stored_translation(run)


def test_the_table_is_read_in_one_line(configured, tmp_path):
    run = configured()
    align(run)
    path = command.translate(run)[0]
    status = {"task": "translate", "overrides": [], "provenance": {"time": "2026"}, "status": "ok"}
    write_json(
        tmp_path / "runs" / "translate" / "now" / "status.json", status | {"results": [str(path.relative_to(tmp_path))]}
    )
    summary = TranslationTable(platorep.load(tmp_path).translation()).summary()
    best = summary[(summary.measure == "recall_at_10") & (summary["map"] == "orthogonal") & (summary.control == "")]
    assert np.isfinite(best[["score", "low", "high", "chance", "kernel"]]).all(axis=None)
    assert (best[best.n_fit == best.n_fit.max()].score > 3 * best.chance.iloc[0]).all()
