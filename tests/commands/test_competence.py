"""The stage: corpora, tasks, parts that are kept, and what reaches the table."""

from __future__ import annotations

import json
import logging

import pytest

from platorep.commands.competence import measure_competence
from platorep.commands.configuration import experiment
from platorep.commands.extract import extract_models
from platorep.competence.corpora import read_corpus
from platorep.competence.probing import layer_of
from platorep.core.errors import DataError, DiskError, SpecError, StoreError, UnknownNameError
from platorep.core.samples import Samples
from platorep.core.specs import CorpusSpec, TaskSpec
from platorep.results.tables import CompetenceTable
from tests import small_models
from tests.e2e.runs import configuration


SMALL = ("suite=synthetic", "dataset=synthetic", "dataset.n=64", "compute.device=cpu", "compute.workers=0")


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.txt").write_text("A Sumatran tiger.\n")
    (folder / "deep" / "a.txt").write_text("Ein Bär im Schnee.")
    (folder / "notes.md").write_text("not read")
    return folder


def corpus(folder, **more):
    return read_corpus(CorpusSpec(name="folder", source="folder", id=str(folder), **more))


def test_a_folder_s_text_files_are_documents_byte_by_byte(texts):
    found = corpus(texts)
    assert found.texts == ["A Sumatran tiger.\n", "Ein Bär im Schnee."]
    assert found.bytes == 18 + 19
    assert str(found) == f"folder (2 documents, 37 bytes, {found.digest})"
    (texts / "b.txt").write_text("A Sumatran tiger!\n")
    assert corpus(texts).digest != found.digest


def test_whole_documents_are_read_until_the_bytes_are_reached(texts):
    assert len(corpus(texts, max_bytes=18).texts) == 1
    assert len(corpus(texts, max_bytes=19).texts) == 2


