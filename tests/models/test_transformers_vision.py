"""Vision models in transformers' format: settings that other sources have, and the same network in two libraries."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from safetensors.torch import load_file

from platorep.core.errors import SpecError
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureStore
from platorep.data import open_dataset
from platorep.extract import extract
from platorep.models import load, resolve
from platorep.models.hidden_states import state_layout
from platorep.models.networks import noise_pictures
from platorep.models.vision import TimmEncoder
from tests.architectures import transformers_models
from tests.extract.conftest import resources


CPU = torch.device("cpu")


def encoder_of(spec: ModelSpec):
    return load(resolve(spec, CPU), CPU)


def features_of(spec: ModelSpec) -> list[torch.Tensor]:
    encoder = encoder_of(spec)
    return encoder.encode(noise_pictures(encoder.size, 3)).features


def same(ours, theirs) -> bool:
    return all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


def test_the_same_network_gives_the_same_features_in_timm_and_transformers(tmp_path):
    """A vision transformer's weights moved from one library's modules to the other's by hand."""
    spec = transformers_models.save("vit", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    state = load_file(tmp_path / "model.safetensors")
    settings = {"depth": 3, "embed_dim": 32, "num_heads": 4, "img_size": 32, "patch_size": 8, "mlp_ratio": 1.5}
    model = timm.create_model("vit_tiny_patch16_224", **settings, num_classes=0).eval()
    moved = {
        "cls_token": state["embeddings.cls_token"],
        "pos_embed": state["embeddings.position_embeddings"],
        "patch_embed.proj.weight": state["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": state["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": state["layernorm.weight"],
        "norm.bias": state["layernorm.bias"],
    }
    names = {
        "norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
    }  # fmt: skip
    for i in range(3):
        for last in ("weight", "bias"):
            parts = [
                state[f"encoder.layer.{i}.attention.attention.{part}.{last}"] for part in ("query", "key", "value")
            ]
            moved[f"blocks.{i}.attn.qkv.{last}"] = torch.cat(parts)
            moved |= {f"blocks.{i}.{a}.{last}": state[f"encoder.layer.{i}.{b}.{last}"] for a, b in names.items()}
    model.load_state_dict(moved)
    of_timm = TimmEncoder(spec.replace(source="timm"), model, lambda _: torch.zeros(3, 32, 32), (32, 32), CPU)
    assert same(features_of(spec), of_timm.encode(noise_pictures((32, 32), 3)).features)


def test_layers_are_those_before_the_final_norm_also_where_the_library_reports_them_after_it(tmp_path):
    """Versions of transformers differ in whether the last hidden state is the last block's or the norm's."""
    spec = transformers_models.save("vit", tmp_path)
    plain = encoder_of(spec)
    tower = plain.model
    pictures = noise_pictures(plain.size)
    before = state_layout(tower, pictures)
    tower.config.tie_last_hidden_states = True
    with torch.no_grad():
        output = tower(pixel_values=pictures, output_hidden_states=True)
    if not torch.equal(output.hidden_states[-1], output.last_hidden_state):
        pytest.fail("this version of transformers no longer has the switch that this test is about")
    after = state_layout(tower, pictures)
    assert [layer.block for layer in after.layers] == [layer.block for layer in before.layers]
    assert after.layers[-1].norm is tower.layernorm
    tied = type(plain)(plain.spec, tower, transformers_inputs(plain), CPU)
    tied.check()
    assert tied.facts["layers_read_from"] == "its blocks"
    assert same(tied.encode(pictures).features, plain.encode(pictures).features)
    tied.blocks = None
    assert same(tied.encode(pictures).features, plain.encode(pictures).features)


def transformers_inputs(encoder):
    from platorep.models.networks import PictureInput

    return PictureInput(encoder.transform.to_input, encoder.size)


def test_tower_of_a_model_of_two_modalities_is_the_tower_alone(tmp_path):
    spec = transformers_models.save("clip", tmp_path)
    encoder = encoder_of(spec)
    assert type(encoder.model).__name__ == "CLIPVisionModel"
    assert encoder.facts["parameters"] == sum(p.numel() for p in encoder.model.parameters())


def test_random_weights_depend_on_the_seed_and_not_on_the_file(tmp_path):
    spec = transformers_models.save("dinov2", tmp_path)
    random = spec.replace(weights="random")
    assert same(features_of(random), features_of(random))
    assert not same(features_of(random), features_of(random.replace(seed=1)))
    assert not same(features_of(random), features_of(spec))


def test_noise_on_the_weights_moves_features(tmp_path):
    spec = transformers_models.save("dinov2", tmp_path)
    little, much = (features_of(spec.replace(weight_noise=scale))[-1] for scale in (0.05, 0.5))
    plain = features_of(spec)[-1]
    assert 0 < (little - plain).norm() < (much - plain).norm()


def test_input_size_takes_detail_away_and_leaves_the_input_as_large(tmp_path):
    from platorep.data.synthetic import draw

    spec = transformers_models.save("vit", tmp_path)
    picture = draw("large", "red", "circle", "middle", "0")
    sharp, blurred = (encoder_of(spec.replace(input_size=size)).transform(picture) for size in (None, 8))
    assert sharp.shape == blurred.shape == (3, 32, 32)
    detail = [(x[:, 1:] - x[:, :-1]).abs().sum() for x in (sharp, blurred)]
    assert detail[1] < 0.8 * detail[0]


def test_half_precision_passes_the_same_checks(tmp_path):
    spec = transformers_models.save("dinov3_vit", tmp_path)
    half = features_of(spec.replace(dtype="bfloat16"))
    for a, b in zip(half, features_of(spec), strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.05 * b.norm()


def test_quantised_pictures_are_refused(tmp_path):
    spec = transformers_models.save("vit", tmp_path)
    with pytest.raises(SpecError, match="quantize is not possible for vision models of source=transformers"):
        resolve(spec.replace(quantize="8bit"), CPU)


def test_entry_of_a_suite_is_extracted(tmp_path):
    """As from a YAML file: modality, source and id, here a folder."""
    transformers_models.save("dinov2_with_registers", tmp_path / "model")
    entry = {"name": "mine", "modality": "vision", "source": "transformers", "id": str(tmp_path / "model")}
    dataset = DatasetSpec(name="synthetic", source="synthetic", n=9)
    pairs = open_dataset(dataset)
    spec = ExtractSpec(model=resolve(ModelSpec.from_dict(entry), CPU), dataset=pairs.spec)
    store = FeatureStore(tmp_path / "store")
    extract(spec, pairs, store, resources(shard_rows=4))
    stored = store.open(spec)
    encoder = encoder_of(ModelSpec.from_dict(entry))
    want = encoder.encode(torch.stack([encoder.transform(pairs.picture(i)) for i in range(9)])).features
    assert stored.spec.model.pool == "cls"
    assert [layer.name for layer in stored.layers] == ["block.0", "block.1", "block.2"]
    assert same([stored.load(i) for i in range(3)], want)


def test_selected_layers_are_those_of_all(tmp_path):
    for kind in ("vit", "pvt_v2"):
        encoder = encoder_of(transformers_models.save(kind, tmp_path / kind))
        pictures = noise_pictures(encoder.size, 2)
        everything = encoder.encode(pictures).features
        encoder.select("0,-1")
        assert same(encoder.encode(pictures).features, [everything[0], everything[-1]])
