"""Drawings that crash their renderer: the process that renders them dies, and the program goes on."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys

import pytest

from platorep.core.errors import DataError
from platorep.data import drawings
from platorep.data.pictures import decode_picture


HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="20">'
MARK = '<rect x="20" width="20" height="20" fill="#ff0000"/>'
DEEP = (HEAD + "<g>" * 300 + MARK + "</g>" * 300 + "</svg>").encode()
PLAIN = (HEAD + MARK + "</svg>").encode()
TEN = '<use xlink:href="#a{0}"/>' * 10


def decode(raw: bytes) -> bytes:
    return decode_picture(raw, drawing=True).tobytes()


def test_deeply_nested_drawing_is_rendered_like_a_flat_one():
    assert decode(DEEP) == decode(PLAIN)


def test_the_drawing_above_kills_a_process_that_renders_it_itself():
    code = "import resvg_py, sys; resvg_py.svg_to_bytes(svg_string=sys.stdin.read(), skip_system_fonts=True)"
    for raw, dies in ((DEEP, True), (PLAIN, False)):
        assert (subprocess.run([sys.executable, "-c", code], input=raw, check=False).returncode != 0) == dies


@pytest.mark.parametrize("body", ["import os; os.abort()", "import sys; sys.stdin.buffer.read(20); sys.exit(0)"])
def test_crash_of_the_renderer_is_a_fault_of_the_drawing_and_the_next_one_is_rendered(body, tmp_path, monkeypatch):
    (tmp_path / "crash.py").write_text(body)
    with monkeypatch.context() as patch:
        patch.setattr(drawings, "SCRIPT", tmp_path / "crash.py")
        patch.setattr(drawings, "_idle", drawings.deque())
        with pytest.raises(
            DataError, match=r"drawing cannot be rendered: the renderer crashed, or needed more than .* save it as PNG"
        ):
            decode(PLAIN)
    assert decode_picture(PLAIN, drawing=True).getpixel((300, 80)) == (255, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        "<g>" * 100_000 + MARK + "</g>" * 100_000,
        '<g id="a"><use xlink:href="#b"/></g><g id="b"><use xlink:href="#a"/></g>',
        '<use xlink:href="#a0"/>' + "".join(f'<g id="a{i}">' + TEN.format(i + 1) + "</g>" for i in range(9)),
    ],
    ids=["deeper than the renderer goes", "in a circle", "a thousand million rectangles"],
)  # fmt: skip
def test_drawings_without_an_end_are_refused(body):
    with pytest.raises(DataError, match=r"picture is unreadable \(ValueError: SVG data parsing failed"):
        decode((HEAD + body + "</svg>").encode())


def test_entities_that_multiply_are_refused():
    entities = "".join(f'<!ENTITY a{i} "' + f"&a{i + 1};" * 20 + '">' for i in range(9)) + '<!ENTITY a9 "x">'
    with pytest.raises(DataError, match="picture is unreadable"):
        decode(f"<!DOCTYPE svg [{entities}]>{HEAD}<text>&a0;</text></svg>".encode())


def test_drawing_in_another_encoding_is_read():
    raw = f"<?xml version='1.0' encoding='UTF-16'?>{HEAD}<title>é</title>{MARK}</svg>".encode("utf-16")
    assert decode(raw) == decode(PLAIN)


def test_forks_have_renderers_of_their_own():
    here = decode(PLAIN)  # so that a fork has one that is not its own
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(decode, [PLAIN] * 4) == [here] * 4
    assert decode(PLAIN) == here


def test_renderer_ends_with_its_program():
    code = (
        "from platorep.data import drawings; import sys; drawings.render(sys.stdin.buffer.read());"
        "print(drawings._idle[0].process.pid)"
    )
    made = subprocess.run([sys.executable, "-c", code], input=PLAIN, capture_output=True, check=True)
    assert made.stderr == b""
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["ps", "-p", made.stdout.decode().strip()], check=True, capture_output=True)
