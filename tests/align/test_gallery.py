from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from platorep.align import neighbour_graphs
from platorep.align.gallery import score_galleries
from platorep.align.gallery_parts import Design, part_path, shared_by_query
from platorep.core.errors import DataError, FeatureError, SpecError, StoreError
from platorep.core.resources import Resources
from platorep.metrics.registry import parse
from platorep.results.tables import GalleryTable
from tests.faiss_stub import Faiss


SMALL = Design(sizes=(40, 70, 120), queries=32, ks=(5,), share=0.1, seed=1)


@pytest.fixture
def pairs(model):
    a, b, c = model("a", 3), model("b", 2, modality="vision"), model("c", 2, modality="vision")
    return [(a, b), (a, c)]


def slow_neighbours(x: torch.Tensor, design: Design, n: int, k: int) -> list[list[int]]:
    """Of each query in the gallery of n, by float64 products and full sorts."""
    rows = np.random.default_rng(design.seed).permutation(len(x))[:n]
    unit = torch.nn.functional.normalize(x[rows].double(), dim=1)
    closeness = (unit @ unit.T).fill_diagonal_(-2)[: design.queries]
    return closeness.sort(dim=1, descending=True, stable=True).indices[:, :k].tolist()


def clamped(features, layer: int) -> torch.Tensor:
    every = torch.cat([features.load(i).flatten() for i in range(len(features.layers))])
    cut = every.abs().sort().values[int(0.95 * len(every))].item()
    return features.load(layer).clamp(-cut, cut)


def test_every_row_equals_a_search_of_its_gallery_alone_pair_by_pair(pairs, tmp_path):
    frame = score_galleries(pairs, SMALL, out_dir=tmp_path).frame
    assert list(zip(frame.n[::12], frame.k[::12], strict=True))[:1] == [(40, 5)]
    assert sorted({(r.n, r.k, r.share) for r in frame.dropna().itertuples()}) == [
        (40, 4, 0.1),
        (70, 7, 0.1),
        (120, 12, 0.1),
    ]
    assert sorted({(r.n, r.k) for r in frame[frame.share.isna()].itertuples()}) == [(40, 5), (70, 5), (120, 5)]
    assert len(frame) == 6 * (3 * 2 + 3 * 2)
    models = {one.name: one for pair in pairs for one in pair}
    for row in frame.itertuples():
        sides = [(models[row.x_model], row.x_layer), (models[row.y_model], row.y_layer)]
        x, y = (slow_neighbours(clamped(features, layer), SMALL, row.n, row.k) for features, layer in sides)
        shared = [len(set(a) & set(b)) for a, b in zip(x, y, strict=True)]
        assert row.score == pytest.approx(sum(shared) / (32 * row.k), abs=1e-12)
        assert row.chance == pytest.approx(row.k / (row.n - 1), abs=1e-15)
        assert row.corrected == pytest.approx((row.score - row.chance) / (1 - row.chance), abs=1e-12)
        assert row.low < row.score < row.high or row.standard_error == 0
        assert (row.queries, row.x_recall, row.y_recall, row.backend) == (32, 1, 1, "cpu")
        assert parse(row.metric).k == row.k


def test_with_all_samples_as_queries_and_gallery_the_overlaps_are_those_of_mutual_knn(pairs, tmp_path):
    design = Design(sizes=(120,), queries=120, ks=(7,), share=None, seed=3)
    frame = score_galleries(pairs, design, out_dir=tmp_path).frame
    (a, b), metric = pairs[0], parse("mutual_knn(k=7)")
    part = pq.read_table(part_path(tmp_path, a, b, design, "exact(0.95)", (0, 1))).to_pandas()
    graphs = [neighbour_graphs(one, 7, concatenation=False) for one in (a, b)]
    order = design.order(120)
    for row in part.itertuples():
        x, y = graphs[0][row.x_layer], graphs[1][row.y_layer]
        overlap = (x[:, :, None] == y[:, None, :]).sum((1, 2))
        assert row.overlaps.tolist() == overlap[order].tolist()
        score = frame[(frame.y_model == "b") & (frame.x_layer == row.x_layer) & (frame.y_layer == row.y_layer)]
        assert score.score.item() == overlap.sum().item() / (120 * 7)
        assert score.metric.item() == metric.id


