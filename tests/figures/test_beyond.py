"""Figures that the paper lacks, on tables made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from platorep.core.errors import StoreError, UnknownNameError
from platorep.results.tables import AlignmentTable, SelectionTable
from platorep.results.translation import TranslationTable
from tests.figures.samples import join
from tests.figures.tables import cross, drawn, galleries, plot, said, selected, translations
from tests.figures.test_fig3 import lines


TWO = {("a", "v"): 0.3, ("b", "v"): 0.1}


def test_significance_sorts_by_score_and_draws_interval_and_band():
    table = cross(TWO, null_mean=0.1, null_sd=0.01)
    tests = selected(table, permutations=0).frame
    tests = SelectionTable(tests.assign(low=[0.2, np.nan], high=[0.4, np.nan]))
    figure = plot("significance", table, selection=tests).figure
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["b × v", "a × v"]  # highest on top
    assert np.allclose(lines(axes)["score"].get_xdata(), [0.1, 0.3])
    assert np.allclose([(p.get_x(), p.get_width()) for p in axes.patches], [(0.1 - 0.0196, 0.0392)] * 2)
    segments = axes.collections[0].get_segments()
    assert np.allclose(segments[1], [[0.2, 1], [0.4, 1]])
    assert "Null of fixed layers" in said(figure)


def test_significance_takes_the_band_of_the_choice_and_says_so():
    tests = selected(cross(TWO), null_mean=0.12, null_low=0.1, null_high=0.16)
    figure = plot("significance", cross(TWO, null_mean=0.1, null_sd=0.01), selection=tests).figure
    assert np.allclose([p.get_width() for p in figure.axes[0].patches], [0.06, 0.06])
    assert "Null of the choice of layers." in said(figure)


def test_significance_of_held_out_scores_has_intervals_or_nothing_and_never_the_fixed_pairs_null():
    table = cross(TWO, null_mean=0.1, null_sd=0.01)
    tests = selected(table, "heldout", permutations=0, low=0.05, high=0.2)
    figure = plot("significance", table, selection=tests, select="heldout").figure
    assert not figure.axes[0].patches
    assert "No null was computed." in said(figure)


def test_significance_draws_no_band_where_there_is_no_null_and_says_so():
    figure = drawn("significance", cross(TWO))
    assert not figure.axes[0].patches
    assert "No null was computed." in said(figure)
    half = cross(TWO, null_sd=0.01)
    half = AlignmentTable(half.frame.assign(null_mean=[0.1, np.nan]))
    figure = drawn("significance", half)
    assert len(figure.axes[0].patches) == 1
    assert "Scores without a band have no null." in said(figure)


def test_significance_of_many_pairs_has_a_panel_an_x_model_and_one_order_of_y_models():
    scores = {(f"x{i}", f"y{j:02d}"): 0.01 * ((i + j) % 5) + 0.01 * j for i in range(3) for j in range(20)}
    figure = drawn("significance", cross(scores, null_mean=0.1, null_sd=0.01))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["x0", "x1", "x2"]
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert sorted(names) == [f"y{j:02d}" for j in range(20)]
    for i, axes in enumerate(figure.axes):
        line = lines(axes)["score"]
        at = dict(zip(line.get_ydata(), line.get_xdata(), strict=True))
        assert all(at[row] == pytest.approx(scores[f"x{i}", name]) for row, name in enumerate(names))


def test_k_curve_shows_score_corrected_and_lift_over_k_per_n():
    tables = [
        cross({("l", "v"): s}, metric=f"mutual_knn(k={k},similarity=cosine)", n=101) for k, s in ((10, 0.4), (50, 0.75))
    ]
    figure = drawn("k_curve", join(*tables))
    score, corrected, lift = (lines(axes)["l"] for axes in figure.axes)
    assert np.allclose(score.get_data(), [[10 / 101, 50 / 101], [0.4, 0.75]])
    assert np.allclose(corrected.get_ydata(), [(0.4 - 0.1) / 0.9, (0.75 - 0.5) / 0.5])
    assert np.allclose(lift.get_ydata(), [4.0, 1.5])
    assert np.allclose(lines(figure.axes[0])["chance"].get_ydata(), [0.1, 0.5])
    assert figure.axes[0].get_xscale() == "log"
    with pytest.raises(StoreError, match="needs mutual_knn at two or more k"):
        drawn("k_curve", tables[0])


def test_n_curve_takes_one_dataset_a_size():
    tables = [cross({("l", "v"): 0.2}, n=n, dataset=f"d{n}--0") for n in (101, 1001)]
    figure = drawn("n_curve", join(*tables))
    lift = lines(figure.axes[2])["l"]
    assert np.allclose(lift.get_data(), [[101, 1001], [2.0, 20.0]])
    with pytest.raises(StoreError, match="differ in size; the table has n = 101, 101"):
        drawn("n_curve", join(tables[0], cross({("l", "v"): 0.2}, n=101, dataset="other--0")))


def test_a_metric_without_a_known_chance_level_has_no_lift_and_says_so():
    tables = [cross({("l", "v"): 0.2}, n=n, dataset=f"d{n}--0", metric="cka(hsic=biased)") for n in (101, 1001)]
    figure = drawn("n_curve", join(*tables))
    assert "no chance level known" in [t.get_text() for t in figure.axes[2].texts]
    assert "l" in lines(figure.axes[0])


def test_hubness_has_a_panel_a_figure_against_depth():
    layers = pd.DataFrame(
        {"model": ["m", "m"], "depth": [1.0, 0.0], "in_degree_skewness": [3.0, 1.0], "never_neighbours": [0.2, 0.1]}
    )
    figure = plot("hubness", hubness=layers).figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["in-degree skewness", "never a neighbour (share)"]
    assert np.allclose(lines(figure.axes[0])["m"].get_data(), [[0, 1], [1, 3]])
    with pytest.raises(StoreError, match="lacks depth"):
        plot("hubness", hubness=layers.drop(columns="depth"))
    with pytest.raises(StoreError, match="needs counts of each layer's neighbour graph"):
        plot("hubness")


def test_controls_average_over_seeds_and_vision_models():
    tables = [
        cross(
            {("l", "v"): 0.3 - 0.2 * s + 0.01 * q, ("l", "w"): 0.3 - 0.2 * s - 0.01},
            shuffle_share=s,
            shuffle_seed=float(q),
        )
        for s in (0.0, 0.5, 1.0)
        for q in (0, 1)
    ]
    figure = drawn("controls", join(*tables))
    axes = figure.axes[0]
    assert np.allclose(lines(axes)["l"].get_data(), [[0, 0.5, 1], [0.2975, 0.1975, 0.0975]])
    assert axes.get_xlim() == (-0.03, 1.03)
    assert "range of 2 seeds" in said(figure)


def test_controls_read_shares_from_the_column_and_never_from_names():
    table = cross(TWO, dataset="stamps_shuffled_0.5_seed_1--0")
    with pytest.raises(StoreError, match=r"no row .* has a share of shuffled pairs \(column shuffle_share\)"):
        drawn("controls", table)


def test_gallery_has_a_panel_a_rule_and_a_line_a_pair_of_models():
    figure = plot("gallery", galleries=galleries({("a", "v"): 0.4, ("b", "v"): 0.2}, (100, 1600))).figure
    fixed, grown = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["k = 10", "k = 1 % of the gallery"]
    assert np.allclose(lines(fixed)["a × v"].get_xdata(), [100, 1600], rtol=0.05)  # moved aside a little
    assert np.allclose(lines(fixed)["a × v"].get_ydata(), [0.4, 0.4 / 16**0.4])
    assert np.allclose(lines(grown)["b × v"].get_ydata(), [0.16, 0.16])
    assert np.allclose(lines(fixed)["chance"].get_data(), [[100, 1600], [10 / 99, 10 / 1599]])
    assert [len(axes.collections) for axes in figure.axes] == [2, 2]  # the intervals of two lines
    assert fixed.get_yscale() == grown.get_yscale() == "log"  # panels side by side have one axis
    assert fixed.get_ylim() == grown.get_ylim()
    assert "100 queries" in said(figure)


def test_gallery_of_many_pairs_shows_means_without_intervals():
    scores = galleries({(f"l{i}", f"v{j}"): 0.1 + 0.1 * j for i in range(4) for j in range(3)}, (100, 400))
    figure = plot("gallery", galleries=scores).figure
    assert np.allclose(lines(figure.axes[1])["l2"].get_ydata(), [0.16, 0.16])
    assert not figure.axes[0].collections
    assert "mean over 3 y models" in said(figure)


def test_gallery_says_what_was_searched_approximately():
    table = galleries({("a", "v"): 0.4}, (100, 400), backend="cpu, faiss HNSW32 (approximate)", y_recall=0.93)
    assert "faiss HNSW32 (approximate), recall 0.930 or more" in said(plot("gallery", galleries=table).figure)
    exact = galleries({("a", "v"): 0.4}, (100, 400))
    assert "recall" not in said(plot("gallery", galleries=exact).figure)


def test_gallery_refuses_no_table_and_a_single_size():
    with pytest.raises(StoreError, match="needs scores in growing galleries: run `platorep gallery` first"):
        plot("gallery")
    with pytest.raises(StoreError, match="needs two or more sizes; the table has 100"):
        plot("gallery", galleries=galleries({("a", "v"): 0.4}, (100,)))


def test_translation_has_a_panel_an_x_model_and_a_line_a_map():
    scores = {
        (name, count): 0.001 * count + (name == "ridge") * 0.2 for name in ("ridge", "relative") for count in (8, 80)
    }
    table = translations({("a", "v"): 1.0, ("a", "w"): 0.5, ("b", "v"): 0.1}, scores)
    figure = plot("translation", translation=table).figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]
    drawn_lines = lines(figure.axes[0])
    assert np.allclose(drawn_lines["relative"].get_xdata(), [8, 80], rtol=0.05)  # moved aside a little
    assert np.allclose(drawn_lines["relative"].get_ydata(), [0.75 * 0.008, 0.75 * 0.08], atol=0.01)
    assert np.allclose(drawn_lines["ridge"].get_ydata(), [0.75 * 0.208, 0.75 * 0.28], atol=0.01)
    assert any(np.allclose(line.get_ydata(), 0.1) for line in figure.axes[0].lines)  # chance, and broken pairs
    assert "translatability, not alignment" in said(figure)


def test_translation_leaves_degraded_models_out_and_takes_controls_as_partners_only_where_there_are_no_others():
    scores = {("ridge", 8): 0.2, ("ridge", 80): 0.6}
    whole = translations({("a", "v"): 1.0, ("a", "pixels"): 0.1, ("a_noise", "v"): 0.2}, scores)
    frame = whole.frame
    frame = frame.assign(x_dial=np.where(frame.x_model == "a_noise", "weight_noise", ""))
    frame = frame.assign(y_weights=np.where(frame.y_model == "pixels", "none", "pretrained"))
    figure = plot("translation", translation=TranslationTable(frame)).figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a"]
    assert lines(figure.axes[0])["ridge"].get_ydata()[-1] == pytest.approx(0.6, abs=0.01)
    alone = TranslationTable(frame[frame.y_model == "pixels"])
    figure = plot("translation", translation=alone).figure
    assert lines(figure.axes[0])["ridge"].get_ydata()[-1] == pytest.approx(0.06, abs=0.01)


def test_translation_draws_other_measures_and_answers_unknown_ones():
    table = translations({("a", "v"): 1.0}, {("ridge", 8): 0.2, ("ridge", 80): 0.6}, measure="r2")
    figure = plot("translation", translation=table, options={"measure": "r2"}).figure
    assert figure.axes[0].get_ylabel() == "variance explained"
    with pytest.raises(UnknownNameError, match="unknown measure in the table of maps 'recall_at_10'. Known: r2"):
        plot("translation", translation=table)
    with pytest.raises(StoreError, match="no pair of different models"):
        plot("translation", translation=TranslationTable(table.frame.assign(y_model="self")))
