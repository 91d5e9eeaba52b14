"""Renders SVG drawings to PNG in another process, so that a drawing that crashes the renderer does not end the run."""

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
"""Longer side in pixels of rendered SVG drawings: more than small networks use, and similar to photographs."""

SCRIPT = Path(__file__).with_name("svg_worker.py")


def render(raw: bytes) -> bytes:
    """Renders a drawing to PNG with a longer side of `DRAWING_SIDE` pixels.

    Text, which would depend on the fonts of the machine, and pictures from other files are left out.

    Raises:
        DataError: the drawing is damaged, or the renderer crashed or exceeded the limits of time or memory.
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
        kind, _, message = result.decode(errors="replace").partition(": ")
        raise DataError(f"picture is unreadable ({kind}: {cause(ValueError(message))})")
    return result


class _Worker:
    """A running renderer, for use by one thread at a time in the process that started it."""

    def __init__(self) -> None:
        # -P: otherwise, modules in the folder of the script would shadow those of the standard library
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(DRAWING_SIDE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a keyboard interrupt must only reach the program, which then ends the renderer
        )
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the renderer was started without its pipes")
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.owner = os.getpid()
        self.close = weakref.finalize(self, _end, self.process, self.owner)

    def ask(self, raw: bytes) -> tuple[bool, bytes] | None:
        """Whether the drawing was rendered, and the PNG or an error message; None if the renderer crashed."""
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
    """Ends a renderer that is no longer used; does nothing in a fork of the process that started it."""
    if owner == os.getpid():
        process.kill()
        process.communicate()


_idle: deque[_Worker] = deque()
"""Idle renderers. There are as many renderers as threads that decode drawings concurrently."""


def _take() -> _Worker:
    while True:
        try:
            worker = _idle.pop()
        except IndexError:
            return _Worker()
        if worker.owner == os.getpid():  # after a fork, the renderer belongs to another process
            return worker
