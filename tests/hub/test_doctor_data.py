"""`platorep doctor` before a Hub: pairs, corpora and tasks, and the command as a whole."""

from __future__ import annotations

import json

import yaml
from huggingface_hub import snapshot_download

from platorep.cli.schema import config_dir
from platorep.commands import doctor
from platorep.commands.configuration import experiment
from platorep.core.specs import CorpusSpec, DatasetSpec
from platorep.data.examining import examine_data
from tests.e2e.runs import configuration
from tests.hub import builder_data
from tests.hub.builder import GITATTRIBUTES
from tests.hub.test_doctor import repository, weights


def see(spec, **more):
    return examine_data(spec, "pairs", reachable=True, **more)


def test_the_papers_pairs_are_on_a_branch_and_main_is_said_to_hold_none(hub):
    served = builder_data.add_prh(hub, 4)
    spec = DatasetSpec(name="wit_1024", source="hub", id="minhuh/prh", revision="wit_1024")
    facts = see(spec)
    assert (facts.found, facts.revision) == ("yes", served.branches["wit_1024"])
    assert facts.disk == len(builder_data.pairs(4)["data/train-00000-of-00001.parquet"])
    assert not hub.asked("resolve|storage")
    facts = see(spec.replace(revision=None))
    assert facts.found == "no"
    assert facts.note == "it has no data files at main; its branches are main, wit_1024: set revision"


def test_a_gated_a_missing_and_a_scripted_dataset_are_told_apart(hub, tmp_path):
    hub.add("a/gated", builder_data.pairs(2), "dataset", gated=True)
    mark = tmp_path / "it ran"
    hub.add("a/script", {**GITATTRIBUTES, "script.py": f"open({str(mark)!r}, 'w')".encode()}, "dataset")
    facts = see(DatasetSpec(name="d", source="hub", id="a/gated"))
    assert (facts.found, facts.token) == ("gated", "needed")
    assert see(DatasetSpec(name="d", source="hub", id="a/missing")).found == "no"
    facts = see(DatasetSpec(name="d", source="hub", id="a/script"))
    assert facts.found == "no"
    assert facts.note == "it is a program (script.py), which is not run; try revision=refs/convert/parquet"
    assert not mark.exists()


def test_of_a_corpus_that_is_read_in_part_one_file_counts_and_of_several_configs_one(hub):
    hub.add("a/text", {f"plain_text/train-0000{i}.parquet": bytes(100) for i in range(3)}, "dataset")
    corpus = CorpusSpec(name="c", source="hub", id="a/text", max_bytes=10)
    assert examine_data(corpus, "corpus", reachable=True).disk == 100
    assert examine_data(corpus.replace(max_bytes=None), "corpus", reachable=True).disk == 300
    hub.add("a/two", {"one/train.parquet": bytes(10), "two/train.parquet": bytes(20)}, "dataset")
    spec = DatasetSpec(name="d", source="hub", id="a/two")
    assert (see(spec.replace(config="two")).disk, see(spec).disk) == (20, 30)


def test_a_dataset_in_the_cache_is_here(hub):
    builder_data.add_prh(hub, 4)
    spec = DatasetSpec(name="wit_1024", source="hub", id="minhuh/prh", revision="wit_1024")
    snapshot_download("minhuh/prh", repo_type="dataset", revision="wit_1024")
    assert see(spec).found == "here"
    hub.stop()
    assert examine_data(spec, "pairs", reachable=False).found == "here"
    other = examine_data(spec.replace(id="a/b"), "pairs", reachable=False)
    assert (other.found, other.note) == ("unknown", "nothing of it is in the Hub's cache")


# the command ----------------------------------------------------------------------------------------------------------


def test_the_command_has_a_row_for_everything_and_ends_well_whatever_is_wrong(hub, tmp_path, monkeypatch, capsys):
    """The paper's 20 language models, of which some are gated, missing or busy, its pairs, the corpus and the tasks."""
    monkeypatch.setattr("platorep.assets.patience.time.sleep", lambda seconds: None)
    suite = yaml.safe_load((config_dir() / "suite" / "prh_downstream.yaml").read_text())["models"]
    for name, entry in suite.items():
        if name not in ("llama-65b", "dinov2-giant"):
            hub.add(entry["id"], repository("llama"), gated=entry["access"] != "open")
    hub.add("timm/vit_giant_patch14_dinov2.lvd142m", {"model.safetensors": weights(100)})
    builder_data.add_prh(hub, 4)
    hub.add("Skylion007/openwebtext", {"openwebtext.py": b"raise SystemExit"}, "dataset")
    hub.add("clip-benchmark/wds_vtab-dtd", builder_data.webdataset(3), "dataset")
    hub.fail("503", "bloomz-560m")
    hub.fail("503", "llama-33b|llama-30b", times=-1)
    cfg = configuration(
        tmp_path, "suite=prh_downstream", "dataset=wit_1024", "corpus=openwebtext", "corpus.revision=null",
        "probe=vtab", "models.olmo-1b.revision=no-such-branch", "models.olmo-7b.id=not/a/name", "compute.device=cpu",
    )  # fmt: skip
    doctor.doctor(experiment(cfg), as_json=True)
    told = json.loads(capsys.readouterr().out)
    found = {model["name"]: model["found"] for model in told["models"]}
    gated = ("gemma-2b", "gemma-7b", "mistral-7b", "mixtral-8x7b")
    words = {
        "llama-65b": "no",
        "olmo-1b": "no",
        "olmo-7b": "no",
        "llama-33b": "unknown",
        **dict.fromkeys(gated, "gated"),
    }
    assert found == {name: words.get(name, "yes") for name in suite}
    assert [model["name"] for model in told["models"] if model["token"] == "needed"] == list(gated)
    data = {one["name"]: one["found"] for one in told["data"]}
    assert (data["wit_1024"], data["openwebtext"], data["vtab_dtd_train"]) == ("yes", "no", "yes")
    assert len(data) == 2 + 19  # a task's two splits are one repository
    assert told["machine"]["hub"] == "reachable"
    assert not hub.asked("storage|resolve/")

    monkeypatch.setenv("COLUMNS", "300")
    doctor.doctor(experiment(cfg), as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "of an account that accepted their terms is needed for: gemma-2b, gemma-7b, mistral-7b, mixtral-8x7b." in shown
    )
    assert "Not available: llama-65b, olmo-1b, olmo-7b, openwebtext" in shown
    assert "llama-33b: the Hub answered 503 to 3 tries; ask again later" in shown
