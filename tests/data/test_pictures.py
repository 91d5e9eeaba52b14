from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from platorep.core.errors import DataError
from platorep.data.drawings import DRAWING_SIDE
from platorep.data.pictures import decode_picture, pad_to_square, read_picture


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


def test_photographs_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert decode_picture(encoded(noise(6, 4), "JPEG", exif=exif)).size == (4, 6)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "picture is empty"),
        (b"<html></html>", "unreadable .UnidentifiedImageError"),
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
