"""Decodes sound files to one channel, with the same rules for channels, silence and faults everywhere."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from platorep.core.errors import DataError
from platorep.core.sounds import Sound
from platorep.core.text import cause
from platorep.data.contents import read_regular


SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64")
"""Suffixes of sound files in a folder."""

MAX_SECONDS = 3600
"""Longest sound: an hour, which takes a gigabyte while it is decoded."""

BLOCK = 1 << 20
"""Frames that are decoded and averaged over channels at a time."""

SILENCE = 1e-5
"""Range of samples (the full scale is 2) below which a sound is silent: a third of one step of 16 bits."""

_VIDEOS = {b"\x1aE\xdf\xa3": "Matroska or WebM", b"FLV\x01": "FLV", b"\x00\x00\x01\xba": "MPEG"}
_TOO_LONG = "sound is {seconds:.0f} s long, and at most {limit} s are read; cut it into several"


def read_sound(path: Path) -> Sound:
    """Reads the sound in a file by `decode_sound`.

    Raises:
        DataError: the file is missing, is not a regular file or holds no sound that can be used.
    """
    return decode_sound(read_regular(path))


def decode_sound(raw: bytes) -> Sound:
    """Decodes a sound at its own rate to the mean of its channels, float32.

    All formats that libsndfile decodes are supported: WAV with integers of 8 to 32 bits or floats, FLAC, Ogg Vorbis and
    Opus, MP3, AIFF and others. Integers become fractions of their full scale.

    Raises:
        DataError: the sound is empty, silent, damaged, cut short, longer than `MAX_SECONDS` or has values that are not
            finite; or the bytes are a video or no sound at all.
    """
    import soundfile

    if not raw:
        raise DataError("sound is empty: the file has no bytes")
    if (kind := _container(raw)) is not None:
        raise DataError(f"sound is in a {kind} container, which is not read; save its sound track as WAV or FLAC")
    try:
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            rate, frames, channels = file.samplerate, file.frames, file.channels
            if rate > 0 and frames > MAX_SECONDS * rate:
                raise DataError(_TOO_LONG.format(seconds=frames / rate, limit=MAX_SECONDS))
            blocks = [block.mean(axis=1) for block in file.blocks(BLOCK, dtype="float32", always_2d=True)]
    except DataError:
        raise
    except Exception as error:  # libsndfile reports damage of all kinds by one class, and numpy by others
        raise DataError(f"sound is unreadable ({type(error).__name__}: {cause(error)})") from error
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    if not len(samples):
        raise DataError("sound is empty: the file holds no samples")
    if len(samples) < frames:
        raise DataError(f"sound is cut short: it holds {len(samples)} of the {frames} samples that it states")
    if not np.isfinite(samples).all():
        raise DataError(f"sound has {int((~np.isfinite(samples)).sum())} samples that are not finite numbers")
    if np.ptp(samples) < SILENCE:
        mixed = f" after its {channels} channels are averaged" if channels > 1 else ""
        raise DataError(f"sound is silent{mixed}")
    return Sound(samples, rate)


def _container(raw: bytes) -> str | None:
    """The name of a video container, which libsndfile would call an unknown format; None for other files."""
    if raw[4:8] == b"ftyp":
        return "MP4, M4A or QuickTime"
    if raw[:4] == b"RIFF" and raw[8:12] == b"AVI ":
        return "AVI"
    if raw[:4] == b"OggS" and b"theora" in raw[:512]:
        return "Ogg video"
    return next((name for magic, name in _VIDEOS.items() if raw.startswith(magic)), None)
