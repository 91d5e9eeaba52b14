"""From a protocol to one score a pair."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from platorep.core.errors import SpecError, StoreError
from platorep.results.protocols import check, chosen, described
from platorep.results.tables import AlignmentTable
from platorep.stats.selection import nearest_layer, relative_depths
from tests.figures.tables import alignment, selected


CONCATENATION = -1


def table(pairs=("av", "bv"), layers=4) -> AlignmentTable:
    """Layer pairs (i, j) score 0.1 i + 0.01 j, the concatenation 0.9 with model a."""
    rows = []
    for x, y in pairs:
        for i in (*range(layers), CONCATENATION):
            for j in range(3):
                score = (0.9 if x == "a" else 0.0) if i == CONCATENATION else 0.1 * i + 0.01 * j
                row = {"x_model": x, "x_key": x, "y_model": y, "y_key": y, "x_layer": i, "y_layer": j, "score": score}
                row |= {"x_depth": np.nan if i == CONCATENATION else i / (layers - 1), "y_depth": j / 2}
                rows.append(row | {"null_mean": 0.05, "null_sd": 0.01, "p_value": 0.001, "corrected": score - 0.05})
    return alignment(rows)


def layers_of(frame: pd.DataFrame) -> list[tuple[int, int]]:
    return list(zip(frame.x_layer, frame.y_layer, strict=True))


@pytest.mark.parametrize(
    ("select", "layers"),
    [
        ("max", [(CONCATENATION, 0), (3, 2)]),
        ("last", [(3, 2), (3, 2)]),
        ("depth:0", [(0, 0), (0, 0)]),
        ("depth:0.5", [(1, 1), (1, 1)]),  # of layers 1 and 2, equally near, the shallower
        ("depth:0.9", [(3, 2), (3, 2)]),
    ],
)
def test_layers_are_chosen_from_the_table_of_all_pairs(select, layers):
    rows = chosen(table(), select)
    assert layers_of(rows) == layers
    assert not rows.tested.any()
    assert set(rows["select"]) == {select}
    assert (rows.null_mean == 0.05).all()


@pytest.mark.parametrize("layers", [1, 2, 3, 7, 24])
@pytest.mark.parametrize("depth", [0.0, 0.25, 0.5, 0.6, 1.0])
def test_the_index_of_a_depth_is_the_nearest_layer(depth, layers):
    nearest = min(range(layers), key=lambda i: (round(abs((i / (layers - 1) if layers > 1 else 1) - depth), 9), i))
    assert nearest_layer(relative_depths(layers), depth) == nearest


def test_a_single_layer_is_the_last_one():
    assert relative_depths(1).tolist() == [1.0]
    assert relative_depths(3).tolist() == [0.0, 0.5, 1.0]
    assert layers_of(chosen(table(layers=2), "last")) == [(1, 2), (1, 2)]


def test_tested_scores_come_first_and_others_are_chosen_from_the_table():
    whole = table()
    tests = selected(table(("av",)), "max", x_layer=2, y_layer=1, score=0.77, null_mean=0.2, null_low=0.1, low=0.7)
    rows = chosen(whole, "max", tests)
    assert rows.x_model.tolist() == ["a", "b"]
    assert rows.score.tolist() == pytest.approx([0.77, 0.32])
    assert rows.tested.tolist() == [True, False]
    assert rows.null_mean.tolist() == [0.2, 0.05]
    assert rows.null_mean_fixed.tolist() == [0.05, 0.05]
    assert rows.low.tolist()[0] == 0.7
    assert np.isnan(rows.low.tolist()[1])
    assert (rows.x_modality == whole.frame.x_modality.iloc[0]).all()


def test_scores_of_another_choice_are_not_taken():
    rows = chosen(table(), "last", selected(table(), "max", score=0.77))
    assert rows.score.tolist() == pytest.approx([0.32, 0.32])


def test_without_relabellings_the_null_is_that_of_fixed_layers():
    tests = selected(table(), "last", permutations=0, x_layer=3, y_layer=2, score=0.32, low=0.3)
    rows = chosen(table(), "last", tests)
    assert not rows.tested.any()
    assert (rows.null_mean == 0.05).all()
    assert (rows.low == 0.3).all()


def test_held_out_scores_are_never_replaced_by_others():
    whole = table()
    with pytest.raises(StoreError, match="held-out scores are of halves of the samples"):
        chosen(whole, "heldout")
    with pytest.raises(StoreError, match="Run `platorep align` with the same settings first"):
        chosen(whole, "heldout", selected(whole, "max"))
    some = selected(table(("bv",)), "heldout", permutations=0, x_layer=1, y_layer=0, score=0.07)
    rows = chosen(whole, "heldout", some)
    assert rows[["x_model", "score"]].to_numpy().tolist() == [["b", 0.07]]
    assert rows[["null_mean", "null_mean_fixed", "p_value", "corrected"]].isna().all(axis=None)


def test_a_pair_that_was_tested_twice_is_refused():
    twice = selected(table(), "max")
    twice = type(twice).concatenate([twice, twice])
    with pytest.raises(StoreError, match="tests a x v under mutual_knn.* more than once"):
        chosen(table(), "max", twice)


def test_variants_of_the_data_have_a_row_each_and_shuffled_ones_no_test():
    whole = table(("bv",))
    shuffled = [
        AlignmentTable(whole.frame.assign(shuffle_share=share, shuffle_seed=seed, score=whole.frame.score - share))
        for share in (0.1, 0.2)
        for seed in (0.0, 1.0)
    ]
    everything = AlignmentTable.concatenate([whole, *shuffled])
    rows = chosen(everything, "max", selected(whole, "max", x_layer=3, y_layer=2, score=0.32))
    assert rows.score.round(6).tolist() == [0.32, 0.22, 0.22, 0.12, 0.12]
    assert rows.tested.tolist() == [True, False, False, False, False]
    assert len(everything.best()) == 5


@pytest.mark.parametrize("select", ["prh", "last_layer", "depth:1.5", "depth:", "depth:1.2.3", ""])
def test_an_unknown_choice_is_refused(select):
    with pytest.raises(SpecError, match=r"expected max, heldout, last, or depth:FRACTION"):
        check(select)


def test_every_choice_has_words():
    assert described("max") == "best layer pair"
    assert described("last") == "last layers"
    assert described("depth:0.5") == "layers at relative depth 0.5"
    assert "half" in described("heldout")
