from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from platorep.core.errors import SpecError, StoreError
from platorep.figures.data import Plot
from platorep.figures.style import PlotStyle
from tests.figures.samples import measured, models
from tests.figures.tables import RANDOM, competence, cross, drawn, noise, plot, said, selected, smaller


LANGUAGE = {"weak": 1.5, "strong": 0.5, "middle": 1.0}
FAMILIES = {"vit_s.dino": "DINO", "vit_l.dino": "DINO", "mae_s": "MAE", "mae_l": "MAE"}


def scores() -> dict[tuple[str, str], float]:
    rise = {"weak": 0.1, "middle": 0.2, "strong": 0.3}
    return {(m, v): rise[m] + 0.01 * i for m in LANGUAGE for i, v in enumerate(FAMILIES)}


def lines(axes) -> dict[str, object]:
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def sample(style: PlotStyle | None) -> Plot:
    return plot("fig3", models(), measured(), style=style)


def texts(axes) -> list[str]:
    return [t.get_text() for t in axes.texts]


def test_one_panel_a_family_one_line_a_vision_model_points_in_order_of_competence():
    figure = drawn("fig3", cross(scores(), FAMILIES), competence({"bits_per_byte": LANGUAGE}))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["DINO", "MAE"]
    dino, mae = figure.axes
    assert set(lines(dino)) == {"vit_s.dino", "vit_l.dino", "chance"}
    assert set(lines(mae)) == {"mae_s", "mae_l", "chance"}
    x, y = lines(mae)["mae_l"].get_data()
    assert np.allclose(x, [-0.5, 0.0, 0.5])  # 1 - bits per byte, weak to strong
    assert np.allclose(y, [0.13, 0.23, 0.33])
    assert [t for t in texts(dino) if t in LANGUAGE] == ["weak", "middle", "strong"]
    assert {"s", "l", "chance"} <= set(texts(dino))


def test_panels_share_axes_that_start_at_zero_and_hold_every_point():
    figure = drawn("fig3", cross(scores(), FAMILIES), competence({"bits_per_byte": LANGUAGE}))
    assert len({axes.get_ylim() for axes in figure.axes}) == len({axes.get_xlim() for axes in figure.axes}) == 1
    low, high = figure.axes[0].get_ylim()
    assert low == 0
    assert 0.33 < high < 0.36
    left, right = figure.axes[0].get_xlim()
    assert left < -0.5
    assert right > 0.5
    assert figure.axes[0].get_xlabel() == "1 − bits per byte"
    assert figure.axes[0].get_ylabel() == "alignment, mutual k-NN (k = 10)"


def test_chance_is_a_dotted_line_at_k_over_n_minus_1():
    figure = drawn("fig3", cross(scores(), FAMILIES, n=201), competence({"bits_per_byte": LANGUAGE}))
    chance = lines(figure.axes[0])["chance"]
    assert chance.get_linestyle() == ":"
    assert list(chance.get_ydata()) == [0.05, 0.05]


def test_models_without_bits_per_byte_are_labelled_lines_at_the_panels_best_vision_model():
    known = competence({"bits_per_byte": {"weak": 1.5, "strong": 0.5}})
    figure = drawn("fig3", cross(scores(), FAMILIES), known)
    dino, mae = figure.axes
    assert list(lines(dino)["middle"].get_ydata()) == pytest.approx([0.21, 0.21])
    assert list(lines(mae)["middle"].get_ydata()) == pytest.approx([0.23, 0.23])
    assert "middle" in texts(dino)
    assert len(lines(dino)["vit_l.dino"].get_xdata()) == 2
    assert "Dashed: no bits per byte" in said(figure)


def test_degraded_language_models_are_points_and_degraded_vision_models_a_panel_weakest_first():
    table = {(m, v): 0.1 for m in ("lm", "worse lm") for v in ("net", "tiny", "small", "big")}
    facts = {"worse lm": noise("lm", 0.2), "tiny": smaller("net", 32), "small": smaller("net", 128)}
    known = competence({"bits_per_byte": {"lm": 1.0, "worse lm": 2.0}})
    figure = drawn("fig3", cross(table, {v: "net" for v in ("net", "tiny", "small", "big")}, facts), known)
    family, ladder = figure.axes
    assert ladder.get_title(loc="left") == "net by input size"
    assert [name for name in lines(ladder) if name != "chance"] == ["tiny", "small", "net"]
    assert {"32 px", "128 px", "intact", "noise 0.2", "lm"} <= set(texts(ladder))
    assert set(lines(family)) == {"net", "big", "chance"}


def test_names_that_look_like_degradations_say_nothing():
    """A model called vit_base_224px is intact unless its spec says otherwise; so is a family called random."""
    models = {"lm": 1.0, "lm_noise_0.2": 1.5, "lm_noise45": 2.0}
    families = {"vit_base_224px": "ViT", "vit_base_384px": "ViT", "lm": "random", "lm_noise45": "random"}
    table = cross({(m, v): 0.1 for m in models for v in ("vit_base_224px", "vit_base_384px")}, families)
    figure = drawn("fig3", table, competence({"bits_per_byte": models}))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["ViT"]
    assert set(lines(figure.axes[0])) == {"vit_base_224px", "vit_base_384px", "chance"}
    assert [t for t in texts(figure.axes[0]) if t in models] == ["lm_noise45", "lm_noise_0.2", "lm"]


