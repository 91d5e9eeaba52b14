"""The affine map between two layers: by direct matching of activations, or by the receiver's task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn import functional

from platorep.core.errors import FeatureError
from platorep.training.networks import AT_ONCE


STRENGTHS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for the penalty of a ridge, in units of the mean variance of the sender's dimensions."""

BATCH = 100
"""Pictures per step of task-loss matching."""

RATE = 1e-3
"""Learning rate of task-loss matching."""


def rows_of(state: torch.Tensor) -> np.ndarray:
    """A layer as a matrix (pictures x positions, d), float64; a vector has one position."""
    if state.ndim == 4:
        state = state.permute(0, 2, 3, 1)
    return state.reshape(-1, state.shape[-1]).double().numpy()


def rows_at(state: torch.Tensor, like: torch.Tensor, places: np.ndarray) -> np.ndarray:
    """Some rows of a layer on the grid of another, shape (len(places), d), float64.

    Args:
        state: of all pictures.
        like: the layer whose grid counts.
        places: indices of rows (pictures x positions), ascending.

    Memory: `AT_ONCE` pictures on the grid.
    """
    count, parts = like[0].numel() // width_of(like), []
    for first in range(0, len(state), AT_ONCE):
        part = state[first : first + AT_ONCE]
        low, high = np.searchsorted(places, [first * count, (first + len(part)) * count])
        if low < high:
            parts.append(rows_of(resized(part, like))[places[low:high] - first * count])
    return np.concatenate(parts)


def width_of(state: torch.Tensor) -> int:
    """The dimensions of a layer at one position."""
    return state.shape[1] if state.ndim == 4 else state.shape[-1]


def grid_of(state: torch.Tensor) -> tuple[int, ...]:
    """The positions of a layer: height and width of a map, number of tokens, none of a vector."""
    return tuple(state.shape[2:] if state.ndim == 4 else state.shape[1:-1])


def resized(state: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A map on the grid of another, bilinearly; other layers are returned as they are.

    Raises:
        FeatureError: one is a vector and the other has positions, or two sequences of tokens differ in length.
    """
    if state.ndim != like.ndim or (state.ndim == 3 and state.shape[1] != like.shape[1]):
        raise FeatureError(
            f"a layer of shape {tuple(state.shape[1:])} cannot be stitched to one of shape {tuple(like.shape[1:])}: "
            "expected two vectors, two maps, or as many tokens."
        )
    if state.ndim == 4 and state.shape[2:] != like.shape[2:]:
        return functional.interpolate(state, like.shape[2:], mode="bilinear", align_corners=False, antialias=True)
    return state


@dataclass(frozen=True)
class Stitch:
    """An affine map y = x W + b, the same at every position.

    Attributes:
        weight: W, shape (d_x, d_y), float32.
        bias: b, shape (d_y,).
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, state: torch.Tensor) -> torch.Tensor:
        """A layer of the sender as the receiver's."""
        if state.ndim == 4:
            return functional.conv2d(state, self.weight.T[:, :, None, None], self.bias)
        return state @ self.weight + self.bias


@dataclass(frozen=True)
class Direct:
    """A stitch by direct matching.

    Attributes:
        stitch: the map.
        strength: the penalty that was chosen, in units of the mean variance of the sender's dimensions.
        freedom: effective degrees of freedom, tr(X (X'X + lambda I)^-1 X'), without the intercept.
        explained: R^2 on the rows for the choice, against the receiver's mean on the rows of the fit.
    """

    stitch: Stitch
    strength: float
    freedom: float
    explained: float


class Side:
    """The sender's rows, decomposed once for all receivers.

    Args:
        fit: rows on which maps are fitted, shape (n, d).
        select: rows on which the penalty is chosen.
    """

    def __init__(self, fit: np.ndarray, select: np.ndarray) -> None:
        self.fit, self.select = fit, select

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of the rows of fit."""
        return self.fit.mean(axis=0)

    @cached_property
    def decomposed(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of X'X that are no rounding errors, and their vectors as columns. Cost: n d^2 + d^3."""
        centred = self.fit - self.mean
        values, vectors = np.linalg.eigh(centred.T @ centred)
        kept = values > 1e-12 * max(float(values[-1]), 1e-300)
        return values[kept], vectors[:, kept]


