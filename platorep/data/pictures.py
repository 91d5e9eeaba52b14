"""Files and bytes to RGB pictures: one rule for transparency, orientation, drawings and what counts as unreadable."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageOps

from platorep.core.errors import DataError


DRAWING_SIDE = 320
"""Longest side in pixels at which SVG drawings are rendered: above what small networks see, near usual photographs."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg")
"""Endings of the files that count as pictures in a folder."""


def read_picture(path: Path, *, square: bool = False) -> Image.Image:
    """The picture in a file, as `decode_picture` makes it; `square` pads it with white to a centred square.

    Raises:
        DataError: the file is missing or is not a readable picture.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"file cannot be read: {error.strerror}") from error
    picture = decode_picture(raw, drawing=path.suffix.lower() == ".svg")
    return pad_to_square(picture) if square else picture


def decode_picture(raw: bytes, *, drawing: bool = False) -> Image.Image:
    """Bytes of a picture (of an SVG if `drawing`) as 8-bit RGB: turned upright, transparency on white, first frame only.

    Left out of drawings are text, which would depend on the machine's fonts, and pictures from other files.

    Raises:
        DataError: empty, damaged, cut off, too large to be meant, or with more than 8 bits a channel.
    """
    if not raw:
        raise DataError("picture is empty")
    try:
        image = Image.open(io.BytesIO(_render(raw) if drawing else raw))
        image.load()
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise nearly every built-in error on damaged files
        raise DataError(f"picture is unreadable ({type(error).__name__}: {str(error)[:120]})") from error
    if image.mode.startswith(("I", "F")):
        raise DataError(f"picture has mode {image.mode}, more than 8 bits a channel; convert it to 8 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def pad_to_square(image: Image.Image) -> Image.Image:
    """The picture in the centre of a white square as wide as its longer side."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _render(raw: bytes) -> bytes:
    import resvg_py

    # given both sides, the drawing is fitted into them and not stretched
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=_without_references(raw), width=DRAWING_SIDE, height=DRAWING_SIDE, dpi=96, skip_system_fonts=True
        )
    )


def _without_references(raw: bytes) -> str:
    """The drawing without pictures from other files, which a browser would not load either."""
    root, changed = ElementTree.fromstring(raw), False
    for element in root.iter():
        if str(element.tag).rpartition("}")[2].lower() in ("image", "feimage"):
            for name in [
                n
                for n, value in element.attrib.items()
                if n.rpartition("}")[2] == "href" and not value.startswith("data:")
            ]:
                del element.attrib[name]
                changed = True
    return ElementTree.tostring(root, encoding="unicode") if changed else raw.decode()
