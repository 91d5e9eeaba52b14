"""The paper's figures on tables made by hand: what is drawn where."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from platorep.core.errors import StoreError, UnknownNameError
from platorep.figures.fig4 import LARGEST, radius
from platorep.results.tables import AlignmentTable
from tests.figures.samples import join, solved, vision
from tests.figures.tables import METRIC, RANDOM, alignment, competence, cross, drawn, noise, said
from tests.figures.test_fig3 import lines, texts
from tests.figures.test_samples import clipped


def pairs(scores: dict[tuple[str, str], float], **more: object) -> AlignmentTable:
    both = {"x_modality": "vision", "y_modality": "vision", "n": 1001}
    return alignment([both | {"x_model": a, "y_model": b, "score": s} | more for (a, b), s in scores.items()])


# fig2

FOUR = {("a", "b"): 0.1, ("a", "c"): 0.2, ("b", "c"): 0.2, ("c", "d"): 0.5, ("a", "d"): 0.2, ("b", "d"): 0.2}
SOLVED = {"a": 0.0, "b": 0.2, "c": 0.9, "d": 1.0}


def test_fig2_bars_are_means_within_buckets_of_models():
    figure = drawn("fig2", pairs(FOUR), competence({"vtab_solved": SOLVED}), projection="mds")
    bars = figure.axes[0]
    assert [round(p.get_height(), 6) for p in bars.patches] == [0.1, 0.5]
    assert [round(p.get_x() + p.get_width() / 2) for p in bars.patches] == [0, 4]
    labels = [t.get_text() for t in bars.get_xticklabels()]
    assert labels == [
        "0–20 %\n2 models",
        "20–40 %\n0 models",
        "40–60 %\n0 models",
        "60–80 %\n0 models",
        "80–100 %\n2 models",
    ]
    assert texts(bars).count("no pair") == 3


def test_fig2_averages_the_two_orders_of_a_pair_and_leaves_self_pairs():
    table = pairs(FOUR | {("b", "a"): 0.3, ("a", "a"): 1.0})
    figure = drawn("fig2", table, competence({"vtab_solved": SOLVED}), projection="mds")
    assert figure.axes[0].patches[0].get_height() == pytest.approx(0.2)


def test_fig2_map_names_the_method_and_has_a_point_a_model():
    figure = drawn(
        "fig2", vision(9), competence({"vtab_solved": {f"v{i:02d}": i / 8 for i in range(9)}}), projection="mds"
    )
    space = figure.axes[1]
    assert space.get_title(loc="left") == "MDS of −log alignment"
    assert sum(len(c.get_offsets()) for c in space.collections) == 9
    assert {f"v{i:02d}" for i in range(9)} <= set(texts(space))


def test_fig2_numbers_the_points_of_many_models_and_names_them_in_a_key():
    figure = drawn("fig2", vision(28), solved(28), projection="mds")
    shown = texts(figure.axes[1])
    assert {str(i) for i in range(1, 29)} <= set(shown)
    named = dict(text.split("  ") for text in shown if "  " in text)
    assert sorted(named, key=int) == [str(i) for i in range(1, 29)]
    assert set(named.values()) == {f"v{i:02d}" for i in range(28)}
    assert clipped(figure) == []


def test_fig2_refuses_what_it_cannot_place():
    known = competence({"vtab_solved": SOLVED})
    with pytest.raises(StoreError, match="positive score for every pair; a x c has nan"):
        drawn("fig2", pairs({k: v for k, v in FOUR.items() if k != ("a", "c")}), known, projection="mds")
    with pytest.raises(StoreError, match="no vtab_solved for d"):
        drawn("fig2", pairs(FOUR), competence({"vtab_solved": {k: v for k, v in SOLVED.items() if k != "d"}}))
    with pytest.raises(StoreError, match=r"in \[0, 1\]; got 0 to 19"):
        drawn("fig2", pairs(FOUR), competence({"vtab_solved": SOLVED | {"d": 19}}))


# fig4


def test_fig4_has_a_panel_a_benchmark_and_a_point_a_model_at_its_scores():
    scores = {(f"m{i}", "v"): 0.1 + 0.01 * i for i in range(10)} | {(f"m{i}", "weak"): 0.02 for i in range(10)}
    table = cross(scores, {f"m{i}": f"family{i // 2}" for i in range(10)})
    known = competence(
        {"hellaswag": {f"m{i}": 0.2 + 0.05 * i for i in range(10)}, "gsm8k": {f"m{i}": 0.01 * i**2 for i in range(5)}}
    )
    figure = drawn("fig4", table, known)
    hellaswag, gsm8k = figure.axes[:2]
    assert [axes.get_title(loc="left") for axes in (hellaswag, gsm8k)] == ["HellaSwag", "GSM8K"]
    points = hellaswag.collections[0].get_offsets()
    assert np.allclose(sorted(points[:, 0]), 0.1 + 0.01 * np.arange(10))
    assert np.allclose(sorted(points[:, 1]), 0.2 + 0.05 * np.arange(10))
    assert len(gsm8k.collections[0].get_offsets()) == 5
    assert "alignment with v," in hellaswag.get_xlabel()  # the vision model with the highest mean
    assert {f"m{i}" for i in range(10)} <= set(texts(hellaswag))
    assert any("slope 5.0 [5.0, 5.0]" in t and "10 models of 5 families" in t for t in texts(hellaswag))


def of_families(count: int):
    """12 language models of `count` families, and their scores."""
    names = [f"m{i:02d}" for i in range(12)]
    families = {name: f"family {i % count}" for i, name in enumerate(names)}
    table = cross({(name, "v"): 0.1 + 0.01 * i for i, name in enumerate(names)}, families)
    return table, competence({"hellaswag": {name: 0.3 + 0.05 * i for i, name in enumerate(names)}})


@pytest.mark.parametrize(("families", "band"), [(1, False), (4, False), (5, True)])
def test_fig4_promises_a_band_exactly_where_it_draws_one(families, band):
    figure = drawn("fig4", *of_families(families), measures=["hellaswag"])
    note = said(figure)
    assert ("band" in [c.get_label() for c in figure.axes[0].collections]) == band
    assert ("Bands and brackets: 95 %, families resampled." in note) == band
    assert ("too few to say whether this holds for other families" in note) == (not band)
    assert any(("[" in t) == band for t in texts(figure.axes[0]) if "slope" in t)


def test_fig4_counts_versions_of_one_model_as_one_family():
    names = ["lm", "a", "b", "c", "other"]
    facts = {"a": noise("lm", 0.1), "b": noise("lm", 0.2), "c": noise("lm", 0.3)}
    families = {"lm": "lm", "a": "noisy a", "b": "noisy b", "c": "noisy c", "other": "other"}
    table = cross({(name, "v"): 0.3 - 0.01 * i for i, name in enumerate(names)}, families, facts)
    known = competence({"hellaswag": {name: 0.8 - 0.1 * i for i, name in enumerate(names)}})
    figure = drawn("fig4", table, known, measures=["hellaswag"])
    assert any("5 models of 2 families" in t for t in texts(figure.axes[0]))


def test_fig4_names_the_sizes_of_the_models_that_it_shows():
    names = ["small", "middle", "large"]
    table = cross({(name, "v"): 0.1 * i for i, name in enumerate(names)} | {("tfidf", "v"): 0.1})
    known = competence(
        {
            "hellaswag": {name: 0.3 + 0.1 * i for i, name in enumerate(names)},
            "parameters": {"small": 4.65e6, "middle": 134.5e6, "large": 7e9, "tfidf": 974.0},
        }
    )
    figure = drawn("fig4", table, known, measures=["hellaswag"])
    assert [t for t in texts(figure.axes[-1]) if t != "parameters"] == ["4.7 M", "7 B"]


def test_fig4_refuses_too_few_models_and_unknown_vision_models():
    table = cross({(f"m{i}", "dino"): 0.1 for i in range(4)})
    with pytest.raises(StoreError, match="hellaswag is known of 2 of the 4 language models"):
        drawn("fig4", table, competence({"hellaswag": {"m0": 0.3, "m1": 0.4}}))
    with pytest.raises(UnknownNameError, match="'dinno'. Did you mean 'dino'"):
        drawn("fig4", table, vision="dinno")


def test_marker_area_is_in_proportion_to_parameters():
    large, small, unknown = radius(pd.Series([64e9, 16e9, np.nan]), 64e9)
    assert large == LARGEST
    assert (large / small) ** 2 == pytest.approx(4)
    assert 0 < unknown < large


# fig9, fig10, fig12, fig13, fig14


def test_fig9_shows_the_mean_of_all_pairs_and_the_deviation_over_language_models():
    tables = [
        cross(
            {("l1", "v1"): w / 100, ("l1", "v2"): w / 50, ("l2", "v1"): w / 40, ("l2", "v2"): w / 40},
            dataset=f"cut at {w}--0",
            words=float(w),
        )
        for w in (5, 10, 20)
    ]
    axes = drawn("fig9", join(*tables)).axes[0]
    bars = axes.containers[0]
    x, y = bars.lines[0].get_data()
    assert list(x) == [5, 10, 20]
    assert np.allclose(y, np.array([5, 10, 20]) * (0.015 + 0.025) / 2)
    half = bars.lines[2][0].get_segments()[0][:, 1]
    assert np.ptp(half) / 2 == pytest.approx(np.std([0.075, 0.125], ddof=1))
    assert {"l1", "l2", "chance"} <= set(lines(axes))
    assert [t.get_text() for t in axes.get_xticklabels()] == ["5", "10", "20"]


def test_fig9_reads_lengths_from_the_column_and_never_from_names():
    tables = join(cross({("l", "v"): 0.1}, dataset="dci_words_5--0"), cross({("l", "v"): 0.2}, dataset="long--1"))
    with pytest.raises(StoreError, match=r"no row .* has a caption length \(column words\); datasets: dci_words_5--0"):
        drawn("fig9", tables)
    tables = AlignmentTable(tables.frame.assign(words=[5.0, 30.0]))
    axes = drawn("fig9", tables).axes[0]
    assert np.allclose(axes.containers[0].lines[0].get_data(), [[5, 30], [0.1, 0.2]])


def test_fig10_centres_each_curve_at_the_first_model_and_divides_by_its_deviation():
    better = {"l1": 0.0, "l2": 1.0, "l3": 2.0}
    tables = [
        cross(
            {(m, v): b * k + 5 for m, b in better.items() for v in ("v1", "v2")},
            {"v1": "F", "v2": "F"},
            metric=f"cknna(k={k},similarity=cosine)",
            n=1001,
        )
        for k in (10, 100)
    ]
    known = competence({"bits_per_byte": {"l1": 1.5, "l2": 1.0, "l3": 0.5}})
    figure = drawn("fig10", join(*tables), known)
    assert len(figure.axes) == 1
    expected = np.array([0, 1, 2]) / np.std([0, 1, 2])
    shown = lines(figure.axes[0])
    assert set(shown) == {"k = 10", "k = 100"}
    for line in shown.values():
        assert np.allclose(line.get_data(), [[-0.5, 0.0, 0.5], expected])
    released = [AlignmentTable(t.frame.assign(metric=t.frame.metric.str.replace("cknna", "cknna_prh"))) for t in tables]
    assert len(drawn("fig10", join(*tables, *released), known).axes) == 2
    with pytest.raises(StoreError, match="cknna or cknna_prh at two or more k"):
        drawn("fig10", tables[0], known)


def test_fig10_leaves_language_models_with_random_weights_out_of_the_axis():
    tables = [
        cross(
            {(m, "v"): b * k for m, b in {"l1": 0.0, "l2": 1.0, "untrained": -5.0}.items()},
            {"v": "F"},
            {"untrained": RANDOM},
            metric=f"cknna(k={k},similarity=cosine)",
            n=1001,
        )
        for k in (10, 100)
    ]
    known = competence({"bits_per_byte": {"l1": 1.5, "l2": 1.0, "untrained": 1.2}})
    shown = lines(drawn("fig10", join(*tables), known).axes[0])
    assert all(np.allclose(line.get_data(), [[-0.5, 0.0], [0.0, 2.0]]) for line in shown.values())


def test_fig10_along_vision_models_averages_over_language_models():
    one = {"v1": "F", "v2": "F"}
    tables = [
        cross(
            {(m, v): 0.1 * i + 0.05 * k for m in ("l1", "l2") for i, v in enumerate(one)}, one, metric=f"cknna(k={k})"
        )
        for k in (5, 10)
    ]
    axes = drawn("fig10", join(*tables), axis="vision").axes[0]
    assert np.allclose(lines(axes)["k = 5"].get_ydata(), [0, 2])
    assert [t.get_text() for t in axes.get_xticklabels()] == ["v1", "v2"]


def test_fig12_is_the_spearman_correlation_over_pairs_in_the_papers_order():
    random = np.random.default_rng(0)
    first = vision(6)
    second = AlignmentTable(first.frame.assign(metric="cka(hsic=biased)", score=random.random(len(first.frame))))
    half = AlignmentTable(first.frame.assign(n=501, dataset="half--0", score=-first.frame.score))
    figure = drawn("fig12", join(second, half, first))
    axes = figure.axes[0]
    expected = spearmanr(first.frame.score, second.frame.score).statistic
    assert np.allclose(axes.images[0].get_array(), [[1, -1, expected], [-1, 1, -expected], [expected, -expected, 1]])
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        "mutual k-NN (k = 10), n = 1,001",
        "mutual k-NN (k = 10), n = 501",
        "CKA (biased), n = 1,001",
    ]
    assert "15 pairs of 6 vision models" in said(figure)
    with pytest.raises(StoreError, match="at least 2 metrics"):
        drawn("fig12", first)


def test_fig13_has_a_row_a_metric_and_a_column_a_family_and_names_what_is_missing():
    families = {"v1": "A", "v2": "A", "w1": "B", "w2": "B"}
    scores = {(m, v): 0.1 * i for i, m in enumerate(("l1", "l2", "l3")) for v in families}
    unbiased = "cka(hsic=unbiased,kernel=linear,sigma=median,similarity=cosine)"
    figure = drawn("fig13", join(cross(scores, families), cross(scores, families, metric=unbiased)))
    assert len(figure.axes) == 4
    assert "CKA (unbiased)" in texts(figure.axes[0])
    assert "mutual k-NN (k = 10)" in texts(figure.axes[2])
    assert set(lines(figure.axes[0])) == {"v1", "v2"}
    assert set(lines(figure.axes[3])) == {"w1", "w2", "chance"}
    assert [t.get_text() for t in figure.axes[3].get_xticklabels()] == ["l1", "l2", "l3"]
    assert figure.axes[2].get_ylim() == figure.axes[3].get_ylim()
    assert "Not in the table: CKA (biased), SVCCA." in said(figure)


def test_fig14_refuses_a_table_without_its_metrics():
    with pytest.raises(StoreError, match=r"shows CKNNA \(k = 10\), cycle .* has only mutual_knn"):
        drawn("fig14", cross({("l", "v"): 0.1}))
    assert len(drawn("fig14", cross({("l", "v"): 0.1}), metrics=[METRIC]).axes) == 1
