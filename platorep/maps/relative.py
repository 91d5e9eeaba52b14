"""Relative representations: each sample is described by its similarities to the anchors. No map is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from platorep.core.errors import SpecError
from platorep.maps.anchors import Anchors, check_paired


MOST_ENTRIES = 800
"""Number of the largest similarities of each sample that ASIF keeps."""


@dataclass(frozen=True)
class RelativeMap:
    """Places samples by cosine similarities to the anchors of their own model: r(x)_j = cos(x - mean, a_j - mean).

    With the same anchors in both models, the vectors have the same meaning, shape (n, m): Moschella et al., Relative
    representations enable zero-shot latent space communication (ICLR 2023, arXiv 2209.15430). Unlike in the published
    version, the anchors' mean is subtracted first, because in many models all cosines are near 1. r is invariant to
    rotation, positive scaling and translation of a model's space, but not to scaling of single dimensions.

    For pictures and captions, `power` and `entries` turn this into ASIF (Norelli et al., NeurIPS 2023, arXiv
    2210.01738): the largest `entries` similarities are kept and raised to `power`, preserving the sign, and normalised
    vectors are compared by their inner product.

    Attributes:
        x: anchors of one model.
        y: the same anchors of the other model.
        power: exponent of the similarities, at least 1.
        entries: number of similarities that are kept per sample, the others are set to 0; None keeps all.

    Raises:
        FeatureError: the numbers of anchors differ.
        SpecError: power or entries is below 1.
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
    """Cosine similarities of samples to anchors of the same model, centred by the anchors' mean, shape (n, m)."""
    return normalised(samples - anchors.mean) @ normalised(anchors.centred).T


def sharpened(similarities: np.ndarray, power: int, entries: int | None) -> np.ndarray:
    """Similarities in the form of ASIF: the largest `entries` of each row, raised to `power`, preserving the sign.

    Args:
        similarities: shape (n, m).
        power: exponent, at least 1.
        entries: number of similarities that are kept per row, the others are set to 0; None keeps all.
    """
    if entries is not None and entries < similarities.shape[1]:
        least = np.partition(similarities, -entries, axis=1)[:, -entries, None]
        similarities = np.where(similarities >= least, similarities, 0.0)
    return similarities if power == 1 else np.sign(similarities) * np.abs(similarities) ** power


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows normalised to length 1. A row of zeros stays zero, and is similar to nothing."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors / np.where(length > 0, length, 1.0)
