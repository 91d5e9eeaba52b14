"""Small worlds whose relations are known."""

from __future__ import annotations

import numpy as np
import torch

from platorep.metrics.base import Geometry


def layers(rng: np.random.Generator, latent: np.ndarray, count: int, noise: float, width: int = 12) -> list[Geometry]:
    """Layers that are independent random maps of the latent plus noise; noise = inf hides the latent."""
    n, d = latent.shape
    keep = 0.0 if np.isinf(noise) else 1.0
    scale = 1.0 if np.isinf(noise) else noise
    made = (
        keep * latent @ rng.normal(size=(d, width)) + scale * rng.normal(size=(n, width)) * d**0.5 for _ in range(count)
    )
    return [Geometry(torch.from_numpy(x).float()) for x in made]


def graphs(side: list[Geometry], k: int) -> torch.Tensor:
    return torch.stack([layer.neighbours(k) for layer in side])
