from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.results.studies import StudyTable
from platorep.stats.categories import PARTS, category_shares, neighbour_parts, relabelled_items
from platorep.studies.coarse import GALLERY, PER_CLASS, coarse
from tests.studies.worlds import by_category, by_item, categories, inputs


COUNT, EACH = 12, 20
OPTIONS = {"sizes": (60, 240), "per_class": (4, 16), "draws": 3, "permutations": 99}


def reference(x, y, query_codes, codes):
    """The parts by a loop over every pair of other neighbours."""
    rows = []
    for mine, other, code in zip(x.tolist(), y.tolist(), query_codes, strict=True):
        common = set(mine) & set(other)
        row = [len(common) / len(mine), 0.0, 0.0, 0.0, 0.0]
        pairs = [(a, b) for a in mine for b in other if a not in common and b not in common]
        for a, b in pairs:
            place = 1 + (codes[a] != code) * 2 + (codes[b] != code)
            row[place] += (1 - row[0]) / len(pairs)
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("k", [1, 4])
def test_parts_are_those_of_a_loop_and_sum_to_one(k):
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=30)
    x, y = (np.array([rng.choice(30, size=k, replace=False) for _ in range(12)]) for _ in range(2))
    parts = neighbour_parts(x, y, codes[:12], codes)
    assert np.allclose(parts, reference(x, y, codes[:12], codes))
    assert np.allclose(parts.sum(axis=1), 1)
    a, b, both = category_shares(x, y, codes[:12], codes).T
    assert np.allclose(a, [(codes[row] == code).mean() for row, code in zip(x, codes[:12], strict=True)])
    assert np.allclose(both, a * b)


def test_relabelling_is_that_of_the_features():
    rng = np.random.default_rng(1)
    x, y = (np.argsort(rng.normal(size=(20, 20)) + 99 * np.eye(20), axis=1)[:, :3] for _ in range(2))
    order = rng.permutation(20)
    place = {int(sample): new for new, sample in enumerate(order)}
    moved = np.array([[place[int(j)] for j in y[order[i]]] for i in range(20)])
    expected = np.mean([len({*x[i]} & {*moved[i]}) / 3 for i in range(5, 9)])
    assert relabelled_items(x, y, np.arange(5, 9), order[None])[0] == pytest.approx(expected)


def test_graphs_of_different_shapes_are_refused():
    with pytest.raises(FeatureError, match=r"one shape .* got \(2, 1\) and \(2, 2\)"):
        neighbour_parts(np.zeros((2, 1), int), np.zeros((2, 2), int), np.zeros(2, int), np.zeros(3, int))


def table(x, y, **more) -> StudyTable:
    return coarse(inputs({"lm": x}, {"net": y}, categories(COUNT, EACH)), **(OPTIONS | more))


def row(table, quantity, setting=GALLERY, position=240):
    rows = table.pairs()
    return rows[(rows.quantity == quantity) & (rows.setting == setting) & (rows.position == position)].iloc[0]


def test_models_that_agree_by_category_alone_share_no_more_items_than_their_categories_give():
    found = []
    for seed in range(6):
        rng = np.random.default_rng(10 + seed)
        centres = rng.normal(size=(COUNT, 20)).repeat(EACH, axis=0)
        one = table(*(centres + 0.3 * rng.normal(size=centres.shape) for _ in range(2)))
        assert row(one, "both sides in category").value > 0.9
        found += [row(one, PARTS[0]), row(one, PARTS[0], PER_CLASS, 16)]
    assert sum(each.p_value <= 0.05 for each in found) <= 2  # 3 of 12 at 5 % each: 2 %
    chance = 1 / (EACH - 1)  # of the one nearest neighbour among the others of its category
    assert np.mean([each.value for each in found[::2]]) == pytest.approx(chance, abs=0.02)
    assert np.mean([each.null_mean for each in found[::2]]) == pytest.approx(chance, abs=0.005)


def test_models_that_share_items_exceed_it():
    rng = np.random.default_rng(3)
    latent = by_category(rng, COUNT, EACH)
    found = table(by_item(rng, latent), by_item(rng, latent))
    item = row(found, PARTS[0])
    assert item.p_value == 0.01
    assert item.low > 3 * item.null_high


def test_unrelated_models_share_neither():
    rng = np.random.default_rng(4)
    found = table(rng.normal(size=(COUNT * EACH, 20)), rng.normal(size=(COUNT * EACH, 20)))
    assert row(found, PARTS[0]).p_value > 0.05
    assert row(found, "x in category").value == pytest.approx(1 / COUNT, abs=0.06)
    assert row(found, "both in category").value < 0.05


def test_the_whole_is_the_mean_of_the_pairs_and_two_runs_are_equal():
    rng = np.random.default_rng(5)
    latent = by_category(rng, COUNT, EACH)
    given = inputs(
        {"a": by_item(rng, latent), "b": by_item(rng, latent, 1.0)}, {"net": latent}, categories(COUNT, EACH)
    )
    found, again = (coarse(given, **OPTIONS) for _ in range(2))
    assert found.frame.equals(again.frame)
    keys = ["setting", "position", "quantity"]
    means = found.pairs().groupby(keys).value.mean()
    totals = found.totals().set_index(keys).value
    assert np.allclose(means, totals.reindex(means.index))
    assert {"lm", "a"} & set(found.pairs().x_model) == {"a"}


def test_it_needs_categories_and_a_gallery_that_fits():
    x = np.random.default_rng(6).normal(size=(COUNT * EACH, 4))
    with pytest.raises(DataError, match="needs a dataset with categories"):
        coarse(inputs({"lm": x}, {"net": x}))
    with pytest.raises(SpecError, match="240 samples whose categories have 20 at most"):
        table(x, x, sizes=(1000,), per_class=(50,))
