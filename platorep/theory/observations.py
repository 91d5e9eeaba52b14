"""Observations: how a modality shows the events of a world, from bijections to lossy and noisy observations.

An observation is a channel P(symbol | event) and a code for every symbol, which is the vector that a network sees. A
random bijection with random codes hides everything but the co-occurrences. The codes of pictures and sentences have a
structure of their own, which a learner has to overcome.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from platorep.core.errors import SpecError
from platorep.theory.worlds import World


@dataclass(frozen=True, eq=False)
class Observation:
    """A modality.

    Args:
        name: name of the modality in tables.
        channel: P(symbol | event), shape (events, symbols), rows sum to 1.
        codes: fixed input of a network for each symbol, shape (symbols, width).
    """

    name: str
    channel: np.ndarray
    codes: np.ndarray

    def __post_init__(self) -> None:
        if not np.allclose(self.channel.sum(axis=1), 1) or (self.channel < 0).any():
            raise SpecError(f"observation {self.name!r}: every row of the channel must be a distribution over symbols.")
        if len(self.codes) != self.channel.shape[1]:
            raise SpecError(f"observation {self.name!r}: {self.channel.shape[1]} symbols but {len(self.codes)} codes.")

    def world(self, world: World) -> World:
        """The world of the symbols of this modality."""
        return world.seen_through(self.channel)

    def look(self, rng: np.random.Generator) -> np.ndarray:
        """Draws one symbol for every event, shape (events,) int: the paired samples of this modality."""
        drawn = rng.random((len(self.channel), 1))
        return np.minimum((np.cumsum(self.channel, axis=1) < drawn).sum(axis=1), self.channel.shape[1] - 1)

    def information(self, world: World) -> float:
        """Mutual information of event and symbol in bits, I(Z; X), between 0 and the entropy of the events."""
        joint = world.marginal[:, None] * self.channel
        independent = world.marginal[:, None] * joint.sum(axis=0)[None, :]
        seen = joint > 0
        return float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum())


def random_codes(symbols: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Fixed random Gaussian code vectors of expected length 1, shape (symbols, width)."""
    return rng.normal(size=(symbols, width)) / math.sqrt(width)


def bijection(events: int, seed: int, width: int = 64) -> Observation:
    """Each event has its own symbol, in random order, with random codes: I(Z; X) = H(Z)."""
    rng = np.random.default_rng(seed)
    return Observation("bijection", np.eye(events)[rng.permutation(events)], random_codes(events, width, rng))


def lossy(events: int, symbols: int, seed: int, width: int = 64) -> Observation:
    """Maps events to `symbols` symbols at random, in groups of nearly equal size: I(Z; X) is about log2(symbols).

    Raises:
        SpecError: symbols is not between 2 and events.
    """
    if not 2 <= symbols <= events:
        raise SpecError(f"a lossy observation of {events} events needs between 2 and {events} symbols; got {symbols}.")
    rng = np.random.default_rng(seed)
    return Observation(
        "lossy", np.eye(symbols)[rng.permutation(np.arange(events) % symbols)], random_codes(symbols, width, rng)
    )


def noisy(events: int, noise: float, seed: int, width: int = 64) -> Observation:
    """A bijection that shows a uniformly drawn symbol instead with probability `noise`.

    Raises:
        SpecError: noise is not in [0, 1].
    """
    if not 0 <= noise <= 1:
        raise SpecError(f"noise is a probability; got {noise}.")
    exact = bijection(events, seed, width)
    return Observation("noisy", (1 - noise) * exact.channel + noise / events, exact.codes)


SHAPES = ("disc", "square", "triangle", "cross")
COLOURS = {"red": (0.9, 0.2, 0.15), "green": (0.2, 0.65, 0.25), "blue": (0.2, 0.35, 0.9), "yellow": (0.95, 0.8, 0.2)}
PLACES = ("top left", "top right", "bottom left", "bottom right")
RENDERED_EVENTS = len(SHAPES) * len(COLOURS) * len(PLACES)


def _attributes(event: int) -> tuple[str, str, str]:
    shape, rest = divmod(event, len(COLOURS) * len(PLACES))
    colour, place = divmod(rest, len(PLACES))
    return SHAPES[shape], list(COLOURS)[colour], PLACES[place]


def picture(event: int, size: int = 16) -> np.ndarray:
    """Event 0..63 as a picture: a coloured shape in a corner of a white square, shape (size, size, 3) in [0, 1]."""
    shape, colour, place = _attributes(event)
    y, x = np.mgrid[0:size, 0:size] / size + 0.5 / size
    cy = 0.28 if place.startswith("top") else 0.72
    cx = 0.28 if place.endswith("left") else 0.72
    dy, dx, r = y - cy, x - cx, 0.22
    inside = {
        "disc": dy**2 + dx**2 <= r**2,
        "square": np.maximum(abs(dy), abs(dx)) <= 0.85 * r,
        "triangle": (dy <= 0.8 * r) & (2 * abs(dx) - dy <= r),
        "cross": (np.minimum(abs(dy), abs(dx)) <= 0.3 * r) & (np.maximum(abs(dy), abs(dx)) <= r),
    }[shape]
    return np.where(inside[..., None], np.array(COLOURS[colour]), 1.0)


def sentence(event: int) -> str:
    """Event 0..63 as a sentence of a small grammar whose word order depends on the place."""
    shape, colour, place = _attributes(event)
    if place.startswith("top"):
        return f"a {colour} {shape} lies at the {place}"
    return f"at the {place} there is a {shape} in {colour}"


def pictures(seed: int = 0) -> Observation:
    """The 64 pictures as a modality: codes are their pixels, centred and scaled to mean length 1; order by seed."""
    codes = np.stack([picture(event).ravel() for event in range(RENDERED_EVENTS)])
    return _rendered("pictures", codes, seed)


def sentences(seed: int = 0) -> Observation:
    """The 64 sentences as a modality: codes are one-hot words by position, centred and scaled; order by seed."""
    texts = [sentence(event).split() for event in range(RENDERED_EVENTS)]
    words = sorted({word for text in texts for word in text})
    length = max(map(len, texts))
    codes = np.zeros((RENDERED_EVENTS, length, len(words)))
    for event, text in enumerate(texts):
        for position, word in enumerate(text):
            codes[event, position, words.index(word)] = 1
    return _rendered("sentences", codes.reshape(RENDERED_EVENTS, -1), seed)


def _rendered(name: str, codes: np.ndarray, seed: int) -> Observation:
    codes = codes - codes.mean(axis=0)
    codes = codes / np.linalg.norm(codes, axis=1).mean()
    order = np.random.default_rng(seed).permutation(len(codes))  # symbol order[z] shows event z
    shuffled = np.empty_like(codes)
    shuffled[order] = codes
    return Observation(name, np.eye(len(codes))[order], shuffled)
