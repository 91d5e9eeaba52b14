from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise

import matplotlib
import numpy as np
import pandas as pd
import pytest

from platorep.core.errors import SpecError, UnknownNameError
from platorep.figures import layout, save, style
from platorep.figures.style import PlotStyle
from tests.figures.tables import cross, drawn, plot


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
    assert layout.spread([0.1, 0.5, 0.9], 0.2, 0, 1) == pytest.approx([0.1, 0.5, 0.9])


def test_spread_keeps_order_gap_and_bounds_and_moves_as_little_as_it_can():
    placed = layout.spread([0.52, 0.5, 0.51, 0.99], 0.1, 0, 1)
    assert np.argsort(placed).tolist() == [1, 2, 0, 3]
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-12
    assert placed.max() <= 1
    assert np.sort(placed)[:3].mean() == pytest.approx(0.51)  # three that collide stay around their own mean


def test_spread_lays_out_evenly_what_does_not_fit():
    assert layout.spread([0.5, 0.5, 0.6], 0.9, 0, 1) == pytest.approx([0, 0.5, 1])


def test_contrast_reaches_the_accessibility_ratio_on_every_shade():
    for shade in np.linspace(0, 1, 50):
        color = matplotlib.colormaps[style.HEAT](shade)
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
        luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
        ratio = (luminance + 0.05) / 0.05 if style.contrast(color) == "black" else 1.05 / (luminance + 0.05)
        assert ratio >= 4.5


def test_drawing_leaves_the_settings_of_the_caller_alone():
    with matplotlib.rc_context({"font.size": 31.0}):
        drawn("matrix", cross({("l", "v"): 0.1}))
        assert matplotlib.rcParams["font.size"] == 31.0


TABLE = cross({("l", "v"): 0.1, ("l2", "v"): 0.2})


def test_settings_that_are_ours_do_not_follow_the_caller(tmp_path):
    plain = save(plot("matrix", TABLE), tmp_path / "plain" / "matrix")
    ours = {"font.size": 31.0, "axes.titlesize": 40, "pdf.fonttype": 3, "savefig.bbox": "tight", "savefig.dpi": 30}
    with matplotlib.rc_context(ours | {"figure.constrained_layout.use": True}):
        other = save(plot("matrix", TABLE), tmp_path / "other" / "matrix")
    assert [a.read_bytes() for a in plain] == [b.read_bytes() for b in other]


def test_settings_that_are_not_ours_follow_the_callers_matplotlibrc():
    with matplotlib.rc_context({"axes.facecolor": "#ffeeee", "font.family": "DejaVu Serif"}):
        axes = drawn("matrix", TABLE).axes[0]
    assert matplotlib.colors.to_hex(axes.get_facecolor()) == "#ffeeee"
    assert axes.texts[0].get_fontfamily() == ["DejaVu Serif"]


def test_a_style_file_changes_what_is_ours_but_not_what_no_figure_can_do_without(tmp_path):
    sheet = tmp_path / "paper.mplstyle"
    sheet.write_text("font.size: 6\nfont.family: DejaVu Serif\naxes.spines.top: True\nsavefig.bbox: tight\n")
    paper = PlotStyle(sheet=str(sheet), width=5.0)
    ladder = plot("significance", cross({("l", "v"): 0.2}, null_mean=0.1, null_sd=0.01), style=paper)
    axes = ladder.figure.axes[0]
    assert axes.xaxis.label.get_size() == 6
    assert axes.xaxis.label.get_fontfamily() == ["DejaVu Serif"]
    assert axes.spines["top"].get_visible()
    png, _, _ = save(ladder, tmp_path / "figure", paper)
    assert matplotlib.image.imread(png).shape[1] == 5 * style.DPI
    larger = plot("matrix", TABLE, style=PlotStyle(sheet=str(sheet), font_size=9)).figure
    assert larger.axes[0].get_yticklabels()[0].get_size() == pytest.approx(9 * 0.833)


