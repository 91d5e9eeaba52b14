"""Similarity to people: the mean over them, ceilings of every metric, and the controls."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.brains.ceilings import ceiling, geometry, pooled
from platorep.brains.people import people_of
from platorep.brains.similarity import CATEGORY, Settings, similarity
from platorep.core.clamp import NONE
from platorep.core.errors import DataError, FeatureError
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.extract.imports import store_import, store_import_matrix
from platorep.metrics import registry
from platorep.stats.ceilings import noise_ceiling


N, IDS = 40, [f"{i:02d}" for i in range(40)]
LABELS = ["a", "b"] * 20
METRICS = {
    "rsa": {"correlation": "pearson"}, "mutual_knn": {"k": 5}, "cka": {}, "cknna": {"k": 5}, "jaccard_knn": {"k": 5},
    "distance_correlation": {},
}  # fmt: skip


def dissimilarities(features: np.ndarray) -> np.ndarray:
    unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
    whole = 1 - unit @ unit.swapaxes(-1, -2)
    whole[..., np.arange(N), np.arange(N)] = 0
    return (whole + whole.swapaxes(-1, -2)) / 2


@pytest.fixture(scope="module")
def world():
    """Latent features, and matrices of four people with two sessions each, as they are stored."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(N, 8))
    persons = latent + 0.7 * rng.normal(size=(4, N, 8))
    sessions = dissimilarities(persons[:, None] + 0.7 * rng.normal(size=(4, 2, N, 8)))
    return latent, sessions


@pytest.fixture(scope="module")
def models(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("brains")
    store, dataset = FeatureStore(folder / "features"), DatasetSpec(name="scans", source="folder", id="imported")
    latent, sessions = world
    names = np.array([f"{person}/{session}" for person in "pqrs" for session in (1, 2)])
    np.savez(folder / "brain.npz", it=sessions.reshape(-1, N, N), repetitions=names, ids=np.array(IDS))
    np.savez(folder / "net.npz", first=np.random.default_rng(1).normal(size=(N, 8)), last=latent, ids=np.array(IDS))
    common = {"store": store, "dataset": dataset}
    brain = store_import_matrix(folder / "brain.npz", name="brain", modality="brain", **common)
    net = store_import(folder / "net.npz", name="net", modality="vision", **common)
    return net, brain


def test_people_are_the_means_of_their_sessions(models, world):
    people = people_of(models[1], 0)
    assert people.names == ["p", "q", "r", "s"]
    assert people.means == pytest.approx(world[1].mean(axis=1), abs=1e-6)


@pytest.fixture(scope="module")
def frame(models):
    metrics = [registry.build(name, **options) for name, options in METRICS.items()]
    settings = Settings(clamp=NONE, resamples=100)
    return similarity(models, metrics, categories=LABELS, settings=settings).frame


def test_the_score_is_the_mean_over_people_and_its_ceiling_that_of_the_people(frame, world):
    rows = frame[(frame.experiment == "similarity") & frame.metric.str.startswith("rsa")].set_index("x_layer_name")
    upper = np.triu_indices(N, 1)
    people = world[1].mean(axis=1)[:, *upper]
    own = dissimilarities(world[0])[upper]
    assert rows.score["last"] == pytest.approx(np.mean([np.corrcoef(own, p)[0, 1] for p in people]), abs=1e-5)
    assert rows[["lower", "upper"]].to_numpy()[0] == pytest.approx(noise_ceiling(people), abs=1e-5)
    assert rows.low["last"] < rows.score["last"] < rows.high["last"]
    assert rows.p_value["last"] < 0.01 < 0.05 < rows.p_value["first"]


def test_every_metric_scores_the_right_layer_above_the_wrong_one_and_the_category(frame):
    rows = frame[frame.experiment == "similarity"]
    for _, some in rows.groupby("metric"):
        scores = some.set_index(some.x_model + some.x_layer_name).score
        assert scores["netlast"] > max(scores["netfirst"], scores[CATEGORY]) + 0.05
    assert (rows.lower < rows.upper).all()


def test_reliability_is_of_sessions_and_of_people(frame):
    rows = frame[frame.experiment == "reliability"]
    assert list(rows.x_model.unique()) == ["p", "q", "r", "s", "all people"]
    half, whole = (rows[rows["map"] == name].score.to_numpy() for name in ("split half", "Spearman-Brown"))
    assert whole == pytest.approx(2 * half / (1 + half))


@pytest.mark.parametrize("name", METRICS)
def test_equal_people_have_both_lines_at_one(name, world):
    metric = registry.build(name, **METRICS[name])
    one = world[1][0, 0]
    assert ceiling(metric, np.stack([one] * 3)) == pytest.approx((1, 1), abs=1e-5)
    assert ceiling(metric, world[1].mean(axis=1)).upper < 0.99


@pytest.mark.parametrize("name", ["mutual_knn", "cka"])
def test_no_model_exceeds_the_upper_line_of_a_metric_whose_pool_is_the_best(name, world):
    metric, people = registry.build(name, **METRICS[name]), world[1].mean(axis=1)
    top, pool = ceiling(metric, people).upper, pooled(metric, people)
    states = [metric.prepare(geometry(metric, person)) for person in people]
    rng = np.random.default_rng(5)
    for _ in range(20):
        change = 0.05 * pool.std() * rng.normal(size=(N, N))
        other = pool + change + change.T
        other[np.arange(N), np.arange(N)] = 0
        state = metric.prepare(geometry(metric, np.maximum(other, 0)))
        assert metric.score_all([state], states).mean().item() <= top + 1e-6


def test_what_cannot_be_compared_is_refused(models):
    with pytest.raises(DataError, match="got 0 brains and 1 metrics"):
        similarity(models[:1], [registry.build("rsa")])
    with pytest.raises(FeatureError, match="svcca needs features"):
        similarity(models, [registry.build("svcca")])
