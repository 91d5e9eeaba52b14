"""Handwritten digits of 8 x 8 pixels that come with scikit-learn (UCI ML hand-written digits)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

from PIL import Image

from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, pin


SIDE = 64


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All 1,797 digits in the library's order; the category is the digit."""
    from sklearn.datasets import load_digits

    check_switches(spec)
    digits = load_digits()
    grey = (digits.images * (255 / 16)).round().astype("uint8")
    revision = hashlib.sha256(grey.tobytes() + bytes(digits.target.tolist())).hexdigest()[:12]
    digit_pairs = [
        Pair(f"{i:04d}", [f"The handwritten digit {digit}."], str(digit), [partial(_enlarged, pixels.tobytes())])
        for i, (pixels, digit) in enumerate(zip(grey, digits.target, strict=True))
    ]
    return pin(spec, revision, "scikit-learn's digits changed: leave dataset.revision open."), digit_pairs


def _enlarged(pixels: bytes) -> Image.Image:
    return Image.frombytes("L", (8, 8), pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST).convert("RGB")
