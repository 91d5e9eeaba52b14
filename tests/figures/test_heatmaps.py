from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle
from rich.console import Console

from platorep.core.errors import StoreError, UnknownNameError
from platorep.figures.heat import number
from platorep.figures.text import matrix_table
from platorep.results.protocols import chosen
from tests.figures.tables import alignment, cross, drawn, noise, plot, said, selected, smaller


SCORES = {("a", "v"): 0.1, ("a", "w"): 0.25, ("b", "v"): 0.05}


def test_matrix_has_x_models_down_y_models_across_and_prints_every_score():
    figure = drawn("matrix", cross(SCORES))
    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    assert np.allclose(shown.filled(np.nan), [[0.1, 0.25], [0.05, np.nan]], equal_nan=True)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in axes.texts] == [".100", ".250", ".050", "v", "w"]
    assert axes.images[0].get_clim() == (0.0, 0.25)
    assert "n = 101" in said(figure)


def test_matrix_prints_white_on_dark_and_black_on_light():
    cells = drawn("matrix", cross(SCORES)).axes[0].texts
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
        common
        | {"x_layer": i, "y_layer": j, "score": 0.1 * i + 0.01 * j + 0.2}
        | {"x_depth": i / 2 if i >= 0 else np.nan, "y_depth": j if j >= 0 else np.nan}
        for i in indices
        for j in indices
        if j < 2
    ]


def test_layers_shows_every_pair_and_frames_the_best():
    figure = drawn("layers", alignment(layered(concatenation=False)))
    main = figure.axes[0]
    assert np.allclose(main.images[0].get_array(), [[0.2, 0.21], [0.3, 0.31], [0.4, 0.41]])
    assert main.get_ylim() == (-0.5, 2.5)  # depth grows upwards
    frames = [p for p in main.patches if isinstance(p, Rectangle)]
    assert {p.get_xy() for p in frames} == {(0.5, 1.5)}  # around x layer 2, y layer 1
    assert (main.get_xlabel(), main.get_ylabel()) == ("layer of v", "layer of a")
    assert "2 (block.2) × 1 (block.1): 0.410" in said(figure)


def test_layers_shows_the_concatenation_as_strips_apart():
    figure = drawn("layers", alignment(layered(concatenation=True)))
    shapes = [axes.images[0].get_array().shape for axes in figure.axes[:4]]
    assert shapes == [(3, 2), (3, 1), (1, 2), (1, 1)]
    assert np.allclose(figure.axes[1].images[0].get_array().ravel(), [0.19, 0.29, 0.39])
    assert len({axes.images[0].get_clim() for axes in figure.axes[:4]}) == 1


def test_layers_frames_the_concatenation_where_it_is_best():
    rows = layered(concatenation=True)
    best = next(r for r in rows if (r["x_layer"], r["y_layer"]) == (-1, 1))
    best["score"] = 0.9
    figure = drawn("layers", alignment(rows))
    assert not figure.axes[0].patches
    assert {p.get_xy() for p in figure.axes[2].patches} == {(0.5, -0.5)}
    assert "all layers × 1 (block.1): 0.900" in said(figure)


def test_layers_chooses_the_best_pair_of_the_models_named():
    table = cross(SCORES)
    assert drawn("layers", table).axes[0].get_xlabel() == "layer of w"
    assert drawn("layers", table, x="b").axes[0].get_xlabel() == "layer of v"
    assert drawn("layers", table, y="v").axes[0].get_ylabel() == "layer of a"
    with pytest.raises(UnknownNameError, match="unknown y_model in the alignment table 'vv'. Did you mean 'v'"):
        drawn("layers", table, y="vv")


def test_ladder_runs_from_weak_to_strong_and_ends_with_the_intact_model():
    names = ["better", "lm", "worse"]
    scores = {
        (m, v): s + t for m, s in zip(names, (0.2, 0.3, 0.1), strict=True) for v, t in (("v", 0.0), ("small v", -0.05))
    }
    facts = {"better": noise("lm", 0.1), "worse": noise("lm", 0.4), "small v": smaller("v", 64)}
    figure = drawn("ladder", cross(scores, facts=facts))
    left, size = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["lm", "v"]
    line = next(ln for ln in left.get_lines() if ln.get_label() == "v")
    assert np.allclose(line.get_data(), [[0.4, 0.1, 0.0], [0.1, 0.2, 0.3]])
    assert left.get_xlim()[0] > left.get_xlim()[1]  # noise falls to the right: competence rises
    assert [t.get_text() for t in size.get_xticklabels()] == ["64", "full"]
    assert [ln.get_label() for ln in size.get_lines() if not ln.get_label().startswith("_")] == [
        "lm",
        "chance",
    ]  # intact models only


def test_ladder_reads_doses_from_columns_and_never_from_names():
    with pytest.raises(StoreError, match="no model of the alignment table is degraded: expected weight_noise or input"):
        drawn("ladder", cross({("lm_noise_0.2", "v_064px"): 0.3, ("lm", "v"): 0.1}))


def test_terminal_table_has_the_matrix_and_says_what_it_is():
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(matrix_table(chosen(cross(SCORES))))
    text = console.export_text()
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["a", "0.100", "0.250"] in rows
    assert ["b", "0.050", "–"] in rows
    assert "mutual k-NN (k = 10), best layer pair, n = 101, toy, chance 0.100" in " ".join(text.split())


@pytest.mark.parametrize("width", [32, 40, 80, 200])
def test_terminal_table_shows_every_name_and_score_in_full_whatever_the_width(width):
    names = [f"vision_model_{i}" for i in range(6)]
    scores = {(f"language_{i}", v): 0.1 * i + 0.01 * j for i in range(7) for j, v in enumerate(names)}
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(matrix_table(chosen(cross(scores))))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    words = set(text.replace("│", " ").replace("┃", " ").split())
    assert {*names, *(f"language_{i}" for i in range(7)), *(f"{s:.3f}" for s in scores.values())} <= words


def test_matrix_of_one_pair_keeps_its_whole_note_within_the_figure():
    """The line below a matrix of few models used to stop at the edge of the picture."""
    figure = drawn("matrix", cross({("tfidf", "pixels"): 0.2}, dataset="a dataset with a rather long name--0"))
    (note,) = figure.texts
    assert " ".join(note.get_text().split()) == (
        "mutual k-NN (k = 10), best layer pair, n = 101, a dataset with a rather long name"
    )
    FigureCanvasAgg(figure).draw()
    assert note.get_window_extent().x1 <= figure.bbox.width


def test_layers_frames_the_pair_that_the_protocol_chooses():
    figure = plot("layers", alignment(layered(concatenation=True)), select="depth:0.5").figure
    assert {p.get_xy() for p in figure.axes[0].patches} == {(-0.5, 0.5)}  # x layer 1 of 3, y layer 0 of 2
    assert "Framed: layers at relative depth 0.5, 1 (block.1)" in said(figure)


def test_layers_states_the_held_out_score_and_frames_its_layers():
    table = alignment([row | {"x_key": "k"} for row in layered(concatenation=False)])
    held = selected(table, "heldout", permutations=0, x_layer=1, y_layer=1, score=0.123)
    figure = plot("layers", table, selection=held, select="heldout").figure
    assert {p.get_xy() for p in figure.axes[0].patches} == {(0.5, 0.5)}
    assert "1 (block.1) × 1 (block.1): 0.123" in said(figure)
