from __future__ import annotations

import base64
import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from platorep.core.errors import DataError, SpecError
from platorep.data.drawings import DRAWING_SIDE
from platorep.data.pictures import decode_picture, pad_to_square, pixel_limit, read_picture


def encoded(image: Image.Image, form: str = "PNG", **more) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white_whatever_the_mode(mode):
    clear = Image.new("RGBA", (4, 2), (200, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 0, 255))
    if mode == "P":
        image = Image.new("P", (4, 2), 1)
        image.putpalette([0, 0, 0, 200, 0, 0])
        image.putpixel((0, 0), 0)
        raw = encoded(image, transparency=1)
    else:
        raw = encoded(clear.convert(mode))
    picture = decode_picture(raw)
    assert picture.mode == "RGB"
    assert picture.getpixel((3, 1)) == (255, 255, 255)
    assert picture.getpixel((0, 0)) == (0, 0, 0)


def test_half_transparent_pixel_is_mixed_with_white():
    assert decode_picture(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))).getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize(("mode", "form"), [("L", "PNG"), ("1", "PNG"), ("CMYK", "JPEG"), ("RGB", "WEBP")])
def test_every_eight_bit_mode_becomes_rgb(mode, form):
    assert decode_picture(encoded(noise(5, 3).convert(mode), form)).mode == "RGB"


def test_rgb_pixels_are_untouched():
    image = noise(7, 5)
    assert decode_picture(encoded(image)).tobytes() == image.tobytes()


def with_orientation(orientation: int, tags: dict[int, tuple[int, bytes]]) -> bytes:
    """EXIF with that orientation and other tags, each with a type and four bytes for its value."""
    entries = {0x0112: (3, struct.pack("<HH", orientation, 0))} | tags
    body = b"".join(struct.pack("<HHI", tag, kind, 1) + value for tag, (kind, value) in sorted(entries.items()))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_photographs_are_turned_upright_as_pillow_turns_them(orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = encoded(Image.linear_gradient("L").resize((6, 4)).convert("RGB"), form, exif=exif)
    assert decode_picture(raw).tobytes() == ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).tobytes()
    assert decode_picture(raw).size == ((4, 6) if orientation in (5, 6, 7, 8) else (6, 4))


FOUR = st.binary(min_size=4, max_size=4)
INLINE = (1, 2, 3, 4, 6, 7, 8, 9, 11, 13)
"""Types whose values stand in the entry. A pointer to nowhere ends the reading of a directory."""


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of some of these tags
@settings(max_examples=150, deadline=None)
@given(
    after=st.dictionaries(st.integers(0x0113, 0xFFFF), st.tuples(st.integers(0, 14), FOUR), max_size=4),
    before=st.dictionaries(st.integers(0, 0x0111), st.tuples(st.sampled_from(INLINE), FOUR), max_size=4),
)
@example(
    after={}, before={0x00FE: (7, b"abcd")}
)  # which the standard has as another type, so that Pillow cannot write it back
def test_other_tags_however_odd_do_not_keep_a_photograph_from_being_turned(after, before):
    picture = decode_picture(encoded(noise(6, 4), "JPEG", exif=with_orientation(6, before | after)))
    assert (
        picture.tobytes()
        == decode_picture(encoded(noise(6, 4), "JPEG")).transpose(Image.Transpose.ROTATE_270).tobytes()
    )


def test_first_frame_of_animations_and_pages_is_taken():
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    for form in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
        raw = encoded(first, form, save_all=True, append_images=[second])
        assert decode_picture(raw).getpixel((0, 0)) == pytest.approx((255, 0, 0), abs=2)


def test_heic_is_read_and_turned_as_its_container_says(monkeypatch):
    import pillow_heif

    pillow_heif.register_heif_opener()
    image = Image.linear_gradient("L").resize((60, 40)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()  # from where its encoder takes the turn
    raw = encoded(image, "HEIF", quality=-1)
    assert raw[4:12] == b"ftypheic"
    picture = np.asarray(decode_picture(raw)).astype(int)
    assert np.abs(picture - np.asarray(image.rotate(-90, expand=True)).astype(int)).mean() < 2
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DataError, match=r"HEIC, which needs another library: pip install 'platorep\[heic\]'"):
        decode_picture(raw)


def png(kind: int, bits: int, rows: np.ndarray, chunks: bytes = b"") -> bytes:
    """A PNG of a colour type and depth that Pillow does not write. `rows` are (height, width, channels)."""
    lines = b"".join(b"\0" + row.tobytes() for row in rows.astype(f">u{bits // 8}"))
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], bits, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4)])
def test_colours_of_sixteen_bits_keep_their_upper_eight(kind, channels):
    rows = np.random.default_rng(0).integers(0, 2**16, (4, 5, channels))
    if channels == 4:
        rows[..., 3] = 2**16 - 1
    assert (np.asarray(decode_picture(png(kind, 16, rows))) == rows[..., :3] >> 8).all()


def test_one_transparent_colour_becomes_white_and_one_of_sixteen_bits_is_refused():
    rows = np.random.default_rng(0).integers(0, 256, (2, 2, 3))
    key = chunk(b"tRNS", struct.pack(">HHH", *rows[0, 0].tolist()))
    picture = decode_picture(png(2, 8, rows, key))
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((1, 1)) == tuple(rows[1, 1])
    with pytest.raises(DataError, match="transparent colour of 16 bits"):
        decode_picture(png(2, 16, rows, key))


