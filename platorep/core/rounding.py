"""Conversion of arrays to float32: unusable arrays, and the loss of precision in the differences between samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    import torch

LOSS = 1e-3
"""Largest rounding error of the conversion to float32 that is accepted, as a share of the features' spread."""


def unusable(layer: np.ndarray | torch.Tensor) -> str:
    """Explains why an array cannot be scored and how to fix it; empty if it can."""
    numbers = (
        f"dtype {layer.dtype} holds no real numbers; expected floating or whole ones. Convert it first, in the "
        "way that is meant."
    )
    if isinstance(layer, np.ma.MaskedArray):
        return (
            "got a masked array, whose mask no metric takes into account. Fill it (x.filled(value)), or drop the "
            "masked samples on both sides."
        )
    if isinstance(layer, np.ndarray):
        return "" if layer.dtype.kind in "fiu" else numbers

    import torch

    if layer.is_quantized:
        return "got a quantised tensor, expected plain numbers. Give x.dequantize()."
    if layer.is_meta:
        return "got a tensor on the meta device, which has a shape and no values. Give the features themselves."
    if layer.layout != torch.strided or layer.is_nested:
        kind = f"layout {layer.layout}{', nested' * layer.is_nested}"
        return f"got a tensor of {kind}, expected a dense one. Give x.to_dense()."
    return numbers if layer.is_complex() or layer.dtype == torch.bool else ""


def rounding_loss(values: np.ndarray) -> float:
    """Ratio of the standard deviations of the float32 rounding error and of the values, both pooled over columns.

    The deviations are pooled, rather than a median over columns, because a single column may carry all differences
    between samples, while a column that is small compared with the others does not change scores. The ratio is 0 for
    values that are constant or not finite.

    Args:
        values: shape (n, d), real.

    Cost: a few passes over the values; three arrays of their size in float64, or in long double for whole numbers.
    """
    wide: np.ndarray = values.astype(
        np.longdouble if values.dtype.kind in "iu" or values.dtype.itemsize > 8 else np.float64
    )
    single = values.astype(np.float32).astype(np.float64)
    if not values.size or not np.isfinite(single).all():
        return 0.0
    error = (wide - single).astype(np.float64)
    spread = (wide - wide[:1]).astype(np.float64)
    size = np.abs(spread).max()  # squares of tiny values would underflow
    return float(np.sqrt((error / size).var(axis=0).sum() / (spread / size).var(axis=0).sum())) if size else 0.0


def rounding_words(loss: float) -> str:
    """The part of a message that states the loss of spread by float32 and the remedy."""
    return (
        f"rounding to it takes {loss:.2g} of their spread (standard deviations over all columns): an offset is too "
        "large beside the differences of samples. Centre them first, x - x.mean(0), in their own dtype."
    )
