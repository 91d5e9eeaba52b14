"""Encoding models: the closed form, folds of blocks, and what a sequence in time explains."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.brains.confounds import Sites, encoding_table, oasm
from platorep.brains.encoding import STRENGTHS, block_folds, encode, fit_ridge, site_ceilings
from platorep.core.errors import FeatureError


def test_the_strength_of_each_site_is_that_of_leaving_out_every_sample_in_turn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 30))
    y = np.column_stack([x[:, 0] + 0.1 * rng.normal(size=20), rng.normal(size=(20, 9))])
    fitted = fit_ridge(x, y)
    unit = (np.linalg.svd(x - x.mean(0), compute_uv=False)[:20] ** 2).mean()
    errors = []
    for strength in STRENGTHS:
        total = np.zeros(10)
        for i in range(20):
            keep = np.arange(20) != i
            a, b = x[keep] - x[keep].mean(0), y[keep] - y[keep].mean(0)
            weights = np.linalg.solve(a.T @ a + strength * unit * np.eye(30), a.T @ b)
            total += (y[i] - y[keep].mean(0) - (x[i] - x[keep].mean(0)) @ weights) ** 2
        errors.append(total)
    assert np.allclose(fitted.strengths, np.asarray(STRENGTHS)[np.argmin(errors, axis=0)] * unit)
    assert fitted.strengths[0] < np.median(fitted.strengths[1:])  # noise is shrunk more
    a = x - x.mean(0)
    direct = np.linalg.solve(a.T @ a + fitted.strengths[0] * np.eye(30), a.T @ (y[:, 0] - y[:, 0].mean()))
    assert fitted.weights[:, 0] == pytest.approx(direct)


def drifting(blocks: int = 10, length: int = 20, sites: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Responses that drift slowly within blocks and depend on nothing else."""
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(blocks, length, sites)).cumsum(axis=1)
    return (steps - steps.mean(axis=1, keepdims=True)).reshape(-1, sites), np.repeat(np.arange(blocks), length)


def test_a_sequence_in_time_explains_nothing_with_folds_of_blocks_and_much_with_shuffled_folds():
    responses, blocks = drifting()
    by_block = encode(oasm(blocks), responses, block_folds(blocks)).correlations.mean()
    shuffled = np.random.default_rng(2).permutation(block_folds(blocks))
    assert by_block == pytest.approx(0, abs=0.05)
    assert encode(oasm(blocks), responses, shuffled).correlations.mean() > 0.5


def test_folds_never_divide_a_block():
    blocks = np.repeat(list("abcdefg"), 3)
    folds = block_folds(blocks, 3)
    assert set(folds) == {0, 1, 2}
    assert all(len(set(folds[blocks == block])) == 1 for block in "abcdefg")
    with pytest.raises(FeatureError, match="8 folds of 7 blocks"):
        block_folds(blocks, 8)


def test_ceilings_of_sites_are_the_root_of_the_reliability_of_their_mean():
    rng = np.random.default_rng(3)
    signal = rng.normal(size=(20000, 1)) * np.array([1.0, 0.0])
    found = site_ceilings(signal + rng.normal(size=(2, 20000, 2)))
    assert found[0] == pytest.approx((2 / 3) ** 0.5, abs=0.02)
    assert found[1] < 0.2  # a correlation of 0.02 at most


def test_the_table_has_the_confounds_as_rows_and_finds_the_layer_that_was_read_out():
    rng = np.random.default_rng(4)
    n, blocks = 200, np.repeat(np.arange(10), 20)
    layer, other = rng.normal(size=(2, n, 12))
    responses = layer @ rng.normal(size=(12, 15)) + 2 * rng.normal(size=(2, n, 15))
    sites = Sites(
        name="v1", repetitions=responses, blocks=blocks, categories=[str(i % 3) for i in range(n)], captions=["a b"] * n
    )
    with pytest.raises(FeatureError, match="all samples have the same features"):
        encoding_table({}, sites)
    sites = Sites(name="v1", repetitions=responses, blocks=blocks, categories=[str(i % 3) for i in range(n)])
    frame = encoding_table({("net", "fc"): layer, ("random", "fc"): other}, sites).frame.set_index("x_model")
    assert list(frame.index) == ["net", "random", "OASM", "position", "category"]
    assert frame.score["net"] > 0.7
    assert frame.score["net"] < frame.upper["net"]
    assert frame.low["net"] > max(frame.high.drop("net"))
    assert frame.score.drop("net").abs().max() < 0.1
    assert frame.null_mean.abs().max() < 0.1
