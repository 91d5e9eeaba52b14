"""`platorep doctor`: what can be said of machine and models before anything is fetched, with stand-ins for the Hub."""

from __future__ import annotations

import json
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from platorep.commands import doctor
from platorep.commands.configuration import experiment
from platorep.core.specs import ModelSpec
from platorep.models import load, resolve
from tests import small_models
from tests.e2e.runs import configuration


COMMIT = "c" * 40
LLAMA = ModelSpec(name="llama", modality="language", source="transformers", id="meta/llama", dtype="float16")


@pytest.fixture
def examined(tmp_path):
    """Examines one model on a machine with 10 GB and 1e12 operations a second, for 1,000 samples."""
    cfg = configuration(tmp_path, "suite=synthetic", "dataset=synthetic", "compute.device=cpu")
    run = experiment(cfg)

    def examine(spec, hub="reachable"):
        machine = doctor.Machine("cpu", 10 * 10**9, "a machine", 10**12, {}, hub, {})
        return doctor.examine_model(spec, run, machine, 1e12, 1000)

    return examine


@pytest.fixture
def hub(monkeypatch):
    """What the Hub answers for any model: an exception, or files and the number of parameters."""

    def answer(error=None, gated=False, parameters=None, **files):
        def model_info(self, repo, **_):
            if error is not None:
                raise error
            siblings = [SimpleNamespace(rfilename=name.replace("__", "."), size=size) for name, size in files.items()]
            return SimpleNamespace(
                gated=gated, sha=COMMIT, siblings=siblings, safetensors=parameters and SimpleNamespace(total=parameters)
            )

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)

    return answer


def refusal(kind):
    return kind("no", response=SimpleNamespace(headers={}, status_code=403, request=None))


def test_a_model_of_the_hub_has_its_commit_its_sizes_and_an_expected_time(examined, hub):
    hub(parameters=7 * 10**9, model__safetensors=14 * 10**9, pytorch_model__bin=14 * 10**9)
    row = examined(LLAMA)
    assert (row.found, row.revision, row.parameters, row.disk, row.memory) == (
        "yes",
        COMMIT,
        7 * 10**9,
        14 * 10**9,
        14 * 10**9,
    )
    assert row.fits is False  # 14 GB into 10
    assert row.seconds == pytest.approx(2 * 7e9 * 30 * 1000 / (0.4 * 1e12))
    four = examined(LLAMA.replace(quantize="4bit"))
    assert (four.name, four.memory, four.fits) == ("llama-4bit", 3_500_000_000, True)


@pytest.mark.parametrize(
    ("answer", "found", "note"),
    [
        ({"error": refusal(GatedRepoError)}, "gated", "accept its terms on the Hub page of meta/llama and log in"),
        ({"error": refusal(RepositoryNotFoundError)}, "no", "no repository meta/llama on the Hub, or it is private"),
        ({"gated": "manual", "parameters": 10}, "gated", ""),
    ],
)
def test_gated_and_missing_models_are_told_apart(examined, hub, answer, found, note):
    hub(**answer)
    row = examined(LLAMA)
    assert row.found == found
    assert row.note.startswith(note)


def test_without_the_hub_nothing_is_claimed(examined, hub):
    hub(error=AssertionError("the Hub was asked"))
    row = examined(LLAMA, hub="not reachable (ConnectionError)")
    assert (row.found, row.parameters, row.note) == ("unknown", None, "Hub not reachable (ConnectionError)")


def test_a_model_that_lies_here_is_counted_from_the_headers_of_its_files(examined, tmp_path):
    spec = small_models.llama(tmp_path / "llama")
    row = examined(spec, hub="not reachable")
    held = load(resolve(spec, torch.device("cpu")), torch.device("cpu"))
    assert (row.found, row.parameters) == ("here", held.facts["parameters"])
    assert row.disk > 4 * row.parameters
    assert row.fits
    (tmp_path / "empty").mkdir()
    nothing = spec.replace(asset=spec.asset.replace(id=str(tmp_path / "empty")))
    assert examined(nothing).parameters is None


def test_every_kind_of_model_that_needs_no_file_is_found(examined):
    pixels = examined(ModelSpec(name="pixels", modality="vision", source="pixels", id="x"), hub="not reachable")
    assert (pixels.found, pixels.weights_from) == ("yes", "none needed")
    random = examined(small_models.picture("test_vit"), hub="not reachable")
    assert random.found == "yes"
    assert random.parameters > 1000


def test_torchvision_of_another_torch_is_named(monkeypatch):
    assert doctor.torchvision_problem() is None
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    assert "does not fit torch" in doctor.torchvision_problem()


def test_programs_get_one_json_object(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "hub_state", lambda: "not reachable")
    monkeypatch.setattr(doctor, "_matrix_throughput", lambda device: 1e12)
    cfg = configuration(tmp_path, "suite=synthetic", "dataset=synthetic", "compute.device=cpu")
    doctor.doctor(experiment(cfg), as_json=True)
    made = json.loads(capsys.readouterr().out)
    assert made["machine"]["device"] == "cpu"
    assert [one["name"] for one in made["models"]] == list(cfg["models"])
    doctor.doctor(experiment(cfg), as_json=False)
    assert "4 models, 0 already extracted" in capsys.readouterr().out
