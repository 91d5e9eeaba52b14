"""Tables of two compared models: rows of units, shares by layers, nulls, intervals; and the zoo's intersection."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import FeatureError, SpecError, StoreError, UnknownNameError
from platorep.core.features import ArrayFeatures
from platorep.results.units import ALL_LAYERS, ZOO, ShareTable, UnitTable, zoo
from platorep.units.pairs import Matching, compare, orthonormal
from platorep.units.tables import share_table, unit_table
from tests.units.models import gaussian, noisy, permuted


MATCHING = Matching(permutations=39, rotations=2)
PLAIN = Matching(permutations=0, rotations=0)


def tables(x, y, matching=MATCHING):
    one, other = compare(x, y, matching)
    sizes = {x.name: 1e6, y.name: 2e6}
    return (
        ShareTable.concatenate([share_table(one, matching, sizes), share_table(other, matching, sizes)]),
        UnitTable.concatenate([unit_table(one, matching), unit_table(other, matching)]),
    )


@pytest.fixture(scope="module")
def related():
    """Two models of three layers of which the first two share their units."""
    x = gaussian(0, (30, 20, 10), 200, name="x")
    y = noisy(x, 0.4, name="y")
    y.tensors[2][:] = gaussian(9, (10,), 200).tensors[0]
    return x, y, *tables(x, y)


def test_shares_by_layer_and_by_pair_of_layers_sum_to_the_whole(related):
    frame = related[2].frame
    for _, part in frame.groupby(["measure", "x_model", "y_model"]):
        whole = part[(part.x_layer == ALL_LAYERS) & (part.y_layer == ALL_LAYERS)]
        layers = part[(part.x_layer != ALL_LAYERS) & (part.y_layer == ALL_LAYERS)]
        pairs = part[part.y_layer != ALL_LAYERS]
        assert whole["count"].item() == layers["count"].sum() == pairs["count"].sum()
        assert whole.units.item() == layers.units.sum() == 60
        np.testing.assert_allclose(layers.score, layers["count"] / layers.units)
        np.testing.assert_allclose(
            pairs.groupby("x_layer")[["null_mean", "rotated"]].sum(),
            layers.set_index("x_layer")[["null_mean", "rotated"]],
        )
    assert set(frame.n_test) == {200}
    assert set(frame.experiment) == {"units"}


def test_rows_of_units_agree_with_the_shares_and_with_the_correlations(related):
    x, y, shares, units = related
    rows = units.frame[units.frame.x_model == "x"]
    for measure in ("matched", "significant", "shared", "excess", "universal"):
        whole = shares.whole(measure)
        assert units.counted(measure)[rows.index].sum() == whole["count"][whole.x_model == "x"].item()
    row = rows.iloc[35]
    one, other = (side.tensors[layer][:, unit].numpy() for side, layer, unit in
                  ((x, row.x_layer, row.x_unit), (y, row.y_layer, row.y_unit)))  # fmt: skip
    assert row.score == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-6)
    assert row.second < row.score
    assert row.excess == pytest.approx(row.score - row.null_mean)
    assert (row.x_layer, row.x_unit) == (1, 5)
    assert row.x_layer_name == "layer.1"


def test_the_layers_that_share_nothing_are_told_apart(related):
    shared = (
        related[2].frame.query("measure == 'shared' and x_model == 'x' and y_layer == -1").set_index("x_layer").score
    )
    assert (shared[0], shared[1]) == (1, 1)
    assert shared[2] < 0.2


def test_intervals_contain_the_share_and_are_given_for_layers_not_for_pairs_of_them(related):
    frame = related[2].frame
    layers = frame[frame.y_layer == ALL_LAYERS]
    assert ((layers.low <= layers.score) & (layers.score <= layers.high)).all()
    assert layers.low.min() >= 0
    assert layers.high.max() <= 1
    assert frame[frame.y_layer != ALL_LAYERS].low.isna().all()


def test_without_nulls_the_measures_that_need_them_are_left_out():
    shares, units = tables(gaussian(0, (9,), 60), gaussian(1, (9,), 60), PLAIN)
    assert set(shares.frame.measure) == {"matched"}
    assert units.frame[["p_family", "excess", "rotated_mean", "threshold"]].isna().all().all()
    with pytest.raises(UnknownNameError, match="unknown measure of units 'shared'"):
        shares.whole("shared")
    with pytest.raises(UnknownNameError, match="unknown measure of units 'sharde'. Did you mean 'shared'"):
        units.counted("sharde")


def test_dead_units_have_rows_that_say_so_and_are_in_no_share():
    layers = [gaussian(0, (9,), 60).tensors[0].clone()]
    layers[0][:, 4] = 2.5
    shares, units = tables(ArrayFeatures("x", layers), gaussian(1, (7,), 60, name="y"))
    dead = units.frame[units.frame.x_left_out != ""]
    assert dead[["x_model", "x_unit", "x_left_out", "y_layer"]].to_numpy().tolist() == [
        ["x", 4, "equal for all samples", -1]
    ]
    assert dead.score.isna().all()
    assert set(shares.frame.units[shares.frame.x_model == "x"]) == {8}


def test_few_samples_dead_models_and_wrong_settings_are_refused():
    with pytest.raises(FeatureError, match="g0 has 7 samples; correlations of units need 8 or more"):
        compare(gaussian(0, (3,), 7), gaussian(1, (3,), 7), MATCHING)
    constant = ArrayFeatures("flat", [gaussian(0, (3,), 9).tensors[0] * 0])
    with pytest.raises(FeatureError, match="flat has no unit that varies over the samples"):
        compare(constant, gaussian(1, (3,), 9), MATCHING)
    with pytest.raises(UnknownNameError, match="unknown rule of matches 'buddies'. Did you mean 'best_buddies'"):
        Matching(rule="buddies")
    with pytest.raises(SpecError, match="permutations and rotations of 0 or more; got -1 and 2"):
        Matching(permutations=-1, rotations=2)
    with pytest.raises(FeatureError, match="removed from the units has values that are NaN"):
        orthonormal(np.array([[1.0], [np.nan]]))
    assert orthonormal(np.column_stack([np.arange(5.0), 2 * np.arange(5.0), np.ones(5)])).shape == (5, 1)


def test_the_matrix_has_the_ceiling_on_its_diagonal_and_refuses_two_settings():
    x, y = gaussian(0, (9,), 60, name="x"), gaussian(1, (9,), 60, name="y")
    own = share_table(compare(x, x, MATCHING)[0], MATCHING, {})
    shares = ShareTable.concatenate([tables(x, y)[0], own])
    matrix = shares.matrix("matched")
    assert matrix.loc["x", "x"] == 1
    assert np.isnan(matrix.loc["y", "y"])
    with pytest.raises(StoreError, match="several shares of x and x, by runs with other settings"):
        ShareTable.concatenate([shares, own]).matrix("matched")


def whole_zoo(models, matching=MATCHING):
    """Tables of all pairs of models."""
    found = [tables(x, y, matching) for i, x in enumerate(models) for y in models[i + 1 :]]
    return ShareTable.concatenate([pair[0] for pair in found]), UnitTable.concatenate([pair[1] for pair in found])


def untrained(shares, model):
    """The shares, with the weights of one model said to be random."""
    frame = shares.frame.copy()
    for side in "xy":
        frame.loc[frame[f"{side}_model"] == model, f"{side}_weights"] = "random"
    return ShareTable(frame)


def test_the_intersection_of_copies_is_everything_and_that_of_independent_models_as_expected():
    x = gaussian(0, (20, 20), 200, name="x")
    copies = [x, permuted(x, 1, "y")[0], permuted(x, 2, "z")[0]]
    found = zoo(*whole_zoo(copies, PLAIN)).whole("matched")
    assert found.score.tolist() == found.expected.tolist() == [1, 1, 1]
    assert set(found.y_model) == {ZOO}
    apart = [gaussian(seed, (60, 60), 300, name=name) for seed, name in enumerate("xyz")]
    found = zoo(*whole_zoo(apart, PLAIN)).whole("matched")
    spread = (120 * 0.25 * 0.75) ** 0.5
    assert (abs(found["count"] - 120 * found.expected) < 3 * spread).all()
    assert found.chance.tolist() == pytest.approx([0.252] * 3, abs=1e-3)
    assert (abs(found.expected - found.chance) < 0.1).all()


def test_the_expectation_takes_the_layers_into_account_and_controls_take_no_part():
    x = gaussian(0, (20, 20), 300, name="x")
    half = []
    for seed, name in ((1, "y"), (2, "z"), (3, "r")):
        other = noisy(x, 0.2, seed, name)
        other.tensors[1][:] = gaussian(seed + 20, (20,), 300).tensors[0]  # only the first layer is shared
        half.append(other)
    shares, units = whole_zoo([x, *half], Matching(permutations=39, rotations=0))
    found = zoo(untrained(shares, "r"), units)
    row = found.whole("shared").set_index("x_model").loc["x"]
    assert row["count"] == 20
    assert row.expected * row.units == pytest.approx(20, abs=1.5)  # and not 40 * (1/2) * (1/2) = 10
    assert "r" not in set(found.frame.x_model)
    assert len(zoo(shares, units).whole("shared")) == 4


def test_means_by_model_are_over_the_other_pretrained_models():
    x = gaussian(0, (20,), 200, name="x")
    shares, _ = whole_zoo([x, permuted(x, 1, "y")[0], gaussian(5, (20,), 200, name="r")])
    models = untrained(shares, "r").by_model("shared").set_index("model")
    assert list(models.index) == ["x", "y"]
    assert models[["count", "score", "units"]].to_numpy().tolist() == [[20, 1, 20]] * 2
    assert (models.parameters > 0).all()
