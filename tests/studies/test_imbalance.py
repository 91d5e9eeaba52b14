from __future__ import annotations

import numpy as np
import pytest

from platorep.studies.imbalance import ASYMMETRY, LIKELIHOOD, TO_X, TO_Y, TWO_NN, imbalance
from tests.studies.worlds import by_item, inputs


@pytest.fixture(scope="module")
def table():
    """lm holds all four latents, net two of them; other is unrelated."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(300, 4))
    languages = {"lm": by_item(rng, latent, 0.01), "other": rng.normal(size=(300, 4))}
    return imbalance(inputs(languages, {"net": latent[:, :2]}, similarity="euclidean"), permutations=99)


def row(table, quantity, x="lm"):
    rows = table.pairs()
    return rows[(rows.quantity == quantity) & (rows.x_model == x)].iloc[0]


def test_the_side_that_holds_more_predicts_the_other_and_not_the_reverse(table):
    there, back = row(table, TO_Y), row(table, TO_X)
    assert there.value < back.value < 0.6
    assert there.p_value == back.p_value == 0.01
    assert row(table, ASYMMETRY).value == pytest.approx(there.value - back.value)
    assert row(table, ASYMMETRY).high < 0
    assert there.low < there.value < there.high


def test_unrelated_models_are_at_1_within_their_null_and_have_no_asymmetry(table):
    for quantity in (TO_Y, TO_X):
        each = row(table, quantity, "other")
        assert each.null_low <= each.value <= each.null_high
        assert each.null_mean == pytest.approx(1, abs=0.02)
    assert row(table, ASYMMETRY, "other").low < 0 < row(table, ASYMMETRY, "other").high


def test_every_layer_has_its_dimension(table):
    totals = table.totals()
    for quantity in (TWO_NN, LIKELIHOOD):
        part = totals[totals.quantity == quantity].set_index("note")
        three_errors = 3 * 1.25 / 300**0.5  # of TwoNN
        assert part.value["net"] == pytest.approx(2, rel=three_errors)
        assert part.value["other"] == pytest.approx(4, rel=three_errors)
        assert (part.low < part.value).all()
        assert (part.value < part.high).all()
