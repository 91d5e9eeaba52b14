"""Checkpoints of vision models: what features need must be in the file, whatever the library lets pass."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import ModelSpec
from platorep.models import load, open_clip_models, repositories, resolve, source_of
from platorep.models.networks import noise_pictures
from platorep.models.timm_models import timm_from_file
from tests import small_models
from tests.architectures import transformers_models


CPU = torch.device("cpu")


def timm_spec(name: str) -> ModelSpec:
    return ModelSpec(name="mine", modality="vision", source="timm", id=name)


def timm_file(name: str, path, change=lambda state: state):
    """A model of timm with weights of its own, and a file of what `change` makes of them."""
    torch.manual_seed(5)
    model = timm.create_model(name).eval()
    file = path / "model.safetensors"
    save_file({key: value.contiguous() for key, value in change(model.state_dict()).items()}, file)
    return model, file


def without(*names):
    def change(state):
        assert set(names) <= state.keys()
        return {key: value for key, value in state.items() if key not in names}

    return change


def maps(model, side=160):
    with torch.no_grad():
        return model.forward_intermediates(noise_pictures((side, side)), intermediates_only=True)[-1]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_of_a_repository_are_those_of_the_file(tmp_path, prefix):
    model, file = timm_file(
        "test_vit", tmp_path, lambda state: {f"{prefix}{key}": value for key, value in state.items()}
    )
    assert torch.equal(maps(timm_from_file(timm_spec("test_vit"), file)), maps(model))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("test_vit", "blocks.3.mlp.fc1.weight"),
        ("test_vit", "pos_embed"),
        ("dla46x_c", "level3.tree1.tree1.conv1.weight"),
    ],
)
def test_tensor_that_features_need_must_be_in_the_file_of_timm(tmp_path, name, tensor):
    _, file = timm_file(name, tmp_path, without(tensor))
    with pytest.raises(SpecError, match=f"mine: the checkpoint lacks {tensor}"):
        timm_from_file(timm_spec(name), file)


def test_timm_itself_passes_over_what_is_missing(tmp_path):
    """Why the check above is needed: for some architectures timm loads what there is, and leaves the rest random."""
    _, file = timm_file("dla46x_c", tmp_path, without("level3.tree1.tree1.conv1.weight"))
    timm.create_model("dla46x_c", pretrained=True, pretrained_cfg_overlay={"file": str(file)})


def test_head_may_be_missing(tmp_path):
    model, file = timm_file("test_vit", tmp_path, without("head.weight", "head.bias", "norm.weight"))
    assert torch.equal(maps(timm_from_file(timm_spec("test_vit"), file)), maps(model))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda state: state | {"blocks.6.norm1.weight": torch.ones(64)}, "it holds blocks.6.norm1.weight"),
        (lambda state: state | {"norm.weight": torch.ones(7)}, "size mismatch for norm.weight"),
    ],
    ids=["more", "shape"],
)
def test_file_of_another_architecture_is_refused(tmp_path, change, sentence):
    _, file = timm_file("test_vit", tmp_path, change)
    with pytest.raises(
        SpecError, match=f"mine: the weights in model.safetensors do not fit the architecture.*{sentence}"
    ):
        timm_from_file(timm_spec("test_vit"), file)


def test_loading_is_as_strict_as_before_once_it_is_done(tmp_path):
    _, file = timm_file("test_vit", tmp_path)
    timm_from_file(timm_spec("test_vit"), file)
    with pytest.raises(RuntimeError, match="Missing key"):
        torch.nn.Linear(2, 2).load_state_dict({})


@pytest.mark.parametrize("modality", ["vision", "language"])
def test_tensor_must_be_in_the_file_of_open_clip(tmp_path, modality):
    spec = small_models.clip(tmp_path / "clip", modality)
    file = tmp_path / "clip" / "open_clip_model.safetensors"
    save_file(without("visual.transformer.resblocks.1.mlp.c_fc.weight")(load_file(file)), file)
    with pytest.raises(
        SpecError, match=r"do not fit the architecture.*visual\.transformer\.resblocks\.1\.mlp\.c_fc\.weight"
    ):
        load(resolve(spec, CPU), CPU)


def test_folder_of_open_clip_without_weights_is_named(tmp_path):
    spec = small_models.clip(tmp_path / "clip", "vision")
    (tmp_path / "clip" / "open_clip_model.safetensors").unlink()
    with pytest.raises(AssetError, match=r"holds no \*\.safetensors"):
        load(resolve(spec, CPU), CPU)


def test_known_weights_without_a_config_beside_them_take_open_clips_own(tmp_path, monkeypatch):
    """ViTamin's repositories hold the weights alone."""
    file = tmp_path / "pytorch_model.bin"
    monkeypatch.setattr(open_clip_models, "fetched_weights", lambda at, revision: file)
    spec = ModelSpec(name="m", modality="vision", source="open_clip", id="ViTamin-S/datacomp1b", revision="0" * 40)
    architecture, settings = open_clip_models._arguments(spec)
    assert (architecture, settings["pretrained"]) == ("ViTamin-S", str(file))
    assert settings["force_preprocess_cfg"]["mean"] == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    with pytest.raises(SpecError, match="the repository of 'owner/name' has no open_clip_config.json"):
        open_clip_models._arguments(spec.replace(id="owner/name"))