def direct(x: Side, fit: np.ndarray, select: np.ndarray, *, rank: int | None = None) -> Direct:
    """Ridge regression from the sender's rows to the receiver's, with the penalty that explains most of `select`.

    W = (X'X + lambda I)^-1 X'Y on centred rows. With `rank`, W is projected on the first principal components of the
    fitted values, which is the best map of that rank on the rows of the fit (reduced-rank regression, Izenman 1975).

    Args:
        x: the sender.
        fit: the receiver's rows of the same pictures and positions, shape (n, d_y).
        select: its rows for the choice.
        rank: largest rank of the map; None for no limit.

    Cost: n d_x d_y, and d_x d_y per candidate and row of select.
    """
    values, vectors = x.decomposed
    mean = fit.mean(axis=0)
    shared = vectors.T @ ((x.fit - x.mean).T @ (fit - mean))
    seen, total = (x.select - x.mean) @ vectors, float(((select - mean) ** 2).sum())
    unit = float(values.sum()) / x.fit.shape[1] if len(values) else 1.0
    best = None
    for strength in STRENGTHS:
        inner = shared / (values + strength * unit)[:, None]
        error = float(((select - mean - seen @ inner) ** 2).sum())
        if best is None or error <= best[0]:
            best = error, strength, inner
    if best is None:
        raise FeatureError("there is no candidate for the strength of a ridge.")
    error, strength, inner = best
    if rank is not None and rank < min(inner.shape):
        _, _, right = np.linalg.svd(np.sqrt(values)[:, None] * inner, full_matrices=False)
        inner = inner @ right[:rank].T @ right[:rank]
        error = float(((select - mean - seen @ inner) ** 2).sum())
    weight = vectors @ inner
    stitch = Stitch(_single(weight), _single(mean - x.mean @ weight))
    freedom = float((values / (values + strength * unit)).sum())
    return Direct(stitch, strength, freedom, 1 - error / total if total > 0 else float("nan"))


def by_task(
    start: Stitch,
    top: Callable[[torch.Tensor], torch.Tensor],
    states: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int,
    seed: int,
    at_once: int = AT_ONCE,
) -> tuple[Stitch, float]:
    """A stitch trained by the receiver's task: cross-entropy of the receiver's top, which is frozen.

    Adam with a rate of 10^-3 and without decay, as in Csiszárik et al. 2021 (arXiv 2110.14633), from `start`. Of the
    maps after each epoch and the start, that with the least training loss is kept, so that it is never above the
    start's.

    Args:
        start: the map to start from.
        top: logits from the receiver's layer, (batch, classes) or (batch, classes, tokens).
        states: the sender's layer on the grid of the receiver's.
        labels: classes of the pictures, or of their tokens.
        epochs: passes over the pictures.
        seed: of the order of the pictures.
        at_once: most pictures per pass of the top; steps take `BATCH` or fewer.

    Returns:
        The map, and its mean cross-entropy on the pictures.
    """
    weight, bias = start.weight.clone().requires_grad_(), start.bias.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    best, least = start, loss_of(start, top, states, labels, at_once)
    for _ in range(epochs):
        for places in torch.randperm(len(labels), generator=generator).split(min(BATCH, at_once)):
            loss = functional.cross_entropy(top(Stitch(weight, bias)(states[places])), labels[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        now = Stitch(weight.detach().clone(), bias.detach().clone())
        if (after := loss_of(now, top, states, labels, at_once)) < least:
            best, least = now, after
    return best, least


def loss_of(
    stitch: Stitch,
    top: Callable[[torch.Tensor], torch.Tensor],
    states: torch.Tensor,
    labels: torch.Tensor,
    at_once: int = AT_ONCE,
) -> float:
    """Mean cross-entropy through a stitch, summed in float64."""
    return float(answers(lambda part: top(stitch(part)), states, labels, at_once)[1].mean())


@torch.no_grad()
def answers(
    logits: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor, labels: torch.Tensor, at_once: int = AT_ONCE
) -> tuple[torch.Tensor, torch.Tensor]:
    """The classes that a network says, and its cross-entropies in float64, both in the shape of the labels.

    Args:
        logits: from states to (batch, classes), or (batch, classes, tokens).
        states: of pictures or text blocks.
        labels: their classes, shape (n,), or those of their tokens, (n, tokens).
        at_once: states per pass.
    """
    classes, losses = [], []
    for x, y in zip(states.split(at_once), labels.split(at_once), strict=True):
        values = logits(x)
        classes.append(values.argmax(1))
        losses.append(functional.cross_entropy(values.double(), y, reduction="none"))
    return torch.cat(classes), torch.cat(losses)


def _single(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
