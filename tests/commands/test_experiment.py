"""The typed experiment: what it reads, how often, and what a variant of it shares with it."""

import collections
import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from platorep.commands.align import align, score_pairs
from platorep.commands.competence import competence
from platorep.commands.configuration import experiment
from platorep.commands.expectations import extraction
from platorep.commands.extract import extract
from platorep.commands.plot import plot
from platorep.commands.report import report
from platorep.commands.reproduce import random_sample
from platorep.commands.run import run
from platorep.commands.store import dataset_named
from platorep.core.errors import AmbiguousError, PlatorepError, SpecError, StoreError, UnknownNameError
from platorep.core.specs import ModelSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.extract.imports import store_import
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


def test_figures_are_drawn_before_competence_is_measured_and_what_they_lack_is_said(configured, tmp_path, caplog):
    """The order extract, align, plot once ended in a missing file."""
    whole = experiment(configured)
    shutil.copytree(whole.root, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "competence")
    paths = plot(whole.replace(root=tmp_path, figures={"matrix": {}, "fig3": {}}))
    assert {path.stem for path in paths} == {"matrix"}
    assert "no competence table at" in caplog.text
    assert "run `platorep competence` for it" in caplog.text
    assert "fig3: not drawn" in caplog.text


@pytest.mark.parametrize("command", [plot, report])
def test_scores_that_are_missing_are_named_and_not_left_out_in_silence(configured, command, tmp_path, caplog):
    """Without one part, figures and the report once lacked a model, and nothing was said."""
    whole = experiment(configured)
    shutil.copytree(whole.root, tmp_path, dirs_exist_ok=True)
    (part,) = whole.alignment_folder.glob("tfidf--pixels--mutual_knn--*[0-9a-f].parquet")
    moved = whole.replace(root=tmp_path)
    command(moved)
    assert "no scores, left out" not in caplog.text
    (moved.alignment_folder / part.name).unlink()
    command(whole.replace(root=tmp_path))
    assert "no scores, left out: tfidf and pixels by mutual_knn(k=10,similarity=cosine). Run `platorep align`" in (
        caplog.text
    )


def test_a_variant_reads_anew_and_leaves_the_experiment_as_it_was(configured):
    whole = experiment(configured)
    names = [model.name for model in whole.features]
    part = whole.replace(models=whole.models[:2])
    assert [model.name for model in part.features] == names[:2]
    assert [model.name for model in whole.features] == names


@pytest.mark.parametrize("table", ["selection", "competence"])
def test_a_folder_in_the_place_of_a_table_is_named_and_not_counted_as_missing(configured, table, tmp_path):
    moved = experiment(configured).replace(root=tmp_path)
    shutil.copytree(experiment(configured).root, tmp_path, dirs_exist_ok=True)
    path = getattr(moved, f"{table}_path")
    path.unlink()
    assert getattr(moved, table) is None
    path.mkdir()
    with pytest.raises(StoreError, match=f"{path.name} is a folder"):
        getattr(experiment(configured).replace(root=tmp_path), table)


def test_the_protocol_says_which_tied_samples_are_neighbours_unless_the_metric_does(root):
    words = (*SMALL, "metric=mutual_knn", "protocol.ties=first")
    ids = [metric.id for metric in experiment(configuration(root, *words)).metrics]
    assert ids == ["mutual_knn(k=10,similarity=cosine,ties=first)"]
    own = experiment(configuration(root, *words, "+metric.mutual_knn.ties=random")).metrics
    assert [metric.id for metric in own] == ["mutual_knn(k=10,similarity=cosine)"]
    without = experiment(configuration(root, *SMALL, "metric=cka", "protocol.ties=first")).metrics
    assert all("ties" not in metric.id for metric in without)
    with pytest.raises(SpecError, match="'last'.*random.*first"):
        _ = experiment(configuration(root, *SMALL, "protocol.ties=last")).metrics


def test_an_experiment_cannot_be_changed_in_place(configured):
    with pytest.raises(AttributeError):
        experiment(configured).suite = "another"


