"""Models that hear: windows, frames that hold sound, and independence of batch and padding."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from platorep.core.errors import AssetError, SpecError
from platorep.core.sounds import Sound
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import load, resolve
from platorep.models.aisfx import EmbeddingNetwork, spectrum
from platorep.models.ctranslate2_models import read_variables, whisper_config, whisper_state
from platorep.models.hearing import cut, noise, pool_frames
from platorep.models.mel import BANDS, FRAME, HOP, RATE, mel_power, mel_statistics


CPU = torch.device("cpu")


def path_asset(path) -> AssetSpec:
    return AssetSpec(source="path", id=str(path))


def tone(seconds: float, pitch: float = 440, rate: int = 16000) -> Sound:
    time = np.arange(round(seconds * rate)) / rate
    return Sound((np.sin(2 * np.pi * pitch * time) * np.exp(-time)).astype(np.float32), rate)


def written(variables: dict[str, np.ndarray], version: int = 6) -> bytes:
    """A file in CTranslate2's format."""

    def text(words: str) -> bytes:
        return struct.pack("<H", len(words) + 1) + words.encode() + b"\0"

    kinds = {"float32": 0, "int8": 1, "int16": 2, "float16": 4}
    body = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, values in variables.items():
        body += text(name) + struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        body += struct.pack("<BI", kinds[values.dtype.name], values.nbytes) + values.tobytes()
    return body + struct.pack("<I", 0)


def variables_of(model, dtype="float32") -> dict[str, np.ndarray]:
    """The state of a Whisper of transformers under CTranslate2's names: its own converter, written from the format."""
    state = {name: value.numpy().astype(dtype) for name, value in model.state_dict().items()}
    variables = {}
    for side, config in (("encoder", model.config.encoder_layers), ("decoder", model.config.decoder_layers)):
        at = f"model.{side}."
        heads = getattr(model.config, f"{side}_attention_heads")
        variables[f"{side}/num_heads"] = np.array(heads, np.int16)
        variables[f"{side}/position_encodings/encodings"] = state[f"{at}embed_positions.weight"]

        def norm(name, source):
            variables[f"{name}/gamma"], variables[f"{name}/beta"] = state[f"{source}.weight"], state[f"{source}.bias"]

        norm(f"{side}/layer_norm", f"{at}layer_norm")
        if side == "encoder":
            for conv in ("conv1", "conv2"):
                for leaf in ("weight", "bias"):
                    variables[f"encoder/{conv}/{leaf}"] = state[f"{at}{conv}.{leaf}"]
        else:
            variables["decoder/embeddings/weight"] = state[f"{at}embed_tokens.weight"]
        for i in range(config):
            there, here = f"{side}/layer_{i}", f"{at}layers.{i}"

            def linear(name, *parts):
                weights = [state[f"{part}.weight"] for part in parts]
                biases = [state.get(f"{part}.bias", np.zeros(len(weights[0]), dtype)) for part in parts]
                variables[f"{name}/weight"], variables[f"{name}/bias"] = np.concatenate(weights), np.concatenate(biases)

            def attention(name, source, *stacks):
                for number, stack in enumerate(stacks):
                    linear(f"{name}/linear_{number}", *(f"{source}.{part}" for part in stack))

            attention(f"{there}/self_attention", f"{here}.self_attn", ("q_proj", "k_proj", "v_proj"), ("out_proj",))
            norm(f"{there}/self_attention/layer_norm", f"{here}.self_attn_layer_norm")
            if side == "decoder":
                stacks = (("q_proj",), ("k_proj", "v_proj"), ("out_proj",))
                attention(f"{there}/attention", f"{here}.encoder_attn", *stacks)
                norm(f"{there}/attention/layer_norm", f"{here}.encoder_attn_layer_norm")
            linear(f"{there}/ffn/linear_0", f"{here}.fc1")
            linear(f"{there}/ffn/linear_1", f"{here}.fc2")
            norm(f"{there}/ffn/layer_norm", f"{here}.final_layer_norm")
    return variables


@pytest.fixture(scope="module")
def whisper():
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=60, num_mel_bins=80, d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=40, max_target_positions=20, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
    )  # fmt: skip
    return WhisperForConditionalGeneration(config).eval()


