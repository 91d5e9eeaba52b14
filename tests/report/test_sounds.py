"""Sounds in the page: players beside captions, and waveforms where there are no pictures."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import soundfile

from platorep.core.sounds import Sound
from platorep.report import write_page
from platorep.report.sounds import player, waveform


def sound(index: int) -> Sound:
    return Sound(np.sin(np.arange(80000) * (0.05 + 0.01 * index)).astype(np.float32) * 0.01, 8000)


def test_a_player_holds_the_first_seconds_at_one_loudness():
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(player(sound(3)))))
    assert rate == 16000
    assert abs(len(samples) / rate - 5) < 0.2  # the format works in frames of 36 ms
    assert 0.8 < np.abs(samples).max() < 1.1
    assert player(sound(3)) == player(sound(3))
    assert abs(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples) - 0.08 * 8000 / (2 * np.pi)) < 1


def test_a_waveform_is_high_where_the_sound_is_loud():
    fading = Sound((np.sin(np.arange(8000)) * np.linspace(1, 0, 8000)).astype(np.float32), 8000)
    ink = (np.asarray(waveform(fading).convert("L")) < 200).sum(axis=0)
    assert ink[:10].mean() > 100
    assert ink[-5:].mean() < 10


def test_the_page_plays_every_sample_and_says_what_it_has(small, tmp_path):
    n = len(small.samples.ids)
    heard = replace(small, samples=replace(small.samples, pictures=[0] * n, sounds=[1] * n), sound=sound)
    assert (small.holds, heard.holds) == ("a picture and a caption", "a caption and a sound")
    page = tmp_path / "page.html"
    write_page(heard, page)
    text = page.read_text(encoding="utf-8")
    assert "media-src data:" in text
    assert "each with a caption and a sound, compared" in text
    assert player(sound(2)) in text
    assert '<audio id="sound" controls hidden>' in text
