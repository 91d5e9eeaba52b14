"""Renders drawings in a separate process; a script run by `platorep.data.drawings`, which survives its crashes.

It answers each request (8 bytes of length, the drawing) with a byte of status (1 success, 0 failure), 8 bytes of
length, and the PNG or an error message. It only imports the standard library and the renderer, so that it starts
quickly.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import struct
import sys
import threading
from xml.etree import ElementTree


MEMORY = 4 << 30
"""Limit of the address space in bytes, including that of the renderer."""

SECONDS = 60
"""Limit of the processor time per drawing in seconds; real time would depend on the load of the machine."""

STACK = 256 << 20
"""Bytes of stack: enough for the largest depth to which the renderer recurses into groups and references."""


def render(raw: bytes, side: int) -> bytes:
    """Renders a drawing to PNG, scaled to fit into a square of `side` pixels without distortion."""
    import resvg_py

    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=without_references(raw), width=side, height=side, dpi=96, skip_system_fonts=True
        )
    )


def without_references(raw: bytes) -> str:
    """The drawing without pictures from other files, which browsers do not load either."""
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
    try:
        return ElementTree.tostring(root, encoding="unicode") if changed else raw.decode()
    except UnicodeDecodeError:  # in the encoding that its first line states
        return ElementTree.tostring(root, encoding="unicode")


def serve(side: int) -> None:
    """Answers requests until the input ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(head := requests.read(8)) == 8:
        raw = requests.read(struct.unpack("<Q", head)[0])
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            fine, answer = 1, render(raw, side)
        except BaseException as error:  # a panic of the renderer is not an Exception
            fine, answer = 0, f"{type(error).__name__}: {error}".encode(errors="replace")
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(struct.pack("<BQ", fine, len(answer)) + answer)
        answers.flush()


def bounded() -> None:
    """Limits the memory of this process as far as the system allows, and disables core files."""
    for limit, size in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MEMORY)):
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on address space
            hard = resource.getrlimit(limit)[1]
            resource.setrlimit(limit, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


if __name__ == "__main__":
    bounded()
    threading.stack_size(STACK)
    thread = threading.Thread(target=serve, args=(int(sys.argv[1]),))
    thread.start()
    thread.join()