def test_a_larger_font_makes_the_whole_figure_larger():
    plain, large = (plot("matrix", TABLE, style=PlotStyle(font_size=size)).figure for size in (8, 12))
    assert np.allclose(large.get_size_inches(), 1.5 * plain.get_size_inches(), rtol=0.01)
    assert large.texts[0].get_size() == pytest.approx(1.5 * plain.texts[0].get_size())


def test_formats_are_written_as_asked_with_the_numbers_beside_them(tmp_path):
    shown = plot("matrix", TABLE)
    paths = save(shown, tmp_path / "figure", PlotStyle(formats=["svg", "pdf"]))
    assert [path.name for path in paths] == ["figure.svg", "figure.pdf", "figure.csv"]
    table = pd.read_csv(tmp_path / "figure.csv")
    assert table.set_index(["x_model", "y_model"]).score.to_dict() == {("l", "v"): 0.1, ("l2", "v"): 0.2}
    again = save(plot("matrix", TABLE), tmp_path / "again" / "figure", PlotStyle(formats=["svg", "pdf"]))
    assert [a.read_bytes() for a in paths] == [b.read_bytes() for b in again]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": "triple"}, r"width is 'triple'; expected a number from 1 to 40"),
        ({"width": 0.2}, r"width is 0\.2; expected a number from 1 to 40"),
        ({"font_size": 300}, r"font_size is 300; expected a number from 4 to 30"),
        ({"formats": "pdf"}, r"formats is 'pdf'; expected a list such as \[pdf, svg\]"),
        ({"formats": []}, r"formats is \[\]; expected a list"),
        ({"formats": ["pfd"]}, r"unknown format of a figure 'pfd'. Did you mean 'pdf'"),
    ],
)
def test_a_style_that_cannot_be_is_refused(settings, message):
    with pytest.raises((SpecError, UnknownNameError), match=message):
        PlotStyle(**settings)


def test_a_style_file_that_is_not_there_is_named():
    with pytest.raises(SpecError, match="sheet is 'papre.mplstyle', which is neither a style file nor a style"):
        plot("matrix", TABLE, style=PlotStyle(sheet="papre.mplstyle"))


def test_texts_are_wrapped_at_the_width_and_lose_no_word():
    text = "a note of several words, with n = 1,001 and 95 %, and a_word_that_is_much_too_long_for_one_line"
    with PlotStyle().applied():
        lines = layout.wrapped(text, 1.0)
        assert all(layout.text_width(line) <= 1.0 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line.endswith((" =", "95")) or line.startswith(("=", "%")) for line in lines)


DRAW = """
import sys
from pathlib import Path
from platorep.figures import save
from tests.figures.tables import competence, cross, plot
scores = {(l, v): 0.1 + 0.01 * i + 0.03 * j for i, l in enumerate("abc") for j, v in enumerate("wxyz")}
table = cross(scores, {v: "family" for v in "wxyz"})
save(plot("fig3", table, competence({"bits_per_byte": {"a": 1.2, "b": 1.0}})), Path(sys.argv[1]))
"""


def test_the_same_table_gives_the_same_bytes_in_any_process(tmp_path):
    for seed in ("1", "2"):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "SOURCE_DATE_EPOCH": seed,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        subprocess.run([sys.executable, "-c", DRAW, str(tmp_path / seed / "fig3")], check=True, env=environment)
    for kind in ("png", "pdf", "csv"):
        assert (tmp_path / "1" / f"fig3.{kind}").read_bytes() == (tmp_path / "2" / f"fig3.{kind}").read_bytes()


def test_fonts_are_embedded_as_truetype_and_no_time_is_written(tmp_path):
    png, pdf, _ = save(plot("matrix", cross({("l", "v"): 0.1})), tmp_path / "figure")
    content = pdf.read_bytes()
    assert b"/FontFile2" in content
    assert b"/Subtype /Type3" not in content
    assert not re.search(rb"CreationDate|ModDate|Matplotlib", content)
    assert b"Software" not in png.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figure.csv", "figure.pdf", "figure.png"]