@pytest.mark.parametrize("shares", [2, 3, 13])
def test_shares_of_the_queries_merge_to_the_bytes_of_one_run(pairs, tmp_path, shares):
    design = Design(sizes=(60, 120), queries=50, ks=(1, 5))
    score_galleries(pairs, design, out_dir=tmp_path / "one").write(tmp_path / "one.parquet")
    for i in range(shares - 1, 0, -1):
        assert score_galleries(pairs, design, out_dir=tmp_path / "many", resources=Resources(shard=(i, shares))) is None
    score_galleries(pairs, design, out_dir=tmp_path / "many", resources=Resources(shard=(0, shares))).write(
        tmp_path / "many.parquet"
    )
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "many.parquet").read_bytes()
    assert len(list((tmp_path / "many").iterdir())) == 2 * shares


def test_more_shares_than_tiles_of_queries_are_refused(pairs, tmp_path):
    with pytest.raises(SpecError, match="shard 0/14: 50 queries are cut into at most 13 shares"):
        score_galleries(
            pairs, Design(sizes=(60, 120), queries=50), out_dir=tmp_path, resources=Resources(shard=(0, 14))
        )


def test_a_part_that_is_there_is_not_made_again(pairs, tmp_path, monkeypatch):
    first = score_galleries(pairs, SMALL, out_dir=tmp_path)
    lost = part_path(tmp_path, *pairs[1], SMALL, "exact(0.95)", (0, 1))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path != lost}
    digest = hashlib.sha256(lost.read_bytes()).hexdigest()
    lost.unlink()
    read = []
    score_galleries(pairs, SMALL, out_dir=tmp_path, progress=lambda done, total, label: read.append(label))
    assert set(read) == {"a", "c", "a x c"}
    assert hashlib.sha256(lost.read_bytes()).hexdigest() == digest
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    monkeypatch.setattr("platorep.align.gallery.ModelLayers", None)  # nothing is read when all is there
    pd.testing.assert_frame_equal(score_galleries(pairs, SMALL, out_dir=tmp_path).frame, first.frame)


@pytest.mark.parametrize("damage", ["cut short", "of other galleries under its name"])
def test_a_part_that_is_not_what_it_should_be_is_named_and_made_again(pairs, tmp_path, caplog, damage):
    first = score_galleries(pairs, SMALL, out_dir=tmp_path)
    part, other = sorted(tmp_path.glob("*.parquet"))[:2]
    whole, untouched = part.read_bytes(), other.stat().st_mtime_ns
    if damage == "cut short":
        part.write_bytes(whole[:500])
    else:
        fewer = replace(SMALL, sizes=(SMALL.sizes[0], SMALL.sizes[-1]))
        score_galleries(pairs, fewer, out_dir=tmp_path / "few")
        start = "--".join(part.name.split("--")[:2])
        part.write_bytes(next((tmp_path / "few").glob(f"{start}--*")).read_bytes())
    pd.testing.assert_frame_equal(score_galleries(pairs, SMALL, out_dir=tmp_path).frame, first.frame)
    assert part.read_bytes() == whole
    assert other.stat().st_mtime_ns == untouched
    assert f"{part.name} is damaged" in caplog.text if damage == "cut short" else f"{part.name} was made" in caplog.text


def test_a_part_of_another_share_that_is_not_what_it_should_be_is_refused(pairs, tmp_path):
    for share in ((0, 2), (1, 2)):
        score_galleries(pairs, SMALL, out_dir=tmp_path, resources=Resources(shard=share))
    first, second = (part_path(tmp_path, *pairs[0], SMALL, "exact(0.95)", (i, 2)) for i in (0, 1))
    second.write_bytes(first.read_bytes())
    with pytest.raises(StoreError, match=f"{second.name} was made from other features, or for another place"):
        score_galleries(pairs, SMALL, out_dir=tmp_path, resources=Resources(shard=(0, 2)))


def test_two_models_of_one_key_are_two_models(pairs, tmp_path):
    """A name is a label that the key does not cover; the same weights may be in a suite twice."""
    (a, b), *_ = pairs
    twin = SimpleNamespace(
        **{name: getattr(b, name) for name in ("key", "n", "digest", "layers", "spec", "path", "load", "content")},
        name="twin",
    )
    table = score_galleries([(a, b), (a, twin)], SMALL, out_dir=tmp_path)
    one, two = (rows.score.to_numpy() for _, rows in table.frame.groupby("y_model", sort=False))
    assert set(table.frame.y_model) == {b.name, "twin"}
    np.testing.assert_array_equal(one, two)


