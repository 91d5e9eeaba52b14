"""What checkpoints are compared with, whichever side of a pair they are on and however they are ordered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from platorep.results import protocols, views
from platorep.results.checkpoints import ITSELF, LAST, SAME, checkpoint_pairs, courses
from platorep.results.tables import AlignmentTable
from tests.figures.test_dynamics import STEPS, score, table


def lines(frame: pd.DataFrame) -> pd.DataFrame:
    pairs = views.pairs(protocols.chosen(AlignmentTable.from_frame(frame)))
    return courses(checkpoint_pairs(pairs)).set_index(["comparison", "series", "step"]).sort_index()


def test_the_sides_and_the_order_of_the_pairs_change_nothing():
    frame = table().frame
    swapped = frame.rename(
        columns=lambda name: {"x": "y", "y": "x"}.get(name[0], name[0]) + name[1:] if name[1:2] == "_" else name
    )
    some = frame.copy()
    some.iloc[::2] = swapped[frame.columns].iloc[::2]
    shuffled = frame.sample(frac=1, random_state=0)
    for other in (swapped, some, shuffled):
        pd.testing.assert_frame_equal(lines(other), lines(frame), check_exact=False, rtol=1e-12)


def test_every_comparison_has_its_pairs_and_their_mean():
    result = lines(table().frame)
    assert result.pairs[SAME, "mlp – mlp", 5] == 1
    assert result.pairs[SAME, "conv – mlp", 5] == 4
    assert result.pairs[LAST, "mlp → conv", 5] == 4
    assert (
        result.pairs[LAST, "mlp → mlp", 5]
        == result.pairs[ITSELF, "mlp", 5]
        == result.pairs["with pixels", "mlp", 5]
        == 2
    )
    assert (ITSELF, "mlp", STEPS[-1]) not in result.index
    assert result.score[LAST, "mlp → conv", 2] == pytest.approx(score(("mlp0", 2), ("conv0", 10)))
    assert result.score[LAST, "conv → mlp", 2] == pytest.approx(score(("conv0", 2), ("mlp0", 10)))
    assert result.score[LAST, "mlp → conv", 10] == result.score[SAME, "conv – mlp", 10]


def test_trainings_of_other_lengths_meet_at_the_last_steps_of_each():
    frame = table({"mlp0": "mlp", "conv0": "conv"}).frame
    longer = ~(frame.x_model.eq("conv0-10") | frame.y_model.eq("conv0-10"))
    result = lines(frame[longer])
    assert result.score[LAST, "mlp → conv", 10] == pytest.approx(score(("mlp0", 10), ("conv0", 5)))
    assert (SAME, "conv – mlp", 10) not in result.index


def test_without_a_trajectory_the_family_is_one_and_without_a_family_the_trajectory_names_it():
    frame = table({"mlp0": "mlp", "conv0": "conv"}).frame
    whole = lines(frame)
    nameless = frame.assign(**{f"{side}_trajectory": "" for side in "xy"})
    pd.testing.assert_frame_equal(lines(nameless), whole)
    assert {*lines(frame.assign(x_family="", y_family="")).reset_index().series} >= {"mlp0", "conv0", "conv0 – mlp0"}


def test_an_interval_of_some_pairs_is_none_of_their_mean():
    frame = table().frame
    pairs = checkpoint_pairs(views.pairs(protocols.chosen(AlignmentTable.from_frame(frame))))
    pairs["low"], pairs["high"] = pairs.score - 0.1, pairs.score + 0.1
    pairs.loc[pairs.model.eq("mlp0-5") & pairs.other_model.eq("pixels"), ["low", "high"]] = np.nan
    result = courses(pairs).set_index(["comparison", "series", "step"])
    assert np.isnan(result.low["with pixels", "mlp", 5])
    assert result.high["with pixels", "mlp", 2] == pytest.approx(result.score["with pixels", "mlp", 2] + 0.1)
