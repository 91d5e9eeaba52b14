from __future__ import annotations

import numpy as np
import pytest

from platorep.studies.direction import ASYMMETRY, BACK_X, BACK_Y, HUBS, UNRELATED, direction
from tests.studies.worlds import by_item, inputs


def value(table, quantity, x="lm", y="net"):
    rows = table.pairs()
    return rows[(rows.quantity == quantity) & (rows.x_model == x) & (rows.y_model == y)].iloc[0]


def test_hubs_of_one_side_are_an_asymmetry_and_the_sides_turn_it():
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(300, 4))
    noise = np.exp(0.7 * rng.normal(size=(300, 1))) * rng.normal(size=(300, 100))
    hubs = np.hstack([3 * latent, noise])  # samples of little noise are near to all others
    found = direction(inputs({"lm": hubs}, {"net": latent}), permutations=99)
    turned = direction(inputs({"lm": latent}, {"net": hubs}), permutations=99)
    assert value(found, HUBS).value > 0.5
    assert value(found, ASYMMETRY).high < 0
    assert value(found, ASYMMETRY).p_value == 0.01
    assert value(turned, ASYMMETRY).value == pytest.approx(-value(found, ASYMMETRY).value)
    assert value(found, ASYMMETRY).value == pytest.approx(value(found, BACK_X).value - value(found, BACK_Y).value)


def test_copies_of_one_latent_have_none_and_unrelated_models_lie_within_their_null():
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(300, 6))
    copies = {"lm": by_item(rng, latent, 0.5), "other": rng.normal(size=(300, 6))}
    found = direction(inputs(copies, {"net": by_item(rng, latent, 0.5)}), permutations=99)
    assert value(found, ASYMMETRY).p_value > 0.05
    assert value(found, BACK_X).p_value == 0.01
    for quantity in (BACK_X, BACK_Y):
        each = value(found, quantity, x="other")
        assert each.null_low <= each.value <= each.null_high
    assert value(found, UNRELATED).low < 0 < value(found, UNRELATED).high


def test_totals_have_the_means_and_the_rank_correlations():
    rng = np.random.default_rng(2)
    latent = rng.normal(size=(120, 4))
    languages = {f"l{i}": np.hstack([3 * latent, rng.normal(size=(120, 40 * i + 1))]) for i in range(4)}
    found = direction(inputs(languages, {"a": latent, "b": by_item(rng, latent)}), permutations=19)
    totals = found.totals().set_index("quantity")
    pairs = found.pairs()
    assert totals.value[f"mean {ASYMMETRY}"] == pytest.approx(pairs[pairs.quantity == ASYMMETRY].value.mean())
    for quantity in (BACK_X, BACK_Y, ASYMMETRY):
        mean = totals.loc[f"mean {quantity}"]
        assert mean.low < mean.value < mean.high
        assert mean.high - mean.low < pairs[pairs.quantity == quantity].eval("high - low").max()  # over 8 pairs
    correlation = totals.loc[f"rank correlation of asymmetry and {HUBS}"]
    assert correlation.null_low < 0 < correlation.null_high
    assert -1 <= correlation.value <= 1
