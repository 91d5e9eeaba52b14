"""Drawn shapes with captions that describe them: pairs for tests, generated in memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

from PIL import Image, ImageDraw

from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, pin


SHAPES = ("circle", "square", "triangle", "diamond", "cross", "bar")
COLOURS = {
    "red": (214, 39, 40), "orange": (255, 140, 0), "yellow": (240, 210, 30), "green": (44, 140, 60),
    "blue": (31, 90, 200), "purple": (128, 60, 170), "black": (20, 20, 20), "grey": (140, 140, 140),
}  # fmt: skip
SIZES = {"small": 0.10, "large": 0.20}
PLACES = {
    "upper left": (0.27, 0.27), "upper right": (0.73, 0.27), "middle": (0.5, 0.5),
    "lower left": (0.27, 0.73), "lower right": (0.73, 0.73),
}  # fmt: skip
COUNT = len(SHAPES) * len(COLOURS) * len(SIZES) * len(PLACES)
STRIDE = 187
"""Coprime to COUNT: steps of this size visit every combination once, and adjacent pairs have little in common."""

SIDE = 64
VERSION = "1"
"""Incremented when the drawings change."""


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """480 pairs: 6 shapes x 8 colours x 2 sizes x 5 places; the category is the shape.

    `options.seed` (default 0) draws the grain of the background and the shapes' jitter.
    """
    check_switches(spec, options=["seed"])
    shape_pairs = []
    for i in range(COUNT):
        rest, shape = divmod(i * STRIDE % COUNT, len(SHAPES))
        rest, colour = divmod(rest, len(COLOURS))
        place, size = divmod(rest, len(SIZES))
        attributes = (list(SIZES)[size], list(COLOURS)[colour], SHAPES[shape], list(PLACES)[place])
        caption = "A {} {} {} in the {}.".format(*attributes)
        seed = f"{spec.options.get('seed', 0)}:{i}"
        shape_pairs.append(Pair(f"{i:04d}", [caption], attributes[2], [partial(draw, *attributes, seed)]))
    return pin(spec, VERSION, "Leave dataset.revision open."), shape_pairs


def draw(size: str, colour: str, shape: str, place: str, seed: str) -> Image.Image:
    """Draws a shape on a light, grainy background, 64 x 64 RGB; equal arguments give equal pixels."""
    chance = random.Random(seed)
    grain = Image.frombytes("L", (SIDE, SIDE), chance.randbytes(SIDE * SIDE))
    image = grain.point([225 + value * 30 // 255 for value in range(256)]).convert("RGB")
    x, y = ((where + chance.uniform(-0.05, 0.05)) * SIDE for where in PLACES[place])
    r = SIZES[size] * SIDE
    pen, fill = ImageDraw.Draw(image), COLOURS[colour]
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], fill=fill)
    elif shape == "diamond":
        pen.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], fill=fill)
    elif shape == "cross":
        pen.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill=fill)
        pen.rectangle((x - r / 3, y - r, x + r / 3, y + r), fill=fill)
    else:
        pen.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill=fill)
    return image
