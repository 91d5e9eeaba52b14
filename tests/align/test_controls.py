"""Shuffled pairs: no change at 0 %, the null of the choice at 100 %, and each level equals shuffled features."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from platorep.align import align, neighbour_graphs
from platorep.align.controls import SHARES, Shuffles, shuffled_pairs
from platorep.core.errors import DataError, SpecError
from platorep.data.captions import mismatched
from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.metrics.registry import parse
from platorep.results.protocols import chosen
from platorep.stats.nulls import max_null
from tests.align.conftest import model, stored  # noqa: F401


KNN = parse("mutual_knn(k=5)")


@pytest.fixture
def sides(model):  # noqa: F811
    return [model("a"), model("b", 2)], [model("v", 4, modality="vision"), model("w", modality="vision")]


def scores(table):
    return table.frame.rename(columns={"shuffle_share": "share", "shuffle_seed": "seed"})


@pytest.mark.parametrize("metric", ["mutual_knn(k=5)", "cka", "cknna(k=5)", "svcca(components=5)"])
def test_each_level_equals_scores_of_features_whose_rows_were_moved(metric, sides, stored):  # noqa: F811
    x, y = sides
    found = scores(shuffled_pairs(list(product(x, y)), parse(metric), Shuffles(shares=[0, 0.4], seeds=2)))
    assert len(found) == 4 * (1 + 2)
    order = torch.from_numpy(mismatched(x[0].n, 0.4, 1))
    moved = [
        stored(one.name + "moved", [one.load(i)[order] for i in range(len(one.layers))], modality="vision", ids=None)
        for one in y
    ]
    slow = align(list(product(x, moved)), [parse(metric)], out_dir=None).best()
    fast = found[(found.share == 0.4) & (found.seed == 1)]
    np.testing.assert_allclose(fast.score, slow.score, rtol=1e-5, atol=1e-7)
    plain = align(list(product(x, y)), [parse(metric)], out_dir=None).best()
    np.testing.assert_allclose(found[found.share == 0].score, plain.score, rtol=1e-12)
    assert (found[found.share == 0].x_layer.to_numpy() == plain.x_layer.to_numpy()).all()


def test_alignment_falls_with_every_level_to_the_null_of_the_choice_of_layers(sides):
    x, y = sides
    found = scores(shuffled_pairs(list(product(x, y)), KNN, Shuffles(seeds=8)))
    means = found.groupby("share").score.mean()
    assert len(means) == len(SHARES) == 21
    assert (means.diff().dropna() < 0.004).all()
    assert np.corrcoef(means.index, means)[0, 1] < -0.9
    graphs = {one.name: torch.stack(neighbour_graphs(one, 5)) for one in (*x, *y)}
    null = max_null(graphs, [(a.name, b.name) for a in x for b in y], 400, seed=1)
    for (a, b), observed, draws in zip(null.pairs, null.observed, null.null, strict=True):
        ends = found[(found.x_model == a) & (found.y_model == b) & (found.share == 1)].score
        low, high = np.quantile(draws, [0.001, 0.999])
        assert low <= ends.mean() <= high
        assert abs(ends.mean() - draws.mean()) < 4 * draws.std() / np.sqrt(len(ends))
        assert observed > high


def test_the_table_is_drawn_as_the_controls_figure(sides):
    x, y = sides
    table = shuffled_pairs(list(product(x, y)), KNN, Shuffles(shares=[0, 0.5, 1], seeds=2))
    assert set(table.frame.dataset) == {x[0].dataset}
    plot = draw("controls", FigureData(alignment=table))
    lines = {line.get_label(): line for line in plot.figure.axes[0].lines}
    assert {"a", "b", "chance"} <= set(lines)
    assert list(lines["a"].get_xdata()) == [0, 0.5, 1]


def test_seeds_differ_and_repeat(sides):
    x, y = sides
    one, again = (shuffled_pairs(list(product(x, y)), KNN, Shuffles(shares=[0.5], seeds=2)).frame for _ in range(2))
    assert one.equals(again)
    assert len(set(one.score)) > 4


def test_refusals(sides, model):  # noqa: F811
    x, y = sides
    with pytest.raises(DataError, match="no pair of different models"):
        shuffled_pairs([], KNN)
    with pytest.raises(DataError, match="a has 120 samples .rows. and z has 60"):
        shuffled_pairs(list(product(x, [model("z", n=60, dataset="other")])), KNN)
    with pytest.raises(SpecError, match=r"share of mismatched pairs is 1\.2"):
        shuffled_pairs(list(product(x, y)), KNN, Shuffles(shares=[1.2]))
    with pytest.raises(SpecError, match=r"scored on all samples: choose protocol=prh"):
        Shuffles(select="heldout")


@pytest.mark.parametrize(("select", "layers"), [("last", (2, 3)), ("depth:0.5", (1, 1)), ("depth:0", (0, 0))])
def test_layers_are_chosen_by_the_protocol(select, layers, sides):
    x, y = sides
    found = shuffled_pairs(list(product(x[:1], y[:1])), KNN, Shuffles(shares=[0], select=select)).frame.iloc[0]
    assert (found.x_layer, found.y_layer) == layers
    table = align(list(product(x[:1], y[:1])), [KNN], out_dir=None)
    assert found.score == chosen(table, select).score.item()
