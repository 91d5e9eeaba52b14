"""Pictures whose classes are known: digits and drawn factors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits

from platorep.core.errors import DataError
from platorep.core.specs import DatasetSpec
from platorep.data import factors, open_dataset


DRAWN = DatasetSpec(name="factors", source="factors", n=60)


def test_digits_are_scikit_learn_s_enlarged_and_named():
    data = open_dataset(DatasetSpec(name="digits", source="digits", n=30))
    own = load_digits()
    assert data.samples.categories == [str(digit) for digit in own.target[:30]]
    pixels = np.asarray(data.picture(7))
    assert pixels.shape == (64, 64, 3)
    assert np.array_equal(pixels[::8, ::8, 0], (own.images[7] * 255 / 16).round())
    with pytest.raises(DataError, match="is pinned to revision other"):
        open_dataset(DatasetSpec(name="digits", source="digits", n=30, revision="other"))


def test_factors_are_named_by_category_and_caption_and_drawn_alike_each_time():
    data, again = open_dataset(DRAWN), open_dataset(DRAWN)
    for i in range(60):
        own = dict(pair.split("=") for pair in data.samples.categories[i].split(","))
        assert list(own) == list(factors.FACTORS)
        assert (
            f"A {own['size']} {own['colour']} arrow in the {own['position']} points {own['orientation']}"
            in data.samples.captions[i][0]
        )
        assert data.picture(i).tobytes() == again.picture(i).tobytes()
    other = open_dataset(DRAWN.replace(options={"seed": 1}))
    assert other.samples.categories != data.samples.categories


def test_factors_are_balanced_and_independent():
    _, pairs = factors.pairs(DRAWN)
    rows = [tuple(pair.split("=")[1] for pair in one.category.split(",")) for one in pairs]
    for column, values in enumerate(factors.FACTORS.values()):
        counts = Counter(row[column] for row in rows)
        assert set(counts) == set(values)
        expected = len(rows) / len(values)
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())
    table = Counter((row[0], row[4]) for row in rows)
    expected = len(rows) / 48
    assert sum((count - expected) ** 2 / expected for count in table.values()) < 47 + 5 * (2 * 47) ** 0.5


def drawn(**changes: str) -> np.ndarray:
    plain = {"count": "2", "position": "middle centre", "orientation": "east", "size": "huge", "colour": "red"}
    return np.asarray(factors.draw(**(plain | changes), seed="0:0")).astype(int)


def test_each_factor_changes_what_it_names():
    red = (drawn()[..., 0] - drawn()[..., 1] > 80).nonzero()
    assert np.ptp(red[1]) > np.ptp(red[0])  # east: wider than high
    north = (drawn(orientation="north")[..., 0] - drawn(orientation="north")[..., 1] > 80).nonzero()
    assert np.ptp(north[0]) > np.ptp(north[1])
    rows = np.bincount(north[0], minlength=96)
    assert rows[: int(north[0].mean())].max() > rows[int(north[0].mean()) :].max()  # the head is above
    low = (drawn(position="lower left")[..., 0] - drawn(position="lower left")[..., 1] > 80).nonzero()
    assert low[0].mean() > 60
    assert low[1].mean() < 36
    tiny = (drawn(size="tiny")[..., 0] - drawn(size="tiny")[..., 1] > 80).sum()
    assert tiny < len(red[0]) / 3
    blue = drawn(colour="blue")
    assert (blue[..., 2] - blue[..., 0] > 80).sum() == pytest.approx(len(red[0]), rel=0.2)


def test_as_many_dots_are_drawn_as_the_count_says():
    from scipy.ndimage import label

    for count in range(1, 7):
        dark = (drawn(count=str(count)).max(-1) < 110) & (np.ptp(drawn(count=str(count)), axis=-1) < 30)
        assert label(dark, structure=np.ones((3, 3)))[1] == count
