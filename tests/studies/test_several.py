from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from platorep.core.clamp import NONE
from platorep.core.errors import SpecError
from platorep.core.features import ArrayFeatures
from platorep.metrics.base import Geometry
from platorep.studies.several import (
    AMPLITUDE,
    EXPLAINED,
    EXPONENT,
    FALL,
    LIMIT,
    RISE,
    SCORE,
    multiplied_overlap,
    several,
)
from tests.studies.worlds import by_item, inputs


N, VIEWS, K = 200, 5, 10


def world(noise: float = 1.0, what: str = "language"):
    """One latent with `VIEWS` noisy views per item on one side, and nearly itself, or nothing of it, on the other."""
    rng = np.random.default_rng(3)
    latent = rng.normal(size=(N, 6))
    views = by_item(rng, np.repeat(latent, VIEWS, axis=0), noise)
    firsts, nets = views[::VIEWS], {"net": by_item(rng, latent, 0.2), "unrelated": rng.normal(size=(N, 6))}
    given = inputs({"lm": firsts}, nets) if what == "language" else inputs(nets, {"lm": firsts})
    rows = ArrayFeatures("lm", [torch.from_numpy(views).float()], dataset="many", modality=what)
    owners = [i // VIEWS for i in range(N * VIEWS)]
    return dataclasses.replace(given, variants={"all": {"lm": rows}}, rows={"all": owners}), views, nets


@pytest.fixture(scope="module")
def table():
    return several(world()[0], k=K)


def curve(table, reading, y="net"):
    rows = table.pairs()
    rows = rows[(rows.y_model == y) & (rows.setting == f"captions {reading}") & (rows.quantity == SCORE)]
    return rows.set_index("position")


def single(table, quantity, y="net", what="captions"):
    rows = table.pairs()
    return rows[(rows.y_model == y) & (rows.quantity == quantity) & rows.setting.str.startswith(what)].iloc[0]


def test_captions_that_are_noisy_views_of_an_item_rise_pooled_and_fall_multiplied(table):
    pooled, multiplied = curve(table, "pooled").value, curve(table, "multiplied").value
    assert pooled.is_monotonic_increasing
    assert multiplied.is_monotonic_decreasing
    assert single(table, RISE).low > 0
    assert single(table, FALL).low > 0
    assert pooled[1] == multiplied[1]


def test_the_law_describes_the_scores_and_its_limit_lies_above_them_as_that_of_clean_captions_does():
    table = several(world(noise=0.4)[0], k=K)
    limit, last = single(table, LIMIT), curve(table, "pooled").value[VIEWS]
    truth = curve(several(world(noise=0.0)[0], k=K, counts=[1, 2]), "pooled").value[1]
    assert single(table, EXPLAINED).value > 0.995
    assert single(table, EXPONENT).low > 0.05
    assert single(table, AMPLITUDE).low > 0
    assert last < min(truth, limit.low)
    assert abs(limit.value - truth) < 0.2  # no closer: it is an extrapolation


def test_unrelated_pictures_stay_at_chance_in_both_readings(table):
    for reading in ("pooled", "multiplied"):
        rows = curve(table, reading, "unrelated")
        assert (np.abs(rows.value - rows.null_mean) < 0.014).all()  # 4 standard errors of 200 items
    rise, fall = single(table, RISE, "unrelated"), single(table, FALL, "unrelated")
    assert rise.low < 0 < rise.high
    chance = curve(table, "multiplied", "unrelated").null_mean
    assert chance[VIEWS] == pytest.approx(K / (N - 1) / VIEWS)
    assert abs(fall.value - (chance[1] - chance[VIEWS])) < 0.012  # multiplied scores fall because chance does


def test_multiplied_scores_of_related_pictures_rise_over_chance(table):
    rows = curve(table, "multiplied")
    assert (rows.value / rows.null_mean).is_monotonic_increasing


def test_pooled_captions_are_the_mean_of_their_features():
    given, views, nets = world()
    whole = torch.from_numpy(views.reshape(N, VIEWS, -1).mean(axis=1)).float()
    graphs = [Geometry(x, "cosine", seed=0).neighbours(K) for x in (whole, torch.from_numpy(nets["net"]).float())]
    shared = np.mean([len({*a} & {*b}) / K for a, b in zip(*(graph.tolist() for graph in graphs), strict=True)])
    table = several(dataclasses.replace(given, clamp=NONE), k=K, counts=[1, VIEWS])
    assert curve(table, "pooled").value[VIEWS] == pytest.approx(shared, abs=1e-3)  # sums in another order


def test_the_share_of_copies_is_the_mean_over_their_random_orders():
    rng = np.random.default_rng(4)
    n, views, k = 12, 3, 4
    near = np.array([[rng.permutation([j for j in range(n * views) if j // views != i])[:k] for _ in range(views)]
                     for i in range(n)])  # fmt: skip
    other = np.array([rng.permutation([j for j in range(n) if j != i])[:k] for i in range(n)])
    draws = np.zeros((400, n))
    for draw in draws:
        for i in range(n):
            copies = np.concatenate([rng.permutation(views) + item * views for item in other[i]])[:k]
            draw[i] = np.isin(near[i], copies).mean()
    expected = multiplied_overlap(near // views, other)
    error = draws.std(axis=0) / 20
    assert (np.abs(draws.mean(axis=0) - expected) <= 5 * error + 1e-12).all()
    assert expected.max() > 0


def test_several_pictures_are_a_panel_of_their_own():
    table = several(world(what="vision")[0], k=K, counts=[1, 3, 5])
    rows = table.pairs()
    found = rows[(rows.x_model == "net") & (rows.setting == "pictures pooled") & (rows.quantity == SCORE)]
    assert found.value.is_monotonic_increasing
    assert set(rows.setting) == {"pictures pooled", "pictures multiplied"}
    assert LIMIT not in set(rows.quantity)  # three counts are too few for a law


def test_items_with_one_caption_are_refused():
    given = world()[0]
    with pytest.raises(SpecError, match="needs items with several captions or pictures"):
        several(dataclasses.replace(given, rows={}))
    with pytest.raises(SpecError, match=rf"counts is \[2, 4\]; expected two or more numbers from 1 to {VIEWS}"):
        several(given, counts=[2, 4])
