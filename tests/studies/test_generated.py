from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from platorep.core.errors import SpecError
from platorep.core.features import ArrayFeatures
from platorep.studies.generated import generated
from tests.studies.worlds import by_item, inputs


N = 300


@pytest.fixture(scope="module")
def table():
    """Texts of one latent: after `see` with less noise than without a prompt, after `hear` with as much, drawn anew."""
    rng = np.random.default_rng(5)
    latent = rng.normal(size=(N, 6))
    noises = {"": 1.0, "see": 0.5, "hear": 1.0}
    texts = {name: latent + noise * rng.normal(size=latent.shape) for name, noise in noises.items()}
    given = inputs({"lm": texts.pop("")}, {"net": by_item(rng, latent, 0.2), "unrelated": rng.normal(size=(N, 6))})
    variants = {
        name: {"lm": ArrayFeatures("lm", [torch.from_numpy(x).float()], dataset="toy", modality="language")}
        for name, x in texts.items()
    }
    return generated(dataclasses.replace(given, variants=variants), contrasts=[["see", "hear"]], permutations=199)


def row(table, version, quantity, y="net"):
    rows = table.pairs()
    return rows[(rows.setting == version) & (rows.quantity == quantity) & (rows.y_model == y)].iloc[0]


def test_a_prompt_that_brings_out_what_pictures_show_adds_to_the_score(table):
    see = row(table, "see", "less no prompt")
    assert see.low > 0
    assert see.p_value == 0.005
    scores = [row(table, version, "mutual k-NN").value for version in ("see", "no prompt")]
    assert see.value == pytest.approx(scores[0] - scores[1])
    assert row(table, "see", "less hear").low > 0


def test_a_prompt_that_only_changes_the_noise_adds_nothing(table):
    hear = row(table, "hear", "less no prompt")
    assert hear.low < 0 < hear.high
    assert hear.p_value > 0.05


def test_no_prompt_helps_with_unrelated_pictures(table):
    for version in ("see", "hear"):
        found = row(table, version, "less no prompt", "unrelated")
        assert found.low < 0 < found.high
        assert row(table, version, "mutual k-NN", "unrelated").value == pytest.approx(10 / (N - 1), abs=0.012)


def test_totals_are_means_over_pairs(table):
    totals = table.totals().set_index(["setting", "quantity"]).value
    both = [row(table, "see", "less no prompt", y).value for y in ("net", "unrelated")]
    assert totals["see", "less no prompt"] == pytest.approx(np.mean(both))


def test_versions_that_do_not_exist_are_refused():
    x = np.random.default_rng(2).normal(size=(20, 3))
    given = inputs({"lm": x}, {"net": x})
    with pytest.raises(SpecError, match=r"recipe.variants has none, and recipe.study.contrasts names \[\]"):
        generated(given)
