"""Colours in language: colour words, sentences that contain them, and their text embeddings (App. D)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch

from platorep.core.specs import ModelSpec
from platorep.models import Text, TextRules, load, resolve
from platorep.models.base import TextEncoder


WORDS = (
    "red", "green", "maroon", "brown", "black", "blue", "purple", "orange", "pink", "yellow", "peach", "white", "gray",
    "olive", "turquoise", "violet", "lavender", "aqua",
)  # fmt: skip
"""The 18 colour words of Abdou et al. (2021), appendix A; the paper's own list of 20 is not published."""

TEMPLATES = ("The color {}.", "This color is {}.", "The color of this thing is {}.")


def named_colours(words: Sequence[str] = WORDS) -> np.ndarray:
    """Colours of words by the free naming of the xkcd colour survey, as sRGB in [0, 1], shape (words, 3).

    The paper uses CIELAB centroids of freely named Munsell chips (Lindsey and Brown 2014), which no package ships. The
    table of the survey ships with matplotlib.
    """
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(f"xkcd:{word}") for word in words])


def word_features(spec: ModelSpec, words: Sequence[str] = WORDS, *, layers: int = 4) -> np.ndarray:
    """Embeddings of the colour words, shape (words, width), float64.

    The last `layers` layers are averaged over tokens and concatenated, then averaged over the templates.

    Args:
        spec: a text model of a suite; all layers are used if it has fewer.
        words: colour words to embed.
        layers: number of layers; 4 in the paper (RoBERTa).
    """
    device = torch.device("cpu")
    encoder = cast(TextEncoder, load(resolve(spec, device), device))
    texts = [template.format(word) for word in words for template in TEMPLATES]
    encoder.fit(texts)
    rules = TextRules(bits=False)
    rows = []
    with torch.inference_mode():
        for token in encoder.tokenize(
            [Text.of(text) for text in texts], rules
        ):  # one at a time: no padding to reason about
            features = encoder.encode([token]).features[-layers:]
            rows.append(torch.cat(features, dim=1)[0].double().numpy())
    return np.stack(rows).reshape(len(words), len(TEMPLATES), -1).mean(axis=1)
