"""aiSFX, a convolutional network for sound effects (Ma and Lerch, ISMIR 2022), from its packaged weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.core.text import cause
from platorep.models.degrade import add_weight_noise
from platorep.models.files import fetched, find
from platorep.models.hearing import SoundNetwork, SoundTransform, check_sound_spec, window_length
from platorep.models.hooks import pooled_outputs
from platorep.models.mel import mel_power
from platorep.models.source import Source
from platorep.models.weights import seeded


RATE, BANDS, FRAME, HOP = 44100, 96, 2048, 1024

FRAMES = 100
"""Frames of a window, 2.3 s."""

SCALE = 9.457798957824707
"""Largest value of a spectrogram in the training data, by which all spectrograms are divided."""

PREFIX = "embedding_net."


class Aisfx(Source):
    """The embedding network of aiSFX; its classifiers are left out."""

    modalities = ("sound",)

    def check(self, spec: ModelSpec) -> None:
        super().check(spec)
        check_sound_spec(spec)
        if spec.weights == "pretrained":
            _asset(spec)
        if spec.seconds is not None:
            raise SpecError(f"{spec.name}: aiSFX hears {FRAMES} frames at a time; leave out seconds.")

    def version(self, spec: ModelSpec) -> str | None:
        return "1" if spec.weights == "random" else None

    def load(self, spec: ModelSpec, device: torch.device) -> AisfxEncoder:
        model = seeded(spec.seed, EmbeddingNetwork)
        if spec.weights == "pretrained":
            _load(spec, model)
        if spec.weight_noise:
            add_weight_noise(model, spec.weight_noise, spec.seed)
        model.eval().to(device, getattr(torch, spec.dtype))
        encoder = AisfxEncoder(spec, model, device)
        encoder.check()
        return encoder


def _asset(spec: ModelSpec) -> AssetSpec:
    if spec.asset is None:
        raise SpecError(f"{spec.name}: source=aisfx needs an asset with the file checkpoint.pth.")
    return spec.asset


def _load(spec: ModelSpec, model: nn.Module) -> None:
    """Loads the packaged checkpoint of weights and numbers of classes: tensors and NumPy integers, no code."""
    file = find(fetched(_asset(spec)), "checkpoint.pth")
    scalar = np.int64(0).__reduce__()[0]  # the function that creates NumPy numbers from bytes
    allowed: list[Any] = [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, type(np.dtype(np.int64))]
    try:
        with torch.serialization.safe_globals(allowed):
            state, _ = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(
            {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
        )
    except Exception as error:  # damaged files raise nearly every built-in error
        raise AssetError(
            f"{spec.name}: {file} does not hold the weights of aiSFX ({type(error).__name__}: {cause(error)})."
        ) from error


class _Block(nn.Module):
    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_uniform_(conv.weight, nonlinearity="leaky_relu")

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.bn2(self.conv2(self.bn1(self.conv1(maps)).relu())).relu()


class EmbeddingNetwork(nn.Module):
    """Four blocks of two 3 x 3 convolutions, with 2 x 2 max pooling between them.

    The random initialisation is that of the authors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1, self.conv_block2 = _Block(1, 64), _Block(64, 128)
        self.conv_block3, self.conv_block4 = _Block(128, 256), _Block(256, 512)

    def blocks(self) -> list[nn.Module]:
        """The blocks in order."""
        return [self.conv_block1, self.conv_block2, self.conv_block3, self.conv_block4]

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        """Feature maps of the last block, (windows, 512, frames, bands), for spectra (windows, frames, bands)."""
        first, *rest = self.blocks()
        maps = first(spectra.unsqueeze(1))
        for block in rest:
            maps = block(nn.functional.max_pool2d(maps, 2))
        return maps


class AisfxEncoder(SoundNetwork):
    """aiSFX. Layers are its blocks; the mean over bands and the maximum over time of the last one is its embedding.

    Args:
        spec: the resolved spec.
        model: the network, on its device, in evaluation mode.
        device: the device of inputs.
    """

    def __init__(self, spec: ModelSpec, model: EmbeddingNetwork, device: torch.device) -> None:
        length = window_length(spec, RATE, FRAMES * HOP, "aiSFX")
        names = [f"block.{i}" for i in range(len(model.blocks()))]
        super().__init__(spec, model, names, SoundTransform(RATE, length, spec.crop, spectrum), device)
        self.blocks = model.blocks()
        self.facts["pool"] = "mean over bands, maximum over the frames of a window, mean over windows"

    def vectors(self, windows: torch.Tensor, filled: torch.Tensor) -> list[torch.Tensor]:
        modules = {self.all_layers[i]: self.blocks[i] for i in self.kept}
        with pooled_outputs(modules, _pool) as outputs:
            self.model(windows)
        return [outputs[name] for name in self.layers]


def _pool(maps: torch.Tensor) -> torch.Tensor:
    return maps.float().mean(3).amax(2)


def spectrum(samples: np.ndarray) -> torch.Tensor:
    """The input of aiSFX: log10(1e4 power + 1) in 96 bands whose weights sum to 1, (100, 96), zeros after the sound."""
    power = mel_power(samples, RATE, bands=BANDS, frame=FRAME, hop=HOP, sums=True)[:FRAMES]
    values = np.log10(1e4 * power + 1) / SCALE
    return torch.from_numpy(np.pad(values, ((0, FRAMES - len(values)), (0, 0)))).float()
