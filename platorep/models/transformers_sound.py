"""Sound models of the transformers library, or the audio towers of models with several parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.core.text import cause
from platorep.models import fetching
from platorep.models.failures import explained
from platorep.models.files import fetched, find
from platorep.models.hearing import SoundNetwork, SoundTransform, check_sound_spec, noise, pool_frames, window_length
from platorep.models.pretrained import weighted, without_bars


TOWERS = ("audio_model", "audio_tower", "encoder")
"""Attributes that hold the audio tower of models with several parts."""


class Processed:
    """A repository's feature extractor as a function from the samples of one window to the model's input."""

    def __init__(self, processor: Any, rate: int, key: str) -> None:
        self.processor, self.rate, self.key = processor, rate, key

    def __call__(self, samples: np.ndarray) -> torch.Tensor:
        return self.processor(samples, sampling_rate=self.rate, return_tensors="pt")[self.key][0]


class TransformersSoundEncoder(SoundNetwork):
    """A sound model of the transformers library.

    Layers are the hidden states that the library reports: the input of the first block, and the output of every block,
    the last one after the final norm if there is one. Models of raw samples, such as wav2vec 2.0, process each sound
    alone and without padding, because padding changes their features. For models of successive spectrogram frames, such
    as Whisper, only the frames that hold sound are pooled. Models of patches (AST), and models whose feature extractor
    repeats short sounds (CLAP), are pooled over all tokens.

    Args:
        spec: the resolved spec.
        tower: the part that processes sound, on its device, in evaluation mode.
        processor: the feature extractor of the model.
        device: the device of inputs.

    Raises:
        SpecError: the model reports no hidden states.
    """

    def __init__(self, spec: ModelSpec, tower: nn.Module, processor: Any, device: torch.device) -> None:
        self.key, input_samples = str(getattr(tower, "main_input_name", "input_values")), own_length(processor)
        rate, name = int(processor.sampling_rate), type(tower).__name__
        length = window_length(spec, rate, input_samples, name)
        transform = SoundTransform(rate, length, spec.crop, Processed(processor, rate, self.key))
        self.alike = input_samples is not None
        dtype = next(tower.parameters()).dtype
        window = transform(noise(rate, min(length, rate))).windows[0]
        with torch.inference_mode():
            states = hidden_states(tower, window[None].to(device, dtype), self.key, spec)
        super().__init__(spec, tower, [f"state.{i}" for i in range(len(states))], transform, device)
        tokens = states[0].shape[1] if states[0].ndim == 3 else 0
        repeats = str(getattr(processor, "padding", "")).startswith("repeat")
        self.aligned = self.alike and not repeats and any(size % tokens == 0 for size in window.shape if tokens)
        if not self.aligned:
            self.facts["pool"] = "mean over the whole sound" if not self.alike else "mean over all tokens of a window"

    def vectors(self, windows: torch.Tensor, filled: torch.Tensor) -> list[torch.Tensor]:
        states = hidden_states(self.model, windows, self.key, self.spec)
        share = filled if self.aligned else None
        return [pool_frames(tokens_of(states[i]), share) for i in self.kept]


def tokens_of(state: torch.Tensor) -> torch.Tensor:
    """Hidden states as (windows, tokens, width); maps have their channels first."""
    return state.flatten(2).transpose(1, 2) if state.ndim == 4 else state


def own_length(processor: Any) -> int | None:
    """Number of samples in the input of a feature extractor; None if its inputs may have any length."""
    for name in ("n_samples", "nb_max_samples"):
        if getattr(processor, name, None):
            return int(getattr(processor, name))
    frames = getattr(processor, "max_length", None)  # AST: frames of 10 ms
    return int(frames) * int(processor.sampling_rate) // 100 if frames and hasattr(processor, "num_mel_bins") else None


def hidden_states(tower: nn.Module, windows: torch.Tensor, key: str, spec: ModelSpec) -> tuple[torch.Tensor, ...]:
    """The hidden states that a model reports for inputs with a batch axis.

    Raises:
        SpecError: the model cannot run on these inputs alone, or reports no hidden states.
    """
    try:
        states = getattr(tower(**{key: windows}, output_hidden_states=True), "hidden_states", None)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise SpecError(
            f"{spec.name}: transformers' {type(tower).__name__} does not run on sounds of shape "
            f"{tuple(windows.shape)}: {cause(error)}"
        ) from error
    if not states or not all(isinstance(state, torch.Tensor) and state.ndim in (3, 4) for state in states):
        raise SpecError(f"{spec.name}: transformers' {type(tower).__name__} reports no hidden states of sounds.")
    return tuple(states)


def shortened(spec: ModelSpec, tower: nn.Module, processor: Any) -> tuple[nn.Module, Any]:
    """Changes a model with a table of positions, and its feature extractor, to windows of `spec.seconds`.

    The first rows of the table are kept. The cost falls in proportion. The features change, and the key covers
    `seconds`. Models without such a table are returned unchanged.

    Raises:
        SpecError: `seconds` is not a whole number, or exceeds the input length of the model.
    """
    longest = getattr(processor, "chunk_length", None)
    table = getattr(tower, "embed_positions", None)
    if spec.seconds is None or longest is None or not isinstance(table, nn.Embedding):
        return tower, processor
    if spec.seconds > longest or spec.seconds != int(spec.seconds):
        raise SpecError(f"{spec.name}: seconds is {spec.seconds:g}; expected a whole number of at most {longest}.")
    rows = table.num_embeddings * int(spec.seconds) // longest
    config: Any = tower.config
    config.max_source_positions = rows
    tower.embed_positions = nn.Embedding.from_pretrained(table.weight[:rows].detach().clone())
    return tower, type(processor)(**(processor.to_dict() | {"chunk_length": int(spec.seconds)}))


def sound_tower(model: nn.Module, name: str) -> nn.Module:
    """The part of a model that processes sound: an audio tower, the encoder of an encoder-decoder, or itself.

    Raises:
        SpecError: the model takes no sounds.
    """
    for attribute in TOWERS:
        part = getattr(model, attribute, None)
        whole = attribute != "encoder" or getattr(model.config, "is_encoder_decoder", False)
        if isinstance(part, nn.Module) and whole:
            model = part
            break
    key = getattr(model, "main_input_name", "")
    if key not in ("input_features", "input_values"):
        raise SpecError(f"{name}: transformers' {type(model).__name__} takes {key or 'no input'} instead of sounds.")
    return model


@without_bars()
def load_transformers_sound(spec: ModelSpec, device: torch.device) -> TransformersSoundEncoder:
    """The encoder of a sound model in transformers' format: the feature extractor is loaded first, then the weights.

    Raises:
        SpecError: the model takes no sounds, does not report its layers, or lacks weights.
        AssetError: the model's files are damaged or cannot be fetched.
    """
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

    check_sound_spec(spec)
    folder = fetching.small_files(spec) if spec.asset is None else find(fetched(spec.asset), "config.json").parent
    options = {"trust_remote_code": spec.trust_remote_code}
    with explained(spec, "config", folder):
        config = AutoConfig.from_pretrained(folder, **options)
    with explained(spec, "feature extractor", folder):
        processor = AutoFeatureExtractor.from_pretrained(folder, **options)

    def features(model: Any) -> tuple[nn.Module, Callable[[], Iterable[torch.Tensor]]]:
        tower = sound_tower(model, spec.name)
        key, rate = str(tower.main_input_name), int(processor.sampling_rate)
        window = Processed(processor, rate, key)(noise(rate, rate).at(rate).samples)
        return tower, lambda: hidden_states(tower, window[None].to(model.dtype), key, spec)

    model = weighted(AutoModel, folder, config, spec, features, device, **options)
    tower, processor = shortened(spec, sound_tower(model, spec.name), processor)
    encoder = TransformersSoundEncoder(spec, tower, processor, device)
    encoder.check()
    return encoder