@pytest.mark.filterwarnings("ignore:Image size")  # Pillow warns before the picture is refused
def test_pictures_of_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    huge = png(2, 8, np.zeros((1, 1, 3)))
    for width, height, message in [
        (13_000, 13_000, "13000 x 13000 pixels"),
        (60_000, 60_000, "more than 178956970 pixels"),
    ]:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        raw = huge[:8] + chunk(b"IHDR", header) + huge[33:]
        with pytest.raises(
            DataError,
            match=rf"picture is too large \({message}, and 134217728 in all are allowed\); reduce it, or raise",
        ):
            decode_picture(raw)
    raw = encoded(noise(10, 10))
    assert decode_picture(raw, max_pixels=100).size == (10, 10)
    with pytest.raises(DataError, match=r"10 x 10 pixels, and 99 in all"):
        decode_picture(raw, max_pixels=99)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "many", True, None, 2**28])
def test_limits_on_pixels_that_are_none_are_refused(limit):
    with pytest.raises(
        SpecError, match=r"dataset.options.max_pixels is .*; expected a whole number from 1 to 178956970"
    ):
        pixel_limit({"max_pixels": limit})


def test_postscript_is_refused_because_only_running_a_program_shows_it():
    with pytest.raises(DataError, match="picture is PostScript"):
        decode_picture(encoded(noise(4, 4), "EPS"))


def test_pipes_folders_and_names_that_cannot_be_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name, message in [
        ("pipe.png", "it is a folder, a pipe or a device"),
        (".", "it is a folder, a pipe or a device"),
        ("loop.png", "Too many levels of symbolic links"),
        ("x" * 300 + ".png", "File name too long"),
        ("a\0.png", "its name has a zero byte or is not valid Unicode"),
        ("\ud83d.png", "its name has a zero byte or is not valid Unicode"),
    ]:
        with pytest.raises(DataError, match=f"file cannot be read: {message}"):
            read_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "picture is empty"),
        (b"<html></html>", r"unreadable \(UnidentifiedImageError: cannot identify image file\)$"),
        (encoded(noise(64, 64))[:3000], "unreadable .*truncated"),
        (encoded(Image.fromarray(np.zeros((2, 2), np.uint16))), "mode I;16, more than 8 bits"),
    ],
)
def test_unreadable_pictures_say_why(raw, message):
    with pytest.raises(DataError, match=message):
        decode_picture(raw)


def test_missing_file_says_so(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_picture(tmp_path / "none.png")


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'width="{w}" height="{h}" viewBox="0 0 40 20">{body}</svg>'
)


@pytest.mark.parametrize(("w", "h"), [("40", "20"), ("80pt", "40pt"), ("40mm", "20mm")])
def test_drawings_are_fitted_and_not_stretched_whatever_their_unit(tmp_path, w, h):
    (tmp_path / "a.svg").write_text(
        SVG.format(w=w, h=h, body='<rect x="10" y="5" width="20" height="10" fill="#ff0000"/>')
    )
    picture = read_picture(tmp_path / "a.svg")
    assert picture.width == DRAWING_SIDE
    assert picture.height == pytest.approx(DRAWING_SIDE / 2, abs=3)  # the renderer rounds sizes to whole pixels first
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    red = np.asarray(picture)[..., 1] < 128
    assert red.sum() == pytest.approx(red.size / 4, rel=0.05)


def test_drawings_do_not_depend_on_the_fonts_of_this_machine(tmp_path):
    (tmp_path / "a.svg").write_text(SVG.format(w=40, h=20, body='<text x="2" y="15" font-size="16">ABC</text>'))
    assert np.asarray(read_picture(tmp_path / "a.svg")).min() == 255


MARK = '<rect x="30" width="10" height="20" fill="#0000ff"/>'


@pytest.mark.parametrize("href", ["{folder}/other.png", "other.png", "file://{folder}/other.png", "&other;"])
@pytest.mark.parametrize(
    "element",
    [
        '<image xlink:href="{}" width="20" height="20"/>',
        '<image alt=">" href="{}"/>',
        '<filter id="f"><feImage href="{}"/></filter><rect filter="url(#f)" width="20" height="20"/>',
    ],
)
def test_drawings_show_no_other_file_of_this_machine(tmp_path, monkeypatch, href, element):
    Image.new("RGB", (10, 10), "red").save(tmp_path / "other.png")
    svg = SVG.format(w=40, h=20, body=MARK + element.format(href.format(folder=tmp_path)))
    (tmp_path / "a.svg").write_text(f'<!DOCTYPE svg [<!ENTITY other "{tmp_path}/other.png">]>{svg}')
    (tmp_path / "mark.svg").write_text(SVG.format(w=40, h=20, body=MARK))
    monkeypatch.chdir(tmp_path)
    assert read_picture(tmp_path / "a.svg").tobytes() == read_picture(tmp_path / "mark.svg").tobytes()


def test_drawings_may_hold_pictures_of_their_own(tmp_path):
    inside = base64.b64encode(encoded(Image.new("RGB", (10, 10), "red"))).decode()
    (tmp_path / "a.svg").write_text(
        SVG.format(w=40, h=20, body=f'<image xlink:href="data:image/png;base64,{inside}" width="40" height="20"/>')
    )
    assert read_picture(tmp_path / "a.svg").getpixel((160, 80)) == (255, 0, 0)


def test_damaged_drawing_says_why(tmp_path):
    (tmp_path / "a.svg").write_text("<svg")
    with pytest.raises(DataError, match="unreadable"):
        read_picture(tmp_path / "a.svg")


def test_square_padding_keeps_the_picture_in_the_centre():
    image = noise(10, 4)
    square = np.asarray(pad_to_square(image))
    assert square.shape == (10, 10, 3)
    assert (square[3:7] == np.asarray(image)).all()
    assert (square[:3] == 255).all()
    assert (square[7:] == 255).all()
    assert pad_to_square(noise(4, 4)).tobytes() == noise(4, 4).tobytes()
