from __future__ import annotations

import hashlib
import logging
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from platorep.align import align, significance
from platorep.align.controls import Shuffles, shuffled_pairs
from platorep.align.gallery import score_galleries
from platorep.align.gallery_parts import Design
from platorep.align.layers import ModelLayers, neighbour_graphs
from platorep.align.parts import samples_path
from platorep.align.plan import plan_blocks
from platorep.align.significance import Null
from platorep.core.clamp import Clamp
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.resources import Resources
from platorep.core.store import FeatureSet
from platorep.metrics.base import Geometry
from platorep.metrics.registry import build


KNN = build("mutual_knn", k=5)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_scores_equal_a_pair_by_pair_evaluation(model, tmp_path):
    a, b, c = model("a", 3), model("b", 4, modality="vision"), model("c", 2, modality="vision")
    metrics = [
        KNN,
        build("mutual_knn", k=7, similarity="euclidean"),
        build("cycle_knn", k=5),
        build("cycle_knn", k=5, direction="yx"),
    ]
    table = align(list(product([a], [b, c])), metrics, out_dir=tmp_path / "out").frame
    for row in table.itertuples():
        metric = next(m for m in metrics if m.id == row.metric)
        states = []
        for name, layer in ((row.x_model, row.x_layer), (row.y_model, row.y_layer)):
            features = {"a": a, "b": b, "c": c}[name]
            every = torch.cat([features.load(i) for i in range(len(features.layers))], dim=1)
            cut = every.abs().flatten().sort().values[int(0.95 * every.numel())].item()
            x = (every if layer == -1 else features.load(layer)).clamp(-cut, cut)
            states.append(metric.prepare(Geometry(x, metric.similarity)))
        assert row.score == pytest.approx(metric.score(*states), abs=1e-12)
    assert len(table) == len(metrics) * 4 * (5 + 3)


def test_related_layers_score_above_chance_and_a_shuffled_side_at_chance(model, stored, tmp_path):
    a = model("a", 2, n=400)
    b = model("b", 2, n=400)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(3))
    shuffled = stored("shuffled", [b.load(i)[order] for i in range(2)])
    table = align(list(product([a], [b, shuffled])), [KNN], out_dir=tmp_path / "out").frame
    assert (table[table.y_model == "b"].z > 8).all()
    chance = table[table.y_model == "shuffled"]
    assert chance.null_mean.to_numpy() == pytest.approx(5 / 399)
    assert chance.z.abs().max() < 4
    assert ((table.score - table.null_mean) / (1 - table.null_mean)).to_numpy() == pytest.approx(
        table.corrected.to_numpy()
    )


def test_same_inputs_give_the_same_bytes(model, tmp_path):
    x, y = [model("a"), model("b", 2)], [model("c", 4), model("d")]
    for folder in ("one", "two"):
        align(list(product(x, y)), [KNN, build("jaccard_knn", k=3)], out_dir=tmp_path / folder)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 4 * 2 * 2  # a part and its samples, a pair and metric


@pytest.mark.parametrize("memory", [1, 120_000, 400_000])
def test_memory_budget_changes_nothing(model, tmp_path, memory, caplog):
    x, y = [model("a"), model("b", 2), model("c")], [model("d", 4), model("e")]
    metrics = [KNN, build("lcs_knn", k=5)]
    align(list(product(x, y)), metrics, out_dir=tmp_path / "roomy")
    with caplog.at_level(logging.WARNING):
        align(list(product(x, y)), metrics, out_dir=tmp_path / "tight", resources=Resources(memory=memory))
    assert digests(tmp_path / "roomy") == digests(tmp_path / "tight")
    assert bool(caplog.records) == (memory == 1)


def test_order_of_models_changes_no_part(model, tmp_path):
    x, y = [model("a"), model("b", 2)], [model("c", 4), model("d")]
    align(list(product(x, y)), [KNN], out_dir=tmp_path / "one")
    align(list(product(x[::-1], y[::-1])), [KNN], out_dir=tmp_path / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_shards_make_the_parts_of_the_whole(model, tmp_path):
    x, y = [model("a"), model("b", 2)], [model("c", 4), model("d"), model("e")]
    whole = align(list(product(x, y)), [KNN], out_dir=tmp_path / "one")
    pieces = [
        align(list(product(x, y)), [KNN], out_dir=tmp_path / "two", resources=Resources(shard=(i, 4))).frame
        for i in range(4)
    ]
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), whole.frame)
    with pytest.raises(SpecError, match="only 6 pairs"):
        align(list(product(x, y)), [KNN], out_dir=tmp_path, resources=Resources(shard=(0, 7)))


