"""Splits by item: duplicates on one side, equal sizes, seeds; orders of anchors."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import DataError
from platorep.maps.splits import anchor_counts, broken_pairs, duplicates, splits


def test_samples_that_are_equal_in_any_view_or_through_a_chain_are_one_group():
    captions = ["a", "b", "a", "c", "d", "d"]
    pictures = [1, 2, 3, 3, 4, 5]
    groups = duplicates(captions, pictures)
    assert groups[0] == groups[2] == groups[3]  # by the caption, then by the picture
    assert groups[4] == groups[5]
    assert len(set(groups.tolist())) == 3


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_are_on_one_side_and_once_in_test(seed):
    groups = np.random.default_rng(seed).integers(0, 150, 200)
    for split in splits(groups, 3, seed):
        fit, select, test = (set(groups[part].tolist()) for part in (split.fit, split.select, split.test))
        assert not fit & select
        assert not fit & test
        assert not select & test
        assert len(test) == len(split.test)


def test_sides_have_their_shares_and_one_size_in_all_splits():
    groups = np.random.default_rng(0).integers(0, 600, 700)
    parts = splits(groups, 6, 0)
    sizes = {(len(split.fit), len(split.select), len(split.test)) for split in parts}
    assert len(sizes) == 1
    fit, select, test = sizes.pop()
    assert fit == pytest.approx(420, abs=8)
    assert select == pytest.approx(70, abs=8)
    assert 90 < test < 150  # one of each of about 124 groups
    assert len({tuple(split.fit) for split in parts}) == 6


def test_without_duplicates_nothing_is_left_out_and_a_seed_gives_the_same_split():
    (one,), (other,), (third,) = (splits(np.arange(100), 1, seed) for seed in (4, 4, 5))
    assert sorted([*one.fit, *one.select, *one.test]) == list(range(100))
    assert one.fit.tolist() == other.fit.tolist() != third.fit.tolist()
    assert (len(one.fit), len(one.select), len(one.test)) == (60, 10, 30)


def test_the_splits_of_a_seed_are_among_those_of_a_smaller_one():
    groups = np.arange(60)
    assert splits(groups, 3, 0)[2].test.tolist() == splits(groups, 1, 2)[0].test.tolist()


def test_too_few_samples_and_too_many_duplicates_are_refused():
    with pytest.raises(
        DataError, match="29 samples are too few to split into fit, select and test; expected at least 30"
    ):
        splits(np.arange(29), 1, 0)
    with pytest.raises(DataError, match="the largest group of equal samples has 95 of 100. Remove repeated captions"):
        splits(np.r_[np.zeros(95), np.arange(1, 6)].astype(int), 1, 0)


def test_the_curve_of_anchors_doubles_and_ends_with_all():
    assert anchor_counts(420) == [8, 16, 32, 64, 128, 256, 420]
    assert anchor_counts(64) == [8, 16, 32, 64]
    assert anchor_counts(6) == [6]


def test_no_pair_survives_when_pairs_are_broken():
    for count in (2, 8, 100):
        order = broken_pairs(count, [1, count])
        assert sorted(order) == list(range(count))
        assert (order != np.arange(count)).all()
