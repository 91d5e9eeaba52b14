"""SVG drawings to PNG in another process: a drawing that crashes its renderer is a bad sample and ends no run."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import weakref
from collections import deque
from pathlib import Path

from platorep.core.errors import DataError
from platorep.core.text import cause
from platorep.data.svg_worker import MEMORY, SECONDS


DRAWING_SIDE = 320
"""Longest side in pixels at which SVG drawings are rendered: above what small networks see, near usual photographs."""

SCRIPT = Path(__file__).with_name("svg_worker.py")


def render(raw: bytes) -> bytes:
    """A PNG of the drawing, its longer side `DRAWING_SIDE` pixels.

    Left out are text, which would depend on the machine's fonts, and pictures from other files.

    Raises:
        DataError: it is damaged, or its renderer crashed or needed more time or memory than a drawing may.
    """
    worker = _take()
    answer = worker.ask(raw)
    if answer is None:
        raise DataError(
            f"drawing cannot be rendered: the renderer crashed, or needed more than {SECONDS} s of processor time or "
            f"{MEMORY >> 30} GB of memory. It is damaged, nested too deeply or too large; save it as PNG"
        )
    _idle.append(worker)
    fine, result = answer
    if not fine:
        kind, _, words = result.decode(errors="replace").partition(": ")
        raise DataError(f"picture is unreadable ({kind}: {cause(ValueError(words))})")
    return result


class _Worker:
    """A running renderer. One thread at a time may ask it, in the process that started it."""

    def __init__(self) -> None:
        # -P: the folder of the script would put platorep's modules in the place of the standard library's
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(DRAWING_SIDE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt from the keyboard is for the program, which then ends it
        )
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the renderer was started without its pipes")
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.owner = os.getpid()
        self.close = weakref.finalize(self, _end, self.process, self.owner)

    def ask(self, raw: bytes) -> tuple[bool, bytes] | None:
        """Whether the drawing was rendered, and the PNG or what is wrong; None where the renderer died of it."""
        try:
            self.stdin.write(struct.pack("<Q", len(raw)) + raw)
            self.stdin.flush()
            head = self.stdout.read(9)
            if len(head) == 9:
                fine, length = struct.unpack("<BQ", head)
                answer = self.stdout.read(length)
                if len(answer) == length:
                    return bool(fine), answer
        except BrokenPipeError:
            pass
        self.close()
        return None


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """Ends a renderer, once nobody can ask it any more; not from a fork of the process that started it."""
    if owner == os.getpid():
        process.kill()
        process.communicate()


_idle: deque[_Worker] = deque()
"""Renderers that wait. As many are started as there are threads that decode drawings at once."""


def _take() -> _Worker:
    while True:
        try:
            worker = _idle.pop()
        except IndexError:
            return _Worker()
        if worker.owner == os.getpid():  # another's, after a fork, answers another
            return worker
