"""Networks over sounds: from the windows of a sound to one pooled vector per layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from platorep.core.errors import SpecError
from platorep.core.sounds import Sound
from platorep.core.specs import ModelSpec
from platorep.models.base import Clip, Encoded, Layers
from platorep.models.networks import INVARIANCE, difference


AT_ONCE = 8
"""Number of windows that are computed together, so that memory does not grow with the length of a sound."""

LEAST_SECONDS = 0.1
"""Sounds shorter than this are padded with zeros, because networks need at least one frame."""

SAMPLES_A_TOKEN = 320
"""Samples that count as one token when sounds are packed into batches: 20 ms at 16 kHz."""


def cut(samples: np.ndarray, length: int, crop: str) -> list[np.ndarray]:
    """The windows of a sound, of at most `length` samples each.

    Args:
        samples: shape (n,).
        length: of a window.
        crop: "first" or "centre" for one window, "windows" for all consecutive windows, of which only the last may be
            shorter.
    """
    if crop == "windows":
        return [samples[low : low + length] for low in range(0, len(samples), length)]
    low = max(0, len(samples) - length) // 2 if crop == "centre" else 0
    return [samples[low : low + length]]


class SoundTransform:
    """From a sound to the windows that a model reads, in worker processes.

    Args:
        rate: sampling rate of the model, to which every sound is converted.
        length: samples of a window.
        crop: which windows of a longer sound are read; see `cut`.
        prepare: converts the samples of one window, (n,) float32 with a peak of at most 1, to the model's input.
    """

    def __init__(self, rate: int, length: int, crop: str, prepare: Callable[[np.ndarray], torch.Tensor]) -> None:
        self.rate, self.length, self.crop, self.prepare = rate, length, crop, prepare

    def __call__(self, sound: Sound) -> Clip:
        windows = cut(sound.at(self.rate).samples, self.length, self.crop)
        least = math.ceil(LEAST_SECONDS * self.rate)
        padded = [np.pad(window, (0, max(0, least - len(window)))) for window in windows]
        return Clip(
            [self.prepare(window) for window in padded],
            [len(window) / self.length for window in windows],
            sound.seconds,
        )


class SoundNetwork(Layers):
    """A network over sounds, with one pooled vector per layer.

    The vector of a window is the mean of a layer's states over the frames that hold sound. The vector of a sound is the
    mean over its windows, each weighted by its share of sound. Subclasses implement `vectors`.

    Args:
        spec: the resolved spec.
        model: the network, on its device, in evaluation mode.
        names: names of the layers in depth order.
        transform: from a sound to the windows of the model.
        device: the device of inputs.
    """

    alike = True
    """Whether all windows have one shape, so that several can be computed together."""

    def __init__(
        self, spec: ModelSpec, model: nn.Module, names: Sequence[str], transform: SoundTransform, device: torch.device
    ) -> None:
        super().__init__(tuple(names))
        self.spec, self.model, self.transform, self.device = spec, model, transform, device
        self.dtype = next(model.parameters()).dtype
        self.tokens_each = max(1, transform.length // SAMPLES_A_TOKEN)
        self.facts |= {
            "parameters": sum(p.numel() for p in model.parameters()),
            "input": f"{transform.length / transform.rate:g} s at {transform.rate} Hz, peak 1",
            "crop": transform.crop,
            "pool": "mean over the frames that hold sound",
        }

    def vectors(self, windows: torch.Tensor, filled: torch.Tensor) -> list[torch.Tensor]:
        """Pooled states of the kept layers, shape (windows, width), float32.

        Args:
            windows: inputs of the model, (windows, ...), on its device.
            filled: share of each window that holds sound, (windows,).
        """
        raise NotImplementedError

    @torch.inference_mode()
    def encode(self, batch: Sequence[Clip]) -> Encoded:
        """Pooled states of the kept layers, (sounds, width)."""
        windows = [window for clip in batch for window in clip.windows]
        filled = torch.tensor([share for clip in batch for share in clip.filled], device=self.device)
        size = AT_ONCE if self.alike else 1
        parts = [
            self.vectors(torch.stack(windows[low : low + size]).to(self.device, self.dtype), filled[low : low + size])
            for low in range(0, len(windows), size)
        ]
        of = torch.tensor([i for i, clip in enumerate(batch) for _ in clip.windows], device=self.device)
        weights = filled / torch.zeros(len(batch), device=self.device).index_add_(0, of, filled)[of]
        layers = []
        for layer in zip(*parts, strict=True):
            vectors = torch.cat(layer)
            sums = torch.zeros(len(batch), vectors.shape[1], device=self.device)
            layers.append(sums.index_add_(0, of, vectors * weights[:, None]))
        return Encoded(layers, {})

    @torch.inference_mode()
    def check(self) -> None:
        """Compares the features of a noise alone and in a batch with another. Called once after the weights are loaded.

        Raises:
            SpecError: the features of a sound depend on the other sounds in its batch, or on chance.

        Cost: forward passes of three windows.
        """
        clips = [self.transform(noise(self.transform.rate, self.transform.length, seed)) for seed in (0, 1)]
        beside, alone = self.encode(clips).features, self.encode(clips[:1]).features
        for name, single, batched in zip(self.layers, alone, beside, strict=True):
            if (moved := difference(single, batched[:1])) > INVARIANCE[self.dtype]:
                raise SpecError(
                    f"{self.spec.name}: a sound's features in {name} differ by {moved:.0%} of their length when "
                    "another sound is beside it. They depend on the batch or on chance, so that the model cannot be "
                    "used here."
                )


def noise(rate: int, samples: int, seed: int = 0) -> Sound:
    """Normal noise, the same at every call."""
    return Sound(np.random.default_rng(seed).standard_normal(samples).astype(np.float32), rate)


def pool_frames(states: torch.Tensor, filled: torch.Tensor | None) -> torch.Tensor:
    """Mean of the first ceil(filled * frames) frames of each window, float32, shape (windows, width).

    Args:
        states: (windows, frames, width).
        filled: share of each window that holds sound; None for all frames.
    """
    states = states.float()
    if filled is None:
        return states.mean(1)
    frames = states.shape[1]
    count = torch.ceil(filled * frames - 1e-4).clamp(1, frames)  # a share that rounding raised adds no frame
    mask = torch.arange(frames, device=states.device)[None] < count[:, None]
    return torch.bmm((mask / count[:, None]).unsqueeze(1), states).squeeze(1)


def check_sound_spec(spec: ModelSpec) -> None:
    """Refuses settings that are invalid for models of sounds.

    Raises:
        SpecError: the pool is not the mean.
    """
    if spec.pool not in ("auto", "mean"):
        raise SpecError(
            f"{spec.name}: pool={spec.pool} does not exist for models that hear; expected mean, over the frames that "
            "hold sound."
        )


def window_length(spec: ModelSpec, rate: int, limit: int | None, name: Any) -> int:
    """Number of samples of a window: `seconds` of the spec, or else the input length of the model.

    Args:
        spec: the model.
        rate: samples per second.
        limit: number of samples of the model's input; None if it takes any number, in which case windows have 30 s.
        name: name of the model's class, for the message.

    Raises:
        SpecError: `seconds` is more than the model takes.
    """
    default_length = limit or 30 * rate
    if spec.seconds is None:
        return default_length
    length = round(spec.seconds * rate)
    if limit is not None and length > limit:
        raise SpecError(f"{spec.name}: seconds is {spec.seconds:g}, but {name} takes {limit / rate:g} s at most.")
    return length
