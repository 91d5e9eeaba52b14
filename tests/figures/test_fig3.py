from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from platorep.core.errors import StoreError
from platorep.figures import draw
from tests.figures.tables import competence, cross


LANGUAGE = {"weak": 1.5, "strong": 0.5, "middle": 1.0}
FAMILIES = {"vit_s.dino": "DINO", "vit_l.dino": "DINO", "mae_s": "MAE", "mae_l": "MAE"}


def scores() -> dict[tuple[str, str], float]:
    rise = {"weak": 0.1, "middle": 0.2, "strong": 0.3}
    return {(m, v): rise[m] + 0.01 * i for m in LANGUAGE for i, v in enumerate(FAMILIES)}


def lines(axes) -> dict[str, object]:
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def texts(axes) -> list[str]:
    return [t.get_text() for t in axes.texts]


def test_one_panel_a_family_one_line_a_vision_model_points_in_order_of_competence():
    figure = draw("fig3", cross(scores(), FAMILIES), competence({"bits_per_byte": LANGUAGE}))
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
    figure = draw("fig3", cross(scores(), FAMILIES), competence({"bits_per_byte": LANGUAGE}))
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
    figure = draw("fig3", cross(scores(), FAMILIES, n=201), competence({"bits_per_byte": LANGUAGE}))
    chance = lines(figure.axes[0])["chance"]
    assert chance.get_linestyle() == ":"
    assert list(chance.get_ydata()) == [0.05, 0.05]


def test_models_without_bits_per_byte_are_labelled_lines_at_the_panels_best_vision_model():
    known = competence({"bits_per_byte": {"weak": 1.5, "strong": 0.5}})
    figure = draw("fig3", cross(scores(), FAMILIES), known)
    dino, mae = figure.axes
    assert list(lines(dino)["middle"].get_ydata()) == pytest.approx([0.21, 0.21])
    assert list(lines(mae)["middle"].get_ydata()) == pytest.approx([0.23, 0.23])
    assert "middle" in texts(dino)
    assert len(lines(dino)["vit_l.dino"].get_xdata()) == 2
    assert any("Dashed: no bits per byte" in t.get_text() for t in figure.texts)


def test_degraded_language_models_are_points_and_degraded_vision_models_a_panel_weakest_first():
    table = {(m, v): 0.1 for m in ("lm", "lm_noise_0.2") for v in ("net", "net_032px", "net_128px", "big")}
    known = competence({"bits_per_byte": {"lm": 1.0, "lm_noise_0.2": 2.0}})
    figure = draw("fig3", cross(table, {v: "net" for v in ("net", "net_032px", "net_128px", "big")}), known)
    family, ladder = figure.axes
    assert ladder.get_title(loc="left") == "net by input size"
    assert [name for name in lines(ladder) if name != "chance"] == ["net_032px", "net_128px", "net"]
    assert {"32 px", "128 px", "intact", "noise 0.2", "lm"} <= set(texts(ladder))
    assert set(lines(family)) == {"net", "big", "chance"}


def test_several_lone_families_share_the_last_panel():
    table = {("lm", v): 0.1 for v in ("pixels", "a", "b", "random")}
    families = {"a": "F", "b": "F", "pixels": "pixels", "random": "random"}
    figure = draw("fig3", cross(table, families), competence({"bits_per_byte": {"lm": 1.0}}))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["F", "other vision models"]


def test_without_any_language_model_of_known_competence_it_says_so():
    with pytest.raises(
        StoreError, match=r"none of the language models \(middle, strong, weak\) has bits_per_byte .* knows it of other"
    ):
        draw("fig3", cross(scores(), FAMILIES), competence({"bits_per_byte": {"other": 1.0}}))
    with pytest.raises(StoreError, match="no competence table"):
        draw("fig3", cross(scores(), FAMILIES))


@pytest.mark.parametrize("count", [3, 12])
def test_no_label_overlaps_another_or_leaves_the_figure(count):
    models = {
        f"language-model-{i}": 1 - 0.002 * i for i in range(count)
    }  # nearly the same competence: labels must move
    table = {(m, v): 0.1 + 0.0001 * j for m in models for j, v in enumerate(FAMILIES)}
    figure = draw("fig3", cross(table, FAMILIES), competence({"bits_per_byte": models}))
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
