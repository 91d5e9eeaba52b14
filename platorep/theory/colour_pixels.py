"""Co-occurrence of colours within a few pixels in pictures, and its pointwise mutual information (App. D)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from platorep.core.errors import DataError


SAMPLES = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle", "china.jpg", "flower.jpg")
"""Photographs that ship inside scikit-image and scikit-learn."""

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True, eq=False)
class Palette:
    """The quantised colours of pictures, and how often two of them are close to each other.

    Attributes:
        rgb: mean sRGB of the pixels in each cell of the grid, shape (colours, 3), in [0, 1].
        counts: numbers of pairs by colour, in both orders, shape (colours, colours) int64.
        dropped: share of the sampled pairs that contain a colour too rare to be kept.
    """

    rgb: np.ndarray
    counts: np.ndarray
    dropped: float

    def pmi(self, smoothing: float) -> np.ndarray:
        """K_PMI of the counts plus `smoothing` pseudo-counts per pair, shape (colours, colours).

        The pseudo-counts are distributed in proportion to P(a) P(b), so they pull K_PMI towards 0, not towards a
        uniform table.
        """
        joint = self.counts / self.counts.sum()
        marginal = joint.sum(axis=1)
        independent = np.outer(marginal, marginal)
        share = smoothing * len(joint) ** 2 / (self.counts.sum() + smoothing * len(joint) ** 2)
        return np.log(((1 - share) * joint + share * independent) / independent)


def sample_pictures() -> list[np.ndarray]:
    """The photographs of `SAMPLES`, uint8 RGB."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    images = []
    for name in SAMPLES:
        if "." in name:
            images.append(load_sample_image(name))
        else:
            picture = getattr(skimage.data, name)()
            images.append(picture[0] if isinstance(picture, tuple) else picture)
    return [np.asarray(picture[..., :3], dtype=np.uint8) for picture in images]


def folder_pictures(folder: Path) -> list[np.ndarray]:
    """All pictures of a folder and its subfolders, by name, uint8 RGB.

    Raises:
        DataError: the folder has no pictures, or one of them cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
    if not paths:
        raise DataError(f"no pictures ({', '.join(EXTENSIONS)}) in {folder}.")
    images = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                images.append(np.asarray(picture.convert("RGB")))
        except OSError as error:
            raise DataError(f"picture {path} cannot be read: {error}. Remove it, or convert it to PNG.") from error
    return images


def tiles(pictures: Iterable[np.ndarray], side: int) -> list[np.ndarray]:
    """Square thumbnails of `side` pixels, as in CIFAR-10, of the centre of a picture and of its four quarters.

    A window of a few pixels should span objects, not the grain of one surface: in a large photograph, pixels 4 apart
    have the same colour. Pictures no larger than `side` are used unchanged.
    """
    images = []
    for picture in pictures:
        height, width = picture.shape[:2]
        if max(height, width) <= side:
            images.append(picture)
            continue
        edge = min(height, width)
        top, left = (height - edge) // 2, (width - edge) // 2
        boxes = [(left, top, left + edge, top + edge)]
        if edge >= 4 * side:
            half = edge // 2
            boxes += [(x, y, x + half, y + half) for x in (0, width - half) for y in (0, height - half)]
        image = Image.fromarray(picture)
        images += [np.asarray(image.resize((side, side), Image.Resampling.BOX, box=box)) for box in boxes]
    return images


def palette(pictures: Sequence[np.ndarray], *, pairs: int, radius: int, levels: int, least: int, seed: int) -> Palette:
    """Draws pairs of pixels of one picture at most `radius` apart and counts the pairs of their quantised colours.

    Args:
        pictures: uint8 RGB; the probability of drawing a picture is its share of all pixels.
        pairs: number of pairs to draw.
        radius: largest Euclidean distance between the two pixels; at least 1. A pixel is never paired with itself.
        levels: cells of the grid along each of R, G and B.
        least: least number of pairs in which a colour must occur to be kept.
        seed: seed of the draws.

    Raises:
        DataError: the pictures are too small for the radius, or fewer than 8 colours are left.
    """
    rng = np.random.default_rng(seed)
    sizes = np.array([p.shape[:2] for p in pictures])
    if not len(pictures) or sizes.min() <= 2 * radius:
        smallest = sizes.min() if len(sizes) else 0
        raise DataError(
            f"pixel pairs {radius} apart need pictures of more than {2 * radius} pixels a side; "
            f"the smallest has {smallest}."
        )
    steps = np.array(
        [
            (dy, dx)
            for dy in range(-radius, radius + 1)
            for dx in range(-radius, radius + 1)
            if 0 < dy * dy + dx * dx <= radius * radius
        ]
    )
    chosen = np.sort(rng.choice(len(pictures), size=pairs, p=sizes.prod(axis=1) / sizes.prod(axis=1).sum()))
    step = steps[rng.integers(len(steps), size=pairs)]
    room = sizes[chosen] - np.abs(step)
    first = (rng.random((pairs, 2)) * room).astype(int) + np.maximum(-step, 0)
    second = first + step
    pixels = np.empty((2, pairs, 3), dtype=np.uint8)
    bounds = np.searchsorted(chosen, np.arange(len(pictures) + 1))
    for i, picture in enumerate(pictures):
        rows = slice(bounds[i], bounds[i + 1])
        for side, at in enumerate((first[rows], second[rows])):
            pixels[side, rows] = picture[at[:, 0], at[:, 1]]
    cells = (pixels.astype(int) * levels // 256) @ np.array([levels * levels, levels, 1])
    count = np.bincount(cells.ravel(), minlength=levels**3)
    kept = np.flatnonzero(count >= least)
    if len(kept) < 8:
        raise DataError(
            f"only {len(kept)} colours occur in at least {least} pairs; give more pictures, or lower the minimum count."
        )
    index = np.full(levels**3, -1)
    index[kept] = np.arange(len(kept))
    a, b = index[cells]
    both = (a >= 0) & (b >= 0)
    counts = np.zeros((len(kept), len(kept)), dtype=np.int64)
    np.add.at(counts, (a[both], b[both]), 1)
    mean = np.stack(
        [np.bincount(cells.ravel(), weights=pixels[..., c].ravel(), minlength=levels**3) for c in range(3)], axis=1
    )
    return Palette(mean[kept] / count[kept, None] / 255, counts + counts.T, float(1 - both.mean()))
