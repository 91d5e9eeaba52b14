from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise

import matplotlib
import numpy as np
import pytest

from platorep.figures import draw, save, style
from tests.figures.tables import cross


def grey(color) -> float:
    return float(np.dot(matplotlib.colors.to_rgb(color), [0.299, 0.587, 0.114]))


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_ordered_series_darken_steadily_so_that_greyscale_keeps_their_order(count):
    shades = [grey(look.color) for look in style.ordinal(count)]
    assert shades == sorted(shades, reverse=True)
    assert all(a - b > 0.05 for a, b in pairwise(shades))


@pytest.mark.parametrize("make", [style.ordinal, style.categorical])
def test_series_differ_in_marker_and_not_in_colour_alone(make):
    assert len({look.marker for look in make(8)}) == 8


def test_spread_leaves_positions_that_fit():
    assert style.spread([0.1, 0.5, 0.9], 0.2, 0, 1) == pytest.approx([0.1, 0.5, 0.9])


def test_spread_keeps_order_gap_and_bounds_and_moves_as_little_as_it_can():
    placed = style.spread([0.52, 0.5, 0.51, 0.99], 0.1, 0, 1)
    assert np.argsort(placed).tolist() == [1, 2, 0, 3]
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-12
    assert placed.max() <= 1
    assert np.sort(placed)[:3].mean() == pytest.approx(0.51)  # three that collide stay around their own mean


def test_spread_lays_out_evenly_what_does_not_fit():
    assert style.spread([0.5, 0.5, 0.6], 0.9, 0, 1) == pytest.approx([0, 0.5, 1])


def test_contrast_reaches_the_accessibility_ratio_on_every_shade():
    for shade in np.linspace(0, 1, 50):
        color = matplotlib.colormaps[style.HEAT](shade)
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
        luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
        ratio = (luminance + 0.05) / 0.05 if style.contrast(color) == "black" else 1.05 / (luminance + 0.05)
        assert ratio >= 4.5


def test_drawing_leaves_the_settings_of_the_caller_alone():
    with matplotlib.rc_context({"font.size": 31.0}):
        draw("matrix", cross({("l", "v"): 0.1}))
        assert matplotlib.rcParams["font.size"] == 31.0


def test_settings_of_the_caller_do_not_change_a_figure(tmp_path):
    table = cross({("l", "v"): 0.1, ("l2", "v"): 0.2})
    plain = save(draw("matrix", table), tmp_path / "plain")
    with matplotlib.rc_context(
        {"font.size": 31.0, "axes.facecolor": "red", "pdf.fonttype": 3, "savefig.bbox": "tight"}
    ):
        other = save(draw("matrix", table), tmp_path / "other")
    assert [a.read_bytes() for a in plain] == [b.read_bytes() for b in other]


DRAW = """
import sys
from itertools import pairwise
from pathlib import Path
from platorep.figures import draw, save
from tests.figures.tables import competence, cross
scores = {(l, v): 0.1 + 0.01 * i + 0.03 * j for i, l in enumerate("abc") for j, v in enumerate("wxyz")}
table = cross(scores, {v: "family" for v in "wxyz"})
save(draw("fig3", table, competence({"bits_per_byte": {"a": 1.2, "b": 1.0}})), Path(sys.argv[1]))
"""


def test_the_same_table_gives_the_same_bytes_in_any_process(tmp_path):
    for seed in ("1", "2"):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "SOURCE_DATE_EPOCH": seed,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        subprocess.run([sys.executable, "-c", DRAW, str(tmp_path / seed)], check=True, env=environment)
    for kind in ("png", "pdf"):
        assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"2.{kind}").read_bytes()


def test_fonts_are_embedded_as_truetype_and_no_time_is_written(tmp_path):
    png, pdf = save(draw("matrix", cross({("l", "v"): 0.1})), tmp_path / "figure")
    content = pdf.read_bytes()
    assert b"/FontFile2" in content
    assert b"/Subtype /Type3" not in content
    assert not re.search(rb"CreationDate|ModDate|Matplotlib", content)
    assert b"Software" not in png.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figure.pdf", "figure.png"]
