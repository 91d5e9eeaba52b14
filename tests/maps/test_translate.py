"""The engine: theorems through the whole path from features to the table, and what each row says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.core.clamp import Clamp
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.features import ArrayFeatures, Subset
from platorep.core.resources import Resources
from platorep.maps.concepts import joint_spaces, text_to_concept
from platorep.maps.layers import LayerOf, Pair
from platorep.maps.splits import splits
from platorep.maps.translate import Design, translate
from platorep.metrics.registry import build
from platorep.results.tables import CONCATENATION
from platorep.stats.items import binomial_limits


N = 150
RNG = np.random.default_rng(5)
CLASSES = np.arange(N) % 4
LATENT = RNG.normal(size=(4, 10))[CLASSES] + RNG.normal(size=(N, 10))
Q = np.linalg.qr(RNG.normal(size=(10, 10)))[0]
KNN, PLAIN = build("mutual_knn", k=10), Clamp("none")
ALL = ["orthogonal", "ridge", "relative", "asif"]


def resources(threads: int = 2, memory: int = 10**9) -> Resources:
    return Resources(threads=threads, memory=memory)


def features(name: str, *layers: np.ndarray, modality: str = "vision") -> ArrayFeatures:
    return ArrayFeatures(name, [torch.from_numpy(layer).float() for layer in layers], modality=modality)


def pair(x: np.ndarray, y: np.ndarray) -> Pair:
    return Pair(LayerOf(features("x", x, modality="language"), 0), LayerOf(features("y", y), 0))


def run(pairs, *, draws: int = 1, clamp: Clamp = PLAIN, **more):
    design = Design(np.arange(N), [f"c{label}" for label in CLASSES], draws)
    return translate(pairs, design, KNN, clamp=clamp, resources=resources(**more), select="last")


def scores(table, measure="recall_at_1", experiment="translation", control=""):
    rows = table.frame[(table.frame.experiment == experiment) & (table.frame.measure == measure)]
    rows = rows[rows.control == control]
    return rows.pivot_table(index=["map", "direction"], columns="n_fit", values="score")


@pytest.fixture(scope="module")
def rotated():
    return run([pair(LATENT, 2.0 * LATENT @ Q + 3.0)])


@pytest.fixture(scope="module")
def noisy():
    x = LATENT @ RNG.normal(size=(10, 30)) + 4 * RNG.normal(size=(N, 30))
    return run([pair(x, LATENT @ RNG.normal(size=(10, 200)) + 6 * RNG.normal(size=(N, 200)))], draws=3)


def test_a_rotated_scaled_and_moved_copy_is_found_by_every_map_both_ways(rotated):
    found = scores(rotated)
    for name in ALL:
        assert (found.loc[name][90] == 1).all(), name
    assert (found.loc["permutation"][90] < 0.7).all()
    r2 = scores(rotated, "r2")
    assert (r2.loc["orthogonal"][90] > 1 - 1e-9).all()
    assert (r2.loc["permutation"][90] < 0.7).all()


def test_relative_representations_find_it_from_any_number_of_anchors_and_a_rotation_from_as_many_as_dimensions(rotated):
    found = scores(rotated)
    assert (found.loc["relative"] == 1).all(axis=None)
    assert (found.loc["orthogonal"][8] < 1).all()
    assert (found.loc["orthogonal"][16] == 1).all()


def test_a_head_keeps_all_of_its_accuracy_on_a_rotated_copy(rotated):
    kept = scores(rotated, "retention", "stitching")
    np.testing.assert_allclose(kept.loc["relative"], 1)
    np.testing.assert_allclose(kept.loc["orthogonal"][90], 1)
    accuracy = scores(rotated, "accuracy", "stitching")
    assert (accuracy.loc["relative"][90] > 0.6).all()


def test_broken_pairs_are_within_the_binomial_interval_of_chance(noisy):
    rows = noisy.frame[(noisy.frame.control == "shuffled") & noisy.frame.measure.str.startswith("recall")]
    assert len(rows) == 2 * 4 * 5 * 3
    level = 1 - 0.05 / len(rows)
    limits = [binomial_limits(row.chance, row.n_test, level) for row in rows.itertuples()]
    assert all(low <= score <= high for score, (low, high) in zip(rows.score, limits, strict=True))
    true = scores(noisy, "recall_at_10")[90]
    assert (true > 0.55).all()  # the same limits would not hold these
    assert binomial_limits(10 / 45, 45, level)[1] < 0.55


def test_chance_is_that_of_the_test_set(noisy):
    chance = noisy.frame.groupby("measure").chance.unique()
    assert chance["recall_at_10"].tolist() == [10 / 45]
    assert chance["median_rank"].tolist() == [23.0]
    assert noisy.frame.n_test.unique().tolist() == [45]


def test_a_model_with_itself_is_the_ceiling_and_is_named_so(noisy):
    found = scores(noisy, control="self")
    assert set(noisy.frame[noisy.frame.control == "self"].y_model) == {"self"}
    assert (found.loc[["relative", "permutation"]] == 1).all(axis=None)
    ridge = found.loc["ridge"].iloc[0]
    assert ridge[8] < ridge[90]  # 7 directions do not tell 45 samples apart
    retention = scores(noisy, "retention", "stitching", "self").loc["relative"]
    np.testing.assert_allclose(retention, 1)


def test_more_anchors_carry_more(noisy):
    found = scores(noisy, "recall_at_10")
    assert (found[90] > found[8] + 0.05).all()
    steps = noisy.steps("recall_at_10")
    assert len(steps) == 4 * 2 * 4  # maps, directions, steps; the model with itself is in one split only
    assert (steps.p_holm > 0.05).all()


def test_the_kernel_score_is_that_of_the_layers_on_the_test_samples():
    x, y = LATENT + 0.5 * RNG.normal(size=LATENT.shape), LATENT @ Q
    both = pair(x, y)
    table, (split,) = run([both]), splits(np.arange(N), 1, 0)
    metric = KNN.on_fold(N, len(split.test))
    assert set(table.frame.metric) == {metric.id} == {"mutual_knn(k=3,similarity=cosine)"}
    from platorep import score

    expected = score(*(np.float32(side[split.test]) for side in (x, y)), metric="mutual_knn", k=3)
    rows = table.frame[table.frame.control == ""]
    assert rows.kernel.unique() == pytest.approx([expected])
    assert rows.kernel_chance.unique() == pytest.approx([3 / 44])


def test_nothing_depends_on_the_number_of_threads():
    pairs = [pair(LATENT, RNG.normal(size=(N, 7))), pair(LATENT + RNG.normal(size=LATENT.shape), LATENT @ Q)]
    one, two = run(pairs, threads=1), run(pairs, threads=3)
    assert one.frame.equals(two.frame)


def test_values_of_test_samples_change_no_map_and_no_threshold():
    """An outlier among the test samples moves scores of itself only through its own rank."""
    (split,) = splits(np.arange(N), 1, 0)
    x, y = LATENT + 0.5 * RNG.normal(size=LATENT.shape), LATENT @ Q
    moved = x.copy()
    moved[split.test[0]] *= 1e4
    before, after = (run([pair(side, y)], clamp=Clamp("exact", 0.95)) for side in (x, moved))
    for name in ("strength", "freedom"):
        assert before.frame[name].equals(after.frame[name])
    a, b = scores(before, "recall_at_10"), scores(after, "recall_at_10")
    assert (abs(a - b) <= 1 / 45 + 1e-12).all(axis=None)
    moved = x.copy()
    moved[split.fit[0]] *= 1e4  # an outlier of fit does
    assert not run([pair(moved, y)], clamp=Clamp("exact", 0.95)).frame.strength.equals(before.frame.strength)


def test_layers_may_be_wider_than_samples_and_the_concatenation_of_all():
    layers = [LATENT @ RNG.normal(size=(10, 120)), LATENT @ RNG.normal(size=(10, 90))]
    x = features("x", *layers, modality="language")
    y = features("y", np.concatenate(layers, axis=1))
    table = run([Pair(LayerOf(x, CONCATENATION), LayerOf(y, 0))])
    rows = table.frame[table.frame.control == ""]
    assert set(rows.x_layer_name) == {"concatenation"}
    assert set(rows.x_width) == {210}
    assert (scores(table).loc[[*ALL, "permutation"]][90] == 1).all(axis=None)


def test_random_weights_and_pixels_are_named_as_controls(rotated):
    base = features("x", LATENT, modality="language")
    for changes, control in (({"weights": "random"}, "random"), ({"source": "pixels"}, "trivial"), ({}, "")):
        y = features("y", LATENT @ Q)
        object.__setattr__(y, "spec", y.spec.replace(model=y.spec.model.replace(**changes)))
        assert Pair(LayerOf(base, 0), LayerOf(y, 0)).control == control
    assert Pair(LayerOf(base, 0), LayerOf(base, 0)).control == "self"
    assert set(rotated.frame.control) == {"", "self", "shuffled"}


def test_without_categories_there_are_no_scores_of_classes():
    table = translate([pair(LATENT, LATENT @ Q)], Design(np.arange(N)), KNN, clamp=PLAIN, resources=resources())
    assert set(table.frame.experiment) == {"translation"}
    assert not table.frame.measure.str.contains("class").any()


def test_what_cannot_be_translated_is_refused():
    with pytest.raises(DataError, match="no pair of different models to translate between"):
        run([])
    with pytest.raises(SpecError, match=r"translation.draws is 0; expected at least 1"):
        run([pair(LATENT, LATENT)], draws=0)
    with pytest.raises(SpecError, match=r"2 layers of 150 samples take 0\.0 GB, compute.memory allows 0\.0 GB"):
        run([pair(LATENT, LATENT @ Q)], memory=1000)
    broken = LATENT.copy()
    broken[3, 2] = np.nan
    with pytest.raises(FeatureError, match="x, layer layer.0: a value is NaN or infinite"):
        run([pair(broken, LATENT)])
    small = Subset(features("y", LATENT), np.arange(100), "some")
    with pytest.raises(DataError, match="x has 150 samples"):
        run([Pair(LayerOf(features("x", LATENT), 0), LayerOf(small, 0))])


# Text to concepts ---------------------------------------------------------------------------------------------------


def joint(name: str, values: np.ndarray, modality: str, **more) -> ArrayFeatures:
    side = features(name, values, modality=modality)
    model = side.spec.model.replace(source="open_clip", id="clip", pool="joint", **more)
    object.__setattr__(side, "spec", side.spec.replace(model=model))
    return side


@pytest.fixture(scope="module")
def concepts():
    """A joint space; a vision model that is an affine image of its picture side, and one that is noise."""
    texts = LATENT + 0.3 * RNG.normal(size=LATENT.shape)
    space = joint_spaces([joint("clip_p", LATENT, "vision"), joint("clip_t", texts, "language")])
    warped = LATENT @ RNG.normal(size=(10, 25)) * 7 + 40.0
    models = [features("warped", warped), features("noise", RNG.normal(size=(N, 25)))]
    return text_to_concept(space, models, Design(np.arange(N), [f"c{label}" for label in CLASSES], 2), KNN)


def test_an_affine_image_of_the_picture_side_reads_texts_as_the_picture_side_does(concepts):
    rows = concepts.frame[concepts.frame.measure.isin(["recall_at_1", "class_accuracy"])]
    own = rows[rows.control == "self"].set_index(["measure", "seed"]).score
    mapped = rows[(rows.x_model == "warped") & (rows.control == "") & (rows.n_fit == 90)]
    np.testing.assert_allclose(mapped.set_index(["measure", "seed"]).score[own.index], own, atol=0.05)
    assert (own > 0.6).all()


def test_a_model_without_relation_to_it_and_broken_pairs_read_at_chance(concepts):
    rows = concepts.frame[(concepts.frame.measure == "recall_at_5") & (concepts.frame.n_fit == 90)]
    for wrong in (rows[rows.x_model == "noise"], rows[rows.control == "shuffled"]):
        assert len(wrong)
        limits = binomial_limits(5 / 45, 45, 0.99)
        assert ((limits[0] <= wrong.score) & (wrong.score <= limits[1])).all()


def test_r2_is_that_of_the_map_on_test_pictures_in_the_units_of_the_joint_space(concepts):
    r2 = concepts.frame[(concepts.frame.measure == "r2") & (concepts.frame.control == "")]
    r2 = r2.groupby(["x_model", "n_fit"]).score.mean().unstack()
    assert r2.loc["warped", 90] > 0.98
    assert r2.loc["noise", 90] < 0.02


def test_sides_of_other_models_are_no_joint_space():
    pictures, texts = joint("p", LATENT, "vision"), joint("t", LATENT, "language", seed=1)
    assert joint_spaces([pictures, texts]) == []
    assert joint_spaces([pictures, features("v", LATENT)]) == []
