"""Inference for similarity to brains and for encoding models: fresh items and people in every repetition."""

from __future__ import annotations

import numpy as np
import pandas as pd
from runs import covered, run

from platorep.brains.encoding import encode, fit_ridge
from platorep.stats.intervals import (
    Interval,
)
from platorep.stats.two_factor import two_factor


BRAINS = {"4 people, 40 items": (4, 40), "4 people, 92 items": (4, 92), "10 people, 40 items": (10, 40)}


def dissimilarities(features: np.ndarray) -> np.ndarray:
    """1 - cosine, shape (..., n, n)."""
    unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
    return 1 - unit @ unit.swapaxes(-1, -2)


def brain_inference(job: tuple[str, str, int]) -> dict[str, Interval | float]:
    """People who share a latent, two models that are equally similar to it, and an unrelated model."""
    world, measure, seed = job
    people, n = BRAINS[world]
    rng = np.random.default_rng([8, list(BRAINS).index(world), len(measure), seed])
    latent, maps = rng.normal(size=(n, 6)), np.random.default_rng(7)
    persons = latent + 0.7 * rng.normal(size=(people, 1, 6)) * latent + 1.5 * rng.normal(size=(people, n, 6))
    models = [latent @ maps.normal(size=(6, 20)) + rng.normal(size=(n, 20)) for _ in range(2)]
    models.append(rng.normal(size=(n, 20)))
    found = two_factor(dissimilarities(np.stack(models)), dissimilarities(persons), measure, resamples=200, seed=seed)
    return {
        "score": found.interval(0),
        "paired difference": found.interval(0, 1),
        "unrelated model: p <= 5 %": found.p_value(2) <= 0.05,
    }


def brains_table(repetitions: int, workers: int) -> pd.DataFrame:
    """Coverage and type-I error; the truth is the mean estimate over repetitions, each of fresh samples."""
    table = []
    for world in BRAINS:
        for measure in ("pearson", "spearman"):
            found = run(brain_inference, [(world, measure, seed) for seed in range(repetitions)], workers)
            row: dict[str, str] = {"world": world, "measure": measure}
            for method in ("score", "paired difference"):
                intervals = [one[method] for one in found]
                estimates = np.array([i.estimate for i in intervals])
                row |= {
                    method: f"{estimates.mean():.3f}",
                    f"sd, {method}": f"{estimates.std(ddof=1):.4f}",
                    f"mean standard error, {method}": f"{np.mean([i.standard_error for i in intervals]):.4f}",
                    f"covers, {method}": covered(intervals, np.full(repetitions, estimates.mean())),
                }
            rate = np.mean([one["unrelated model: p <= 5 %"] for one in found])
            table.append(row | {"unrelated model rejected at 5 %": f"{100 * rate:.1f} %"})
    return pd.DataFrame(table)


ENCODING = {"5 folds of 20 samples": (5, 20), "8 folds of 30 samples": (8, 30)}


def encoding_interval(job: tuple[str, int]) -> tuple[Interval, float]:
    """Interval of the mean correlation over sites, and the mean correlation of the same maps on 2,000 fresh samples."""
    folds, length = ENCODING[job[0]]
    rng = np.random.default_rng([9, list(ENCODING).index(job[0]), job[1]])
    readout, labels = rng.normal(size=(10, 20)), np.repeat(np.arange(folds), length)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(count, 10))
        return x, x @ readout + 4 * rng.normal(size=(count, 20))

    (x, y), (fresh_x, fresh_y) = draw(len(labels)), draw(2000)
    fits = [fit_ridge(x[labels != fold], y[labels != fold]) for fold in range(folds)]
    truths = [np.diag(np.corrcoef(f.predict(fresh_x).T, fresh_y.T)[:20, 20:]).mean() for f in fits]
    return encode(x, y, labels).interval(), float(np.mean(truths))


def encoding_coverage(repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for world in ENCODING:
        found = run(encoding_interval, [(world, seed) for seed in range(repetitions)], workers)
        intervals, truths = [one[0] for one in found], [one[1] for one in found]
        row = {"world": world, "score": f"{np.mean([i.estimate for i in intervals]):.3f}"}
        row |= {"fresh samples, same maps": f"{np.mean(truths):.3f}"}
        table.append(row | {"covers, fresh samples by the same maps": covered(intervals, truths)})
    return pd.DataFrame(table)
