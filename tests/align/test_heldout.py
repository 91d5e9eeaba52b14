"""Held-out scores: what they are computed from, what they are for a model and itself, and what their null holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.align import align, significance
from platorep.align.heldout import SPLITS
from platorep.align.significance import Null
from platorep.core.clamp import NONE
from platorep.metrics import reference
from platorep.metrics.base import Geometry, Metric
from platorep.metrics.registry import METRICS, build
from platorep.results.protocols import chosen
from platorep.stats.selection import halves


pytestmark = pytest.mark.filterwarnings("ignore:cknna_prh with k")  # its formula holds for a large k, too

N, K = 60, 8
ITSELF = ("cycle_knn", "cknna_prh", "cka_finite")
"""A neighbour need not be mutual; 1e-6 in the denominator, and no bound; its own noise counts as shared."""


def of(name: str, similarity: str = "cosine") -> Metric:
    """The metric with parameters that fit halves of 60 samples."""
    options = {"k": K} if build(name).neighbourhood else {"components": 4} if name in ("svcca", "pwcca") else {}
    return build(name, similarity=similarity, **options)


def layer(seed: int, width: int = 9) -> torch.Tensor:
    shared = torch.randn(N, 4, generator=torch.Generator().manual_seed(99))
    own = torch.Generator().manual_seed(seed)
    return shared @ torch.randn(4, width, generator=own) + torch.randn(N, width, generator=own)


@pytest.mark.parametrize("choice", ["max", "heldout", "last", "depth:0.5"])
@pytest.mark.parametrize("name", METRICS)
def test_a_model_agrees_with_itself_in_full_under_every_protocol(name, choice, stored):
    """Its copy under another name: the pair is no pair of one model."""
    metric = of(name)
    one, copy = (stored(title, [layer(1), layer(2, 12)]) for title in ("one", "copy"))
    row = significance([(one, copy)], [metric], select=choice, null=Null(permutations=0), clamp=NONE).frame.iloc[0]
    assert row.x_layer == row.y_layer
    if name not in ITSELF:
        assert row.score == pytest.approx(metric.bounds[1], abs=2e-6)
    elif choice == "last":
        expected = getattr(reference, name)(*[layer(2, 12).numpy()] * 2, **({"k": K} if metric.neighbourhood else {}))
        assert row.score == pytest.approx(expected, abs=1e-5)
    assert (row.scored_n, row.scored_k if metric.neighbourhood else None) == (
        (N // 2, K // 2 if metric.neighbourhood else None)
        if choice == "heldout"
        else (N, K if metric.neighbourhood else None)
    )


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
@pytest.mark.parametrize("name", METRICS)
def test_a_held_out_score_is_the_score_of_each_half(name, similarity, stored):
    """One layer a side, so that nothing is chosen: the mean over the halves, each prepared from its features alone."""
    metric, x, y = of(name, similarity), layer(3), layer(4, 11)
    one, two = stored("one", [x]), stored("two", [y])
    row = significance([(one, two)], [metric], select="heldout", null=Null(seed=5), clamp=NONE).frame.iloc[0]
    words = {"k": K // 2} if metric.neighbourhood else {"components": 4} if name in ("svcca", "pwcca") else {}
    half = build(name, similarity=similarity, **words)
    each = [
        half.score(*(half.prepare(Geometry(side[part], similarity)) for side in (x, y)))
        for part in torch.from_numpy(halves(N, SPLITS, 5).reshape(2 * SPLITS, -1))
    ]
    assert row.score == pytest.approx(np.mean(each), abs=1e-5 if metric.neighbourhood is None else 1e-6)
    assert (row.n, row.scored_n) == (N, N // 2)


def test_the_choice_is_the_other_half_s_and_the_score_its_own(stored):
    metric, xs, ys = of("mutual_knn"), [layer(1), layer(2)], [layer(3), layer(4)]
    one, two = stored("one", xs), stored("two", ys)
    row = significance([(one, two)], [metric], select="heldout", clamp=NONE).frame.iloc[0]
    sides = [[side.numpy() for side in [*layers, torch.cat(layers, dim=1)]] for layers in (xs, ys)]
    scores = []
    for first, second in halves(N, SPLITS, 0):
        tables = [
            np.array([[reference.mutual_knn(a[part], b[part], k=K // 2) for b in sides[1]] for a in sides[0]])
            for part in (first, second)
        ]
        for choosing, scored in (tables, tables[::-1]):
            scores.append(scored.flat[choosing.argmax()])
    assert row.score == pytest.approx(np.mean(scores), abs=1e-12)


@pytest.mark.parametrize("name", ["mutual_knn", "cka", "cknna", "rsa"])
def test_unrelated_models_are_rarely_called_related_and_score_at_the_stated_mean(name, stored):
    """p is an upper bound: at the 5 % level at most 5 % of unrelated pairs are found."""
    metric, rng = of(name), np.random.default_rng(0)
    models = [stored(f"m{i}", [torch.from_numpy(rng.normal(size=(N, 7))).float() for _ in range(2)]) for i in range(16)]
    pairs = [(models[i], models[i + 8]) for i in range(8)] + [(models[i], models[8 + (i + 3) % 8]) for i in range(8)]
    frame = significance(pairs, [metric], select="heldout").frame
    gaps = frame.score - frame.null_mean
    assert abs(gaps.mean()) < 3.5 * gaps.std() / len(gaps) ** 0.5
    assert gaps.std() < frame.null_sd.mean()
    assert (frame.p_value < 0.05).sum() <= 2
    assert (frame.p_family >= frame.p_value).all()
    assert frame.note.str.startswith("null: exact mean").all()


def test_related_models_are_found_held_out(stored):
    frame = significance([(stored("one", [layer(1)]), stored("two", [layer(2)]))], [of("cka")], select="heldout").frame
    assert frame.p_value.item() < 1e-4
    assert frame.corrected.item() == pytest.approx(frame.score.item())  # chance is 0


def test_metrics_without_moments_say_that_they_have_no_null(stored):
    row = significance(
        [(stored("one", [layer(1)]), stored("two", [layer(2)]))], [of("lcs_knn")], select="heldout"
    ).frame
    assert row.note.item() == "no null is known for a half; no interval, as halvings share samples"
    assert row[["null_mean", "p_value", "low"]].isna().all(axis=None)


def test_the_table_of_all_layer_pairs_scores_all_samples_whatever_the_protocol(stored):
    one, two = stored("one", [layer(1), layer(2)]), stored("two", [layer(3)])
    best = chosen(align([(one, two)], [of("mutual_knn")], out_dir=None), "max").iloc[0]
    row = significance([(one, two)], [of("mutual_knn")], select="max", null=Null(permutations=0)).frame.iloc[0]
    assert (row.score, row.x_layer, row.y_layer) == (pytest.approx(best.score), best.x_layer, best.y_layer)
