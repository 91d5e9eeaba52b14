"""16 x 16 pixels as a baseline of pictures."""

from __future__ import annotations

import torch

from platorep.core.specs import ModelSpec
from platorep.models.base import Encoded, Layers
from platorep.models.source import Source
from platorep.models.transforms import PictureTransform, small_pixels


class Pixels(Source):
    """The pictures themselves."""

    modalities = ("vision",)
    is_network = False

    def load(self, spec: ModelSpec, device: torch.device) -> PixelEncoder:
        return PixelEncoder(spec, device)

    def version(self, spec: ModelSpec) -> str:
        return "1"


class PixelEncoder(Layers):
    """The picture reduced to 16 x 16 RGB values in [0, 1], as a baseline."""

    tokens_each = 16

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(("pixels",))
        self.spec, self.device = spec, device
        self.transform = PictureTransform(small_pixels, spec.input_size)
        self.facts |= {"parameters": 0}

    def encode(self, batch: torch.Tensor) -> Encoded:
        """Pixels as vectors, (batch, 768)."""
        return Encoded([batch.to(self.device).flatten(1).float()], {})
