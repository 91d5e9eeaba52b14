"""Decoding of sounds: every format to the same values, and a message for everything that is no usable sound."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from platorep.core.errors import DataError
from platorep.core.sounds import Sound
from platorep.data import sounds
from platorep.data.sounds import decode_sound, read_sound


RATE = 8000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def written(samples, rate=RATE, kind="WAV", subtype=None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "subtype", "error"),
    [
        ("WAV", "PCM_U8", 2**-7), ("WAV", "PCM_16", 2**-15), ("WAV", "PCM_24", 2**-23), ("WAV", "PCM_32", 2**-24),
        ("WAV", "FLOAT", 2**-24), ("WAV", "DOUBLE", 2**-24), ("FLAC", "PCM_24", 2**-23), ("AIFF", "PCM_16", 2**-15),
    ],
)  # fmt: skip
def test_formats_give_the_same_values_up_to_one_step(kind, subtype, error):
    sound = decode_sound(written(TONE, kind=kind, subtype=subtype))
    assert sound.rate == RATE
    assert sound.samples.dtype == np.float32
    assert np.abs(sound.samples - TONE).max() <= error


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
def test_compressed_formats_sound_alike(kind, subtype):
    sound = decode_sound(written(TONE, kind=kind, subtype=subtype))
    spectrum = np.abs(np.fft.rfft(sound.samples))
    assert abs(np.argmax(spectrum) * sound.rate / len(sound.samples) - 440) < 3


def test_channels_are_averaged_whatever_their_number():
    six = np.stack([TONE * share for share in (0, 0.2, 0.4, 0.6, 0.8, 1.0)], axis=1)
    assert np.abs(decode_sound(written(six, subtype="FLOAT")).samples - 0.5 * TONE).max() < 1e-6
    with pytest.raises(DataError, match="silent after its 2 channels are averaged"):
        decode_sound(written(np.stack([TONE, -TONE], axis=1), subtype="FLOAT"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "empty: the file has no bytes"),
        (b"no sound at all, but a text", "unreadable"),
        (written(np.zeros(0)), "empty: the file holds no samples"),
        (written(np.zeros(RATE)), "silent"),
        (written(np.full(RATE, 0.3)), "silent"),  # a constant is no sound
        (written(np.where(np.arange(RATE) == 7, np.nan, TONE), subtype="FLOAT"), "1 samples that are not finite"),
        (written(np.where(np.arange(RATE) < 2, np.inf, TONE), subtype="FLOAT"), "2 samples that are not finite"),
        (written(TONE, kind="FLAC")[:2000], "unreadable|cut short"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(64), "MP4, M4A or QuickTime container.*save its sound track"),
        (b"RIFF\x00\x00\x00\x00AVI LIST" + bytes(64), "AVI container"),
        (b"\x1aE\xdf\xa3" + bytes(64), "Matroska or WebM container"),
        (b"OggS" + bytes(24) + b"\x80theora" + bytes(64), "Ogg video container"),
    ],
)
def test_what_is_no_usable_sound_is_refused_by_its_reason(raw, message):
    with pytest.raises(DataError, match=message):
        decode_sound(raw)


def test_an_hour_is_the_limit(monkeypatch):
    assert sounds.MAX_SECONDS == 3600
    hour = np.tile(np.array([100, -100], np.int8), 1800 * 100)  # an hour at 100 samples a second
    assert decode_sound(written(hour / 128, rate=100, subtype="PCM_U8")).seconds == 3600
    with pytest.raises(DataError, match="3601 s long, and at most 3600 s are read; cut it into several"):
        decode_sound(written(np.append(hour, hour[:100]) / 128, rate=100, subtype="PCM_U8"))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="folder, a pipe or a device"):
        read_sound(tmp_path)
    with pytest.raises(DataError, match="No such file"):
        read_sound(tmp_path / "absent.wav")
    (tmp_path / "tone.wav").write_bytes(written(TONE))
    assert read_sound(tmp_path / "tone.wav").seconds == 1


@pytest.mark.parametrize(("before", "after"), [(44100, 16000), (8000, 16000), (22050, 44100), (11025, 22050)])
def test_resampling_keeps_the_pitch_and_removes_what_the_new_rate_cannot_hold(before, after):
    time = np.arange(2 * before) / before
    high = 0.45 * before
    low = np.sin(2 * np.pi * 440 * time)
    heard = Sound((low + (high > after / 2) * np.sin(2 * np.pi * high * time)).astype(np.float32), before).at(after)
    assert heard.rate == after
    assert len(heard.samples) == 2 * after
    spectrum = np.abs(np.fft.rfft(heard.samples[after // 4 : -after // 4])) / (0.75 * after)
    frequencies = np.fft.rfftfreq(len(heard.samples[after // 4 : -after // 4]), 1 / after)
    assert abs(frequencies[spectrum.argmax()] - 440) < 1
    assert spectrum[np.abs(frequencies - 440) > 50].max() < 1e-3


def test_loudness_and_a_constant_do_not_change_what_models_hear():
    reference = Sound(TONE.astype(np.float32), RATE).at(16000)
    quiet = Sound((0.01 * TONE + 0.2).astype(np.float32), RATE).at(16000)
    assert np.abs(reference.samples).max() == 1
    assert np.abs(quiet.samples - reference.samples).max() < 1e-4
