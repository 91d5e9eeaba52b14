"""Decodes files and bytes to RGB pictures, with the same rules for transparency, orientation and faults everywhere."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from platorep.core.errors import DataError, SpecError
from platorep.core.text import cause
from platorep.data import drawings
from platorep.data.contents import read_regular


SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".svg")
"""Suffixes of picture files in a folder."""

MAX_PIXELS = 2**27
"""Default of `options.max_pixels`, the largest size of a picture: half a gigabyte when decoded."""

PILLOW_PIXELS = 2 * 89_478_485
"""Largest `max_pixels`: Pillow rejects larger pictures as decompression bombs."""

OPTION = "max_pixels"

_ORIENTATION = 0x0112
_TURNS: dict[Any, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The inverse transposition of each EXIF orientation."""

_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
_POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")


def pixel_limit(options: Mapping[str, Any]) -> int:
    """`max_pixels` of a dataset's options, or the default.

    Raises:
        SpecError: the value is not a whole number from 1 to `PILLOW_PIXELS`.
    """
    limit = options.get(OPTION, MAX_PIXELS)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= PILLOW_PIXELS:
        raise SpecError(f"dataset.options.{OPTION} is {limit!r}; expected a whole number from 1 to {PILLOW_PIXELS}.")
    return limit


def read_picture(path: Path, *, square: bool = False, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Reads the picture in a file by `decode_picture`; `square` pads it with white to a square, centred.

    Raises:
        DataError: the file is missing, is not a regular file or is not a readable picture.
    """
    picture = decode_picture(read_regular(path), drawing=path.suffix.lower() == ".svg", max_pixels=max_pixels)
    return pad_to_square(picture) if square else picture


def decode_picture(raw: bytes, *, drawing: bool = False, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes the first frame of a picture (SVG if `drawing`) to 8-bit RGB, upright, with transparency on white.

    All formats that Pillow decodes are supported, except PostScript, which requires running a program. HEIC needs the
    extra `platorep[heic]`. Colour profiles are not applied. Colours with 16 bits per channel lose their lower 8 bits.
    Grey pictures with 16 bits are rejected, because their data (depth, X-rays) seldom use the full range.

    Raises:
        DataError: the picture is empty, damaged or truncated, has more than `max_pixels` pixels, or is grey with more
            than 8 bits.
    """
    if not raw:
        raise DataError("picture is empty")
    if raw.startswith(_POSTSCRIPT):
        raise DataError("picture is PostScript, which only running a program can show; save it as PNG")
    if raw[4:8] == b"ftyp" and raw[8:12] in _HEIF and b"avif" not in raw[8:64]:
        _register_heif()
    try:
        image = Image.open(io.BytesIO(drawings.render(raw) if drawing else raw))
        if image.width * image.height > max_pixels:
            raise _too_large(f"{image.width} x {image.height}", max_pixels)
        if "transparency" in image.info and ";16" in str(image.tile):
            raise DataError("picture has a transparent colour of 16 bits a channel; convert it to 8 bits")
        image.load()
        return _rgb(_upright(image))
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(f"more than {PILLOW_PIXELS}", max_pixels) from error
    except Exception as error:  # decoders raise nearly every built-in error for damaged files
        raise DataError(f"picture is unreadable ({type(error).__name__}: {cause(error)})") from error


def pad_to_square(image: Image.Image) -> Image.Image:
    """Pads a picture with white to a square with its longer side, centred."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _upright(image: Image.Image) -> Image.Image:
    """Applies the EXIF orientation. Only that tag is read, so invalid values of other tags do no harm."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    except Exception:  # raised for damaged tags; without a readable orientation, the pixels are unchanged
        return image
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        raise DataError(f"picture has mode {image.mode}, more than 8 bits a channel; convert it to 8 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _too_large(size: str, limit: int) -> DataError:
    return DataError(
        f"picture is too large ({size} pixels, and {limit} in all are allowed); reduce it, or raise "
        f"dataset.options.{OPTION}"
    )


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise DataError("picture is HEIC, which needs another library: pip install 'platorep[heic]'") from error
    pillow_heif.register_heif_opener()
