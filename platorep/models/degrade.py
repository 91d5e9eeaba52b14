"""Deliberate, recorded and seeded degradation of a model: noise on the weights, or less detail in the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn


if TYPE_CHECKING:
    from PIL.Image import Image


@torch.no_grad()
def add_weight_noise(model: nn.Module, scale: float, seed: int) -> None:
    """Adds Gaussian noise to every weight matrix in place: W + scale * std(W) * N(0, 1).

    Matrices are parameters with two or more dimensions. Biases and gains of norms are not changed, and tied weights get
    the noise once. The draw only depends on `seed` and the order of parameters. It is made on the CPU in float32 for
    every device, and is the same for every `scale`, so increasing scales move the weights along one direction.
    """
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.ndim >= 2:
            noise = torch.randn(weight.shape, generator=generator)
            spread = weight.float().std().to("cpu")
            weight.add_((noise.mul_(scale * spread)).to(weight.device, weight.dtype))


def reduce_picture(picture: Image, size: int) -> Image:
    """Reduces the shorter side to `size` pixels (bicubic, antialiased); a smaller picture is returned unchanged."""
    from PIL.Image import Resampling

    short = min(picture.size)
    if short <= size:
        return picture
    width, height = (max(1, round(side * size / short)) for side in picture.size)
    return picture.resize((width, height), Resampling.BICUBIC)
