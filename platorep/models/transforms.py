"""Converts a picture to the input of a network, at a cost that does not depend on the shape of the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from platorep.core.errors import DataError
from platorep.models.degrade import reduce_picture


if TYPE_CHECKING:
    from PIL.Image import Image

THIN = 16
"""Least ratio of the sides of a thin picture, far beyond those of photographs and panoramas."""


@dataclass(frozen=True)
class PictureTransform:
    """The transform from a picture to an input. It is small, because it is sent to worker processes.

    Attributes:
        to_input: the evaluation transform of the model.
        reduce_to: pixels of the shorter side to which pictures are reduced first; None does not reduce them.
        cut_ends: whether the ends of thin pictures are cut off first (see `picture_transform`).
    """

    to_input: Callable[[Image], torch.Tensor]
    reduce_to: int | None
    cut_ends: bool = False

    def __call__(self, picture: Image) -> torch.Tensor:
        """The model's input, (3, height, width).

        Raises:
            DataError: the transform does not support a picture of this shape.
        """
        picture = picture.convert("RGB")
        if self.cut_ends:
            picture = without_ends(picture)
        if self.reduce_to is not None:
            picture = reduce_picture(picture, self.reduce_to)
        try:
            return self.to_input(picture)
        except ValueError as error:
            raise DataError(
                f"a picture of {picture.width} x {picture.height} pixels cannot be brought to the model's input "
                f"({error}). Leave it out, or crop it."
            ) from error


def picture_transform(to_input: Callable[[Image], torch.Tensor], reduce_to: int | None) -> PictureTransform:
    """The transform of a model, which cuts off the ends of thin pictures if the model does not use them.

    A transform that scales the shorter side to the input size and then crops the middle would produce 5,120,000 x 256
    pixels from a picture of 20,000 x 1. Two thin pictures that differ only at their ends show whether a transform takes
    the middle. A transform that shrinks the whole picture (squashed or padded) never needs such a cut.
    """
    return PictureTransform(to_input, reduce_to, cut_ends=not any(_sees_ends(to_input, upright) for upright in (0, 1)))


def _sees_ends(to_input: Callable[[Image], torch.Tensor], upright: int) -> bool:
    """Whether the input depends on the parts of a thin picture that `without_ends` would cut off."""
    from PIL import Image

    height = 8
    width = (THIN + 4) * height
    plain, marked = Image.new("RGB", (width, height)), Image.new("RGB", (width, height), "white")
    marked.paste("black", ((width - THIN * height) // 2, 0, (width + THIN * height) // 2, height))
    if upright:
        plain, marked = (picture.transpose(Image.Transpose.ROTATE_90) for picture in (plain, marked))
    return not torch.equal(to_input(plain), to_input(marked))


def without_ends(picture: Image) -> Image:
    """The middle of a thin picture, `THIN` times as long as wide; other pictures are returned unchanged.

    One more pixel is kept if the centre would move otherwise.
    """
    width, height = picture.size
    long, kept = max(width, height), THIN * min(width, height)
    if long <= kept:
        return picture
    kept += (long - kept) % 2
    start, stop = (long - kept) // 2, (long + kept) // 2
    return picture.crop((start, 0, stop, height) if width > height else (0, start, width, stop))


def small_pixels(picture: Image, side: int = 16) -> torch.Tensor:
    """The pixels of an RGB picture after bicubic reduction, shape (3, side, side), float32 in [0, 1].

    torchvision's `to_tensor` gives the same values, but importing it takes longer than a short run.
    """
    from PIL.Image import Resampling

    pixels = np.array(picture.resize((side, side), Resampling.BICUBIC))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div(255)