@pytest.mark.slow
def test_known_weights_of_open_clip_are_loaded_without_a_config_beside_them(tmp_path, monkeypatch):
    import open_clip

    model = open_clip.create_model("ViTamin-S", force_custom_text=True)
    file = tmp_path / "pytorch_model.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
    monkeypatch.setattr(open_clip_models, "fetched_weights", lambda at, revision: file)
    spec = ModelSpec(name="m", modality="vision", source="open_clip", id="ViTamin-S/datacomp1b", revision="0" * 40)
    encoder = load(resolve(spec, CPU), CPU)
    assert (encoder.pool, len(encoder.layers), encoder.size) == ("mean", 14, (224, 224))
    pictures = noise_pictures(encoder.size, 1)
    with torch.no_grad():
        own = model.eval().visual.trunk.forward_intermediates(pictures, intermediates_only=True)[-1].mean((2, 3))
    torch.testing.assert_close(encoder.encode(pictures).features[-1], own, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "stored", "named"),
    [
        ("vit", "encoder.layer.1.intermediate.dense.weight", "layers.1.mlp.fc1.weight"),
        ("dinov2", "embeddings.position_embeddings", "embeddings.position_embeddings"),
        ("resnet", "embedder.embedder.normalization.running_var", "embedder.embedder.normalization.running_var"),
    ],
)
def test_tensor_that_features_need_must_be_in_the_file_of_transformers(tmp_path, kind, stored, named):
    """The file has the names of the library's older versions, the message those of its present modules."""
    spec = transformers_models.save(kind, tmp_path)
    file = tmp_path / "model.safetensors"
    save_file(without(stored)(load_file(file)), file, metadata={"format": "pt"})
    with pytest.raises(SpecError, match=f"{kind}: the checkpoint lacks {named}"):
        load(resolve(spec, CPU), CPU)


def test_other_tower_may_be_missing_from_the_file_of_transformers(tmp_path):
    spec = transformers_models.save("clip", tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    save_file(
        {key: value for key, value in state.items() if key.startswith("vision_model.")}, file, metadata={"format": "pt"}
    )
    assert load(resolve(spec, CPU), CPU).layers == ("block.0", "block.1", "block.2")


def test_pooler_may_be_missing_from_the_file_of_transformers(tmp_path):
    spec = transformers_models.save("vit", tmp_path)
    whole = load(resolve(spec, CPU), CPU)
    pictures = noise_pictures(whole.size, 2)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    rest = {key: value for key, value in state.items() if "pooler" not in key}
    assert len(rest) < len(state)
    save_file(rest, file, metadata={"format": "pt"})
    again = load(resolve(spec, CPU), CPU)
    for ours, theirs in zip(again.encode(pictures).features, whole.encode(pictures).features, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("source", ["timm", "open_clip"])
def test_first_weight_file_that_a_repository_has_is_taken(tmp_path, monkeypatch, source):
    names = {"timm": "pytorch_model.bin", "open_clip": "open_clip_pytorch_model.bin"}
    id = "resnet18" if source == "timm" else "owner/name"
    spec = ModelSpec(name="m", modality="vision", source=source, id=id, revision="0" * 40)
    at = source_of(spec).repository(spec)
    monkeypatch.setattr(repositories, "snapshot", lambda repo, commit, members: tmp_path)
    with pytest.raises(AssetError, match=f"{at.id}.*holds no .*{names[source]}"):
        source_of(spec).weights(spec)
    (tmp_path / names[source]).write_bytes(b"")
    assert [file.name for file in source_of(spec).weights(spec)] == [names[source]]
    (tmp_path / at.weights[0][0]).write_bytes(b"")
    assert [file.suffix for file in source_of(spec).weights(spec)] == [".safetensors"]


def test_model_of_transformers_without_an_image_processor_is_refused(tmp_path):
    spec = transformers_models.save("vit", tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(SpecError, match="vit: .*cannot read its image processor"):
        resolve(spec, CPU)


def test_image_processor_that_keeps_the_pictures_size_is_refused(tmp_path):
    spec = transformers_models.save("vit", tmp_path, {"do_resize": False})
    with pytest.raises(SpecError, match=r"gives inputs of shape \(3, 48, 64\) and \(3, 96, 48\); expected"):
        resolve(spec, CPU)


def test_config_with_fewer_blocks_than_the_file_is_refused(tmp_path):
    spec = transformers_models.save("vit", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    with pytest.raises(SpecError, match="config.json has only 2 blocks"):
        load(resolve(spec, CPU), CPU)
