from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from rich.console import Console

from platorep.core.errors import StoreError, UnknownNameError
from platorep.figures import draw
from platorep.figures.matrix import number
from platorep.figures.text import matrix_table
from tests.figures.tables import alignment, cross


SCORES = {("a", "v"): 0.1, ("a", "w"): 0.25, ("b", "v"): 0.05}


def test_matrix_has_x_models_down_y_models_across_and_prints_every_score():
    figure = draw("matrix", cross(SCORES))
    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    assert np.allclose(shown.filled(np.nan), [[0.1, 0.25], [0.05, np.nan]], equal_nan=True)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in axes.texts] == [".100", ".250", ".050", "v", "w"]
    assert axes.images[0].get_clim() == (0.0, 0.25)
    assert any("n = 101" in t.get_text() for t in figure.texts)


def test_matrix_prints_white_on_dark_and_black_on_light():
    cells = draw("matrix", cross(SCORES)).axes[0].texts
    assert {t.get_text(): t.get_color() for t in cells[:3]} == {".100": "white", ".250": "black", ".050": "white"}


def test_small_numbers_keep_their_sign_and_whole_ones_their_digit():
    assert [number(v) for v in (0.1234, -0.1234, 0.9996, 1.0, 0.0, -2.5)] == [
        ".123",
        "-.123",
        "1.000",
        "1.000",
        ".000",
        "-2.500",
    ]


def layered(concatenation: bool) -> list[dict]:
    indices = range(-1 if concatenation else 0, 3)
    common = {"x_model": "a", "y_model": "v", "x_modality": "language", "y_modality": "vision"}
    return [
        common | {"x_layer": i, "y_layer": j, "score": 0.1 * i + 0.01 * j + 0.2}
        for i in indices
        for j in indices
        if j < 2
    ]


def test_layers_shows_every_pair_and_frames_the_best():
    figure = draw("layers", alignment(layered(concatenation=False)))
    main = figure.axes[0]
    assert np.allclose(main.images[0].get_array(), [[0.2, 0.21], [0.3, 0.31], [0.4, 0.41]])
    assert main.get_ylim() == (-0.5, 2.5)  # depth grows upwards
    frames = [p for p in main.patches if isinstance(p, Rectangle)]
    assert {p.get_xy() for p in frames} == {(0.5, 1.5)}  # around x layer 2, y layer 1
    assert (main.get_xlabel(), main.get_ylabel()) == ("layer of v", "layer of a")
    assert any("2 (block.2) × 1 (block.1): 0.410" in t.get_text() for t in figure.texts)


def test_layers_shows_the_concatenation_as_strips_apart():
    figure = draw("layers", alignment(layered(concatenation=True)))
    shapes = [axes.images[0].get_array().shape for axes in figure.axes[:4]]
    assert shapes == [(3, 2), (3, 1), (1, 2), (1, 1)]
    assert np.allclose(figure.axes[1].images[0].get_array().ravel(), [0.19, 0.29, 0.39])
    assert len({axes.images[0].get_clim() for axes in figure.axes[:4]}) == 1


def test_layers_frames_the_concatenation_where_it_is_best():
    rows = layered(concatenation=True)
    best = next(r for r in rows if (r["x_layer"], r["y_layer"]) == (-1, 1))
    best["score"] = 0.9
    figure = draw("layers", alignment(rows))
    assert not figure.axes[0].patches
    assert {p.get_xy() for p in figure.axes[2].patches} == {(0.5, -0.5)}
    assert any("all layers × 1 (block.1): 0.900" in t.get_text() for t in figure.texts)


def test_layers_chooses_the_best_pair_of_the_models_named():
    table = cross(SCORES)
    assert draw("layers", table).axes[0].get_xlabel() == "layer of w"
    assert draw("layers", table, x="b").axes[0].get_xlabel() == "layer of v"
    assert draw("layers", table, y="v").axes[0].get_ylabel() == "layer of a"
    with pytest.raises(UnknownNameError, match="unknown y_model in the alignment table 'vv'. Did you mean 'v'"):
        draw("layers", table, y="vv")


def test_ladder_runs_from_weak_to_strong_and_ends_with_the_intact_model():
    names = ["lm_noise_0.1", "lm", "lm_noise_0.4"]
    scores = {
        (m, v): s + t for m, s in zip(names, (0.2, 0.3, 0.1), strict=True) for v, t in (("v", 0.0), ("v_064px", -0.05))
    }
    figure = draw("ladder", cross(scores))
    noise, size = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["lm", "v"]
    line = next(ln for ln in noise.get_lines() if ln.get_label() == "v")
    assert np.allclose(line.get_data(), [[0.4, 0.1, 0.0], [0.1, 0.2, 0.3]])
    assert noise.get_xlim()[0] > noise.get_xlim()[1]  # noise falls to the right: competence rises
    assert [t.get_text() for t in size.get_xticklabels()] == ["64", "full"]
    assert [ln.get_label() for ln in size.get_lines() if not ln.get_label().startswith("_")] == [
        "lm",
        "chance",
    ]  # intact models only


def test_ladder_takes_doses_that_names_do_not_tell():
    table = cross({("lm", "big"): 0.3, ("lm", "small"): 0.1})
    figure = draw("ladder", table, doses={"small": ("big", "input_size", 32), "big": ("big", "input_size", 128)})
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["32", "128"]
    with pytest.raises(StoreError, match="no model of the alignment table is degraded"):
        draw("ladder", table)


def test_terminal_table_has_the_matrix_and_says_what_it_is():
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(matrix_table(cross(SCORES)))
    text = console.export_text()
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["a", "0.100", "0.250"] in rows
    assert ["b", "0.050", "–"] in rows
    assert "mutual k-NN (k = 10), best layer pair, n = 101, toy, chance 0.100" in " ".join(text.split())
