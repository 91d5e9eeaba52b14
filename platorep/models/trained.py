"""Networks that are trained here when their weights are first needed: see `platorep.training`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.data import settled
from platorep.models.base import Encoded, Layers
from platorep.models.degrade import add_weight_noise
from platorep.models.source import Source
from platorep.models.transforms import PictureTransform
from platorep.training.networks import build, parse, pooled
from platorep.training.pictures import pixels
from platorep.training.trainer import trained, training_of, version


if TYPE_CHECKING:
    from PIL.Image import Image


class Trained(Source):
    """Small classifiers of labelled pictures, whose weights follow from their spec."""

    modalities = ("vision",)
    weight_bytes = 4

    def check(self, spec: ModelSpec) -> None:
        super().check(spec)
        training_of(spec)
        parse(spec.id)
        if spec.pool not in ("auto", "mean"):
            raise SpecError(f"{spec.name}: pool is {spec.pool!r}; layers of source=trained are means over positions.")
        if spec.asset is not None:
            raise SpecError(
                f"{spec.name}: a network of source=trained has no asset; its pictures are training.dataset."
            )

    def version(self, spec: ModelSpec) -> str:
        """The trainer's version and, where no SHA-256 pins the pictures, their present content."""
        dataset = training_of(spec).dataset
        if dataset.assets and all(asset.sha256 for asset in dataset.assets):
            return version()
        return f"{version()}-{settled(dataset).revision}"

    def load(self, spec: ModelSpec, device: torch.device) -> TrainedEncoder:
        return TrainedEncoder(spec, device)

    def parameters(self, spec: ModelSpec) -> int | None:
        """Number of parameters, for ten classes: the number of classes is known only from the pictures."""
        training = training_of(spec)
        with torch.device("meta"):
            network = build(spec.id, side=training.side, channels=training.channels, classes=10)
        return sum(parameter.numel() for parameter in network.parameters())


class TrainedEncoder(Layers):
    """The outputs of a network's stages, as means over positions."""

    tokens_each = 1

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        network, training = trained(spec), training_of(spec)
        super().__init__(tuple(f"stage{number}" for number in range(1, len(network.stages) + 1)))
        if spec.weight_noise:
            add_weight_noise(network, spec.weight_noise, spec.seed)
        dtype = torch.float32 if spec.dtype == "auto" else getattr(torch, spec.dtype)
        self.spec, self.device, self.dtype, self.network = spec, device, dtype, network.to(device, dtype)
        to_input = partial(_input, side=training.side, channels=training.channels)
        self.transform = PictureTransform(to_input, spec.input_size)
        self.facts |= {"parameters": sum(p.numel() for p in network.parameters()), "pool": "mean"}

    @torch.inference_mode()
    def encode(self, batch: torch.Tensor) -> Encoded:
        """Pooled outputs of the kept stages, for pictures (batch, channels, side, side)."""
        layers = self.network.layers(batch.to(self.device, self.dtype))
        return Encoded([pooled(layers[i]).float() for i in self.kept], {})


def _input(picture: Image, side: int, channels: int) -> torch.Tensor:
    return torch.from_numpy(pixels(picture, side, channels).copy()).float().div_(255)