def test_parts_that_are_there_are_not_made_and_their_models_not_read(model, tmp_path, monkeypatch):
    a, b, c, out = model("a"), model("b"), model("c"), tmp_path / "out"
    first = align([(a, b)], [KNN], out_dir=out)
    read = []
    load = FeatureSet.load
    monkeypatch.setattr(
        FeatureSet, "load", lambda self, *args, **more: read.append(self.name) or load(self, *args, **more)
    )
    again = align([(a, b)], [KNN], out_dir=out)
    assert read == []
    pd.testing.assert_frame_equal(first.frame, again.frame)
    both = align(list(product([a], [b, c])), [KNN], out_dir=out)
    assert set(read) == {"a", "c"}
    assert read.count("a") == len(a.layers)  # each layer once
    pd.testing.assert_frame_equal(both.frame[both.frame.y_model == "b"].reset_index(drop=True), first.frame)


def test_a_part_removed_is_made_again_with_the_same_bytes(model, tmp_path):
    x, y, out = [model("a"), model("b")], [model("c"), model("d")], tmp_path / "out"
    align(list(product(x, y)), [KNN], out_dir=out)
    before = digests(out)
    for path in sorted(out.glob("*.parquet"))[1::3]:
        path.unlink()
    align(list(product(x, y)), [KNN], out_dir=out)
    part = {name: code for name, code in digests(out).items() if not name.endswith(".samples.parquet")}
    assert part == {name: code for name, code in before.items() if not name.endswith(".samples.parquet")}


def test_a_run_that_was_stopped_between_metrics_goes_on_block_by_block(model, tmp_path):
    """Each block of models then lacks another metric: the one it lacks is made, the one it has is not missed."""
    x, y, out = [model("a"), model("b"), model("c")], [model("d"), model("e")], tmp_path / "out"
    metrics = [KNN, build("jaccard_knn", k=5)]
    align(list(product(x, y)), metrics, out_dir=out)
    before = digests(out)
    for number, path in enumerate(sorted(out.glob("*.parquet"))):
        if number % 3:
            path.unlink()
    align(list(product(x, y)), metrics, out_dir=out, resources=Resources(memory=1))  # one pair a block
    kept = {name for name in digests(out) if not name.endswith(".samples.parquet")}
    assert kept == {name for name in before if not name.endswith(".samples.parquet")}
    assert all(digests(out)[name] == before[name] for name in digests(out))


def test_other_settings_make_other_parts(model, tmp_path):
    a, b, out = model("a"), model("b"), tmp_path / "out"
    clamps = [{"clamp": Clamp(*words)} for words in (("exact",), ("exact", 0.9), ("approximate",), ("none",))]
    for options in (*clamps, {"concatenation": False}):
        align([(a, b)], [KNN], out_dir=out, **options)
    align([(a, b)], [build("mutual_knn", k=6)], out_dir=out)
    assert len([path for path in out.iterdir() if not path.name.endswith(".samples.parquet")]) == 6


def test_per_sample_overlaps_average_to_the_best_score(model, tmp_path):
    metric = build("edit_distance_knn", k=6)
    table = align([(model("a"), model("b", 4))], [metric], out_dir=tmp_path / "out")
    best = table.best().iloc[0]
    (part,) = [path for path in (tmp_path / "out").iterdir() if not path.name.endswith(".samples.parquet")]
    samples = pd.read_parquet(samples_path(part))
    assert samples.overlap.mean() == pytest.approx(best.score, abs=1e-12)
    assert (samples["sample"] == np.arange(120)).all()
    assert (samples.x_layer.unique().tolist(), samples.y_layer.unique().tolist()) == ([best.x_layer], [best.y_layer])


def test_a_model_with_itself_scores_one_on_the_diagonal(model, tmp_path):
    a = model("a")
    scores = align([(a, a)], [KNN], out_dir=None).frame.score.to_numpy().reshape(4, 4)
    assert (scores.diagonal() == 1).all()
    assert (scores == scores.T).all()
    assert (scores[~np.eye(4, dtype=bool)] < 1).all()


def test_depth_is_relative_and_missing_for_the_concatenation(model):
    frame = align([(model("a", 3), model("b", 1))], [KNN], out_dir=None).frame
    depths = frame.groupby("x_layer").x_depth.first()
    assert depths[[0, 1, 2]].tolist() == [0, 0.5, 1]
    assert frame[frame.x_layer == -1].x_depth.isna().all()
    assert frame[frame.y_layer == 0].y_depth.unique().tolist() == [1]
    assert frame[frame.x_layer == -1].x_layer_name.unique().tolist() == ["concatenation"]


def test_progress_counts_to_its_total(model, tmp_path):
    seen = []
    align([(model("a"), model("b", 2))], [KNN], out_dir=tmp_path / "out", progress=lambda *step: seen.append(step))
    assert [done for done, _, _ in seen] == list(range(1, 3 + 2 + 1 + 1))
    assert {total for _, total, _ in seen} == {len(seen)}


