from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import DataError
from platorep.studies.matching import ACCURACY, KERNELS, matching
from tests.studies.worlds import by_category, by_item, categories, inputs


COUNT, EACH = 14, 10
OPTIONS = {"sizes": (5, 10), "draws": 6, "permutations": 19}


def row(table, position, quantity=ACCURACY):
    rows = table.pairs()
    return rows[(rows.quantity == quantity) & (rows.position == position)].iloc[0]


def test_categories_that_both_models_arrange_alike_are_matched():
    rng = np.random.default_rng(0)
    latent = by_category(rng, COUNT, EACH)
    found = matching(inputs({"lm": latent}, {"net": by_item(rng, latent)}, categories(COUNT, EACH)), **OPTIONS)
    for n in (5, 10):
        assert row(found, n).value > 0.9
        assert row(found, n).p_value == 1 / 20
        assert row(found, n).null_mean == pytest.approx(1 / n, abs=0.08)
    assert row(found, COUNT, KERNELS).value > 0.9
    assert row(found, COUNT, KERNELS).p_value == 1 / 20


def test_categories_that_two_models_arrange_on_their_own_are_matched_by_chance():
    found = []
    for seed in range(5):
        rng = np.random.default_rng(10 + seed)
        x, y = by_category(rng, COUNT, EACH), by_category(rng, COUNT, EACH)
        found.append(row(matching(inputs({"lm": x}, {"net": y}, categories(COUNT, EACH)), **OPTIONS), 5))
    assert np.mean([each.value for each in found]) == pytest.approx(0.2, abs=0.1)
    assert sum(each.p_value <= 0.05 for each in found) <= 2


def test_the_whole_is_the_mean_of_the_pairs():
    rng = np.random.default_rng(2)
    latent = by_category(rng, COUNT, EACH)
    given = inputs({"a": latent, "b": by_item(rng, latent, 2.0)}, {"net": latent}, categories(COUNT, EACH))
    found = matching(given, **(OPTIONS | {"permutations": 5}))
    keys = ["quantity", "position"]
    means = found.pairs().groupby(keys).value.mean()
    assert np.allclose(found.totals().set_index(keys).value.reindex(means.index), means)


def test_too_few_large_categories_are_refused():
    x = np.random.default_rng(3).normal(size=(COUNT * EACH, 5))
    with pytest.raises(DataError, match="0 of 14 categories have 11 samples or more"):
        matching(inputs({"lm": x}, {"net": x}, categories(COUNT, EACH)), least=11)
