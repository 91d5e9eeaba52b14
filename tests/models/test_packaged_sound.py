"""Whisper from its package writes down a spoken caption, and aiSFX places sounds of one kind together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from platorep.assets import fetch
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.data.sounds import read_sound
from platorep.models import load, resolve
from platorep.models.ctranslate2_models import read_variables, whisper_config, whisper_state
from platorep.models.files import find


pytestmark = pytest.mark.packaged

CPU = torch.device("cpu")
CONFIGS = Path(__file__).parents[2] / "configs"


def spec_of(name: str) -> ModelSpec:
    entry = yaml.safe_load((CONFIGS / "suite" / "offline_sound.yaml").read_text())["models"][name]
    return ModelSpec.from_dict({"name": name, **entry})


def packaged(dataset: str, package: str) -> Path:
    values = yaml.safe_load((CONFIGS / "dataset" / f"{dataset}.yaml").read_text())
    assets = [AssetSpec.from_dict(asset) for asset in values["assets"]]
    return fetch(next(asset for asset in assets if asset.id.startswith(package)))


def test_whisper_writes_down_a_spoken_caption():
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    asset = spec_of("whisper_tiny_en_5s").asset
    variables = read_variables(find(fetch(asset), "model.bin"))
    model = WhisperForConditionalGeneration(whisper_config(variables, Path("model.bin"))).eval()
    state = whisper_state(variables)
    model.load_state_dict(state | {"proj_out.weight": state["model.decoder.embed_tokens.weight"]}, strict=True)
    words = Tokenizer.from_file(str(find(fetch(asset), "tokenizer.json")))
    voice = next(packaged("spoken", "tuxpaint").rglob("mammals/cats/lion_desc.ogg"))
    sound = read_sound(voice).at(16000).samples
    inputs = WhisperFeatureExtractor()(sound, sampling_rate=16000, return_tensors="pt").input_features
    ids = [words.token_to_id(token) for token in ("<|startoftranscript|>", "<|notimestamps|>")]
    with torch.inference_mode():
        heard = model.model.encoder(inputs)
        for _ in range(10):
            logits = model(encoder_outputs=heard, decoder_input_ids=torch.tensor([ids])).logits[0, -1]
            ids.append(int(logits[: words.token_to_id("<|endoftext|>") + 1].argmax()))
            if ids[-1] == words.token_to_id("<|endoftext|>"):
                break
    assert words.decode(ids[2:]).strip().lower().rstrip(".") == "lion"  # of "A lion.", the voice says the noun


def test_aisfx_places_sounds_of_one_kind_together():
    root = packaged("effects", "sonic-pi")
    names = ["drum_snare_hard", "drum_snare_soft", "ambi_choir", "ambi_piano"]
    encoder = load(resolve(spec_of("aisfx"), CPU), CPU)
    clips = [encoder.transform(read_sound(next(root.rglob(f"{name}.flac")))) for name in names]
    drum, other, choir, _ = torch.nn.functional.normalize(encoder.encode(clips).features[-1], dim=1)
    assert drum @ other > drum @ choir + 0.1
