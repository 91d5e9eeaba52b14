"""Clamping of outliers with one threshold per model, taken over all of its layers together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from platorep.core.clamp import Clamp
from platorep.core.errors import FeatureError


_CHUNK = 1 << 17  # elements compared at a time, so that |x| and its masks stay in the cache
_PART = 1 << 20  # elements that one thread processes at a time
_STRIDE = 997  # the sample takes every 997th value; a prime, so that all dimensions are sampled equally often
_BLOCK = 1 << 24  # elements partitioned at a time by the approximate rule

Load = Callable[[slice], torch.Tensor]
"""Rows of one layer, shape (rows, d), floating."""


def clip_threshold(layers: Sequence[torch.Tensor | Load], n: int, clamp: Clamp) -> float | None:
    """The value at which a model's features are clamped, over all layers together; None for the rule "none".

    `exact`: the int(quantile * count)-th smallest |value|, counted from 0, over all samples, layers and dimensions.
    `approximate`: for each sample the quantile of |value| over layers and dimensions, interpolated linearly, and of
    these the mean over samples. These are the two rules of the PRH's released code ("exact" its `--precise`).

    Args:
        layers: the layers of one model, shape (n, d_layer) each, or functions that load rows of a layer. A function is
            called a few times, so that only one layer is in memory at a time.
        n: number of samples.
        clamp: rule and quantile.

    Raises:
        FeatureError: a value is NaN or infinite.

    Cost: two passes over the values for `exact`, one for `approximate`; a few MB of memory.
    """
    if clamp.rule == "none":
        return None
    loads = [layer if callable(layer) else layer.__getitem__ for layer in layers]
    if clamp.rule == "exact":
        return _exact(loads, clamp.quantile)
    return _approximate(loads, n, clamp.quantile)


def clip(x: torch.Tensor, threshold: float | None) -> torch.Tensor:
    """`x` clamped to [-threshold, threshold]; `x` itself where the threshold is None."""
    return x if threshold is None else x.clamp(-threshold, threshold)


def order_statistic(chunks: Callable[[], Iterable[torch.Tensor]], index: Callable[[int], int]) -> float:
    """The index-th smallest |value|, counted from 0 and exact, of more values than can be sorted or held in memory.

    A strided sample gives an interval that probably contains the answer. One pass counts the values below the interval
    and keeps those inside it (a few in a thousand), which are then partitioned. If the answer is not inside, the
    interval is widened and the pass repeated.

    Args:
        chunks: returns an iterator over the same tensors each time it is called.
        index: returns the wanted index, given the number of values.

    Raises:
        FeatureError: a value is NaN or infinite, or there are no values.

    Cost: about a fifth of the time of a partition of all values, and none of its memory.
    """
    pieces, count = [], 0
    for chunk in chunks():
        flat = chunk.flatten()
        count += len(flat)
        pieces.append(flat[::_STRIDE].abs().to("cpu", torch.float32))
    if not count:
        raise FeatureError("no features to clip: there is no layer with values.")
    sample = torch.cat(pieces).sort().values
    wanted = index(count)
    share = (wanted + 0.5) / count
    margin = 8 * math.sqrt(len(sample) * share * (1 - share)) + 2
    while True:
        low, high = math.floor(share * len(sample) - margin), math.ceil(share * len(sample) + margin)
        value = _within(
            chunks,
            wanted,
            sample[low].item() if low >= 0 else 0.0,
            sample[high].item() if high < len(sample) else math.inf,
        )
        if value is not None:
            return value
        margin *= 8


def _within(chunks: Callable[[], Iterable[torch.Tensor]], wanted: int, low: float, high: float) -> float | None:
    """The |value| of rank `wanted`, counted from 0, if it lies in [low, high], else None.

    Only values strictly inside are kept; values equal to a bound are counted.
    """

    def sift(part: torch.Tensor) -> tuple[np.ndarray, list[np.ndarray]]:
        counts: np.ndarray = np.zeros(3, dtype=np.int64)
        inside: list[np.ndarray] = []
        for piece in part.split(_CHUNK):
            less, band = _band(piece, low, high)
            ends = np.count_nonzero(band == low), np.count_nonzero(band == high) if high > low else 0
            counts += np.array([less, *ends])
            inside.append(band[(band > low) & (band < high)])
        return counts, inside

    counts: np.ndarray = np.zeros(3, dtype=np.int64)
    inside: list[np.ndarray] = []
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # numpy releases the interpreter lock
        for chunk in chunks():
            for part_counts, part_inside in pool.map(sift, chunk.flatten().split(_PART)):
                counts += part_counts
                inside += part_inside
    below, at_low, at_high = counts.tolist()
    between = np.concatenate(inside)
    rank = wanted - below
    if 0 <= rank < at_low:
        return low
    if at_low <= rank < at_low + len(between):
        return float(np.partition(between, rank - at_low)[rank - at_low])
    return high if at_low + len(between) <= rank < at_low + len(between) + at_high else None


def _band(piece: torch.Tensor, low: float, high: float) -> tuple[int, np.ndarray]:
    """How many |values| lie below `low`, and those in [low, high]."""
    if piece.device.type == "cpu":  # numpy's masks are five times as fast as torch's on pieces that fit the cache
        size = np.abs(piece.to(torch.float32).numpy())
        top, below = float(size.max()), size < low
        less, band = int(np.count_nonzero(below)), size[below ^ (size <= high)]
    else:
        sizes = piece.to(torch.float32).abs()
        top, less = float(sizes.amax().item()), int((sizes < low).sum())
        band = sizes[(sizes >= low) & (sizes <= high)].cpu().numpy()
    if not math.isfinite(top):
        raise FeatureError(
            "features are not finite: a value is NaN or infinite. Find the sample, or drop it on both sides."
        )
    return less, band


def _exact(loads: Sequence[Load], quantile: float) -> float:
    return order_statistic(lambda: (load(slice(None)) for load in loads), lambda count: int(quantile * count))


def _approximate(loads: Sequence[Load], n: int, quantile: float) -> float:
    width = sum(load(slice(0, 1)).shape[1] for load in loads)
    step = max(1, _BLOCK // width)
    position = quantile * (width - 1)
    low, high = math.floor(position), math.ceil(position)
    quantiles = []
    for start in range(0, n, step):
        rows = torch.cat(
            [load(slice(start, start + step)).abs().to("cpu", torch.float32) for load in loads], dim=1
        ).numpy()
        if not np.isfinite(rows).all():
            raise FeatureError(
                "features are not finite: a value is NaN or infinite. Find the sample, or drop it on both sides."
            )
        rows.partition((low, high), axis=1)
        quantiles.append(rows[:, low] + (rows[:, high] - rows[:, low]) * np.float32(position - low))
    return float(np.concatenate(quantiles).mean(dtype=np.float64))