def test_models_with_random_weights_are_dashed_whatever_their_family():
    table = cross(scores(), FAMILIES | {"middle": "strong family"}, {"middle": RANDOM})
    figure = drawn("fig3", table, competence({"bits_per_byte": LANGUAGE}))
    assert len(lines(figure.axes[0])["vit_l.dino"].get_xdata()) == 2
    assert "middle" in lines(figure.axes[0])
    assert "random weights" in said(figure)


def test_the_note_states_the_trend_and_its_families():
    families = FAMILIES | {"weak": "one", "middle": "one", "strong": "one"}
    figure = drawn("fig3", cross(scores(), families), competence({"bits_per_byte": LANGUAGE}))
    assert "Spearman correlation 1.00 over 3 models of 1 family" in said(figure)
    assert "too few to say whether this holds for other families" in said(figure)


def test_several_lone_families_share_the_last_panel():
    table = {("lm", v): 0.1 for v in ("pixels", "a", "b", "other")}
    families = {"a": "F", "b": "F", "pixels": "pixels", "other": "G"}
    figure = drawn("fig3", cross(table, families), competence({"bits_per_byte": {"lm": 1.0}}))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["F", "other vision models"]


def test_without_any_language_model_of_known_competence_it_says_so():
    with pytest.raises(
        StoreError, match=r"none of the language models \(middle, strong, weak\) has bits_per_byte .* knows it of other"
    ):
        drawn("fig3", cross(scores(), FAMILIES), competence({"bits_per_byte": {"other": 1.0}}))
    with pytest.raises(StoreError, match="no competence table"):
        drawn("fig3", cross(scores(), FAMILIES))


@pytest.mark.parametrize("count", [3, 12])
def test_no_label_overlaps_another_or_leaves_the_figure(count):
    models = {
        f"language-model-{i}": 1 - 0.002 * i for i in range(count)
    }  # nearly the same competence: labels must move
    table = {(m, v): 0.1 + 0.0001 * j for m in models for j, v in enumerate(FAMILIES)}
    figure = drawn("fig3", cross(table, FAMILIES), competence({"bits_per_byte": models}))
    FigureCanvasAgg(figure).draw()

    def inside(box) -> bool:
        return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height

    for axes in figure.axes:
        flat = [t.get_window_extent() for t in axes.texts if t.get_rotation() == 0]
        for i, one in enumerate(flat):
            assert inside(one)
            assert not any(one.overlaps(other) for other in flat[i + 1 :])
        slanted = [t for t in axes.texts if t.get_rotation() != 0]
        assert len(slanted) == count
        starts = sorted(t.get_transform().transform(t.get_position())[0] for t in slanted)
        assert min(np.diff(starts)) * np.sin(np.radians(60)) >= 0.98 * 1.2 * 6.5 * figure.dpi / 72
        for text in slanted:
            assert inside(text.get_window_extent())


def test_the_axis_shows_parameters_scores_or_dates_as_they_are():
    sizes = {"weak": 1e8, "middle": 1e9, "strong": 1e10}
    tables = {"parameters": sizes, "hellaswag": {m: v / 2e10 for m, v in sizes.items()}}
    tables |= {"released": {"weak": 2023.5, "middle": 2024.5, "strong": 2025.5}}
    for options, measure, label in (
        ({"x": "parameters"}, "parameters", "parameters"),
        ({"x": "scores", "measure": "hellaswag"}, "hellaswag", "hellaswag"),
        ({"x": "date"}, "released", "released"),
    ):
        figure = drawn("fig3", cross(scores(), FAMILIES), competence(tables), **options)
        x, y = lines(figure.axes[0])["vit_l.dino"].get_data()
        assert np.allclose(x, list(tables[measure].values()))
        assert np.allclose(y, [0.11, 0.21, 0.31])
        assert figure.axes[0].get_xlabel() == label
        assert figure.axes[0].get_xscale() == ("log" if measure == "parameters" else "linear")
        assert f"Mean alignment and {label}" in said(figure)


def test_points_have_the_bars_of_their_intervals_inside_of_the_axes():
    rows, known = cross(scores(), FAMILIES), competence({"bits_per_byte": LANGUAGE})
    dino = plot("fig3", rows, known, selection=selected(rows, low=0.05, high=0.5)).figure.axes[0]
    bars = [segment for collection in dino.collections for segment in collection.get_segments()]
    assert [sorted(bar[:, 1]) for bar in bars] == [[0.05, 0.5]] * 6
    assert dino.get_ylim()[1] > 0.5
    without = drawn("fig3", rows, known).axes[0]
    assert not any(collection.get_segments() for collection in without.collections)


def test_axes_that_do_not_exist_are_refused():
    with pytest.raises(SpecError, match="x is 'size'; expected loss, scores, parameters, date"):
        drawn("fig3", cross(scores(), FAMILIES), competence({"bits_per_byte": LANGUAGE}), x="size")
    with pytest.raises(SpecError, match="x=scores needs the name of a measure"):
        drawn("fig3", cross(scores(), FAMILIES), competence({"bits_per_byte": LANGUAGE}), x="scores")