@pytest.fixture
def folder(tmp_path):
    """A folder of twelve pictures with captions, and the configuration of a run over it."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rows = ["file_name,text"]
    for number in range(12):
        Image.new("RGB", (16, 16), (20 * number, 255 - 20 * number, 7 * number)).save(pictures / f"{number}.png")
        rows.append(f"{number}.png,a square of colour number {number}")
    (pictures / "metadata.csv").write_text("\n".join(rows) + "\n")
    words = ("suite=synthetic", "dataset=folder", f"dataset.id={pictures}", "only=[tfidf,pixels]", "figure=matrix")
    more = ("metric.mutual_knn.k=3", "statistics.permutations=19", "compute.device=cpu", "compute.workers=0")
    return pictures, configuration(tmp_path / "out", *words, *more)


def test_a_run_after_an_edited_caption_takes_the_folder_as_it_is_now(folder):
    pictures, cfg = folder
    run(experiment(cfg))
    before = experiment(cfg).dataset_folder
    text = (pictures / "metadata.csv").read_text()
    (pictures / "metadata.csv").write_text(text.replace("number 3\n", "number three\n"))
    run(experiment(cfg))
    for command in (align, plot):  # stages alone, too: the folder lies here
        command(experiment(cfg))
    after = experiment(cfg)
    assert after.dataset_folder != before
    assert "a square of colour number three" in [captions[0] for captions in after.samples.captions]
    assert {features.dataset for features in after.features} == {after.dataset_folder.name}


def test_another_caption_extracts_no_vision_model_again(folder):
    _, cfg = folder
    run(experiment(cfg))
    before = {features.name: features.key for features in experiment(cfg).features}
    other = cfg | {"caption": "0"}
    run(experiment(other))
    after = {features.name: features.key for features in experiment(other).features}
    assert after["pixels"] == before["pixels"]
    assert after["tfidf"] != before["tfidf"]


def test_a_stage_that_cannot_see_the_folder_asks_which_revision(folder):
    pictures, cfg = folder
    run(experiment(cfg))
    text = (pictures / "metadata.csv").read_text()
    (pictures / "metadata.csv").write_text(text.replace("number 3\n", "number three\n"))
    run(experiment(cfg))
    pictures.rename(pictures.with_name("elsewhere"))
    with pytest.raises(AmbiguousError, match=r"2 extractions of tfidf on folder fit: .* Choose one"):
        _ = experiment(cfg).features


def test_an_unknown_metric_ends_a_run_before_anything_is_extracted(tmp_path):
    cfg = configuration(tmp_path, *SMALL, "+metric.k5={name: mutual_knn, k: 5}")
    with pytest.raises(UnknownNameError, match="unknown metric 'k5'"):
        run(experiment(cfg))
    assert not (tmp_path / "features").exists()


def test_the_time_of_a_run_is_expected_by_the_size_of_its_models(configured):
    seconds = extraction(experiment(configured).models, 1000)
    assert list(seconds) == ["tfidf", "pixels", "vit_random", "efficientnet_random"]
    large = ModelSpec(name="large", modality="language", source="transformers", id="x/y", parameters=65_000_000_000)
    assert extraction([large], 1000)["large"] > 100 * max(seconds.values())
    small = large.replace(name="small", parameters=500_000_000)
    both = extraction([large, small], 1000)
    assert both["large"] == pytest.approx(130 * both["small"], rel=0.05)


def test_scores_of_smaller_galleries_are_not_those_of_the_run(configured):
    whole = experiment(configured)
    before = len(whole.alignment.frame)
    pairs = [(random_sample(a, 24), random_sample(b, 24)) for a, b in whole.pairs]
    score_pairs(whole, pairs, whole.metrics)
    again = experiment(configured)
    assert len(again.alignment.frame) == before
    assert set(again.alignment.frame.n) == {40}
    plot(again)


def test_extract_takes_imported_features_as_they_are(root, tmp_path):
    shutil.copytree(root / "features", tmp_path / "features")
    store = FeatureStore(tmp_path / "features")
    ids = experiment(configuration(tmp_path, *SMALL)).samples.ids
    np.savez(tmp_path / "scans.npz", ids=np.array(ids), v4=np.random.default_rng(0).normal(size=(len(ids), 6)))
    dataset = dataset_named(store, "synthetic")
    imported = store_import(tmp_path / "scans.npz", store=store, dataset=dataset, name="scans", modality="brain")
    model = "+models.scans={modality: brain, source: imported, id: scans.npz, family: ''}"
    manifest = (imported.path / "manifest.json").read_bytes()
    extract(experiment(configuration(tmp_path, *SMALL, "only=[scans]", model, "overwrite=true")))
    assert (imported.path / "manifest.json").read_bytes() == manifest

    missing = "+models.other={modality: brain, source: imported, id: other.npz, family: ''}"
    with pytest.raises(PlatorepError, match=r"source=imported is not run here.*platorep store import"):
        extract(experiment(configuration(tmp_path, *SMALL, "only=[other]", missing)))
