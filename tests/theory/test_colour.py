"""Colour: pixel pairs against brute force, alignment against closed cases, and a planted hue circle found again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.figures import style
from platorep.theory.colour import colour
from platorep.theory.colour_pixels import Palette, folder_pictures, palette, sample_pictures, tiles
from platorep.theory.figures.colour import theory_colour
from platorep.theory.geometry import align_shape, hue_order, rsa_tau, scale


RNG = np.random.default_rng(0)


def test_pair_counts_are_those_of_all_pairs_within_the_radius():
    picture = RNG.integers(0, 2, size=(12, 12, 3)).astype(np.uint8) * 255
    found = palette([picture], pairs=200_000, radius=2, levels=2, least=1, seed=0)
    cells = (picture // 128).astype(int) @ [4, 2, 1]
    # every step is drawn equally often, and within a step every place
    steps = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if 0 < y * y + x * x <= 4]
    expected = np.zeros((8, 8))
    for dy, dx in steps:
        a = cells[max(-dy, 0) : 12 - max(dy, 0), max(-dx, 0) : 12 - max(dx, 0)]
        b = cells[max(dy, 0) : 12 + min(dy, 0), max(dx, 0) : 12 + min(dx, 0)]
        np.add.at(expected, (a.ravel(), b.ravel()), 1 / a.size / len(steps))
    np.testing.assert_allclose(found.counts / found.counts.sum(), (expected + expected.T) / 2, atol=0.002)
    assert found.counts.sum() == 400_000
    np.testing.assert_allclose(found.rgb, [[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])


def test_pmi_of_counts_and_its_smoothing():
    counts = np.array([[50, 10], [10, 30]])
    flat = Palette(np.zeros((2, 3)), counts, 0.0)
    joint = counts / 100
    np.testing.assert_allclose(flat.pmi(0), np.log(joint / np.outer(joint.sum(1), joint.sum(1))))
    assert np.abs(flat.pmi(10)).max() < np.abs(flat.pmi(0)).max()
    assert np.isfinite(Palette(np.zeros((2, 3)), np.array([[5, 0], [0, 5]]), 0.0).pmi(0.1)).all()


def test_alignment_undoes_rotation_reflection_shift_and_scale():
    target = RNG.normal(size=(20, 3))
    for determinant in (1, -1):
        q = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
        q *= np.sign(np.linalg.det(q)) * determinant
        fit = align_shape(3 * target @ q + 5, target)
        assert fit.residual == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(fit.points, target, atol=1e-9)
    noisy = align_shape(RNG.normal(size=(200, 3)), RNG.normal(size=(200, 3)))
    assert noisy.residual > 0.9
    with pytest.raises(FeatureError, match="coincide"):
        align_shape(np.ones((4, 3)), target[:4])


def test_alignment_residual_is_the_remaining_distance():
    a, b = RNG.normal(size=(15, 3)), RNG.normal(size=(15, 3))
    fit = align_shape(a, b)
    assert fit.residual == pytest.approx(((fit.points - b) ** 2).sum() / ((b - b.mean(0)) ** 2).sum())


def test_scaling_finds_points_again_from_their_distances():
    points = RNG.normal(size=(12, 3))
    found = scale(np.linalg.norm(points[:, None] - points[None], axis=-1), restarts=4, seed=0)
    assert found.stress < 0.02
    assert align_shape(found.coordinates, points).residual < 0.01


def test_hue_order_is_found_where_it_is_and_not_where_it_is_not():
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    lab = np.stack([RNG.normal(size=16), 50 * np.cos(angle), 50 * np.sin(angle)], axis=1)
    q = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    order, p, hued = hue_order(lab @ q + RNG.normal(size=(16, 3)), lab, chroma=15, permutations=99, seed=0)
    assert (order > 0.98, p, hued) == (True, 0.01, 16)
    ps = [hue_order(RNG.normal(size=(16, 3)), lab, chroma=15, permutations=39, seed=s)[1] for s in range(40)]
    assert np.mean(np.array(ps) <= 0.05) <= 0.15
    assert 0.3 < np.mean(ps) < 0.7


def test_rsa_permutation_p_is_small_for_the_same_geometry_and_uniform_for_another():
    points = RNG.normal(size=(12, 3))
    d = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert rsa_tau(d, d**2, permutations=39, seed=0) == (1.0, 1 / 40)
    other = np.random.default_rng(5).permutation(12)
    tau, p = rsa_tau(d, d[np.ix_(other, other)], permutations=39, seed=0)
    assert tau < 0.5
    assert p > 1 / 40


def hue_pictures():
    """Stripes whose hue drifts across a picture: neighbouring pixels have neighbouring hues."""
    import colorsys

    found = []
    for _ in range(40):
        hue = RNG.random() + np.cumsum(RNG.normal(scale=0.02, size=32))
        row = np.array([colorsys.hsv_to_rgb(h % 1, 0.9, 0.9) for h in hue])
        found.append((np.broadcast_to(row, (32, 32, 3)) * 255).astype(np.uint8))
    return found


def test_colour_finds_a_planted_hue_circle_and_draws_it(tmp_path):
    for i, picture in enumerate(hue_pictures()):
        Image.fromarray(picture).save(tmp_path / f"{i:02d}.png")
    tables = colour(pictures=tmp_path, pairs=50_000, restarts=4, permutations=99, levels=4)
    row = tables["numbers"].set_index("panel").loc["pictures"]
    assert row.hue_p == 0.01
    assert row.hue_order > 0.9
    assert row.rsa_p == 0.01
    figure = theory_colour(tables)
    assert [p.stat().st_size > 5000 for p in style.save(figure, tmp_path / "fig8")] == [True, True]


def test_shuffled_pixels_have_no_geometry(tmp_path):
    for i, picture in enumerate(hue_pictures()):
        mixed = RNG.permutation(picture.reshape(-1, 3)).reshape(picture.shape)
        Image.fromarray(mixed if i else picture).save(tmp_path / f"{i:02d}.png")
    whole = np.concatenate([p.reshape(-1, 3) for p in folder_pictures(tmp_path)])
    for i in range(40):
        Image.fromarray(RNG.permutation(whole)[:1024].reshape(32, 32, 3)).save(tmp_path / f"{i:02d}.png")
    row = colour(pictures=tmp_path, pairs=50_000, restarts=4, permutations=99, levels=4)["numbers"].iloc[0]
    assert row.rsa_tau < 0.2
    assert row.hue_order < 0.8


def test_samples_ship_with_the_libraries():
    pictures = sample_pictures()
    assert len(pictures) == 7
    assert all(p.dtype == np.uint8 and p.shape[2] == 3 for p in pictures)
    assert {t.shape for t in tiles(pictures, 32)} == {(32, 32, 3)}


def test_wrong_pictures_are_refused_with_the_reason(tmp_path):
    with pytest.raises(DataError, match="no pictures"):
        folder_pictures(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken.png cannot be read"):
        folder_pictures(tmp_path)
    with pytest.raises(SpecError, match="is not a folder"):
        colour(pictures="nowhere")
    with pytest.raises(DataError, match="more than 8 pixels a side; the smallest has 4"):
        palette([np.zeros((4, 9, 3), np.uint8)], pairs=10, radius=4, levels=2, least=1, seed=0)
    with pytest.raises(DataError, match="only 1 colours"):
        palette([np.zeros((16, 16, 3), np.uint8)], pairs=100, radius=4, levels=2, least=1, seed=0)
