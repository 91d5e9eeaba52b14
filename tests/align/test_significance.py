"""Chosen layers: their null repeats the choice, related models are found and unrelated ones are not."""

from __future__ import annotations

import pandas as pd
import pytest

from platorep.align import align, significance
from platorep.align.controls import Shuffles, shuffled_pairs
from platorep.align.gallery import score_galleries
from platorep.align.gallery_parts import Design
from platorep.align.significance import Null
from platorep.core.errors import DataError, SpecError
from platorep.core.resources import Resources
from platorep.metrics.registry import build
from platorep.results.protocols import chosen


KNN, CKA = build("mutual_knn", k=5), build("cka")


@pytest.fixture
def trio(model):
    """Two models that see one latent, and one that sees noise alone."""
    return model("a"), model("b", depth=4, seed=1), model("noise", noise=1e4, seed=2)


@pytest.mark.parametrize("metric", [KNN, CKA], ids=["mutual_knn", "cka"])
def test_related_models_are_found_and_an_unrelated_one_is_not(trio, metric):
    a, b, noise = trio
    frame = significance([(a, b), (a, noise)], [metric], null=Null(permutations=199)).frame
    related, unrelated = frame.iloc[0], frame.iloc[1]
    assert related.p_value == related.p_floor == 1 / 200
    assert related.p_family < 0.05
    assert related.calibrated > 0 < related.corrected
    assert unrelated.p_value > 0.05
    assert unrelated.null_low < unrelated.score < unrelated.null_high
    assert related.low < related.score < related.high


def test_max_is_the_best_of_the_aligned_table(trio):
    a, b, _ = trio
    best = chosen(align([(a, b)], [KNN, CKA], out_dir=None), "max").set_index("metric")
    tested = significance([(a, b)], [KNN, CKA], null=Null(permutations=0)).frame.set_index("metric")
    columns = ["x_layer", "y_layer", "score"]
    pd.testing.assert_frame_equal(tested[columns], best.loc[tested.index, columns], check_names=False, rtol=1e-12)


@pytest.mark.parametrize("choice", ["last", "depth:0.5", "depth:0"])
def test_a_choice_that_looks_at_no_score_is_that_of_the_table(trio, choice):
    a, b, _ = trio
    expected = chosen(align([(a, b)], [KNN], out_dir=None), choice).iloc[0]
    got = significance([(a, b)], [KNN], select=choice, null=Null(permutations=0)).frame.iloc[0]
    assert (got.x_layer, got.y_layer, got.score) == (
        expected.x_layer,
        expected.y_layer,
        pytest.approx(expected.score, rel=1e-12),
    )


def test_the_null_of_the_maximum_lies_above_that_of_one_layer_pair(trio):
    a, _, noise = trio
    best = significance([(a, noise)], [KNN], null=Null(permutations=199)).frame.iloc[0]
    last = significance([(a, noise)], [KNN], select="last", null=Null(permutations=199)).frame.iloc[0]
    assert best.null_mean > last.null_mean
    assert last.null_mean == pytest.approx(5 / 119, abs=4 * last.null_sd / 199**0.5)


def test_held_out_choice_of_unrelated_layers_is_at_chance_where_the_maximum_is_not(model):
    n = 400
    a, noise = model("a", n=n), model("noise", n=n, noise=1e4, seed=2)
    held = significance([(a, noise)], [KNN], select="heldout").frame.iloc[0]
    best = significance([(a, noise)], [KNN], null=Null(permutations=199)).frame.iloc[0]
    chance = 2 / (n // 2 - 1)  # k in proportion: 2 of the half's neighbours
    assert abs(held.score - chance) < 0.01
    assert best.null_mean > 5 / (n - 1) + 0.002
    assert held.null_mean == pytest.approx(chance, rel=1e-12)
    assert held.p_value > 0.05


def test_what_a_label_explains_is_not_found_within_it(stored):
    """Two models that know the category and nothing else: related, but not within categories."""
    import torch

    n, g = 120, torch.Generator().manual_seed(0)
    label = torch.arange(n) % 4
    centres = torch.randn(4, 8, generator=g)
    one, two = (stored(name, [centres[label] + 0.4 * torch.randn(n, 8, generator=g)]) for name in ("one", "two"))
    free = significance([(one, two)], [KNN], null=Null(permutations=199)).frame.iloc[0]
    within = significance(
        [(one, two)], [KNN], null=Null(permutations=199, strata=label.tolist(), strata_name="category")
    ).frame.iloc[0]
    assert free.p_value < 0.05 < within.p_value
    assert (free.strata, within.strata) == ("", "category")


def test_the_same_call_gives_the_same_table_and_another_seed_another_null(trio):
    a, b, noise = trio
    pairs = [(a, b), (a, noise)]
    one, two, other = (significance(pairs, [KNN], null=Null(permutations=50, seed=seed)).frame for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, two)
    assert (one.null_mean != other.null_mean).all()
    assert (one.score == other.score).all()


def test_an_unknown_choice_is_refused(trio):
    with pytest.raises(SpecError, match=r"protocol.select is 'best'; expected max, heldout, last, or depth:FRACTION"):
        significance([trio[:2]], [KNN], select="best")


def test_strata_of_single_samples_are_refused(trio):
    with pytest.raises(DataError, match="nothing to permute"):
        significance([trio[:2]], [KNN], null=Null(strata=list(range(120))))


def test_models_of_different_samples_are_refused_by_every_engine(model, tmp_path):
    a, other, fewer = (model(name, **more) for name, more in {
        "a": {}, "other": {"ids": [f"t{i}" for i in range(120)], "dataset": "b"}, "fewer": {"n": 60, "dataset": "c"}
    }.items())  # fmt: skip
    design = Design(sizes=(20,), queries=10, ks=(3,))
    for second, message in (
        (other, "a and other have different samples"),
        (fewer, "a has 120 samples .* fewer has 60"),
    ):
        for engine in (
            lambda b: significance([(a, b)], [KNN], null=Null(permutations=0)),
            lambda b: align([(a, b)], [KNN], out_dir=None),
            lambda b: score_galleries([(a, b)], design, out_dir=tmp_path),
            lambda b: shuffled_pairs([(a, b)], KNN, Shuffles(seeds=1)),
        ):
            with pytest.raises(DataError, match=message):
                engine(second)


def test_prepared_layers_beyond_the_budget_are_refused(trio):
    with pytest.raises(SpecError, match=r"compute.memory allows 0.0 GB"):
        significance([trio[:2]], [CKA], resources=Resources(memory=1000))