def test_little_memory_and_other_tiles_change_no_byte(pairs, tmp_path, monkeypatch):
    score_galleries(pairs, SMALL, out_dir=tmp_path / "much").write(tmp_path / "much.parquet")
    score_galleries(pairs, SMALL, out_dir=tmp_path / "little", resources=Resources(memory=1)).write(
        tmp_path / "little.parquet"
    )
    monkeypatch.setattr("platorep.align.gallery_parts._CELLS", 100)
    monkeypatch.setattr("platorep.align.gallery.COLUMNS", 17)
    score_galleries(pairs, SMALL, out_dir=tmp_path / "tiles").write(tmp_path / "tiles.parquet")
    assert (
        (tmp_path / "much.parquet").read_bytes()
        == (tmp_path / "little.parquet").read_bytes()
        == (tmp_path / "tiles.parquet").read_bytes()
    )


def test_related_models_score_above_chance_and_a_shuffled_side_at_chance(model, stored, tmp_path):
    a, b = model("a", 2, n=400), model("b", 2, n=400)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(3))
    shuffled = stored("shuffled", [b.load(i)[order] for i in range(2)])
    design = Design(sizes=(200, 400), queries=200, ks=(5,), share=0.05)
    frame = score_galleries([(a, b), (a, shuffled)], design, out_dir=tmp_path).frame
    assert (frame.low > frame.chance)[frame.y_model == "b"].all()
    chance = frame[frame.y_model == "shuffled"]
    assert (chance.score - chance.chance).abs().max() < 0.02
    assert ((chance.score - chance.chance) / chance.standard_error).abs().max() < 4


def test_a_layer_pair_of_a_pair_of_models_is_one_for_all_galleries(pairs, tmp_path):
    table = score_galleries(pairs, SMALL, out_dir=tmp_path)
    best = table.best()
    assert best.groupby("y_model").size().to_dict() == {"b": 6, "c": 6}
    for _, rows in best.groupby("y_model"):
        assert len(rows[["x_layer", "y_layer"]].drop_duplicates()) == 1
        every = table.frame[(table.frame.y_model == rows.y_model.iloc[0]) & table.frame.share.isna()]
        means = every.groupby(["x_layer", "y_layer"]).corrected.mean()
        assert rows[rows.share.isna()].corrected.mean() == pytest.approx(means.max())
        assert means.max() > means.min()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": (70, 40)}, r"gallery.sizes is \[70, 40\]; expected sizes that increase"),
        ({"sizes": ()}, r"gallery.sizes is \[\]"),
        ({"sizes": (-5, 70)}, r"gallery.sizes is \[-5, 70\]; expected sizes that increase, from 2 on"),
        ({"seed": -1}, "gallery.seed is -1; expected a whole number from 0 to"),
        ({"seed": 2**63}, "gallery.seed is 9223372036854775808; expected a whole number"),
        ({"queries": 41}, "gallery.queries is 41; expected 2 to 40, the smallest gallery"),
        ({"queries": 1}, "gallery.queries is 1"),
        ({"share": 1.5}, "gallery.share is 1.5; expected k as a share of the gallery"),
        ({"search": "annoy"}, "gallery.search is 'annoy'; expected exact or faiss"),
    ],
)
def test_a_design_that_cannot_be_searched_is_refused(change, message):
    words = {"sizes": (40, 70), "queries": 30} | change
    with pytest.raises(SpecError, match=message):
        Design(**words)


def test_too_many_neighbours_too_few_samples_and_other_samples_are_refused(pairs, model, tmp_path):
    with pytest.raises(FeatureError, match="k = 40 neighbours of 40 samples"):
        Design(sizes=(40, 70), queries=30, ks=(40,))
    with pytest.raises(DataError, match=r"gallery.sizes goes up to 500, but there are only 120 samples"):
        score_galleries(pairs, Design(sizes=(40, 500), queries=30), out_dir=tmp_path)
    with pytest.raises(DataError, match=r"a has 120 samples .* other has 100"):
        score_galleries([(pairs[0][0], model("other", n=100))], SMALL, out_dir=tmp_path)
    with pytest.raises(DataError, match="no pair of different models"):
        score_galleries([], SMALL, out_dir=tmp_path)
    assert not list(tmp_path.glob("*.parquet"))


