"""Sounds in the page: a player for each sample, and its waveform if there is no picture."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

from platorep.core.sounds import Sound


RATE = 16000
"""Sampling rate of the sounds in the page."""

SECONDS = 5
"""Seconds of a sound in the page, so that a thousand sounds stay below 15 MB."""

SIDE = 128
INK, PAPER = "#0072b2", "white"


def player(sound: Sound) -> str:
    """The first seconds of a sound as MP3 in base64. Ogg files contain a random number, so pages would differ."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, 0.9 * sound.at(RATE).samples[: SECONDS * RATE], RATE, format="MP3", subtype="MPEG_LAYER_III")
    return base64.b64encode(file.getvalue()).decode()


def waveform(sound: Sound) -> Image.Image:
    """The envelope of a whole sound, scaled to its peak, as a small square picture."""
    picture = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(picture)
    samples = np.abs(sound.samples)
    peak = float(samples.max()) or 1.0
    for x, part in enumerate(np.array_split(samples, SIDE)):
        half = 0.45 * SIDE * float(part.max(initial=0.0)) / peak
        draw.line([(x, SIDE / 2 - half), (x, SIDE / 2 + half)], fill=INK)
    return picture


def blank() -> Image.Image:
    """The picture of a sample that has neither picture nor sound."""
    return Image.new("RGB", (SIDE, SIDE), PAPER)
