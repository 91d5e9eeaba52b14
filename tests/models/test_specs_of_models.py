"""Resolving specs, choosing layers, degrading: what a model is before it runs."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import nn

from platorep.core.errors import SpecError
from platorep.core.resources import pick_device
from platorep.core.specs import ModelSpec
from platorep.models import resolve
from platorep.models.base import parse_layers
from platorep.models.degrade import add_weight_noise, reduce_picture
from tests import small_models


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("all", (0, 1, 2, 3, 4)),
        ("last", (4,)),
        ("3,0,-1,4", (0, 3, 4)),
        ("[1,2]", (1, 2)),
        ("depth:0.25,0.5,1.0", (1, 2, 4)),
        ("depth:0.125", (0,)),
    ],
)
def test_layers_are_parsed(text, want):
    assert parse_layers(text, 5) == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("first", "expected all, last, indices"),
        ("5", "-5 to 4 exist, got 5"),
        ("depth:1.5", "lie in 0 to 1, got 1.5"),
        ("depth:x", "expected all"),
    ],
)
def test_layers_that_do_not_exist_are_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_layers(text, 5)


def test_resolving_settles_revision_dtype_and_pool_and_a_changed_file_changes_the_key(tmp_path):
    spec = small_models.llama(tmp_path / "llama")
    first = resolve(spec, CPU)
    assert (first.dtype, first.pool, len(first.revision)) == ("float32", "mean", 64)
    assert resolve(first, CPU) == first
    with open(tmp_path / "llama" / "config.json", "a") as file:
        file.write("\n")
    assert resolve(spec, CPU).key() != first.key()


def test_random_weights_need_no_hub_and_name_the_library():
    assert resolve(small_models.picture(), CPU).revision.startswith("timm-")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": "language"}, "source=timm has vision"),
        ({"weight_noise": -1.0}, "expected 0 or more"),
        ({"input_size": 0}, "expected 1 or more"),
        ({"quantize": "4bit"}, "quantize is not possible for vision models of source=timm"),
        ({"source": "imported"}, "store import"),
        ({"source": "pixels", "weight_noise": 0.1}, "weights of a network in full precision"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        resolve(small_models.picture().replace(**changes), CPU)


def test_hub_model_that_cannot_be_asked_for_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    spec = ModelSpec(name="m", modality="language", source="transformers", id="no-such-owner/no-such-model")
    with pytest.raises(Exception, match="no-such-owner/no-such-model"):
        resolve(spec, CPU)


def test_unusable_device_is_refused():
    assert pick_device("cpu") == CPU
    with pytest.raises(SpecError, match="device 'warp' cannot be used here"):
        pick_device("warp")


def test_weight_noise_has_the_stated_size_on_matrices_and_spares_the_rest():
    model = nn.Sequential(nn.Conv2d(8, 64, 3), nn.LayerNorm(64), nn.Linear(64, 512))
    with torch.no_grad():
        model[2].weight.mul_(3.0)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    add_weight_noise(model, 0.3, seed=1)
    for name, weight in model.named_parameters():
        moved = ((weight - before[name]).std() / before[name].std()).item()
        if weight.ndim > 1:
            assert moved == pytest.approx(0.3, rel=0.05), name
        else:
            assert torch.equal(weight, before[name]), name


def test_weight_noise_is_fixed_by_the_seed_and_walks_one_direction():
    def noise(scale, seed):
        torch.manual_seed(0)
        model = nn.Linear(16, 16)
        before = model.weight.detach().clone()
        add_weight_noise(model, scale, seed)
        return model.weight.detach() - before

    assert torch.equal(noise(0.1, 0), noise(0.1, 0))
    torch.testing.assert_close(noise(0.2, 0), 2 * noise(0.1, 0), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(noise(0.1, 0), noise(0.1, 1))


def test_tied_weights_get_noise_once():
    model = nn.ModuleDict({"a": nn.Linear(32, 32, bias=False), "b": nn.Linear(32, 32, bias=False)})
    model["b"].weight = model["a"].weight
    before = model["a"].weight.detach().clone()
    add_weight_noise(model, 0.5, 0)
    assert (model["a"].weight.detach() - before).std() / before.std() == pytest.approx(0.5, rel=0.1)


def test_picture_is_reduced_by_its_shorter_side_and_never_enlarged():
    picture = Image.new("RGB", (100, 50))
    assert reduce_picture(picture, 10).size == (20, 10)
    assert reduce_picture(picture, 50) is picture
    assert reduce_picture(picture, 400) is picture


def test_an_id_that_is_a_local_folder_is_loaded_from_there_by_its_content(tmp_path):
    spec = small_models.llama(tmp_path / "checkpoint")
    plain = spec.replace(asset=None, id=str(tmp_path / "checkpoint"))
    resolved = resolve(plain, CPU)
    assert resolved.revision == resolve(spec, CPU).revision
    assert resolved.asset is not None
    (tmp_path / "checkpoint" / "config.json").write_text((tmp_path / "checkpoint" / "config.json").read_text() + " ")
    assert resolve(plain, CPU).revision != resolved.revision
