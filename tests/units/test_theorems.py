"""What must hold of matched units whatever the data, each with its negative control."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.core.features import ArrayFeatures
from platorep.results.units import ALL_LAYERS, SELF, ShareTable
from platorep.stats.matches import buddy_count, family_test
from platorep.stats.permutations import Permutations
from platorep.units.correlations import Arrangement, strongest
from platorep.units.pairs import Matching, compare
from platorep.units.tables import share_table, unit_table
from tests.units.models import gaussian, noisy, permuted, turned


FAST = Matching(permutations=39, rotations=3)


def shares(x, y, matching=FAST) -> dict[str, dict[str, float]]:
    """By measure the row about all layers of x and y."""
    frame = share_table(compare(x, y, matching)[0], matching, {}).frame
    rows = frame[(frame.x_layer == ALL_LAYERS) & (frame.y_layer == ALL_LAYERS)]
    return rows.set_index("measure").to_dict("index")


def test_every_unit_of_a_permuted_copy_finds_its_twin():
    x = gaussian(0)
    y, orders = permuted(x)
    table = unit_table(compare(x, y, FAST)[0], FAST).frame
    np.testing.assert_allclose(table.score, 1, atol=1e-9)
    np.testing.assert_array_equal(table.x_layer, table.y_layer)
    twins = np.concatenate([order.argsort().numpy() for order in orders])
    np.testing.assert_array_equal(table.y_unit, twins)
    assert (table.p_family == 1 / 40).all()
    assert (table["rank_back"] == 1).all()
    assert {measure: row["score"] for measure, row in shares(x, y).items()} == dict.fromkeys(
        ("matched", "significant", "shared", "excess", "universal"), 1.0
    )


def test_twins_are_lost_when_the_samples_of_the_copy_are_shuffled():
    x = gaussian(0)
    order = torch.randperm(x.n, generator=torch.Generator().manual_seed(4))
    y = ArrayFeatures("copy", [layer[order] for layer in permuted(x)[0].tensors])
    found = shares(x, y)
    assert found["matched"]["score"] == pytest.approx(found["matched"]["chance"], abs=0.25)
    assert found["significant"]["score"] < 0.1
    assert found["universal"]["score"] == 0


def test_a_model_against_itself_is_the_ceiling_and_is_named_so():
    x = gaussian(0)
    frame = share_table(compare(x, x, FAST)[0], FAST, {}).frame
    assert set(frame.y_model) == {SELF}
    whole = ShareTable(frame).whole("universal")
    assert whole.score.item() == 1


def test_a_rotated_copy_keeps_the_space_and_loses_the_units():
    x = gaussian(0, widths=(80,))
    found = shares(x, turned(x))
    assert found["universal"]["score"] == 0
    low, high = buddy_count(80, 80)[2:]
    assert low <= found["matched"]["count"] <= high  # as many best buddies as two unrelated models have
    assert found["significant"]["score"] == 1  # a match that survives rotation is a property of the space
    copy = shares(x, noisy(x, 0.3))
    assert (copy["universal"]["score"], copy["matched"]["score"]) == (1, 1)
    apart = shares(x, gaussian(7, widths=(80,)))
    assert apart["significant"]["score"] < 0.1  # another space


def test_a_rotated_copy_is_like_its_own_null_on_average():
    x = gaussian(0, widths=(40, 40))
    matching = Matching(permutations=0, rotations=20)
    table = unit_table(compare(x, turned(x), matching)[0], matching).frame
    error = table.excess_rotated.std() / len(table) ** 0.5
    assert abs(table.excess_rotated.mean()) < 4 * error
    same = unit_table(compare(x, x, matching)[0], matching).frame
    assert same.excess_rotated.mean() > 0.3


def test_independent_models_have_the_expected_number_of_best_buddies():
    counts, widths = [], (40, 60)
    for seed in range(40):
        x, y = gaussian(2 * seed, widths[:1], 400), gaussian(2 * seed + 1, widths[1:], 400)
        a, b = FAST.units(x), FAST.units(y)
        found = strongest(a, b)[0]
        counts.append((found.y.unit[found.x.unit[:, 0], 0] == np.arange(40)).sum())
    expected = buddy_count(*widths)
    assert np.mean(counts) == pytest.approx(expected.mean, abs=3 * expected.sd / 40**0.5)
    assert np.mean((np.array(counts) >= expected.low) & (np.array(counts) <= expected.high)) > 0.85


def test_permuted_samples_of_independent_models_match_as_often_as_the_closed_form_says():
    for rule in ("best_buddies", "released"):
        found = shares(gaussian(0), gaussian(1), Matching(rule=rule, permutations=99, rotations=0))["matched"]
        assert found["null_mean"] == pytest.approx(found["chance"], abs=0.02)
        assert found["null_low"] - 1e-9 <= found["score"] <= found["null_high"] + 1e-9
    assert found["chance"] > 0.95


def test_at_most_one_in_twenty_runs_of_independent_models_has_any_significant_unit():
    rejected, runs = [], 150
    orders = Permutations.draw(60, 39, seed=0).order
    arrangements = [Arrangement(), *(Arrangement(None, torch.from_numpy(order).long()) for order in orders)]
    for seed in range(runs):
        x, y = (FAST.units(gaussian(2 * seed + side, (width,), 60)) for side, width in enumerate((12, 15)))
        scores = np.stack([found.x.score[:, 0] for found in strongest(x, y, arrangements)])
        rejected.append((family_test(scores[0], scores[1:]).p < 0.05).any())
    assert np.mean(rejected) <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_a_single_shared_unit_among_many_is_the_one_that_is_significant():
    x, y = gaussian(0, (30,), 300), gaussian(1, (40,), 300)
    y.tensors[0][:, 11] += 1.5 * x.tensors[0][:, 5]
    table = unit_table(compare(x, y, FAST)[0], FAST)
    assert table.live.x_unit[table.counted("shared")].tolist() == [5]
    assert table.frame.y_unit[5] == 11


def test_the_null_of_permuted_samples_depends_on_the_strata():
    n, classes = 400, torch.arange(400) % 8
    centres = torch.randn(8, 2, 20, generator=torch.Generator().manual_seed(3))
    x, y = (
        ArrayFeatures(name, [centres[classes, side] + 0.5 * layer for layer in gaussian(side, (20,), n).tensors])
        for side, name in enumerate("xy")
    )
    plain = shares(x, y)["significant"]["score"]
    within = Matching(permutations=39, rotations=0, strata=classes.tolist(), strata_name="category")
    assert plain > 0.9  # units that share the classes are related
    assert shares(x, y, within)["significant"]["score"] < 0.1  # and have nothing in common within them


def test_one_arrangement_of_all_samples_is_the_plain_one():
    x, y = FAST.units(gaussian(0)), FAST.units(gaussian(1))
    plain, named = strongest(x, y, [Arrangement(), Arrangement(torch.arange(500), torch.arange(500))])
    np.testing.assert_array_equal(plain.x.unit, named.x.unit)
