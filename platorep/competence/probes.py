"""Linear probes: the accuracy of linear classifiers of stored features of pictures."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.samples import Samples


VERSION = 1
"""Incremented when the numbers change."""

SAMPLES = 10_000
"""Largest numbers of training and validation samples (PRH, App. C.1)."""

SOLVED = 0.8
"""Least share of the best model's accuracy for which a task counts as solved (PRH, Fig. 2)."""

GRID = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for the inverse regularisation strength (scikit-learn's C); the features are standardised."""

FOLDS = 3
LEAST = 10
"""Least number of samples per class in both parts together; rarer classes are left out."""


@dataclass(frozen=True)
class Probe:
    """The result of a linear probe.

    Attributes:
        accuracy: share of correctly classified validation samples, in [0, 1].
        standard_error: binomial standard error over the validation samples.
        chance: accuracy of always predicting the most frequent class of the training samples.
        c: the selected inverse regularisation strength.
        classes: number of classes.
        train: number of training samples.
        validation: number of validation samples.
    """

    accuracy: float
    standard_error: float
    chance: float
    c: float
    classes: int
    train: int
    validation: int


def probe(x: np.ndarray, y: Sequence[str], x_new: np.ndarray, y_new: Sequence[str], *, seed: int = 0) -> Probe:
    """Multinomial logistic regression on standardised features with an L2 penalty.

    The penalty is chosen by the accuracy in `FOLDS`-fold cross-validation.

    Features are standardised by the mean and deviation of the training samples, and then rotated to their span. The
    rotation does not change the penalty or the classifier, and avoids fitting more weights than samples. The solver is
    scikit-learn's L-BFGS.

    Args:
        x: training features, shape (n, d).
        y: their classes, at least two.
        x_new: validation features, shape (m, d).
        y_new: their classes.
        seed: seed of the folds.

    Raises:
        DataError: there are fewer than two classes, or a class has fewer samples than there are folds.

    Cost: (folds * len(GRID) + 1) fits over n samples of min(n, d) features.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    counts = Counter(y)
    if len(counts) < 2 or min(counts.values()) < FOLDS:
        rarest = min(counts, key=counts.__getitem__, default=None)
        raise DataError(
            f"a probe needs two classes of at least {FOLDS} training samples; got {len(counts)}, rarest {rarest!r}."
        )
    train, new = standardised(x, x_new)
    if train.shape[1] > len(train):
        _, _, axes = np.linalg.svd(train, full_matrices=False)
        train, new = train @ axes.T, new @ axes.T
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    model = LogisticRegressionCV(
        Cs=list(GRID),
        cv=folds,
        solver="lbfgs",
        scoring="accuracy",
        max_iter=1000,
        l1_ratios=(0.0,),
        use_legacy_attributes=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # weak penalties on separable classes; validation accuracy has settled long before
        model.fit(train, list(y))
    right = float(np.mean(model.predict(new) == np.asarray(y_new)))
    common = counts.most_common(1)[0][0]
    chance = float(np.mean(np.asarray(y_new) == common))
    error = float(np.sqrt(right * (1 - right) / len(y_new)))
    return Probe(right, error, chance, float(np.ravel(model.C_)[0]), len(counts), len(train), len(new))


def standardised(x: np.ndarray, x_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardises both parts by the mean and deviation of the first, in float64; constant features become 0."""
    x, x_new = x.astype(np.float64), x_new.astype(np.float64)
    mean, scale = x.mean(0), x.std(0)
    live = scale > 1e-12 * (np.abs(mean) + 1)
    scale = np.where(live, scale, 1.0)
    return (x - mean) / scale * live, (x_new - mean) / scale * live


def labels(samples: Samples, rule: str) -> list[str]:
    """The class of every sample by the rule of a task: "category", "part:0" or "factor:size" (see `TaskSpec`).

    Raises:
        DataError: the samples have no categories, or a category lacks the part or factor.
        SpecError: the rule is invalid.
    """
    kind, _, name = rule.partition(":")
    if samples.categories is None:
        raise DataError("a probe needs samples with categories; this dataset has none. Set dataset.columns.category.")
    if rule == "category":
        return list(samples.categories)
    if kind == "part" and name.isdigit():
        parts = [category.split("/") for category in samples.categories]
        if short := next((category for category in samples.categories if category.count("/") < int(name)), None):
            raise DataError(f"label is {rule!r}, but the category {short!r} has fewer parts.")
        return [category_parts[int(name)] for category_parts in parts]
    if kind == "factor" and name:
        factors = [dict(pair.partition("=")[::2] for pair in category.split(",")) for category in samples.categories]
        if lacking := next((values for values in factors if name not in values), None):
            raise unknown_name("factor of the pictures", name, lacking)
        return [values[name] for values in factors]
    raise SpecError(f"label is {rule!r}; expected category, part:0 (of categories with slashes) or factor:NAME.")


def split(classes: Sequence[str], held_out: float, *, seed: int = 0) -> tuple[list[int], list[int]]:
    """Splits rows into a training set and a stratified validation set.

    The validation set has the share `held_out` of the rows. Classes with fewer than `LEAST` rows are left out.

    Raises:
        SpecError: `held_out` is not between 0 and 1.
        DataError: fewer than two classes are left.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < held_out < 1:
        raise SpecError(f"held_out is {held_out}; expected a share between 0 and 1.")
    rows = frequent(classes)
    chosen = [classes[row] for row in rows]
    if len(set(chosen)) < 2:
        raise DataError(
            f"fewer than two classes have {LEAST} samples: {dict(Counter(classes).most_common(5))}. Take more samples."
        )
    train, validation = train_test_split(rows, test_size=held_out, random_state=seed, stratify=chosen)
    return subsample(train, seed), subsample(validation, seed)


def frequent(classes: Sequence[str], least: int = LEAST) -> list[int]:
    """Rows whose class has at least `least` samples, in order."""
    counts = Counter(classes)
    return [row for row, label in enumerate(classes) if counts[label] >= least]


def subsample(rows: Sequence[int], seed: int = 0) -> list[int]:
    """At most `SAMPLES` of the rows, drawn at random without replacement, in ascending order."""
    chosen = np.random.default_rng(seed).choice(len(rows), min(SAMPLES, len(rows)), replace=False)
    return sorted(rows[i] for i in chosen)


def share_solved(accuracies: pd.DataFrame, solved: float = SOLVED) -> pd.Series:
    """Share of tasks that each model solves, in [0, 1].

    A model solves a task if it reaches `solved` times the accuracy of the best model. As in the paper, "best" refers to
    the given models, so leaving one out can change the shares of the others.

    Args:
        accuracies: models as rows and tasks as columns, without missing values.
        solved: the least share of the best accuracy for which a task counts as solved.

    Raises:
        DataError: a value is missing.
    """
    if accuracies.isna().any(axis=None):
        model, task = accuracies.stack(future_stack=True).pipe(lambda s: s.index[s.isna()])[0]
        raise DataError(f"{model} has no accuracy for {task}: probe it, or leave the model or the task out.")
    return (accuracies >= solved * accuracies.max()).mean(axis=1)