@pytest.fixture(scope="module")
def packaged(whisper, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whisper")
    (folder / "model.bin").write_bytes(written(variables_of(whisper)))
    return ModelSpec(name="w", modality="sound", source="ctranslate2", id="w", asset=path_asset(folder))


def loaded(spec: ModelSpec):
    return load(resolve(spec, CPU), CPU)


def test_whisper_of_a_packaged_file_equals_that_of_transformers(whisper, packaged):
    from transformers import WhisperFeatureExtractor

    sound = tone(2.5)
    encoder = loaded(packaged)
    inputs = WhisperFeatureExtractor()(sound.at(16000).samples, sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        states = whisper.model.encoder(**inputs, output_hidden_states=True).hidden_states
    frames = math.ceil(len(sound.samples) / 320)
    assert len(states) == len(encoder.layers) == 3
    for feature, state in zip(encoder.encode([encoder.transform(sound)]).features, states, strict=True):
        assert (feature[0] - state[0, :frames].mean(0)).abs().max() < 1e-4
        assert (feature[0] - state[0].mean(0)).abs().max() > 1e-2  # the silence after the sound is another feature


def test_the_whole_state_is_read_and_in_half_precision_too(whisper, packaged, tmp_path):
    from transformers import WhisperForConditionalGeneration

    variables = read_variables(Path(packaged.asset.id) / "model.bin")
    copy = WhisperForConditionalGeneration(whisper_config(variables, tmp_path))
    missing = copy.load_state_dict(whisper_state(variables), strict=False)
    assert missing.missing_keys == ["proj_out.weight"]  # which is tied
    assert not missing.unexpected_keys
    assert all(torch.equal(value, copy.state_dict()[name]) for name, value in whisper.state_dict().items())
    (tmp_path / "half.bin").write_bytes(written(variables_of(whisper, "float16")))
    half = whisper_state(read_variables(tmp_path / "half.bin"))
    name = "model.encoder.layers.1.self_attn.k_proj.weight"
    assert torch.equal(half[name], whisper.state_dict()[name].half().float())


def test_batch_and_padding_change_no_feature(packaged):
    encoder = loaded(packaged)
    clips = [encoder.transform(tone(seconds, pitch)) for seconds, pitch in ((0.4, 300), (31, 500), (2, 700), (1, 900))]
    assert [len(clip.windows) for clip in clips] == [1, 2, 1, 1]
    together = encoder.encode(clips).features[-1]
    alone = torch.cat([encoder.encode([clip]).features[-1] for clip in clips])
    assert (together - alone).abs().max() < 1e-5
    silent = Sound(np.pad(tone(2, 700).samples, (0, 16000)), 16000)  # silence that belongs to a sound does count
    assert (encoder.encode([encoder.transform(silent)]).features[-1] - alone[2]).abs().max() > 1e-3


def test_a_shorter_context_keeps_the_first_positions_and_is_another_feature(packaged, whisper):
    short, long = loaded(packaged.replace(seconds=5.0)), loaded(packaged)
    clip = short.transform(tone(2))
    assert clip.windows[0].shape == (80, 500)
    assert clip.filled == [0.4]
    table = whisper.model.encoder.embed_positions.weight
    assert torch.equal(short.model.embed_positions.weight, table[:250])
    assert short.spec.key() != long.spec.key()
    assert len(short.transform(tone(11)).windows) == 3
    with pytest.raises(SpecError, match="seconds is 31; expected a whole number of at most 30"):
        loaded(packaged.replace(seconds=31.0))


def test_random_weights_have_the_architecture_of_the_file_and_follow_the_seed(packaged):
    same, twin, other = (loaded(packaged.replace(weights="random", seed=seed)) for seed in (1, 1, 2))
    first, second, third = (e.encode([e.transform(tone(1))]).features[-1] for e in (same, twin, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert same.facts["parameters"] == loaded(packaged).facts["parameters"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda raw: raw[:-200], AssetError, "is damaged|cut short"),
        (lambda raw: b"", AssetError, "not a CTranslate2 model, or is truncated at 0 bytes"),
        (lambda raw: struct.pack("<I", 9) + raw[4:], AssetError, "version 9 of CTranslate2's format; expected 6"),
        (lambda raw: written({"encoder/conv1/weight": np.zeros((2, 2, 3), np.float32)}), SpecError, "another model"),
        (
            lambda raw: written({
                "encoder/conv1/weight": np.zeros((2, 2, 3), np.int8),
                "decoder/embeddings/weight": np.zeros((2, 2), np.int8),
            }), SpecError, "weights in 8 bits; expected float32 or float16",
        ),
    ],
)  # fmt: skip
def test_files_that_are_no_whisper_are_refused(packaged, whisper, tmp_path, change, error, message):
    (tmp_path / "model.bin").write_bytes(change(written(variables_of(whisper))))
    with pytest.raises(error, match=message):
        loaded(packaged.replace(asset=path_asset(tmp_path)))


def test_settings_that_exclude_each_other_are_refused(packaged):
    with pytest.raises(SpecError, match="needs an asset with the file model.bin"):
        loaded(packaged.replace(asset=None))
    with pytest.raises(SpecError, match="pool=last does not exist for models that hear"):
        loaded(packaged.replace(pool="last"))
    with pytest.raises(SpecError, match="seconds and crop are for models of sounds"):
        resolve(ModelSpec(name="p", modality="vision", source="pixels", id="p", crop="first"), CPU)
    with pytest.raises(SpecError, match="hears 100 frames at a time; leave out seconds"):
        resolve(ModelSpec(name="a", modality="sound", source="aisfx", id="a", weights="random", seconds=1.0), CPU)


def test_windows_cover_a_sound():
    samples = np.arange(10)
    assert [window.tolist() for window in cut(samples, 4, "windows")] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [window.tolist() for window in cut(samples, 4, "first")] == [[0, 1, 2, 3]]
    assert [window.tolist() for window in cut(samples, 4, "centre")] == [[3, 4, 5, 6]]
    assert [window.tolist() for window in cut(samples, 40, "centre")] == [samples.tolist()]


def test_frames_are_averaged_by_their_share():
    states = torch.arange(12.0).reshape(2, 6, 1)
    assert pool_frames(states, torch.tensor([0.5, 1.0])).flatten().tolist() == pytest.approx([1.0, 8.5])
    assert pool_frames(states, torch.tensor([0.01, 0.34])).flatten().tolist() == pytest.approx([0.0, 7.0])
    assert pool_frames(states, None).flatten().tolist() == pytest.approx([2.5, 8.5])


def test_mel_power_equals_its_definition():
    samples = noise(8000, 4000).at(8000).samples.astype(np.float64)
    padded, window = np.pad(samples, 256), 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames = np.stack([padded[low : low + 512] * window for low in range(0, 32 * 128, 128)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 22) / 2595) - 1)
    at = np.arange(257) * 8000 / 512
    triangles = [
        np.clip(np.minimum((at - a) / (b - a), (c - at) / (c - b)), 0, None)
        for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    expected = power @ np.stack(triangles, axis=1)
    measured = mel_power(samples, 8000, bands=20, frame=512, hop=128)
    assert measured.shape == (32, 20)
    assert np.allclose(measured, expected, rtol=1e-6)
    scaled = mel_power(samples, 8000, bands=20, frame=512, hop=128, sums=True)
    assert np.allclose(scaled, expected / np.stack(triangles, axis=1).sum(0), rtol=1e-6)


def test_mel_statistics_are_of_the_whole_sound_and_not_of_its_loudness():
    sound = tone(3)
    levels = np.log(mel_power(sound.at(RATE).samples, RATE, bands=BANDS, frame=FRAME, hop=HOP) + 1e-6)
    statistics = mel_statistics(sound).windows[0].numpy()
    assert np.allclose(statistics, np.concatenate([levels.mean(0), levels.std(0)]), atol=1e-5)
    quiet = mel_statistics(Sound(sound.samples * 0.01, sound.rate)).windows[0].numpy()
    assert np.allclose(quiet, statistics, atol=1e-3)
    assert mel_statistics(tone(0.001)).windows[0].isfinite().all()


def test_durations_are_ordered_by_cosine():
    encoder = loaded(ModelSpec(name="d", modality="sound", source="duration", id="d"))
    seconds = [0.5, 1.0, 2.0, 2.2, 60.0]
    vectors = encoder.encode([encoder.transform(tone(length, rate=1000)) for length in seconds]).features[0]
    cosines = vectors @ vectors.T
    distance = np.abs(np.log(seconds)[:, None] - np.log(seconds))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(5))
    assert (np.argsort(-cosines.numpy(), axis=1) == np.argsort(distance, axis=1)).all()


def test_aisfx_pools_each_block_and_ends_in_its_embedding(tmp_path):
    model = EmbeddingNetwork().eval()
    state = {f"embedding_net.{name}": value for name, value in model.state_dict().items()}
    state["fc.0.0.weight"] = torch.zeros(1)
    torch.save((state, {"set": (np.int64(0), 78)}), tmp_path / "checkpoint.pth")
    spec = ModelSpec(name="a", modality="sound", source="aisfx", id="a", asset=path_asset(tmp_path))
    encoder, sound = loaded(spec), tone(1, rate=44100)
    layers = encoder.encode([encoder.transform(sound)]).features
    assert [layer.shape[1] for layer in layers] == [64, 128, 256, 512]
    with torch.inference_mode():
        embedding = model(spectrum(sound.at(44100).samples)[None]).mean(3).amax(2)
    assert torch.allclose(layers[-1], embedding, atol=1e-5)
    assert spectrum(sound.at(44100).samples).shape == (100, 96)
    assert not spectrum(sound.at(44100).samples)[45:].any()  # 44 frames of sound, and zeros
    (tmp_path / "checkpoint.pth").write_bytes(b"damaged")
    with pytest.raises(AssetError, match="does not hold the weights of aiSFX"):
        loaded(spec)
