"""From a picture to a network's input, at a cost that does not depend on the picture's shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from platorep.core.errors import DataError
from platorep.models.degrade import reduce_picture


if TYPE_CHECKING:
    from PIL.Image import Image

THIN = 16
"""Longer over shorter side from which a picture counts as thin: far beyond photographs and panoramas."""


@dataclass(frozen=True)
class PictureTransform:
    """How a picture becomes an input; small, so that it can be sent to worker processes.

    Attributes:
        to_input: the model's own evaluation transform.
        reduce_to: shorter side, in pixels, that pictures are reduced to before it; None leaves them alone.
        cut_ends: whether the ends of thin pictures are cut off first (see `picture_transform`).
    """

    to_input: Callable[[Image], torch.Tensor]
    reduce_to: int | None
    cut_ends: bool = False

    def __call__(self, picture: Image) -> torch.Tensor:
        """The model's input, (3, height, width).

        Raises:
            DataError: the model's transform cannot take a picture of this shape.
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
    """The transform of a model, with the ends of thin pictures cut off where the model never sees them.

    A transform that scales the shorter side to the input's size and then takes the middle makes 5,120,000 x 256 pixels
    of a picture of 20,000 x 1. Two thin pictures that differ only at their ends show whether a transform takes
    the middle. A transform that shrinks the whole picture (squashed or padded) never needs such a cut.
    """
    return PictureTransform(to_input, reduce_to, cut_ends=not any(_sees_ends(to_input, upright) for upright in (0, 1)))


def _sees_ends(to_input: Callable[[Image], torch.Tensor], upright: int) -> bool:
    """Whether the input changes with those parts of a thin picture that `without_ends` would cut off."""
    from PIL import Image

    height = 8
    width = (THIN + 4) * height
    plain, marked = Image.new("RGB", (width, height)), Image.new("RGB", (width, height), "white")
    marked.paste("black", ((width - THIN * height) // 2, 0, (width + THIN * height) // 2, height))
    if upright:
        plain, marked = (picture.transpose(Image.Transpose.ROTATE_90) for picture in (plain, marked))
    return not torch.equal(to_input(plain), to_input(marked))


def without_ends(picture: Image) -> Image:
    """The middle of a thin picture, `THIN` times as long as wide; any other picture as it is.

    An odd pixel more is kept where it takes one to keep the centre in its place.
    """
    width, height = picture.size
    long, kept = max(width, height), THIN * min(width, height)
    if long <= kept:
        return picture
    kept += (long - kept) % 2
    start, stop = (long - kept) // 2, (long + kept) // 2
    return picture.crop((start, 0, stop, height) if width > height else (0, start, width, stop))


def small_pixels(picture: Image, side: int = 16) -> torch.Tensor:
    """A picture's pixels after bicubic reduction of the whole of it, shape (3, side, side), values in [0, 1]."""
    from PIL.Image import Resampling
    from torchvision.transforms.functional import to_tensor

    return to_tensor(picture.resize((side, side), Resampling.BICUBIC))
