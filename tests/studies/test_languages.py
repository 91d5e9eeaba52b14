"""Captions and voices in several languages: one latent world, seen, read and heard in part."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from platorep.core.errors import DataError
from platorep.core.features import ArrayFeatures
from platorep.core.specs import DatasetSpec
from platorep.studies.languages import EVERY, LAST, languages
from tests.studies.worlds import by_item, inputs


N = 150
IDS = [f"stamp{i:03}" for i in range(N)]


def features(name: str, modality: str, language: str, dataset: str, *layers: np.ndarray) -> ArrayFeatures:
    made = ArrayFeatures(name, [torch.from_numpy(x).float() for x in layers], dataset=dataset, modality=modality)
    spec = DatasetSpec(name=dataset, source="stamps", options={"language": language})
    object.__setattr__(made, "spec", dataclasses.replace(made.spec, dataset=spec))
    return made


@pytest.fixture(scope="module")
def world():
    """German captions of every other stamp, in reverse order, and French voices of two thirds; an English reader."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(N, 6))
    german, french = np.arange(N)[::-2], np.arange(100)
    base = inputs({"lm": by_item(rng, latent), "random": rng.normal(size=(N, 6))}, {"net": by_item(rng, latent)})
    spoken = [rng.normal(size=(100, 6)), by_item(rng, latent[french])]
    variants = {
        "stamps_de": {"lm": features("lm", "language", "de", "de", by_item(rng, latent[german]))},
        "spoken_fr": {"ear": features("ear", "sound", "fr", "fr", *spoken)},
    }
    ids = {"toy": IDS, "de": [IDS[i] for i in german], "fr": [IDS[i] for i in french]}
    return dataclasses.replace(base, variants=variants, ids=ids)


@pytest.fixture(scope="module")
def table(world):
    return languages(world, k=5, permutations=49)


def row(table, quantity, x, y, setting=LAST, layer=None):
    rows = table.pairs()
    rows = rows[(rows.quantity == quantity) & (rows.setting == setting)]
    rows = rows[(rows.x_model + rows.x_language == x) & (rows.y_model + rows.y_language == y)]
    return (rows if layer is None else rows[rows.x_layer == layer]).squeeze()


def test_pairs_are_scored_on_the_samples_that_both_have(world, table):
    assert row(table, "captions and pictures", "lmen", "net")["items"] == 150
    assert row(table, "captions and pictures", "lmde", "net")["items"] == 75
    assert row(table, "speech and captions", "earfr", "lmde")["items"] == 50
    german = world.variants["stamps_de"]["lm"]
    chosen = [IDS.index(name) for name in world.ids["de"]]
    picture = world.models[-1].load(0)[chosen]
    graphs = [_neighbours(x.clamp(-t, t).numpy()) for x, t in (
        (german.load(0), _threshold(german)), (picture, _threshold(world.models[-1]))
    )]  # fmt: skip
    slow = np.mean([len({*a} & {*b}) / 5 for a, b in zip(*graphs, strict=True)])
    assert row(table, "captions and pictures", "lmde", "net").value == pytest.approx(slow)


def _threshold(model: ArrayFeatures) -> float:
    return float(model.load(0).abs().flatten().quantile(0.95))


def _neighbours(x: np.ndarray) -> np.ndarray:
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = x @ x.T
    np.fill_diagonal(cosines, -2)
    return np.argsort(-cosines, axis=1)[:, :5]


def test_one_world_is_found_across_languages_and_noise_lies_within_its_null(table):
    for quantity, x, y in (
        ("captions and pictures", "lmde", "net"),
        ("captions and captions", "lmen", "lmde"),
        ("speech and pictures", "earfr", "net"),
        ("speech and captions", "earfr", "lmde"),
    ):
        found = row(table, quantity, x, y)
        assert found.low < found.value < found.high
        assert found.value > 3 * found.null_high
        assert found.p_value == 0.02
    noise = row(table, "captions and pictures", "randomen", "net")
    assert noise.null_low <= noise.value <= noise.null_high
    assert noise.null_mean == pytest.approx(5 / 149, rel=0.1)


def test_every_layer_of_what_hears_is_scored_against_pictures(table):
    first, last = (row(table, "speech and pictures", "earfr", "net", EVERY, layer) for layer in (0, 1))
    assert (first.position, last.position) == (0, 1)
    assert first.value < 0.2 < last.value
    assert last.value == row(table, "speech and pictures", "earfr", "net").value


def test_totals_are_means_over_languages(table):
    rows = table.pairs()
    both = rows[(rows.quantity == "captions and pictures") & (rows.x_model == "lm")].value
    total = table.totals().set_index("quantity").value["mean over languages of captions and pictures, lm and net"]
    assert total == pytest.approx(both.mean())
    assert len(both) == 2


def test_languages_that_share_too_few_samples_are_refused(world):
    with pytest.raises(DataError, match=r"share 50 samples; expected 60 or more. Leave one of the languages out"):
        languages(world, k=5, permutations=9, least=60)
