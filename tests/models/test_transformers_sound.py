"""Models of the transformers library that hear, by code that knows no class: tiny networks with random weights."""

from __future__ import annotations

import pytest
import torch

from platorep.core.errors import SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import load, resolve
from platorep.models.transformers_sound import tokens_of
from tests.models.test_hearing import tone


# AST's own feature extractor has more bands than its spectrum fills
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")

CPU = torch.device("cpu")
SPEECH = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20, "vocab_size": 12,
    "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


def made(kind: str):
    """A tiny model of a kind and its feature extractor."""
    import transformers as tf

    if kind in ("Wav2Vec2", "Hubert", "WavLM"):
        return getattr(tf, f"{kind}Model")(getattr(tf, f"{kind}Config")(**SPEECH)), tf.Wav2Vec2FeatureExtractor()
    if kind == "AST":
        config = tf.ASTConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20, max_length=200
        )
        return tf.ASTModel(config), tf.ASTFeatureExtractor(max_length=200)
    if kind == "Whisper":
        config = tf.WhisperConfig(
            d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=20, decoder_ffn_dim=20, vocab_size=60, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            decoder_start_token_id=3, max_source_positions=150,
        )  # fmt: skip
        return tf.WhisperModel(config), tf.WhisperFeatureExtractor(chunk_length=3)
    audio = {
        "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [2, 2], "hidden_size": 16,
        "num_mel_bins": 64, "spec_size": 256, "window_size": 4, "patch_size": 4, "patch_stride": [4, 4],
    }  # fmt: skip
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}
    config = tf.ClapConfig(audio_config=audio, text_config=text | {"vocab_size": 60}, projection_dim=8)
    return tf.ClapModel(config), tf.ClapFeatureExtractor(max_length_s=3, truncation="rand_trunc")


@pytest.fixture(scope="module", params=["Wav2Vec2", "Hubert", "WavLM", "AST", "Whisper", "Clap"])
def saved(request, tmp_path_factory):
    torch.manual_seed(7)
    model, processor = made(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    spec = ModelSpec(
        name=request.param, modality="sound", source="transformers", id="x",
        asset=AssetSpec(source="path", id=str(folder)),
    )  # fmt: skip
    return request.param, model, processor, spec


def test_layers_are_the_states_of_the_audio_tower(saved):
    kind, model, processor, spec = saved
    encoder = load(resolve(spec, CPU), CPU)
    sound = tone(1.3)
    features = encoder.encode([encoder.transform(sound)]).features
    inputs = processor(
        sound.at(processor.sampling_rate).samples, sampling_rate=processor.sampling_rate, return_tensors="pt"
    )
    key = encoder.key
    tower = {"Clap": lambda: model.audio_model, "Whisper": lambda: model.encoder}.get(kind, lambda: model)()
    with torch.inference_mode():
        states = tower(**{key: inputs[key]}, output_hidden_states=True).hidden_states
    assert len(states) == len(encoder.layers) > 2
    for feature, state in zip(features, states, strict=True):
        tokens = tokens_of(state)[0]
        kept = tokens[:65] if kind == "Whisper" else tokens  # 1.3 s of 50 frames a second
        assert (feature[0] - kept.mean(0)).abs().max() < 1e-4


def test_features_depend_neither_on_the_batch_nor_on_windows_that_are_not_there(saved):
    _, _, _, spec = saved
    encoder = load(resolve(spec, CPU), CPU)
    sounds = [tone(0.5, 300), tone(1.7, 500), tone(0.02, 700), tone(7, 900)]
    clips = [encoder.transform(sound) for sound in sounds]
    together = encoder.encode(clips).features
    for i, clip in enumerate(clips):
        for one, layer in zip(encoder.encode([clip]).features, together, strict=True):
            assert torch.allclose(one[0], layer[i], atol=1e-5)
    first = load(resolve(spec.replace(crop="first", seconds=2.0), CPU), CPU)
    assert len(first.transform(sounds[3]).windows) == 1
    assert spec.replace(crop="first").key() != spec.key()


def test_random_weights_and_noise(saved):
    _, _, _, spec = saved
    clip = load(resolve(spec, CPU), CPU).transform(tone(1))
    pretrained, random, noisy = (
        load(resolve(variant, CPU), CPU).encode([clip]).features[-1]
        for variant in (spec, spec.replace(weights="random"), spec.replace(weight_noise=0.5))
    )
    assert not torch.allclose(pretrained, random, atol=1e-3)
    assert not torch.allclose(pretrained, noisy, atol=1e-3)


def test_a_model_that_hears_nothing_is_refused(tmp_path):
    from transformers import BertConfig, BertModel, Wav2Vec2FeatureExtractor

    BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=20)).save_pretrained(
        tmp_path
    )
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    asset = AssetSpec(source="path", id=str(tmp_path))
    spec = ModelSpec(name="b", modality="sound", source="transformers", id="x", asset=asset)
    with pytest.raises(SpecError, match="BertModel takes input_ids instead of sounds"):
        load(resolve(spec, CPU), CPU)
