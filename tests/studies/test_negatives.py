from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from platorep.core.errors import FeatureError, SpecError
from platorep.core.features import ArrayFeatures
from platorep.stats.negatives import nearer, relabelled_nearer
from platorep.studies.negatives import EASY, negatives
from tests.studies.worlds import by_item, inputs


def test_nearer_is_a_loop_over_items():
    rng = np.random.default_rng(0)
    true, wrong, picture = (np.array([rng.permutation(30)[:4] for _ in range(30)]) for _ in range(3))
    expected = []
    for a, b, c in zip(true.tolist(), wrong.tolist(), picture.tolist(), strict=True):
        more, less = len({*a} & {*c}), len({*b} & {*c})
        expected.append(1.0 if more > less else 0.5 if more == less else 0.0)
    assert nearer(true, wrong, picture).tolist() == expected
    order = rng.permutation(30)
    place = {int(sample): new for new, sample in enumerate(order)}
    moved = np.array([[place[int(j)] for j in picture[order[i]]] for i in range(30)])
    assert relabelled_nearer(true, wrong, picture, order[None])[0] == nearer(true, wrong, moved).mean()
    with pytest.raises(FeatureError, match="30 captions, 30 wrong ones, 29 pictures"):
        nearer(true, wrong, picture[:29])


def world(noise: float, n: int = 300):
    """Captions, wrong captions with `noise` more, and pictures of one latent; and unrelated pictures."""
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(n, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    true = latent @ turn + 0.5 * rng.normal(size=latent.shape)
    wrong = latent @ turn + 0.5 * rng.normal(size=latent.shape) + noise * rng.normal(size=latent.shape)
    given = inputs({"lm": true}, {"net": by_item(rng, latent, 0.3), "unrelated": rng.normal(size=(n, 6))})
    other = ArrayFeatures("lm", [torch.from_numpy(wrong).float()], dataset="wrong", modality="language")
    return negatives(dataclasses.replace(given, variants={"wrong": {"lm": other}}), permutations=99)


def row(table, kind, y="net"):
    rows = table.pairs()
    return rows[(rows.setting == kind) & (rows.y_model == y)].iloc[0]


def test_negatives_as_near_as_the_truth_are_told_apart_by_chance():
    found = row(world(0.0), "wrong")
    assert found.value == pytest.approx(0.5, abs=0.06)
    assert found.p_value > 0.05
    assert found.low < 0.5 < found.high


def test_negatives_that_are_farther_are_told_apart_and_the_captions_of_others_most():
    hard, harder = world(1.0), world(0.5)
    assert row(hard, "wrong").p_value == 0.01
    assert row(hard, "wrong").low > 0.5
    assert row(harder, "wrong").value < row(hard, "wrong").value < row(hard, EASY).value
    assert row(hard, EASY).value > 0.85


def test_unrelated_pictures_tell_no_caption_apart():
    found = row(world(1.0), EASY, "unrelated")
    assert found.null_low <= found.value <= found.null_high
    assert found.null_mean == pytest.approx(0.5, abs=0.03)


def test_wrong_captions_are_needed():
    x = np.random.default_rng(2).normal(size=(20, 3))
    with pytest.raises(SpecError, match="needs wrong captions"):
        negatives(inputs({"lm": x}, {"net": x}))
