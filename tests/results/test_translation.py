"""Views of the table of maps, on rows made by rule."""

from __future__ import annotations

import pandas as pd
import pytest

from platorep.core.errors import StoreError, UnknownNameError
from platorep.results.translation import TranslationTable, at_all_anchors
from platorep.stats.resampled import corrected_resampled
from tests.figures.tables import translations


SCORES = {("orthogonal", 8): 0.2, ("orthogonal", 60): 0.5, ("relative", 8): 0.25, ("relative", 60): 0.3}


def test_a_summary_has_means_over_splits_and_their_interval():
    table = translations({("a", "v"): 1.0}, SCORES, splits=3)
    summary = table.summary()
    row = summary[(summary["map"] == "orthogonal") & (summary.n_fit == 60) & (summary.control == "")].iloc[0]
    values = table.frame[(table.frame["map"] == "orthogonal") & (table.frame.n_fit == 60) & (table.frame.control == "")]
    values = values[values.direction == row.direction].score.to_numpy()
    assert row.score == pytest.approx(values.mean())
    assert row.splits == 3
    expected = corrected_resampled(values, 30, 70)
    assert (row.low, row.high) == pytest.approx((expected.low, expected.high))
    broken = summary[summary.control == "shuffled"]
    assert (broken.splits == 1).all()
    assert broken.low.isna().all()


def test_steps_compare_each_number_of_anchors_with_the_next_smaller():
    steps = translations({("a", "v"): 1.0}, SCORES, splits=3).steps()
    assert set(steps.before) == {8}
    assert set(steps.n_fit) == {60}
    gains = steps.set_index(["map", "direction"]).gain
    assert gains["orthogonal"].tolist() == pytest.approx([0.3, 0.3], abs=0.02)
    assert (steps.p_less > 0.5).all()


def test_a_loss_is_found_and_corrected_for_all_steps():
    falling = {("orthogonal", 8): 0.5, ("orthogonal", 60): 0.2, ("relative", 8): 0.2, ("relative", 60): 0.4}
    steps = translations({("a", "v"): 1.0}, falling, splits=5).steps().set_index(["map", "direction"])
    lost = steps.loc["orthogonal"]
    assert (lost.p_less < 0.01).all()
    assert lost.p_holm.tolist() == pytest.approx([4 * lost.p_less.iloc[0]] * 2)  # the larger of 4 p and 3 p, twice
    assert (steps.loc["relative"].p_holm == 1).all()


def test_of_ranks_the_smaller_are_the_better():
    table = translations({("a", "v"): 1.0}, SCORES, splits=3, measure="median_rank")
    assert (table.steps("median_rank").gain < 0).all()


def test_maps_are_compared_cell_by_cell():
    table = translations({("a", "v"): 1.0, ("b", "v"): 0.5}, SCORES, splits=3)
    compared = table.compare("orthogonal", "relative").set_index(["x_model", "n_fit", "direction"])
    assert len(compared) == 8
    gains = compared.gain.unstack("direction")
    assert gains.loc[("a", 60)].tolist() == pytest.approx([0.2, 0.2], abs=0.02)
    assert gains.loc[("b", 8)].tolist() == pytest.approx([-0.025, -0.025], abs=0.02)


def test_pairs_have_a_column_for_each_map_from_all_anchors():
    table = translations({("a", "v"): 1.0, ("b", "v"): 0.5}, SCORES, splits=3)
    rows = at_all_anchors(table, "recall_at_10").set_index("x_model")
    assert rows.orthogonal.to_dict() == pytest.approx({"a": 0.5, "b": 0.25}, abs=0.02)
    assert list(rows.columns[-2:]) == ["orthogonal", "relative"]
    assert set(rows.n_fit) == {60}
    assert rows.null_mean.notna().all()


def test_one_split_tests_nothing_and_unknown_names_are_answered():
    table = translations({("a", "v"): 1.0}, SCORES, splits=1)
    with pytest.raises(StoreError, match="tested over two or more splits; the table has one"):
        table.steps()
    assert table.summary().low.isna().all()
    table = translations({("a", "v"): 1.0}, SCORES, splits=2)
    with pytest.raises(UnknownNameError, match="unknown measure in the table of translations 'recall_at_11'"):
        table.steps("recall_at_11")
    with pytest.raises(UnknownNameError, match="unknown map in the table of translations 'rotation'"):
        table.compare("rotation", "relative")


def test_other_tables_are_refused():
    with pytest.raises(StoreError, match="not a TranslationTable: missing columns"):
        TranslationTable.from_frame(pd.DataFrame({"score": [1.0]}))
