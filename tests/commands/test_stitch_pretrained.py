"""`platorep stitch` of pretrained networks: small models with weights from files, on pictures with categories."""

from __future__ import annotations

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from safetensors.torch import save_model

from platorep.cli import schema
from platorep.commands.configuration import experiment
from platorep.commands.stitch import stitch, stitching_table
from platorep.core.errors import DataError, SpecError, UnknownNameError
from tests import small_models


schema.register()

WORDS = ("suite=synthetic", "compute.device=cpu", "compute.threads=1")


def configured(root, *words, vision=False):
    entries = []
    for seed, name in enumerate("ab"):
        folder = root / name
        if vision:
            if not folder.exists():
                torch.manual_seed(seed)
                folder.mkdir()
                save_model(timm.create_model("test_resnet", num_classes=10), str(folder / "model.safetensors"))
            entry = f"{{modality: vision, source: timm, id: test_resnet, asset: {{source: path, id: {folder}}}}}"
        else:
            if not folder.exists():
                small_models.llama(folder, seed=seed)
            entry = f"{{modality: language, source: transformers, id: x, asset: {{source: path, id: {folder}}}}}"
        entries.append(f"+models.{name}={entry}")
    pairs = ["dataset=digits", "dataset.n=120"] if vision else ["dataset=synthetic", "dataset.n=80"]
    base = [*WORDS, *pairs, *entries, f"root={root / 'out'}", "stitching.epochs=1"]
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        return experiment(OmegaConf.to_container(compose("stitch", overrides=[*base, *words]), resolve=True))


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))


def test_language_models_are_stitched_and_drawn(tmp_path, capsys):
    run = configured(tmp_path, "only=[a,b]", "stitching.pictures=6")
    paths = stitch(run)
    assert all(path.is_file() for path in paths)
    assert "another network" in capsys.readouterr().out
    frame = stitching_table(run).frame
    assert set(frame.control) == {"", "self", "noise", "shuffled"}
    assert (frame.n_fit <= 6).all()
    same = frame[(frame.control == "self") & (frame.method == "direct") & (frame.x_layer == frame.y_layer)]
    assert (same.agreement == 1).all()
    assert (frame.width == 0).all()


def test_vision_models_get_a_classifier_of_the_datasets_categories(tmp_path):
    run = configured(tmp_path, "only=[a,b]", "stitching.receivers=[b]", vision=True)
    frame = stitching_table(run).frame
    assert set(frame.control) == {"", "self", "noise", "pixels", "probe", "shuffled"}
    assert set(frame[frame.control == ""].y_model) == {"b"}
    assert set(frame[frame.control == "self"].x_model) == {"b"}
    assert set(frame[frame.control == ""].x_layer_name) == {"act1", "layer1", "layer2", "layer3", "layer4"}
    same = frame[(frame.control == "self") & (frame.method == "direct") & (frame.x_layer == frame.y_layer)]
    assert same.penalty.abs().max() < 0.05


def test_what_cannot_be_stitched_is_refused(tmp_path):
    with pytest.raises(SpecError, match="no two networks of one modality that can be stitched"):
        stitch(configured(tmp_path, "only=[a]"))
    with pytest.raises(UnknownNameError, match="network in stitching.receivers 'tfidf'"):
        stitch(configured(tmp_path, "only=[a,b,tfidf]", "stitching.receivers=[tfidf]"))
    (tmp_path / "tokens").mkdir()
    small_models.bloom(tmp_path / "tokens" / "b")
    with pytest.raises(SpecError, match="b: the tokenizer divides the texts otherwise than that of a"):
        stitch(configured(tmp_path / "tokens", "only=[a,b]"))
    (tmp_path / "vision").mkdir()
    few = configured(tmp_path / "vision", "only=[a,b]", "stitching.pictures=10", vision=True)
    with pytest.raises(DataError, match="pictures to fit on; expected three or more"):
        stitch(few)
