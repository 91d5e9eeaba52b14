"""Relative representations: what leaves them unchanged, what does not, and what a head makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.maps.anchors import Anchors
from platorep.maps.heads import Labels, head, prototypes, weighted_f1
from platorep.maps.measures import stitched
from platorep.maps.relative import RelativeMap, normalised, sharpened


RNG = np.random.default_rng(2)
CLASSES = np.arange(300) % 5
A = RNG.normal(size=(5, 16))[CLASSES] * 1.2 + RNG.normal(size=(300, 16)) + 0.7
Q = np.linalg.qr(RNG.normal(size=(16, 16)))[0]
FIT, SELECT, TEST = slice(0, 150), slice(150, 200), slice(200, 300)
LABELS = Labels([f"c{i}" for i in range(5)], CLASSES[FIT], CLASSES[SELECT], CLASSES[TEST])
ANCHORS = slice(0, 40)


def between(a, b, order=slice(None)) -> RelativeMap:
    return RelativeMap(Anchors(a[ANCHORS]), Anchors(b[ANCHORS][order]))


def accuracy_on(b, order=slice(None)) -> tuple[float, float]:
    """Accuracy of a head of A on B, and of B's own head of the same kind."""
    place = between(b, A)
    own = place.target(A)
    trained = head(own[FIT], own[SELECT], LABELS)
    native = place.source(b)
    of_b = head(native[FIT], native[SELECT], LABELS)
    predicted = trained.predict(place.source(b)[TEST][:, order])
    return float((predicted == LABELS.test).mean()), float((of_b.predict(native[TEST]) == LABELS.test).mean())


def test_a_rotated_scaled_and_moved_copy_has_the_same_relative_representations():
    place = between(A, 0.2 * A @ Q + 5.0)
    np.testing.assert_allclose(place.source(A), place.target(0.2 * A @ Q + 5.0), atol=1e-12)


def test_a_copy_with_one_scaled_dimension_has_others():
    scaled = A * np.r_[10.0, np.ones(15)]
    place = between(A, scaled)
    assert np.abs(place.source(A) - place.target(scaled)).max() > 0.5


def test_without_centring_a_moved_copy_has_others():
    """What the published definition does: the reason for centring by the anchors."""
    moved = A + 5.0
    first, second = (normalised(side) @ normalised(side[ANCHORS]).T for side in (A, moved))
    assert np.abs(first - second).max() > 0.5


def test_without_centring_a_head_falls_on_a_moved_copy_and_with_it_loses_nothing():
    moved = A + 5.0
    ours, theirs = (normalised(side) @ normalised(side[ANCHORS]).T for side in (A, moved))
    trained = head(ours[FIT], ours[SELECT], LABELS)
    native, fallen = ((trained.predict(side[TEST]) == LABELS.test).mean() for side in (ours, theirs))
    assert native > 0.8
    assert fallen < 0.5
    centred, of_moved = accuracy_on(moved)
    assert centred == of_moved > 0.8


def test_a_head_of_one_encoder_works_on_its_rotated_scaled_and_moved_copy_as_its_own():
    stitched_accuracy, native = accuracy_on(0.2 * A @ Q + 5.0)
    assert stitched_accuracy == native > 0.8
    retention = stitched(LABELS.test, native=1.0, labels=LABELS)["retention"].score
    assert retention == 1


def test_a_head_on_permuted_anchors_falls_to_chance():
    falls = [accuracy_on(A @ Q, RNG.permutation(40))[0] for _ in range(10)]
    assert np.mean(falls) < 0.3  # five classes
    assert accuracy_on(A @ Q)[0] > 0.8


def test_a_head_sees_one_sample_at_a_time():
    """No statistic of the samples that are classified: the class of one does not depend on its company."""
    trained = head(A[FIT], A[SELECT], LABELS)
    together = trained.predict(A[TEST])
    assert [trained.predict(A[i : i + 1])[0] for i in range(200, 300)] == together.tolist()
    assert trained.predict(A[TEST][:3] * 100).tolist() == together[:3].tolist()


def test_a_head_refuses_labels_of_other_samples():
    with pytest.raises(DataError, match="a head got 100 and 50 samples for 150 and 50 labels"):
        head(A[TEST], A[SELECT], LABELS)


def test_weighted_f1_is_that_of_scikit_learn():
    predicted = np.where(RNG.random(100) < 0.6, LABELS.test, RNG.integers(0, 5, 100))
    predicted[predicted == 3] = 2  # a class that is never claimed
    theirs = f1_score(LABELS.test, predicted, average="weighted", zero_division=0)
    assert weighted_f1(LABELS.test, predicted, 5) == pytest.approx(theirs)


def test_retention_is_0_at_chance_and_missing_where_the_own_head_knows_nothing():
    best = np.full(100, np.bincount(LABELS.fit).argmax())
    assert stitched(best, native=0.9, labels=LABELS)["retention"].score == pytest.approx(0)
    assert np.isnan(stitched(best, native=LABELS.majority, labels=LABELS)["retention"].score)


def test_class_means_as_anchors_make_a_head_the_nearest_class():
    """With one anchor a class, relative representations are cosines to class means: say so where it is done."""
    centres = np.stack([A[FIT][LABELS.fit == c].mean(0) for c in range(5)])
    place = RelativeMap(Anchors(centres), Anchors(centres @ Q))
    nearest = place.target(A[TEST] @ Q).argmax(1)
    np.testing.assert_array_equal(nearest, place.source(A[TEST]).argmax(1))
    assert (nearest == LABELS.test).mean() > 0.8


def test_asif_keeps_the_largest_entries_and_sharpens_them():
    similarities = np.array([[0.9, -0.5, 0.1, 0.2], [-0.1, -0.2, -0.3, -0.9]])
    np.testing.assert_allclose(sharpened(similarities, 1, 2), [[0.9, 0, 0, 0.2], [-0.1, -0.2, 0, 0]])
    np.testing.assert_allclose(sharpened(similarities, 8, None), np.sign(similarities) * similarities**8)
    np.testing.assert_array_equal(sharpened(similarities, 1, None), similarities)


def test_asif_with_power_1_and_all_entries_is_the_relative_representation():
    plain, asif = between(A, A @ Q), RelativeMap(Anchors(A[ANCHORS]), Anchors((A @ Q)[ANCHORS]), 1, 40)
    np.testing.assert_array_equal(plain.source(A), asif.source(A))


def test_prototypes_are_means_of_normalised_samples():
    found = prototypes(A[FIT], LABELS.fit, 6)
    np.testing.assert_allclose(found[2], normalised(A[FIT][LABELS.fit == 2]).mean(0))
    np.testing.assert_array_equal(found[5], np.zeros(16))


def test_what_cannot_be_is_refused():
    with pytest.raises(SpecError, match="power is 0 and entries None; expected numbers of at least 1"):
        RelativeMap(Anchors(A[ANCHORS]), Anchors(A[ANCHORS]), 0)
    with pytest.raises(FeatureError, match="the two sides have 40 and 150 anchors"):
        RelativeMap(Anchors(A[ANCHORS]), Anchors(A[FIT]))
