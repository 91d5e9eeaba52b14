"""Baselines for sounds: statistics of the mel spectrum, and the duration alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from platorep.core.sounds import Sound
from platorep.core.specs import ModelSpec
from platorep.models.base import Clip, Encoded, Layers
from platorep.models.hearing import check_sound_spec
from platorep.models.source import Source


RATE = 16000
"""Samples per second of the mel spectrum."""

BANDS, FRAME, HOP = 64, 1024, 512
FLOOR = 1e-6
"""Added to the power of a band before its logarithm."""

SHORTEST, LONGEST = 1e-3, 3600.0
"""Durations in seconds at the two ends of the half circle."""


class Mel(Source):
    """The sounds themselves: mean and standard deviation of their log-mel spectrum over time."""

    modalities = ("sound",)
    is_network = False

    def check(self, spec: ModelSpec) -> None:
        super().check(spec)
        check_sound_spec(spec)

    def load(self, spec: ModelSpec, device: torch.device) -> MelEncoder:
        return MelEncoder(spec, device)

    def version(self, spec: ModelSpec) -> str:
        return "1"


class Duration(Source):
    """The durations of the sounds."""

    modalities = ("sound",)
    is_network = False

    def check(self, spec: ModelSpec) -> None:
        super().check(spec)
        check_sound_spec(spec)

    def load(self, spec: ModelSpec, device: torch.device) -> DurationEncoder:
        return DurationEncoder(spec, device)

    def version(self, spec: ModelSpec) -> str:
        return "1"


def mel_power(samples: np.ndarray, rate: int, *, bands: int, frame: int, hop: int, sums: bool = False) -> np.ndarray:
    """Power in mel bands (HTK's scale, triangles) of a Hann-windowed spectrogram with centred frames.

    Args:
        samples: shape (n,).
        rate: samples per second.
        bands: number of bands between 0 and half the rate.
        frame: samples of a frame.
        hop: samples between frames.
        sums: scale the weights of each band to a sum of 1.

    Returns:
        Shape (1 + n // hop, bands), float64.
    """
    from transformers.audio_utils import spectrogram, window_function

    padded = samples if len(samples) > frame // 2 else np.pad(samples, (0, frame // 2 + 1 - len(samples)))
    power = spectrogram(
        padded.astype(np.float64),
        window_function(frame, "hann"),
        frame,
        hop,
        power=2.0,
        pad_mode="constant",
        mel_filters=_filters(rate, bands, frame, sums),
        mel_floor=0.0,
    )
    return power.T


@cache
def _filters(rate: int, bands: int, frame: int, sums: bool) -> np.ndarray:
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(frame // 2 + 1, bands, 0.0, rate / 2, rate, mel_scale="htk")
    return filters / filters.sum(0, keepdims=True).clip(1e-12) if sums else filters


def mel_statistics(sound: Sound) -> Clip:
    """Mean and standard deviation over time of the log power in each band, as one window of 2 x 64 values."""
    whole = sound.at(RATE).samples
    levels = np.log(mel_power(whole, RATE, bands=BANDS, frame=FRAME, hop=HOP) + FLOOR)
    statistics = np.concatenate([levels.mean(0), levels.std(0)])
    return Clip([torch.from_numpy(statistics).float()], [1.0], sound.seconds)


def _seconds_alone(sound: Sound) -> Clip:
    return Clip([torch.zeros(1)], [1.0], sound.seconds)


class MelEncoder(Layers):
    """Mean and standard deviation of the log power in 64 mel bands, over all frames of a sound."""

    tokens_each = 16

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(("mel",))
        self.spec, self.device, self.transform = spec, device, mel_statistics
        self.facts |= {"parameters": 0}

    def encode(self, batch: Sequence[Clip]) -> Encoded:
        """Statistics, (sounds, 128)."""
        return Encoded([torch.stack([clip.windows[0] for clip in batch]).to(self.device)], {})


class DurationEncoder(Layers):
    """The log duration as an angle on a half circle, so that cosines order sounds by differences in log duration."""

    tokens_each = 16

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(("duration",))
        self.spec, self.device, self.transform = spec, device, _seconds_alone
        self.facts |= {"parameters": 0}

    def encode(self, batch: Sequence[Clip]) -> Encoded:
        """Cosine and sine of the angle, (sounds, 2); 1 ms has the angle 0 and an hour has the angle pi."""
        seconds = torch.tensor([clip.seconds for clip in batch], dtype=torch.float64)
        angle = math.pi * (seconds / SHORTEST).log() / math.log(LONGEST / SHORTEST)
        return Encoded([torch.stack([angle.cos(), angle.sin()], dim=1).float().to(self.device)], {})
