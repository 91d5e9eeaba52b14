"""Theorems of the ladder of maps, each with a map or a copy for which it does not hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from platorep.core.errors import FeatureError
from platorep.maps.anchors import Anchors, narrowed, spanned, spanned_anchors
from platorep.maps.linear import LinearMap, Rotation, orthogonal, permutation
from platorep.maps.relative import normalised
from platorep.maps.retrieval import search
from platorep.maps.ridge import ridge


RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 12)) * np.linspace(0.5, 2, 12)
FIT, TEST = slice(0, 60), slice(60, 90)
Q = np.linalg.qr(RNG.normal(size=(12, 12)))[0]
STRETCH = np.diag(np.linspace(0.1, 3, 12)) @ RNG.normal(size=(12, 12))


def fitted(maps, x, y) -> LinearMap:
    return maps(Anchors(x[FIT]), Anchors(y[FIT]))


def recall(map_, x, y) -> float:
    similarity = normalised(map_.source(x[TEST])) @ normalised(map_.target(y[TEST])).T
    return float((search(similarity).ranks == 1).mean())


def misfit(map_, x, y) -> float:
    """Squared error on the anchors as a share of their variance."""
    truth = map_.target(y[FIT])
    return float(((map_.source(x[FIT]) - truth) ** 2).sum() / (truth**2).sum())


def test_a_rotated_scaled_and_moved_copy_is_recovered_by_a_rotation_in_both_directions():
    y = 3.5 * X @ Q + np.arange(12)
    rotation = Rotation(Anchors(X[FIT]), Anchors(y[FIT]))
    for map_, a, b in ((rotation.forward, X, y), (rotation.backward, y, X)):
        np.testing.assert_allclose(map_.y_mean + map_.source(a), b, atol=1e-12)
        assert recall(map_, a, b) == 1
    assert misfit(fitted(permutation, X, y), X, y) > 0.5


def test_a_copy_with_scaled_dimensions_is_recovered_by_ridge_and_not_by_a_rotation():
    y = X @ STRETCH
    assert misfit(fitted(orthogonal, X, y), X, y) > 0.2
    assert misfit(fitted(ridge, X, y), X, y) < 1e-6
    assert recall(fitted(ridge, X, y), X, y) == recall(fitted(ridge, y, X), y, X) == 1


def test_permuted_units_are_recovered_by_a_permutation():
    order = RNG.permutation(12)
    y = 0.3 * X[:, order] + 1.0
    map_ = fitted(permutation, X, y)
    np.testing.assert_allclose(map_.y_mean + map_.source(X), y, atol=1e-12)
    assert (np.count_nonzero(map_.matrix, axis=0) == 1).all()
    assert (np.count_nonzero(map_.matrix, axis=1) == 1).all()


def test_the_classes_contain_each_other():
    y = X @ (Q + 0.4 * STRETCH) + 0.5 * RNG.normal(size=X.shape)
    errors = [misfit(fitted(maps, X, y), X, y) for maps in (permutation, orthogonal, ridge)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[1] + 0.05 > errors[2] + 0.1


def test_broken_pairs_carry_nothing_of_the_copy():
    y = X @ Q
    order = np.roll(np.arange(60), 1)
    map_ = orthogonal(Anchors(X[FIT][order]), Anchors(y[FIT]))
    assert recall(map_, X, y) < 0.2


@pytest.mark.parametrize("maps", [permutation, orthogonal, ridge])
def test_the_order_of_the_anchors_changes_nothing(maps):
    y = X @ Q + 0.3 * RNG.normal(size=X.shape)
    order = RNG.permutation(60)
    one, other = maps(Anchors(X[FIT]), Anchors(y[FIT])), maps(Anchors(X[FIT][order]), Anchors(y[FIT][order]))
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-10)


@pytest.mark.parametrize("maps", [permutation, orthogonal, ridge])
def test_permuting_the_samples_of_both_sides_changes_nothing_and_of_one_side_everything(maps):
    """The scores of the permuted test samples are those of the samples themselves: ranks move with their queries."""
    y = X @ Q + 0.3 * RNG.normal(size=X.shape)
    fit, test = RNG.permutation(60), RNG.permutation(np.arange(60, 90))

    def ranks(anchors_x, anchors_y, test_x, test_y):
        map_ = maps(Anchors(X[anchors_x]), Anchors(y[anchors_y]))
        return search(normalised(map_.source(X[test_x])) @ normalised(map_.target(y[test_y])).T).ranks

    plain = ranks(FIT, FIT, TEST, TEST)
    np.testing.assert_array_equal(ranks(fit, fit, test, test), plain[test - 60])
    assert (ranks(FIT, FIT, test, TEST) <= 10).mean() < (plain <= 10).mean() - 0.2
    if maps is not permutation:  # of few units it finds little even from true pairs
        assert (ranks(fit, FIT, TEST, TEST) <= 10).mean() < (plain <= 10).mean() - 0.2


def test_the_rotation_is_that_of_scipy_and_of_padded_sides():
    wide = RNG.normal(size=(90, 20))
    a, b = X[FIT] - X[FIT].mean(0), wide[FIT] - wide[FIT].mean(0)
    padded = np.pad(a, ((0, 0), (0, 8)))
    matrix, total = orthogonal_procrustes(padded, b)
    np.testing.assert_allclose(fitted(orthogonal, X, wide).matrix, total / (a**2).sum() * matrix[:12], atol=1e-10)


def test_directions_without_anchors_are_mapped_to_zero():
    x, y = RNG.normal(size=(5, 12)), RNG.normal(size=(5, 9))
    matrix = orthogonal(Anchors(x), Anchors(y)).matrix
    assert np.linalg.matrix_rank(matrix, tol=1e-10) == 4
    singular = np.linalg.svd(matrix, compute_uv=False)[:4]
    np.testing.assert_allclose(singular, singular[0])


def test_the_scale_is_the_least_squares_one():
    y = X @ Q + 0.5 * RNG.normal(size=X.shape)
    map_ = fitted(orthogonal, X, y)
    best = ((map_.source(X[FIT]) - map_.target(y[FIT])) ** 2).sum()
    for factor in (0.98, 1.02):
        assert ((factor * map_.source(X[FIT]) - map_.target(y[FIT])) ** 2).sum() > best


@pytest.mark.parametrize("maps", [orthogonal, ridge])
@pytest.mark.parametrize(("dx", "dy"), [(12, 70), (70, 12), (200, 150)])
def test_narrow_coordinates_change_no_prediction_and_no_cosine(maps, dx, dy):
    x, y = RNG.normal(size=(90, dx)), RNG.normal(size=(90, dy))
    plain = fitted(maps, x, y)
    nx, ny = narrowed(x), narrowed(y)
    assert nx.shape == (90, min(90, dx))
    ax, ay = Anchors(nx[FIT]), Anchors(ny[FIT])
    map_ = maps(spanned_anchors(ax), spanned_anchors(ay))
    queries, answers = map_.source(spanned(nx[TEST], ax)), map_.target(spanned(ny[TEST], ay))
    for one, other in (
        (plain.source(x[TEST]), queries),
        (plain.target(y[TEST]), answers),
        (plain.source(x[TEST]) - plain.target(y[TEST]), queries - answers),
    ):
        np.testing.assert_allclose((one**2).sum(1), (other**2).sum(1), rtol=1e-8, atol=1e-9)
    inner = plain.source(x[TEST]) @ plain.target(y[TEST]).T
    np.testing.assert_allclose(inner, queries @ answers.T, atol=1e-8)


@pytest.mark.parametrize("maps", [permutation, orthogonal, ridge])
def test_anchors_that_are_all_alike_map_everything_to_the_mean(maps):
    map_ = maps(Anchors(np.ones((6, 4))), Anchors(RNG.normal(size=(6, 4))))
    np.testing.assert_array_equal(map_.source(RNG.normal(size=(3, 4))), np.zeros((3, 4)))


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(FeatureError, match="a permutation of units needs equal widths; got 12 and 5"):
        permutation(Anchors(X), Anchors(X[:, :5]))
    with pytest.raises(FeatureError, match="the two sides have 90 and 60 anchors; expected the same samples"):
        orthogonal(Anchors(X), Anchors(X[FIT]))
    with pytest.raises(FeatureError, match=r"anchors have the shape \(1, 12\); expected \(m, d\) with m of at least 2"):
        Anchors(X[:1])
    with pytest.raises(FeatureError, match="a value of the anchors is NaN or infinite"):
        Anchors(np.full((3, 2), np.nan))