def test_different_samples_are_refused_with_both_names(model):
    a, b = model("gpt", n=30), model("vit", n=30, ids=[f"t{i}" for i in range(30)], dataset="other")
    with pytest.raises(DataError, match=f"gpt and vit have different samples.*{a.digest[:12]}.*{b.digest[:12]}"):
        align([(a, b)], [KNN], out_dir=None)


def test_too_few_samples_are_refused_before_anything_is_read(model, monkeypatch):
    a, b = model("a", n=10), model("b", n=10)
    monkeypatch.setattr(FeatureSet, "load", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(
        FeatureError, match="k = 10 neighbours of 10 samples: k must be at least 1 and at most n - 1 = 9"
    ):
        align([(a, b)], [build("mutual_knn", k=10)], out_dir=None)


def test_nothing_to_do_and_doubles_are_refused(model):
    a = model("a")
    with pytest.raises(DataError, match="0 pairs of different models, 1 metrics"):
        align([], [KNN], out_dir=None)
    with pytest.raises(DataError, match="asked for twice"):
        align([(a, a)], [KNN, KNN], out_dir=None)


def test_the_concatenation_summed_from_layers_has_the_gram_of_the_concatenated_features(model):
    layers = ModelLayers(model("a", 4), memory=1 << 30, clamp=Clamp("exact", 0.9))
    for similarity in ("cosine", "euclidean"):
        made = dict(layers.geometries([similarity]))[-1][similarity]
        whole = Geometry(torch.cat([layers.clipped(i) for i in range(4)], dim=1), similarity)
        assert (made.gram - whole.gram).abs().max() < 1e-6 * whole.gram.abs().max()
        torch.testing.assert_close(made.x, whole.x)


def test_layers_read_at_each_use_are_those_held(model):
    features = model("a", 4)
    for clip in ("exact", "approximate"):
        held, read = (ModelLayers(features, memory=memory, clamp=Clamp(clip, 0.8)) for memory in (1 << 30, 0))
        assert held.holds
        assert not read.holds
        assert held.threshold == read.threshold
        for i in range(4):
            assert torch.equal(held.clipped(i), read.clipped(i))


def test_neighbour_graphs_are_those_that_were_scored(model):
    a, b = model("a"), model("b", 2)
    frame = align([(a, b)], [KNN], out_dir=None).frame
    x, y = neighbour_graphs(a, 5), neighbour_graphs(b, 5)
    expected = [
        np.mean([len(set(p) & set(q)) / 5 for p, q in zip(s.tolist(), t.tolist(), strict=True)]) for s in x for t in y
    ]
    assert frame.score.to_numpy() == pytest.approx(np.array(expected))


@pytest.mark.parametrize("budget", [0, 10, 25, 60, 1000])
def test_blocks_cover_every_pair_once_with_both_models_present(budget):
    sizes = {f"x{i}": 7 + i for i in range(5)} | {f"y{i}": 5 + i for i in range(4)}
    pairs = [(f"x{i}", f"y{j}") for i in range(5) for j in range(4) if (i + j) % 3]
    present: list[str] = []
    covered = []
    for block in plan_blocks(pairs, sizes, budget):
        assert set(block.keeps) <= set(present)
        assert not set(block.reads) & set(block.keeps)
        present = [*block.keeps, *block.reads]
        assert all(a in present and b in present for a, b in block.pairs)
        assert sum(sizes[one] for one in present) <= max(budget, max(sizes[a] + sizes[b] for a, b in block.pairs))
        covered += block.pairs
    assert sorted(covered) == sorted(pairs)


def test_all_models_that_fit_are_read_once():
    assert [block.reads for block in plan_blocks([("a", "b"), ("a", "c"), ("b", "c")], dict(a=1, b=1, c=1), 3)] == [
        ["a", "b", "c"]
    ]


def test_products_are_in_full_precision_whatever_the_process_has_set(model, tmp_path, monkeypatch):
    x, y = model("a"), model("b", modality="vision")
    seen, geometries = [], ModelLayers.geometries

    def spy(self, *args, **more):
        seen.append(torch.get_float32_matmul_precision())
        return geometries(self, *args, **more)

    monkeypatch.setattr(ModelLayers, "geometries", spy)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        align([(x, y)], [KNN], out_dir=None)
        significance([(x, y)], [KNN], null=Null(permutations=0))
        neighbour_graphs(x, 5)
        score_galleries([(x, y)], Design(sizes=(20,), queries=8, ks=(3,)), out_dir=tmp_path)
        shuffled_pairs([(x, y)], KNN, Shuffles(shares=(0.0,), seeds=1))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert len(seen) == 9  # two models each, one for the graphs
    assert set(seen) == {"highest"}
