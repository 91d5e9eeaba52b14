"""Pairs of models whose relation is known, as experiments take them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from platorep.core.features import ArrayFeatures
from platorep.studies.layers import Inputs


METRIC = "mutual_knn(k=10,similarity=cosine)"


def inputs(languages: dict[str, np.ndarray], visions: dict[str, np.ndarray], categories=None, **more) -> Inputs:
    """Models of one layer each, every language model with every vision model."""
    models = [
        ArrayFeatures(name, [torch.from_numpy(x).float()], dataset="toy", modality=modality)
        for side, modality in ((languages, "language"), (visions, "vision"))
        for name, x in side.items()
    ]
    rows = [
        {"dataset": "toy", "metric": METRIC, "x_model": x, "x_layer": 0, "y_model": y, "y_layer": 0, "score": 0.1}
        for x in languages
        for y in visions
    ]
    return Inputs(models=models, pairs=pd.DataFrame(rows), categories=categories, **more)


def categories(count: int, each: int) -> list[str]:
    return [f"c{i}" for i in range(count) for _ in range(each)]


def by_category(rng, count: int, each: int, width: int = 20, spread: float = 0.5) -> np.ndarray:
    """Samples around the centres of their categories; nothing within a category is shared between two draws."""
    centres = rng.normal(size=(count, width)).repeat(each, axis=0)
    return centres + spread * rng.normal(size=centres.shape)


def by_item(rng, latent: np.ndarray, noise: float = 0.1) -> np.ndarray:
    """A random rotation of a latent, and a little noise."""
    rotation = np.linalg.qr(rng.normal(size=(latent.shape[1],) * 2))[0]
    return latent @ rotation + noise * rng.normal(size=latent.shape)
