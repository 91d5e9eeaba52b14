"""Drawn pictures with known, independent factors, so that probes measure single factors.

Each shows an arrow with a colour, size, orientation and position, and a number of dots, on a grainy background.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import partial

from PIL import Image, ImageDraw

from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, pin
from platorep.data.synthetic import COLOURS


FACTORS: dict[str, tuple[str, ...]] = {
    "count": tuple(str(n) for n in range(1, 7)),
    "position": tuple(
        f"{row} {column}" for row in ("upper", "middle", "lower") for column in ("left", "centre", "right")
    ),
    "orientation": ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east"),
    "size": ("tiny", "small", "large", "huge"),
    "colour": tuple(COLOURS),
}
"""The factors and their values, all equally likely."""

COUNT = 10_000
SIDE = 96
RADII = (0.09, 0.125, 0.16, 0.2)
"""Half the length of the arrow by size, as a share of the side of the picture."""

VERSION = "1"
"""Incremented when the drawings change."""


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """10,000 pictures, whose category states all factors.

    For example "count=3,position=upper left,orientation=north,size=tiny,colour=red".

    `options.seed` (default 0) draws the factors, the grain and the jitter.
    """
    check_switches(spec, options=["seed"])
    factor_pairs = []
    for i in range(COUNT):
        seed = f"{spec.options.get('seed', 0)}:{i}"
        chance = random.Random(f"factors {seed}")
        drawn = {name: chance.choice(values) for name, values in FACTORS.items()}
        dots = f"{drawn['count']} dot{'s' if drawn['count'] != '1' else ''}"
        arrow = f"{drawn['size']} {drawn['colour']} arrow in the {drawn['position']}"
        caption = f"A {arrow} points {drawn['orientation']}, with {dots}."
        category = ",".join(f"{name}={value}" for name, value in drawn.items())
        factor_pairs.append(Pair(f"{i:05d}", [caption], category, [partial(draw, seed=seed, **drawn)]))
    return pin(spec, VERSION, "Leave dataset.revision open."), factor_pairs


def draw(*, count: str, position: str, orientation: str, size: str, colour: str, seed: str) -> Image.Image:
    """One picture, 96 x 96 RGB; the same arguments give the same pixels."""
    chance = random.Random(f"picture {seed}")
    ground, grain = chance.randrange(190, 230), Image.frombytes("L", (SIDE, SIDE), chance.randbytes(SIDE * SIDE))
    image = (
        grain.point([ground + value * 25 // 255 for value in range(256)]).convert("RGB").resize((2 * SIDE, 2 * SIDE))
    )
    pen, side = ImageDraw.Draw(image), 2 * SIDE  # drawn at twice the size and reduced: smooth edges
    row, column = divmod(FACTORS["position"].index(position), 3)
    x, y = ((0.25 + 0.25 * step + chance.uniform(-0.03, 0.03)) * side for step in (column, row))
    r = RADII[FACTORS["size"].index(size)] * side
    angle = math.radians(45 * FACTORS["orientation"].index(orientation) + chance.uniform(-8, 8))
    outline = ((1, 0), (0.1, 0.75), (0.1, 0.28), (-1, 0.28), (-1, -0.28), (0.1, -0.28), (0.1, -0.75))
    cos, sin = math.cos(angle), math.sin(angle)
    pen.polygon([(x + r * (a * cos + b * sin), y - r * (a * sin - b * cos)) for a, b in outline], fill=COLOURS[colour])
    placed: list[tuple[float, float]] = []
    while len(placed) < int(count):
        dot = chance.uniform(0.06, 0.94) * side, chance.uniform(0.06, 0.94) * side
        if math.dist(dot, (x, y)) > r + 0.06 * side and all(math.dist(dot, other) > 0.11 * side for other in placed):
            placed.append(dot)
            pen.ellipse(
                [dot[0] - 0.035 * side, dot[1] - 0.035 * side, dot[0] + 0.035 * side, dot[1] + 0.035 * side],
                fill=(60, 60, 60),
            )
    return image.reduce(2)
