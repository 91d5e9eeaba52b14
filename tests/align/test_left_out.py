"""Layers for which a metric is undefined, or without variation: left out by name, everything else as without them."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import torch

from platorep.align import align, left_out, neighbour_graphs, remarks, significance
from platorep.align.controls import Shuffles, shuffled_pairs
from platorep.align.gallery import score_galleries
from platorep.align.gallery_parts import Design
from platorep.align.parts import samples_path
from platorep.align.remarks import ALIKE
from platorep.align.significance import Null
from platorep.core.clamp import NONE, Clamp
from platorep.core.errors import FeatureError
from platorep.core.store import FeatureSet
from platorep.metrics.registry import METRICS, build
from platorep.results.protocols import chosen


N = 60
KNN, SVCCA, CKA = build("mutual_knn", k=5), build("svcca", components=3), build("cka")


def normal(seed: int, width: int = 8) -> torch.Tensor:
    return torch.randn(N, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def odd(stored):
    """A model with a constant, a narrow and a dead layer beside two sound ones."""
    dead = normal(3)
    dead[7] = 0
    constant = torch.full((N, 4), 1.5)
    return stored("odd", [constant, normal(1), normal(2, 2), dead, normal(1) + 0.3 * normal(4)])


@pytest.fixture
def fine(stored):
    return stored("fine", [normal(1) + 0.5 * normal(5), normal(6)])


def test_what_is_undefined_is_left_out_by_name_and_the_rest_scores_as_without_it(odd, fine, stored, tmp_path):
    table = align([(odd, fine)], [KNN, SVCCA, CKA], out_dir=tmp_path)
    frame = table.frame
    assert len(frame) == 3 * 6 * 3
    missing = frame[frame.score.isna()].groupby("metric").x_layer.unique().map(sorted).to_dict()
    assert missing == {KNN.id: [-1, 0, 3], SVCCA.id: [-1, 0, 2, 3], CKA.id: [-1, 0, 3]}
    assert (frame.x_left_out != "").tolist() == frame.score.isna().tolist()
    assert (frame.y_left_out == "").all()
    assert frame.loc[frame.score.isna(), ["null_mean", "z", "p_value", "corrected", "x_tied"]].isna().all(axis=None)
    ids = (KNN.id, SVCCA.id, CKA.id)
    named = {(entry.layers, entry.metrics, entry.is_fault): entry.reason for entry in left_out(frame)}
    assert named[("layer.00",), ids, False] == ALIKE
    assert "features have width 2" in named[("layer.02",), (SVCCA.id,), True]
    assert "row 7 is the zero vector" in named[("layer.03",), ids, True]
    assert named[("concatenation",), ids, True].startswith("layer layer.03: row 7 is the zero vector")
    sound = stored("sound", [odd.load(i) for i in (1, 4)])
    alone = align([(sound, fine)], [KNN, CKA], out_dir=None, concatenation=False, clamp=NONE).frame
    among = align([(odd, fine)], [KNN, CKA], out_dir=None, concatenation=False, clamp=NONE).frame.dropna(subset="score")
    among = among[among.x_layer.isin([1, 4])]
    assert among.score.tolist() == alone.score.tolist()


def test_a_second_run_reads_the_parts_and_names_the_same(odd, fine, tmp_path, monkeypatch):
    first = align([(odd, fine)], [KNN, SVCCA], out_dir=tmp_path)
    monkeypatch.setattr(FeatureSet, "load", lambda *_, **__: pytest.fail("read"))
    again = align([(odd, fine)], [KNN, SVCCA], out_dir=tmp_path)
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert left_out(first.frame) == left_out(again.frame)


def test_one_narrow_model_costs_no_pair_of_the_others(stored, fine, tmp_path):
    narrow, other = stored("narrow", [normal(8, 2)]), stored("other", [normal(1)])
    models = [narrow, fine, other]
    table = align(list(combinations(models, 2)), [KNN, SVCCA], out_dir=tmp_path)
    scored = table.frame.dropna(subset="score").groupby(["x_model", "y_model"]).metric.nunique()
    assert scored.to_dict() == {("narrow", "fine"): 1, ("narrow", "other"): 1, ("fine", "other"): 2}
    assert len(table.best()) == 4
    chosen = significance(
        [(a, b) for i, a in enumerate(models) for b in models[i + 1 :]], [KNN, SVCCA], null=Null(permutations=19)
    )
    assert chosen.frame.metric.value_counts().to_dict() == {KNN.id: 3, SVCCA.id: 1}
    parts = [path for path in tmp_path.glob("*.parquet") if not path.name.endswith(".samples.parquet")]
    assert len(parts) == 6


def test_layers_without_variation_are_never_chosen(stored):
    """Two models whose first layers are the same for every sample: they would agree perfectly."""
    models = [stored(name, [torch.ones(N, 4), normal(i), normal(i + 5)]) for i, name in enumerate(("one", "two"))]
    frame = align([(models[0], models[1])], [KNN], out_dir=None).frame
    for word in ("max", "last", "depth:0"):
        row = chosen(align([(models[0], models[1])], [KNN], out_dir=None), word).iloc[0]
        assert 0 not in (row.x_layer, row.y_layer)
        assert row.score < 0.5
    for choice in ("max", "heldout", "last", "depth:0", "depth:0.2"):
        row = significance([tuple(models)], [KNN, CKA], select=choice, null=Null(permutations=19)).frame
        assert 0 not in {*row.x_layer, *row.y_layer}
        assert (row.score < 0.5).all()
    assert not [entry for entry in left_out(frame) if entry.is_fault]
    assert remarks(frame)[0] == f"one: layer layer.00 left out of {KNN.id}: {ALIKE}."


@pytest.mark.parametrize("choice", ["last", "depth:0.5", "depth:1"])
def test_a_choice_by_depth_takes_the_nearest_layer_that_takes_part(stored, fine, choice):
    layers = [normal(1), normal(2), torch.ones(N, 4), normal(3), torch.ones(N, 4)]
    model = stored("gappy", layers)
    expected = chosen(align([(model, fine)], [KNN, CKA], out_dir=None), choice)
    got = significance([(model, fine)], [KNN, CKA], select=choice, null=Null(permutations=0)).frame
    assert got.x_layer.tolist() == expected.x_layer.tolist() == ([1, 1] if choice == "depth:0.5" else [3, 3])
    assert got.score.to_numpy() == pytest.approx(expected.score.to_numpy(), rel=1e-12)


def test_a_model_none_of_whose_layers_takes_part_has_rows_and_no_choice(stored, fine, tmp_path, caplog):
    blank = stored("blank", [torch.ones(N, 3), torch.zeros(N, 2)])
    frame = align([(blank, fine)], [KNN], out_dir=tmp_path).frame
    assert frame.score.isna().all()
    assert len(chosen(align([(blank, fine)], [KNN], out_dir=tmp_path))) == 0
    (samples,) = (
        samples_path(path) for path in tmp_path.glob("*.parquet") if not path.name.endswith(".samples.parquet")
    )
    assert pd.read_parquet(samples).overlap.isna().all()
    table = significance([(blank, fine), (fine, fine)], [KNN], null=Null(permutations=19))
    assert table.frame.x_model.tolist() == ["fine"]
    assert "blank and fine: no layers left to choose from by mutual_knn" in caplog.text
    assert significance([(blank, fine)], [KNN], select="heldout").frame.empty


@pytest.mark.parametrize("clip", ["exact", "none"])
def test_a_model_with_a_value_that_is_not_finite_is_left_out_and_its_layer_named(stored, fine, clip, monkeypatch):
    """The store refuses such values when they are written; features in memory and damaged shards can hold them."""
    broken = stored("broken", [normal(i) for i in range(3)])
    load = FeatureSet.load

    def damaged(self, layer, **more):
        x = load(self, layer, **more)
        return x.masked_fill(x == x.max(), torch.nan) if self.name == "broken" and layer == 1 else x

    monkeypatch.setattr(FeatureSet, "load", damaged)
    frame = align(list(product([broken, fine], [fine])), [KNN], out_dir=None, clamp=Clamp(clip)).frame
    assert frame.groupby("x_model").score.count().to_dict() == {"broken": 0 if clip == "exact" else 6, "fine": 9}
    assert any("layer.01" in str(entry) and "not finite" in str(entry) for entry in left_out(frame))
    with pytest.raises(FeatureError, match="broken.*layer.01.*not finite"):
        neighbour_graphs(broken, 5, clamp=Clamp(clip))


def test_galleries_and_controls_leave_out_the_same_layers(odd, fine, tmp_path, caplog):
    design = Design(sizes=(20, 50), queries=10, ks=(3,))
    frame = score_galleries([(odd, fine)], design, out_dir=tmp_path).frame
    assert sorted(frame[frame.score.isna()].x_layer.unique()) == [0, 3]
    assert "odd: layer layer.00 left out" in caplog.text
    assert not frame.score.isna().all()
    shuffled = shuffled_pairs([(odd, fine)], KNN, Shuffles(shares=(0.0, 0.5), seeds=1)).frame
    assert set(shuffled.x_layer) <= {1, 2, 4}
    plain = align([(odd, fine)], [KNN], out_dir=None).best().iloc[0]
    assert shuffled.score.iloc[0] == pytest.approx(plain.score, abs=1e-12)
    with pytest.raises(FeatureError, match="undefined for all of its layers"):
        shuffled_pairs([(fine, odd)], build("svcca", components=20), Shuffles(seeds=1))


@pytest.mark.parametrize("name", METRICS)
def test_a_layer_without_variation_stops_no_metric(name, stored):
    metric = (
        build(name, k=5) if build(name).neighbourhood else build(name, components=3) if "cca" in name else build(name)
    )
    signal = normal(1)[:, :2].repeat(1, 4) + 0.1 * normal(2, 8)  # `cka_finite` has no value for pure noise
    model = stored("model", [torch.full((N, 5), 2.0), signal])
    frame = align([(model, stored("other", [signal + 0.1 * normal(3, 8)]))], [metric], out_dir=None).frame
    assert frame.x_layer[frame.score.isna()].unique().tolist() == [0]
    assert np.isfinite(frame.score[frame.x_layer == 1]).all()


def test_ties_are_in_the_table_and_in_a_sentence(stored, fine):
    labels = torch.eye(6)[torch.arange(N) % 6]
    frame = align([(stored("labels", [normal(1), labels]), fine)], [KNN, CKA], out_dir=None, concatenation=False).frame
    knn = frame[frame.metric == KNN.id]
    assert knn.x_tied.tolist() == [0, 0, 1, 1]
    assert (knn.y_tied == 0).all()
    assert frame[frame.metric == CKA.id][["x_tied", "y_tied"]].isna().all(axis=None)
    (sentence,) = remarks(frame)
    assert sentence.startswith(
        f"{KNN.id}: the last neighbour is exactly as near as the next in labels "
        "(up to 100% of the samples, layer layer.01)."
    )
    chosen = significance(
        [(stored("more_labels", [labels]), fine)], [KNN], select="last", null=Null(permutations=19)
    ).frame.iloc[0]
    assert (chosen.x_tied, chosen.y_tied) == (1, 0)


def test_ties_of_many_models_are_one_sentence_that_names_the_worst(stored, fine):
    labels = [
        stored(f"labels_{classes}", [torch.eye(classes)[torch.arange(N) % classes], normal(classes)])
        for classes in (3, 4, 5, 6, 7)
    ]
    (sentence,) = remarks(align(list(product(labels, [fine])), [KNN], out_dir=None).frame)
    assert sentence.count("up to 100% of the samples") == 3
    assert " and 2 more models. " in sentence


def test_the_effect_of_ties_is_that_of_the_rule(stored, fine):
    labels, first = stored("labels", [torch.eye(6)[torch.arange(N) % 6]]), KNN.with_ties("first")
    drawn, lower = "drawn at random, so these layers agree less", "layers with ties agree above chance"
    for metrics, texts in (([KNN], {drawn}), ([first], {lower}), ([KNN, first], {drawn, lower})):
        (sentence,) = remarks(align([(labels, fine)], metrics, out_dir=None, concatenation=False).frame)
        assert {text for text in (drawn, lower) if text in sentence} == texts


def test_models_break_their_ties_apart_and_one_model_with_itself_agrees(stored):
    labels = torch.eye(6)[torch.randint(6, (N,), generator=torch.Generator().manual_seed(0))]
    one, two = (stored(name, [labels]) for name in ("one", "two"))
    itself = align([(one, one)], [KNN], out_dir=None).frame
    assert itself.score[itself.x_layer == itself.y_layer].tolist() == [1, 1]
    apart = align([(one, two)], [KNN], out_dir=None).frame
    assert apart.score.max() < 0.8
    assert apart.z.min() > 3  # the labels are the same all the same


def test_parts_of_the_version_before_are_read(model, tmp_path):
    """They have no columns on ties and on what is left out."""
    a, b = model("a"), model("b")
    table = align([(a, b)], [KNN], out_dir=tmp_path)
    (path,) = (path for path in tmp_path.glob("*.parquet") if not path.name.endswith(".samples.parquet"))
    columns = ["x_tied", "y_tied", "x_left_out", "y_left_out"]
    pd.read_parquet(path).drop(columns=columns).to_parquet(path)
    again = align([(a, b)], [KNN], out_dir=tmp_path).frame
    pd.testing.assert_frame_equal(again.drop(columns=columns), table.frame.drop(columns=columns))
    assert again.x_tied.isna().all()
    assert (again.x_left_out == "").all()
