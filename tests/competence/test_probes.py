"""Linear probes: against scikit-learn's own pipeline, on known answers, and at chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from platorep.competence import probes
from platorep.competence.probes import labels, probe, share_solved, split, standardised, subsample
from platorep.core.errors import DataError, SpecError, UnknownNameError
from platorep.core.samples import Samples


def clusters(n: int, width: int, *, classes: int = 4, signal: float = 1.0, seed: int = 0):
    """Features of classes around centres in the first few of many dimensions of unequal scale."""
    random = np.random.default_rng(seed)
    y = random.integers(classes, size=n)
    centres = np.random.default_rng(7).normal(size=(classes, 5)) * signal
    x = random.normal(size=(n, width))
    x[:, :5] += centres[y]
    return (x * np.geomspace(0.1, 10, width) + 3).astype(np.float32), [f"class {one}" for one in y]


@pytest.mark.parametrize(("n", "width"), [(200, 20), (90, 150)])
def test_accuracy_equals_scikit_learn_s_own_pipeline(n, width):
    x, y = clusters(n, width, seed=1)
    new, y_new = clusters(200, width, seed=2)
    found = probe(x, y, new, y_new)
    folds = StratifiedKFold(probes.FOLDS, shuffle=True, random_state=0)
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(plain, {"logisticregression__C": list(probes.GRID)}, cv=folds).fit(x.astype(float), y)
    assert found.accuracy == pytest.approx(search.score(new.astype(float), y_new), abs=0.005)
    assert found.accuracy > 0.4  # chance is 0.25
    assert found.standard_error == pytest.approx((found.accuracy * (1 - found.accuracy) / 200) ** 0.5)


def test_rotation_to_the_span_of_few_samples_leaves_the_classifier_as_it_is():
    x, y = clusters(40, 120, seed=3)
    new, _ = clusters(50, 120, seed=4)
    train, other = standardised(x, new)
    _, _, axes = np.linalg.svd(train, full_matrices=False)
    whole = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(train, y).predict_proba(other)
    rotated = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(train @ axes.T, y).predict_proba(other @ axes.T)
    assert rotated == pytest.approx(whole, abs=1e-5)


def test_shuffled_labels_are_at_chance_and_separable_ones_are_solved():
    x, y = clusters(300, 30, signal=30)
    new, y_new = clusters(300, 30, signal=30, seed=5)
    assert probe(x, y, new, y_new).accuracy == 1
    lost = probe(x, list(np.random.default_rng(0).permutation(y)), new, y_new)
    assert abs(lost.accuracy - 0.25) < 4 * (0.25 * 0.75 / 300) ** 0.5


def test_scale_and_shift_of_single_features_do_not_matter():
    x, y = clusters(100, 10, seed=6)
    new, y_new = clusters(100, 10, seed=8)
    scale = np.linspace(0.5, 400, 10, dtype=np.float32)
    assert probe(x * scale - 7, y, new * scale - 7, y_new) == probe(x, y, new, y_new)


def test_constant_features_become_zero_and_not_nan():
    x, new = np.array([[1.0, 5], [2, 5]]), np.array([[3.0, 9]])
    train, other = standardised(x, new)
    assert train.tolist() == [[-1, 0], [1, 0]]
    assert other.tolist() == [[3, 0]]


def test_probes_without_classes_are_refused():
    x = np.zeros((4, 2))
    with pytest.raises(DataError, match="two classes of at least 3 training samples; got 1"):
        probe(x, ["a"] * 4, x, ["a"] * 4)
    with pytest.raises(DataError, match="got 2, rarest 'b'"):
        probe(x, ["a", "a", "a", "b"], x, ["a"] * 4)


def test_labels_follow_the_task_s_rule():
    stamps = Samples(["a", "b"], [["x"], ["y"]], ["animals/birds", "food"])
    assert labels(stamps, "category") == ["animals/birds", "food"]
    assert labels(stamps, "part:0") == ["animals", "food"]
    with pytest.raises(DataError, match="category 'food' has fewer parts"):
        labels(stamps, "part:1")
    drawn = Samples(["a"], [["x"]], ["count=3,position=upper left"])
    assert labels(drawn, "factor:position") == ["upper left"]
    with pytest.raises(UnknownNameError, match="unknown factor of the pictures 'positon'. Did you mean 'position'"):
        labels(drawn, "factor:positon")
    with pytest.raises(SpecError, match="label is 'colour'; expected category, part:0"):
        labels(drawn, "colour")
    with pytest.raises(DataError, match="needs samples with categories"):
        labels(Samples(["a"], [["x"]]), "category")


def test_split_is_stratified_repeatable_and_leaves_rare_classes_out():
    classes = ["a"] * 50 + ["b"] * 30 + ["rare"] * 9
    train, validation = split(classes, 0.3)
    assert (train, validation) == split(classes, 0.3)
    assert not set(train) & set(validation)
    assert sorted(train + validation) == list(range(80))
    assert [classes[i] for i in validation].count("a") == 15
    assert split(classes, 0.3, seed=1) != (train, validation)
    with pytest.raises(DataError, match="fewer than two classes have 10 samples"):
        split(["a"] * 20 + ["b"] * 9, 0.3)
    with pytest.raises(SpecError, match="expected a share between 0 and 1"):
        split(classes, 30)


def test_subsamples_are_distinct_and_at_most_ten_thousand():
    rows = subsample(range(0, 30_000, 2))
    assert len(rows) == len(set(rows)) == 10_000
    assert rows == sorted(rows)
    assert set(rows) <= set(range(0, 30_000, 2))
    assert subsample([5, 3]) == [3, 5]


def test_a_task_is_solved_from_four_fifths_of_the_best_model_on():
    table = pd.DataFrame({"x": [1.0, 0.8, 0.79], "y": [0.5, 0.4, 0.2]}, index=["best", "edge", "weak"])
    assert share_solved(table).to_dict() == {"best": 1, "edge": 1, "weak": 0}
    table.loc["edge", "y"] = np.nan
    with pytest.raises(DataError, match="edge has no accuracy for y"):
        share_solved(table)