def test_the_name_of_a_part_holds_all_that_determines_it(pairs):
    def name(design=SMALL, clip="exact(0.95)", shard=(0, 1), pair=pairs[0]) -> str:
        return part_path(Path(), *pair, design, clip, shard).name

    words = {"sizes": (40, 70, 120), "queries": 32, "ks": (5,), "share": 0.1, "seed": 1}
    changes = [
        {"sizes": (40, 120)}, {"queries": 33}, {"ks": (6,)}, {"ks": (5, 6)}, {"share": 0.2}, {"share": None},
        {"seed": 2},
        {"similarity": "euclidean"}, {"search": "faiss"},
    ]  # fmt: skip
    others = [name(Design(**words | change)) for change in changes]
    others += [name(clip="none"), name(shard=(0, 2)), name(pair=pairs[1]), name(pair=pairs[0][::-1])]
    assert name(Design(**words)) == name()
    assert len({name(), *others}) == 1 + len(others)


def test_shared_neighbours_a_query_are_set_intersections_in_whatever_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    xs, ys = (
        [torch.from_numpy(np.stack([rng.permutation(90)[:k] for _ in range(20)])) for _ in range(3)] for k in (4, 7)
    )
    expected = [[[len({*a.tolist()} & {*b.tolist()}) for a, b in zip(x, y, strict=True)] for y in ys] for x in xs]
    assert shared_by_query(xs, ys, 90).tolist() == expected
    monkeypatch.setattr("platorep.align.gallery_parts._CELLS", 3 * 90)
    assert shared_by_query([x.int() for x in xs], ys, 90).tolist() == expected
    assert 0 < np.sum(expected) < 20 * 4 * 9


def test_a_table_comes_back_from_disk_as_it_was(pairs, tmp_path):
    table = score_galleries(pairs, SMALL, out_dir=tmp_path / "parts")
    table.write(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(GalleryTable.load([tmp_path / "table.parquet"]).frame, table.frame)


@pytest.fixture
def faiss(monkeypatch) -> Faiss:
    made = Faiss()
    monkeypatch.setitem(sys.modules, "faiss", made)
    return made


APPROXIMATE = Design(sizes=(40, 70, 120), queries=32, ks=(5,), share=0.1, seed=1, search="faiss")


def test_what_was_searched_approximately_says_so_and_states_its_recall(pairs, tmp_path, faiss):
    exact = score_galleries(pairs, SMALL, out_dir=tmp_path).frame
    whole = score_galleries(pairs, APPROXIMATE, out_dir=tmp_path).frame
    assert set(whole.backend) == {"cpu, faiss HNSW32 (approximate)"}
    assert whole.score.tolist() == exact.score.tolist()
    assert set(whole.x_recall) == set(whole.y_recall) == {1.0}
    faiss.hidden = 4
    lossy = score_galleries(pairs, APPROXIMATE, out_dir=tmp_path / "lossy").frame
    assert 0.6 < lossy[["x_recall", "y_recall"]].mean().mean() < 0.9  # a fourth of the gallery is not found
    assert (lossy.score != exact.score).any()


def test_shares_of_an_approximate_search_merge_to_the_bytes_of_one_run(pairs, tmp_path, faiss):
    faiss.hidden = 4
    score_galleries(pairs, APPROXIMATE, out_dir=tmp_path / "one").write(tmp_path / "one.parquet")
    tables = [
        score_galleries(pairs, APPROXIMATE, out_dir=tmp_path / "many", resources=Resources(shard=(i, 3)))
        for i in range(3)
    ]
    assert tables[:2] == [None, None]
    tables[2].write(tmp_path / "many.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "many.parquet").read_bytes()


def test_without_faiss_nothing_is_read(pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(SpecError, match="needs FAISS, which is not installed"):
        score_galleries(pairs, APPROXIMATE, out_dir=tmp_path, progress=lambda *words: pytest.fail("something was read"))
