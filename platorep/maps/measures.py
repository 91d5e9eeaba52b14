"""Scores of a fitted map in one direction on the test samples, with intervals and chance levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from platorep.maps.heads import Labels, weighted_f1
from platorep.maps.relative import normalised
from platorep.maps.retrieval import Retrieval, chance_levels, csls, search
from platorep.maps.sides import Targets
from platorep.stats import items


DEPTHS = (1, 5, 10)
"""Numbers k of answers for recall at k."""

NAN = float("nan")


class Measure(NamedTuple):
    """One score.

    Attributes:
        score: value on the test samples.
        csls: the score with the correction for hubs; NaN for scores without retrieval.
        chance: expected score of an uninformative map.
        low: lower end of the 95 % interval for other queries in the same gallery.
        high: upper end.
    """

    score: float
    csls: float
    chance: float
    low: float
    high: float


@dataclass(frozen=True)
class Scene:
    """The test samples of a split, and the chance levels that they imply.

    Attributes:
        n: number of test samples.
        labels: classes of the split's samples; None where the dataset has none.
    """

    n: int
    labels: Labels | None

    @cached_property
    def chances(self) -> dict[str, float]:
        """Chance of every measure of retrieval, in closed form."""
        return chance_levels(self.n, DEPTHS)

    @cached_property
    def class_share(self) -> float:
        """Mean share of the gallery that has the query's class: the chance level of class_recall_at_1."""
        test = self.labels.test  # type: ignore[union-attr]
        return float((np.bincount(test)[test] / len(test)).mean())


def measures(
    queries: np.ndarray, targets: Targets, scene: Scene, *, truth: np.ndarray | None = None
) -> dict[str, Measure]:
    """Scores of retrieval and explained variance, and of classification if there are labels.

    recall_at_k: share of queries whose partner is among the first k answers. median_rank, reciprocal_rank: median and
    mean reciprocal of the partner's rank. cosine_gap: mean cosine of partners minus that of all other pairs. r2: 1 -
    SSE / SST with the mean of the anchors. class_recall_at_1: share of queries whose first answer has their class.
    class_accuracy: share of queries whose class is the one with the largest mean cosine to its samples of fit in the
    other model. This is the classification of ASIF; the model of the queries sees no label.

    Args:
        queries: test samples of the translated model, in the common space, shape (n_test, c).
        targets: answers and class centres of the target model.
        scene: the test samples.
        truth: true values of the predictions, minus the mean of the anchors, shape (n_test, c); None for maps that do
            not predict, which have no r2.
    """
    similarity = normalised(queries) @ targets.answers.T
    plain, corrected = search(similarity), search(csls(similarity))
    scores = _ranks(plain, corrected, scene)
    partners = np.diagonal(similarity)
    gaps = partners - (similarity.sum(axis=1) - partners) / (len(partners) - 1)
    scores["cosine_gap"] = _beside(items.mean(gaps), 0.0)
    if truth is not None:
        scores["r2"] = explained(truth, queries)
    if scene.labels is not None and targets.centres is not None:
        right, right_corrected = (scene.labels.test[s.nearest] == scene.labels.test for s in (plain, corrected))
        recall = _beside(items.share(right), scene.class_share, float(right_corrected.mean()))
        predicted = (queries @ targets.centres.T).argmax(axis=1)
        accuracy = _beside(items.share(predicted == scene.labels.test), scene.labels.majority)
        scores |= {"class_recall_at_1": recall, "class_accuracy": accuracy}
    return scores


def explained(truth: np.ndarray, predicted: np.ndarray) -> Measure:
    """R^2 of predictions; both arguments are centred by the anchors, shape (n_test, d). The anchors' mean scores 0."""
    missed = truth - predicted
    errors, totals = np.einsum("ij,ij->i", missed, missed), np.einsum("ij,ij->i", truth, truth)
    return _beside(items.explained(errors, totals), 0.0)


def _ranks(plain: Retrieval, corrected: Retrieval, scene: Scene) -> dict[str, Measure]:
    chances, scores = scene.chances, {}
    for k in DEPTHS:
        name = f"recall_at_{k}"
        scores[name] = _beside(items.share(plain.ranks <= k), chances[name], float((corrected.ranks <= k).mean()))
    median, reciprocal = items.median(plain.ranks), items.mean(1 / plain.ranks)
    scores["median_rank"] = _beside(median, chances["median_rank"], float(np.median(corrected.ranks)))
    scores["reciprocal_rank"] = _beside(reciprocal, chances["reciprocal_rank"], float((1 / corrected.ranks).mean()))
    return scores


def stitched(predicted: np.ndarray, native: float, labels: Labels) -> dict[str, Measure]:
    """Scores of a head on an encoder other than the one that it was trained on.

    accuracy, and f1 (weighted by the classes' numbers of samples). retention: (accuracy - chance) / (native - chance),
    where native is the accuracy of the encoder's own head; NaN if native is not above chance. Chance is the share of
    the most frequent class of fit.

    Args:
        predicted: class of each test sample, shape (n_test,).
        native: accuracy of the encoder's own head on the same samples.
        labels: the true classes.
    """
    chance = labels.majority
    accuracy = items.share(predicted == labels.test)
    above = native - chance
    kept = [(value - chance) / above if above > 0 else NAN for value in accuracy]
    f1 = weighted_f1(labels.test, predicted, len(labels.names))
    return {
        "accuracy": _beside(accuracy, chance),
        "f1": Measure(f1, NAN, NAN, NAN, NAN),
        "retention": Measure(kept[0], NAN, 0.0, kept[1], kept[2]),
    }


def _beside(bounds: items.Bounds, chance: float, corrected: float = NAN) -> Measure:
    return Measure(bounds.score, corrected, chance, bounds.low, bounds.high)
