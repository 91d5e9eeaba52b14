"""Relative representations: each sample described by its similarities to the anchors, without any fitted map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from platorep.core.errors import SpecError
from platorep.maps.anchors import Anchors, check_paired


MOST_ENTRIES = 800
"""Similarities that ASIF keeps of each sample, of the largest ones."""


@dataclass(frozen=True)
class RelativeMap:
    """Places samples by cosine similarities to the anchors of their own model: r(x)_j = cos(x - mean, a_j - mean).

    The same anchors in both models give vectors of the same meaning, shape (n, m): Moschella et al., Relative
    representations enable zero-shot latent space communication (ICLR 2023, arXiv 2209.15430). Unlike the published
    version the anchors' mean is subtracted first, because the cosines of many models are all near 1. r is invariant to
    a rotation, a positive factor and a translation of a model's space, not to a scale of single dimensions.

    `power` and `entries` make it ASIF (Norelli et al., NeurIPS 2023, arXiv 2210.01738) where the sides are pictures and
    captions: the largest `entries` similarities are kept, and raised to `power` with their sign; the inner product of
    normalised vectors compares them.

    Attributes:
        x: anchors of one model.
        y: the same samples of the other.
        power: exponent of the similarities, at least 1.
        entries: similarities of a sample that are kept, the others becoming 0; None keeps all.

    Raises:
        FeatureError: the numbers of anchors differ.
        SpecError: a power below 1, or no entries.
    """

    x: Anchors
    y: Anchors
    power: int = 1
    entries: int | None = None

    def __post_init__(self) -> None:
        check_paired(self.x, self.y)
        if self.power < 1 or (self.entries is not None and self.entries < 1):
            raise SpecError(f"power is {self.power} and entries {self.entries}; expected numbers of at least 1.")

    def source(self, x: np.ndarray) -> np.ndarray:
        """Samples of x relative to its anchors, shape (n, m)."""
        return self._relative(x, self.x)

    def target(self, y: np.ndarray) -> np.ndarray:
        """Samples of y relative to its anchors, shape (n, m)."""
        return self._relative(y, self.y)

    def _relative(self, samples: np.ndarray, anchors: Anchors) -> np.ndarray:
        return sharpened(relative(samples, anchors), self.power, self.entries)


def relative(samples: np.ndarray, anchors: Anchors) -> np.ndarray:
    """Cosine similarities of samples to anchors of the same model, without the anchors' mean, shape (n, m)."""
    return normalised(samples - anchors.mean) @ normalised(anchors.centred).T


def sharpened(similarities: np.ndarray, power: int, entries: int | None) -> np.ndarray:
    """Similarities to anchors as ASIF takes them: the largest `entries` of each row, raised to `power` with their sign.

    Args:
        similarities: shape (n, m).
        power: exponent, at least 1.
        entries: similarities of a row that are kept, the others becoming 0; None keeps all.
    """
    if entries is not None and entries < similarities.shape[1]:
        least = np.partition(similarities, -entries, axis=1)[:, -entries, None]
        similarities = np.where(similarities >= least, similarities, 0.0)
    return similarities if power == 1 else np.sign(similarities) * np.abs(similarities) ** power


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays as it is, and is similar to nothing."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors / np.where(length > 0, length, 1.0)