def test_corpora_that_cannot_be_read_say_why(texts, tmp_path):
    with pytest.raises(SpecError, match=r"set corpus\.id="):
        read_corpus(CorpusSpec(name="folder", source="folder"))
    with pytest.raises(DataError, match="is not a folder"):
        corpus(tmp_path / "none")
    (texts / "c.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"document .*c\.txt is empty"):
        corpus(texts)
    (texts / "c.txt").write_bytes(b"na\xefve")
    with pytest.raises(DataError, match=r"c\.txt is not UTF-8 .* at byte 2"):
        corpus(texts)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no documents"):
        corpus(tmp_path / "empty")
    with pytest.raises(SpecError, match="needs the samples of a dataset"):
        read_corpus(CorpusSpec(name="captions", source="captions"))


def test_a_text_dataset_is_streamed_in_its_order(tmp_path):
    folder = tmp_path / "owt"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": f"document {i}", "n": i}) + "\n" for i in range(5)))
    spec = CorpusSpec(name="owt", source="hub", id=str(folder), max_bytes=25)
    assert read_corpus(spec).texts == ["document 0", "document 1", "document 2"]
    with pytest.raises(UnknownNameError, match=r"unknown column of corpus .* 'txt'. Did you mean 'text'"):
        read_corpus(spec.replace(column="txt"))
    with pytest.raises(UnknownNameError, match=r"unknown split of dataset .* 'validation'. Known: train"):
        read_corpus(spec.replace(split="validation"))


def test_captions_are_documents():
    samples = Samples(["a", "b"], [["one", "eins"], ["two"]])
    assert read_corpus(CorpusSpec(name="captions", source="captions"), samples).texts == ["one", "two"]


@pytest.fixture
def settled(tmp_path, texts):
    """A run's configuration: two small language models of which one is too short for the window, and the window."""
    folder = tmp_path / "weights"
    folder.mkdir()
    models = {}
    for name, context in (("long", 64), ("short", 16)):
        spec = small_models.llama(folder / name, context=context)
        models[name] = spec.to_dict() | {"dtype": "float32"}
    cfg = configuration(
        tmp_path / "out", *SMALL, "corpus=folder", f"corpus.id={texts}", "corpus.context=24", "corpus.stride=12"
    )
    cfg["models"] = models
    return cfg


def test_bits_per_byte_of_a_corpus_and_a_model_that_fails_alone(settled, caplog):
    cfg = settled
    table, failed = measure_competence(experiment(cfg))
    assert [(one.model, "takes 16 tokens" in one.error) for one in failed] == [("short", True)]
    assert table.frame.model.tolist() == ["long"]
    row = table.frame.iloc[0]
    assert (row.measure, row.source) == ("bits_per_byte", "measured")
    assert row.task.startswith("folder (2 documents, 37 bytes")
    assert "context 24, stride 12" in row.provenance
    assert "start token: bos <s>" in row.provenance
    written = experiment(cfg).competence_path
    assert CompetenceTable.load([written]).frame.equals(table.frame)


def test_a_model_is_not_run_again_over_the_same_text(settled, monkeypatch):
    cfg = settled
    del cfg["models"]["short"]
    first, _ = measure_competence(experiment(cfg))
    cfg["models"]["long"]["family"] = "renamed"
    monkeypatch.setattr("platorep.competence.documents.corpus_bits", lambda *_, **__: pytest.fail("run again"))
    second, failed = measure_competence(experiment(cfg))
    assert not failed
    assert second.frame.value.equals(first.frame.value)
    assert second.frame.family.tolist() == ["renamed"]
    monkeypatch.setattr(
        "platorep.competence.documents.corpus_bits", lambda *_, **__: (_ for _ in ()).throw(DataError("run anew"))
    )
    cfg["corpus"]["stride"] = 11
    assert [one.error for one in measure_competence(experiment(cfg))[1]] == ["DataError: run anew"]


def test_a_table_keeps_its_figures_where_a_measure_cannot_be_stored(settled):
    """A part that cannot be written once cost the table the figures that it had."""
    cfg = settled
    del cfg["models"]["short"]
    measure_competence(experiment(cfg))
    path = experiment(cfg).competence_path
    (part,) = (path.parent / "parts").glob("long--*.parquet")
    before = path.read_bytes()
    part.unlink()
    part.mkdir()
    with pytest.raises(DiskError, match=f"{part.name}: it is a folder, where a file is expected"):
        measure_competence(experiment(cfg))
    assert path.read_bytes() == before


def test_the_released_convention_is_a_measure_of_its_own(settled):
    cfg = settled
    del cfg["models"]["short"]
    cfg["corpus"]["released"] = True
    table, _ = measure_competence(experiment(cfg))
    assert table.frame.measure.tolist() == ["bits_per_byte", "bits_per_byte_released"]


def test_without_features_and_without_anything_to_measure_there_is_an_error(tmp_path):
    cfg = configuration(tmp_path, *SMALL)
    with pytest.raises(StoreError, match="Run `platorep extract` first"):
        measure_competence(experiment(cfg))


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    root = tmp_path_factory.mktemp("probed")
    cfg = configuration(root, *SMALL)
    drawn, digits = (
        {"name": name, "source": source, "n": 150} for name, source in (("drawn", "factors"), ("digits", "digits"))
    )
    cfg["probe"] = {
        "name": "few",
        "layer": "last",
        "tasks": {
            "shape": {"dataset": {"name": "shapes", "source": "synthetic", "n": 240}},
            "colour": {"dataset": drawn, "label": "factor:colour"},
            "digits": {"dataset": digits, "validation": {**digits, "n": 250, "order_seed": 3}},
            "gone": {"dataset": {"name": "gone", "source": "folder", "id": str(root / "gone")}},
        },
    }
    return cfg, measure_competence(experiment(cfg))


def test_probes_reach_what_pixels_can_and_name_the_task_that_cannot_be_had(probed):
    _, (table, failed) = probed
    assert [one.model for one in failed] == ["task gone"]
    accuracy = table.frame[table.frame.measure == "probe_accuracy"]
    wide = accuracy.assign(task=accuracy.task.str.split(" ").str[0]).pivot(
        index="model", columns="task", values="value"
    )
    assert sorted(wide.index) == ["efficientnet_random", "pixels", "vit_random"]
    assert wide.loc["pixels", "digits"] > 0.7  # chance is 0.1
    assert wide.loc["pixels", "colour"] < 1
    assert wide.loc["pixels", "shape"] > 0.3  # chance is 1/6
    assert accuracy.standard_error.between(0, 0.1).all()
    assert accuracy.provenance.str.contains("chance 0").all()
    solved = table.frame[table.frame.measure == "vtab_solved"].set_index("model")
    assert (solved.task == "few: 3 tasks, best of 3 models").all()
    assert (solved.provenance == "without gone").all()
    for model in wide.index:
        assert solved.value[model] == pytest.approx((wide.loc[model] >= 0.8 * wide.max()).mean())


def test_pictures_and_probes_that_are_there_are_not_made_again(probed, monkeypatch):
    cfg, (table, _) = probed
    monkeypatch.setattr("platorep.extract.engine.load", lambda *_: pytest.fail("extracted again"))
    monkeypatch.setattr("platorep.competence.probes.probe", lambda *_: pytest.fail("probed again"))
    again, _ = measure_competence(experiment(cfg))
    assert again.frame.equals(table.frame)


def test_features_of_all_layers_serve_where_they_are_stored(probed, caplog):
    cfg, _ = probed
    shapes = cfg["probe"]["tasks"]["shape"]["dataset"]
    whole = {**cfg, "dataset": {**shapes, "name": "twice", "order_seed": 1}, "only": "pixels,vit_random"}
    assert not extract_models(experiment(whole)).failures
    whole["probe"] = {"name": "one", "layer": "0", "tasks": {"shape": {"dataset": whole["dataset"]}}}
    with caplog.at_level(logging.INFO):
        table, failed = measure_competence(experiment(whole))
    assert not failed
    rows = table.frame[table.frame.measure == "probe_accuracy"].set_index("model")
    assert "layer block.0," in rows.provenance["vit_random"]
    assert len(list(experiment(whole).store.find("twice--*/vit_random--*"))) == 1

    with pytest.raises(SpecError, match=r"probe\.layer is '0,1'; a probe reads one layer"):
        layer_of(experiment(whole).store.find("twice--*/vit_random--*")[0], "0,1")


@pytest.mark.parametrize(("name", "least"), [("offline", 8), ("vtab", 19)])
def test_every_task_set_composes_to_tasks(name, least, tmp_path):
    cfg = configuration(tmp_path, f"probe={name}", "corpus=openwebtext")
    tasks = [TaskSpec.from_dict({"name": task, **entry}) for task, entry in cfg["probe"]["tasks"].items()]
    assert len(tasks) >= least
    assert len({task.key() for task in tasks}) == len(tasks)
    assert cfg["probe"]["name"] == name
    assert cfg["dataset"]["name"] == "stamps"
    assert CorpusSpec.from_dict(cfg["corpus"]).max_bytes == 17_600_000


def test_the_offline_tasks_share_their_pictures_with_the_datasets_of_the_same_name(tmp_path):
    cfg = configuration(tmp_path, "probe=offline")
    assert cfg["probe"]["tasks"]["stamps"]["dataset"] == cfg["dataset"]
    assert len({json.dumps(task["dataset"]) for task in cfg["probe"]["tasks"].values()}) == 4


def test_features_that_other_shards_still_owe_are_named(tmp_path):
    cfg = configuration(tmp_path, *SMALL, "compute.shard_rows=20", "shard=0/2")
    cfg["probe"] = {
        "name": "one",
        "layer": "last",
        "tasks": {"shape": {"dataset": {"name": "shapes", "source": "synthetic", "n": 60}}},
    }
    table, failed = measure_competence(experiment(cfg))
    assert table.frame.empty
    assert {one.model for one in failed} == {"pixels", "vit_random", "efficientnet_random"}
    assert all("not complete: other shards are missing" in one.error for one in failed)
