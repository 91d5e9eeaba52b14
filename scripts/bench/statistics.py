"""Simulates the rejection rates of tests and the coverage of intervals; the results are in docs/statistics.md.

    python scripts/bench/statistics.py --part tests

Each part takes a few minutes on 2 cores, prints its table and replaces the block of that name in docs/statistics.md.
Every repetition has a seed of its own, so results do not depend on the number of workers.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

from platorep.brains.encoding import encode, fit_ridge
from platorep.maps.anchors import Anchors
from platorep.maps.linear import LinearMap, orthogonal
from platorep.maps.measures import DEPTHS, explained
from platorep.maps.relative import RelativeMap, normalised
from platorep.maps.retrieval import search
from platorep.maps.ridge import ridge
from platorep.maps.splits import broken_pairs, splits
from platorep.metrics import registry
from platorep.metrics.base import Geometry
from platorep.metrics.knn import neighbours, top_k
from platorep.stats.calibration import calibrated, skewed_p
from platorep.stats.intervals import (
    Interval,
    blocks,
    jackknife,
    linearised,
    mutual_knn_leave_out,
    overlap_terms,
    query_bootstrap,
)
from platorep.stats.items import Bounds, binomial_limits, mean, median, share
from platorep.stats.nulls import max_null, max_null_prepared
from platorep.stats.queries import query_scores
from platorep.stats.resampled import corrected_resampled
from platorep.stats.trends import trend
from platorep.stats.two_factor import two_factor


sys.path.append(str(Path(__file__).parents[2]))  # the features that the tests draw
from tests.metrics.tied import KINDS, pair


DOCUMENT = Path(__file__).parents[2] / "docs" / "statistics.md"
PRH_FAMILIES = np.array(["bloom"] * 5 + ["openllama"] * 3 + ["llama"] * 4)


def cosine(x: np.ndarray) -> Geometry:
    return Geometry(torch.from_numpy(x).float())


# Type-I error of the tests of alignment: models that share nothing, or nothing beyond a label.

N_TEST, K_TEST, DRAWS = 80, 5, 99


def unrelated(rng: np.random.Generator, label: np.ndarray | None, count: int) -> list[Geometry]:
    """Layers of one model that share its own latent; with a label, every model also sees the classes."""
    latent = rng.normal(size=(N_TEST, 6))
    centres = (
        np.zeros((N_TEST, 6))
        if label is None
        else np.random.default_rng(0).normal(size=(label.max() + 1, 6))[label] * 1.5
    )
    return [cosine((latent + centres) @ rng.normal(size=(6, 16)) + rng.normal(size=(N_TEST, 16))) for _ in range(count)]


def test_errors(seed: int) -> dict[str, float]:
    rng = np.random.default_rng([1, seed])
    pairs = [("a", "b"), ("a", "c"), ("d", "b"), ("d", "c")]
    sides = {name: unrelated(rng, None, 3) for name in "abcd"}
    graphs = {name: torch.stack([g.neighbours(K_TEST) for g in side]) for name, side in sides.items()}
    null = max_null(graphs, pairs, DRAWS, seed)
    out = {
        "maximum over 3 x 3 layers, mutual_knn: p": null.p[0] <= 0.05,
        "the same, calibrated score (Gröger et al.) > 0": calibrated(null.observed, null.null).score[0] > 0,
        "the same, 4 pairs of models: any max-T p": null.p_family.min() <= 0.05,
        "the same, 4 pairs of models: any Benjamini-Hochberg q": null.q.min() <= 0.05,
    }
    cka = registry.build("cka")
    prepared = {name: [cka.prepare(g) for g in sides[name]] for name in "ab"}
    out["maximum over 3 x 3 layers, cka unbiased: p"] = (
        max_null_prepared(cka, prepared, pairs[:1], DRAWS, seed).p[0] <= 0.05
    )
    for name, params in (
        ("mutual_knn", {"k": K_TEST}),
        ("cka", {"hsic": "unbiased"}),
        ("cka", {"hsic": "biased"}),
        ("cknna", {"k": K_TEST}),
    ):
        metric = registry.build(name, **params)
        x, y = ([metric.prepare(sides[side][0])] for side in "ab")
        moments = metric.null(x, y)
        z = ((metric.score_all(x, y) - moments.mean) / moments.sd).item()
        label = f"one layer pair, {name} {params.get('hsic', '')}".strip()
        out[f"{label}: Gaussian p of the exact z"] = stats.norm.sf(z) <= 0.05
        if name == "cka":
            skewness = 8**0.5 * x[0].skewness * y[0].skewness
            out[f"{label}: skewed_p of the exact z"] = skewed_p(z, skewness) <= 0.05
    label = np.arange(N_TEST) % 8
    classes = {name: torch.stack([g.neighbours(K_TEST) for g in unrelated(rng, label, 3)]) for name in "ab"}
    out["models that share only a class, permuted within class: p"] = (
        max_null(classes, pairs[:1], DRAWS, seed, label).p[0] <= 0.05
    )
    out["the same, permuted over all samples (tests another hypothesis)"] = (
        max_null(classes, pairs[:1], DRAWS, seed).p[0] <= 0.05
    )
    return out


# Type-I error and bias under ties: layers that share nothing, in which most samples have equally near neighbours.

N_TIES, K_TIES = 200, 10


def tied_scores(job: tuple[str, int]) -> dict[str, float]:
    kind, seed = job
    out: dict[str, float] = {}
    for name, rule in (("mutual_knn", "random"), ("cknna", "random"), ("mutual_knn", "first")):
        metric = registry.build(name, k=K_TIES, similarity=KINDS[kind][1], ties=rule)
        x, y = ([metric.prepare(Geometry(side, metric.similarity))] for side in pair(kind, seed, N_TIES))
        null = metric.null(x, y)
        gap = (metric.score_all(x, y) - null.mean).item()
        out |= {f"{name}, {rule}: gap": gap, f"{name}, {rule}: z": gap / null.sd.item()}
    return out


def ties_table(repetitions: int, workers: int) -> pd.DataFrame:
    rows = []
    with ProcessPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for kind in KINDS:
            draws = pd.DataFrame(pool.map(tied_scores, [(kind, seed) for seed in range(repetitions)], chunksize=10))
            row = {"features": kind}
            for rule in ("mutual_knn, random", "cknna, random", "mutual_knn, first"):
                gap, z = draws[f"{rule}: gap"], draws[f"{rule}: z"]
                row[f"{rule}: rejected at 5 %"] = f"{100 * (stats.norm.sf(z) <= 0.05).mean():.1f} %"
                row[f"{rule}: score - chance"] = f"{gap.mean():+.4f} ({gap.mean() / gap.sem():+.1f} se)"
            rows.append(row)
    return pd.DataFrame(rows)


# Type-I error of trend tests: families differ in competence and in alignment, and nothing relates the two.


def trend_errors(seed: int) -> dict[str, float]:
    rng = np.random.default_rng([2, seed])
    code = np.unique(PRH_FAMILIES, return_inverse=True)[1]
    x, y = (rng.normal(size=12) * 0.6 + 1.2 * rng.normal(size=3)[code] for _ in range(2))
    out = {}
    for statistic in ("spearman", "kendall"):
        found = trend(x, y, PRH_FAMILIES, statistic=statistic, permutations=999, seed=seed)
        out[f"{statistic}, naive p (shown as a warning only)"] = found.naive_p <= 0.05
        out[f"{statistic}, permuted within families, sampled"] = found.p <= 0.05
    small = np.array([0, 1, 2, 3, 5, 6, 7, 8, 9])  # families of 4, 3, 2
    out["spearman, permuted within families, all 288 arrangements of 4 + 3 + 2 models"] = (
        trend(x[small], y[small], PRH_FAMILIES[small]).p <= 0.05
    )
    return out


# Coverage of intervals for neighbour metrics.

WORLDS = {  # n, k, latent dimensions, noise, common shift that makes hubs
    "n = 256, k = 10, strong": (256, 10, 8, 1.4, 0.0),
    "n = 512, k = 10, middling": (512, 10, 20, 4.5, 0.0),
    "n = 256, k = 5, weak": (256, 5, 8, 6.0, 0.0),
    "n = 256, k = 10, hubs": (256, 10, 8, 2.0, 3.0),
}
WIDTH = 50


def views(rng: np.random.Generator, world: tuple, count: int) -> list[np.ndarray]:
    """Features of fresh samples from three models: random maps of the latent, the same in every repetition."""
    _, _, d, noise, shift = world
    maps = np.random.default_rng(7)
    latent = rng.normal(size=(count, d))
    return [
        latent @ maps.normal(size=(d, WIDTH)) + noise * rng.normal(size=(count, WIDTH)) * (1 + 0.3 * i) + shift
        for i in range(3)
    ]


def overlaps(a: torch.Tensor, b: torch.Tensor, k: int) -> np.ndarray:
    return (a[:, :k, None] == b[:, None, :k]).sum((1, 2)).numpy() / k


def neighbour_intervals(job: tuple[str, int]) -> dict[str, Interval | float]:
    name, seed = job
    n, k, *_ = world = WORLDS[name]
    rng = np.random.default_rng([3, list(WORLDS).index(name), seed])
    x, y, z = features = [cosine(v) for v in views(rng, world, n)]
    gx, gy, gz = (layer.neighbours(k + 1) for layer in features)
    out: dict[str, Interval | float] = {}
    terms, other = overlap_terms(gx, gy, k), overlap_terms(gx, gz, k)
    out["query_bootstrap"] = query_bootstrap(terms, resamples=600, seed=seed)
    out["query_bootstrap, paired difference"] = query_bootstrap(terms, other, resamples=600, seed=seed)
    out["linearised"] = linearised(terms)
    out["linearised, paired difference"] = linearised(terms, minus=other)
    left, right = mutual_knn_leave_out(gx, gy, k), mutual_knn_leave_out(gx, gz, k)
    out["jackknife, single samples"] = jackknife(terms.score, left)
    out["jackknife, paired difference"] = jackknife(terms.score - other.score, left - right)
    # What the query bootstrap is about: the mean over fresh queries in this gallery.
    queries = [cosine(v).x for v in views(rng, world, 3000)]
    fx, fy, fz = ((q @ layer.x.T).topk(k, dim=1).indices for q, layer in zip(queries, (x, y, z), strict=True))
    out["truth of query_bootstrap"] = overlaps(fx, fy, k).mean()
    out["truth of query_bootstrap, paired difference"] = out["truth of query_bootstrap"] - overlaps(fx, fz, k).mean()
    return out


QUERIES, GALLERIES = 256, (256, 1024, 4096)


def gallery_interval(job: tuple[str, int, int]) -> tuple[float, float, bool]:
    """Score and standard error of gallery queries, and whether the interval covers the mean of 4,000 fresh ones."""
    name, size, seed = job
    world = WORLDS[name]
    k, rng = world[1], np.random.default_rng([6, list(WORLDS).index(name), size, seed])
    gallery = [cosine(v).x for v in views(rng, world, size)[:2]]
    x, y = (neighbours(side[:QUERIES], k, gallery=side, own=torch.arange(QUERIES)) for side in gallery)
    found = query_scores((overlaps(x, y, k) * k).round().astype(int), k, size)
    fresh = [cosine(v).x for v in views(rng, world, 4000)[:2]]
    truth = overlaps(*(neighbours(q, k, gallery=side) for q, side in zip(fresh, gallery, strict=True)), k).mean()
    return float(found.score), float(found.standard_error), bool(found.low <= truth <= found.high)


def kernel_intervals(job: tuple[str, int]) -> dict[str, Interval | float]:
    name, seed = job
    n, *_ = world = WORLDS[name]
    rng = np.random.default_rng([4, list(WORLDS).index(name), seed])
    x, y, z = (cosine(v) for v in views(rng, world, n))
    parts = blocks(n, 64, seed)
    out: dict[str, Interval | float] = {}
    for metric_name, params in (
        ("cka", {"hsic": "unbiased"}),
        ("cka", {"hsic": "biased"}),
        ("distance_correlation", {}),
    ):
        metric = registry.build(metric_name, **params)
        px, py, pz = (metric.prepare(layer) for layer in (x, y, z))
        scores = metric.score_all([px], [py, pz])[0].numpy()
        without = metric.leave_block_out([px], [py, pz], parts)[:, 0].numpy()
        label = f"{metric_name} {params.get('hsic', '')}".strip()
        out[f"jackknife, 64 blocks, {label}"] = jackknife(scores[0], without[:, 0])
        out[f"jackknife, 64 blocks, {label}, paired difference"] = jackknife(
            scores[0] - scores[1], without[:, 0] - without[:, 1]
        )
    return out


# Coverage of the family bootstrap of a trend: fresh families, not only fresh models.


def family_interval(job: tuple[int, float, int]) -> tuple[float, float]:
    count, slope, seed = job
    rng = np.random.default_rng([5, count, int(100 * slope), seed])
    x, y, family = families(rng, count, slope)
    found = trend(x, y, family, permutations=1, resamples=200, seed=seed)
    return found.low, found.high


def families(rng: np.random.Generator, count: int, slope: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Families of 4 models; half of either variable's variance lies between families."""
    family = np.repeat(np.arange(count), 4)
    x, e = (rng.normal(size=count)[family] * 0.7 + rng.normal(size=4 * count) * 0.7 for _ in range(2))
    return x, slope * x + (1 - slope**2) ** 0.5 * e, family


# Inference for similarity to brains, and for encoding models: fresh items and fresh people in every repetition.

BRAINS = {"4 people, 40 items": (4, 40), "4 people, 92 items": (4, 92), "10 people, 40 items": (10, 40)}


def dissimilarities(features: np.ndarray) -> np.ndarray:
    """1 - cosine, shape (..., n, n)."""
    unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
    return 1 - unit @ unit.swapaxes(-1, -2)


def brain_inference(job: tuple[str, str, int]) -> dict[str, Interval | float]:
    """People who share a latent, two models that are alike to it equally, and one that is not."""
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


# Coverage of intervals for maps: other queries in the same gallery, and other samples over repeated splits.

MAP_WORLDS = {"strong": (8, 1.4), "middling": (8, 3.0), "weak": (8, 6.0)}  # latent dimensions, noise
N_FIT, N_SEARCHED = 150, 180


def twins(rng: np.random.Generator, world: str, count: int) -> list[np.ndarray]:
    """Features of fresh samples from two exchangeable models and a third: random maps of a latent, always the same."""
    d, noise = MAP_WORLDS[world]
    maps, latent = np.random.default_rng(7), rng.normal(size=(count, d))
    return [latent @ maps.normal(size=(d, WIDTH)) + noise * rng.normal(size=(count, WIDTH)) for _ in range(3)]


def similarities(map_: LinearMap, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return normalised(map_.source(x)) @ normalised(map_.target(y)).T


def map_intervals(job: tuple[str, int]) -> dict[str, tuple[Bounds, float]]:
    """Each interval of a test set, and the mean over fresh queries that are searched among its answers."""
    world, seed = job
    rng = np.random.default_rng([8, list(MAP_WORLDS).index(world), seed])
    x, _, y = twins(rng, world, N_FIT)
    map_ = ridge(Anchors(x), Anchors(y))
    x, _, y = twins(rng, world, N_SEARCHED)
    similarity = similarities(map_, x, y)
    ranks, partners = search(similarity).ranks, np.diagonal(similarity)
    fresh_x, _, fresh_y = twins(rng, world, 4000)
    others = similarities(map_, fresh_x, y[1:])  # its own answer stands in the place of one of them
    own = (normalised(map_.source(fresh_x)) * normalised(map_.target(fresh_y))).sum(axis=1)
    fresh = 1 + (others > own[:, None]).sum(axis=1)
    out = {f"recall_at_{k}": (share(ranks <= k), (fresh <= k).mean()) for k in DEPTHS}
    out["reciprocal_rank"] = mean(1 / ranks), (1 / fresh).mean()
    out["median_rank"] = median(ranks), np.median(fresh)
    gaps = partners - (similarity.sum(axis=1) - partners) / (N_SEARCHED - 1)
    out["cosine_gap"] = mean(gaps), (own - others.mean(axis=1)).mean()
    measured = explained(map_.target(y), map_.source(x))
    out["r2"] = (
        Bounds(measured.score, measured.low, measured.high),
        explained(map_.target(fresh_y), map_.source(fresh_x)).score,
    )
    return out


def maps_table(repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for world in MAP_WORLDS:
        found = run(map_intervals, [(world, seed) for seed in range(repetitions)], workers)
        for name in found[0]:
            bounds, truths = zip(*(one[name] for one in found), strict=True)
            held = np.mean([b.low <= truth <= b.high for b, truth in zip(bounds, truths, strict=True)])
            row = {"world": world, "score": name, "mean": f"{np.mean([b.score for b in bounds]):.3f}"}
            row["mean width"] = f"{np.mean([b.high - b.low for b in bounds]):.3f}"
            table.append(row | {"covers, fresh queries in the same gallery": f"{100 * held:.1f} %"})
    return pd.DataFrame(table)


def split_scores(job: tuple[str, int]) -> dict[str, np.ndarray]:
    """recall_at_10 of two exchangeable models over 10 splits of 300 samples, by number of anchors."""
    world, seed = job
    rng = np.random.default_rng([9, list(MAP_WORLDS).index(world), seed])
    x, twin, y = twins(rng, world, 300)
    scores: dict[str, list[list[float]]] = {"16": [], "all": []}
    for split in splits(np.arange(300), 10, 10 * seed):
        for name, anchors in (("16", split.fit[:16]), ("all", split.fit)):
            hits = [
                (
                    search(
                        similarities(
                            orthogonal(Anchors(side[anchors]), Anchors(y[anchors])), side[split.test], y[split.test]
                        )
                    ).ranks
                    <= 10
                ).mean()
                for side in (x, twin)
            ]
            scores[name].append(hits)
    return {name: np.array(values).T for name, values in scores.items()}


def splits_table(repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for world in MAP_WORLDS:
        found = run(split_scores, [(world, seed) for seed in range(repetitions)], workers)
        for name in found[0]:
            scores = np.stack([one[name] for one in found])  # repetitions x models x splits
            truth = scores.mean()
            for count in (5, 10):
                one = corrected_resampled(scores[:, 0, :count], 90, 210)
                reach = stats.t.ppf(0.975, count - 1) * scores[:, 0, :count].std(axis=1, ddof=1) / count**0.5
                plain = np.abs(one.mean - truth) <= reach
                gap = corrected_resampled(scores[:, 0, :count] - scores[:, 1, :count], 90, 210)
                row = {"world": world, "anchors": name, "splits": count, "recall_at_10": f"{truth:.3f}"}
                row["covers, fresh samples"] = f"{100 * ((one.low <= truth) & (truth <= one.high)).mean():.1f} %"
                row["uncorrected"] = f"{100 * plain.mean():.1f} %"
                row["difference of equals, rejected at 5 %"] = f"{100 * (gap.p_less <= 0.05).mean():.1f} %"
                table.append(row)
    return pd.DataFrame(table)


def broken_scores(job: tuple[str, int]) -> dict[str, np.ndarray]:
    """Ranks from maps that were fitted to broken pairs."""
    world, seed = job
    rng = np.random.default_rng([10, list(MAP_WORLDS).index(world), seed])
    x, _, y = twins(rng, world, N_FIT)
    a, b = Anchors(x[broken_pairs(N_FIT, [seed])]), Anchors(y)
    x, _, y = twins(rng, world, N_SEARCHED)
    fitted = {"orthogonal": orthogonal(a, b), "ridge": ridge(a, b), "relative": RelativeMap(a, b)}
    return {name: search(similarities(map_, x, y)).ranks for name, map_ in fitted.items()}


def broken_table(repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for world in MAP_WORLDS:
        found = run(broken_scores, [(world, seed) for seed in range(repetitions)], workers)
        for name in found[0]:
            row = {"world": world, "map": name}
            for k in DEPTHS:
                scores = np.array([(one[name] <= k).mean() for one in found])
                low, high = binomial_limits(k / N_SEARCHED, N_SEARCHED)
                inside = ((low <= scores) & (scores <= high)).mean()
                row[f"recall_at_{k}"] = f"{scores.mean():.4f}, chance {k / N_SEARCHED:.4f}, inside {100 * inside:.1f} %"
            table.append(row)
    return pd.DataFrame(table)


# Running and reporting.


def run(function: Callable, jobs: list, workers: int) -> list:
    with ProcessPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, jobs, chunksize=10))


def errors_table(function: Callable, repetitions: int, workers: int) -> pd.DataFrame:
    rows = pd.DataFrame(run(function, list(range(repetitions)), workers))
    return pd.DataFrame({"test": rows.columns, "rejected at 5 %": [f"{100 * rate:.1f} %" for rate in rows.mean()]})


def coverage_table(function: Callable, repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for world in WORLDS:
        found = run(function, [(world, seed) for seed in range(repetitions)], workers)
        for method in (key for key in found[0] if not key.startswith("truth")):
            intervals = [one[method] for one in found]
            estimates = np.array([i.estimate for i in intervals])
            fresh = np.full(repetitions, estimates.mean())
            row = {
                "world": world,
                "interval": method,
                "score": f"{estimates.mean():.3f}",
                "sd of the score": f"{estimates.std(ddof=1):.4f}",
            }
            row["mean standard error"] = f"{np.mean([i.standard_error for i in intervals]):.4f}"
            row["covers, fresh samples"] = covered(intervals, fresh)
            if f"truth of {method}" in found[0]:
                row["covers, fresh queries in the same gallery"] = covered(
                    intervals, [one[f"truth of {method}"] for one in found]
                )
            table.append(row)
    return pd.DataFrame(table).fillna("")


def covered(intervals: list[Interval], truths) -> str:
    return f"{100 * np.mean([i.low <= t <= i.high for i, t in zip(intervals, truths, strict=True)]):.1f} %"


def galleries_table(repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for world in WORLDS:
        for size in GALLERIES:
            found = np.array(run(gallery_interval, [(world, size, seed) for seed in range(repetitions)], workers))
            score, error, held = found.mean(axis=0)
            row = {
                "world": world.partition(", ")[2],
                "queries": QUERIES,
                "gallery": f"{size:,}",
                "score": f"{score:.3f}",
            }
            row |= {"sd of the score": f"{found[:, 0].std(ddof=1):.4f}", "mean standard error": f"{error:.4f}"}
            table.append(row | {"covers, fresh queries in the same gallery": f"{100 * held:.1f} %"})
    return pd.DataFrame(table)


def families_table(repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for slope in (0.0, 0.5, 0.85):
        x, y, _ = families(np.random.default_rng(0), 20000, slope)
        truth = stats.spearmanr(x, y).statistic
        for count in (5, 8, 20):
            ends = np.array(run(family_interval, [(count, slope, seed) for seed in range(repetitions)], workers))
            hits = 100 * ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean()
            width = np.diff(ends, axis=1).mean()
            table.append(
                {
                    "families of 4": count,
                    "Spearman": f"{truth:.2f}",
                    "covers": f"{hits:.1f} %",
                    "mean width": f"{width:.2f}",
                }
            )
    return pd.DataFrame(table)


def speed_table() -> pd.DataFrame:
    """1,000 relabellings of models with 33 and 24 layers, n = 1,024, k = 10; adjacent layers share most neighbours."""
    rng = np.random.default_rng(0)
    n, k, table = 1024, 10, []
    for label, keep in (("alike layers", 0.95), ("layers that share nothing", 0.0)):
        sides = {}
        for name, count in (("x", 33), ("y", 24)):
            hidden, side = rng.normal(size=(n, 64)), []
            for _ in range(count):
                hidden = keep * hidden + (1 - keep**2) ** 0.5 * rng.normal(size=(n, 64))
                side.append(cosine(hidden))
            sides[name] = side
        graphs = {name: torch.stack([top_k(g.gram, k) for g in side]) for name, side in sides.items()}
        start = time.perf_counter()
        null = max_null(graphs, [("x", "y")], 1000, seed=0)
        fast = time.perf_counter() - start
        start = time.perf_counter()
        masked = [by_masks(graphs, order) for order in null.permutations.order[:2]]
        slow = (time.perf_counter() - start) / 2
        np.testing.assert_allclose(masked, null.null[0, :2])
        cka = registry.build("cka")
        prepared = {name: [cka.prepare(g) for g in side] for name, side in sides.items()}
        start = time.perf_counter()
        max_null_prepared(cka, prepared, [("x", "y")], 20, seed=0)
        kernel = (time.perf_counter() - start) / 21
        row = {"layers": label, "max_null, 1,000 draws": f"{fast:.1f} s", "a draw": f"{fast:.1f} ms"}
        table.append(
            row | {"by masked indexing, a draw": f"{1000 * slow:.0f} ms", "cka, a draw": f"{1000 * kernel:.0f} ms"}
        )
    return pd.DataFrame(table)


def by_masks(graphs: dict[str, torch.Tensor], order: np.ndarray) -> float:
    """One draw, a layer pair at a time, by indexing dense neighbour masks."""
    o = torch.from_numpy(order).long()
    n, k = graphs["x"].shape[1:]
    masks = {name: torch.zeros(len(g), n, n, dtype=torch.bool).scatter_(2, g, True) for name, g in graphs.items()}
    moved = [mask[o][:, o] for mask in masks["y"]]
    return max((a & b).sum().item() for a in masks["x"] for b in moved) / (n * k)


def markdown(table: pd.DataFrame) -> str:
    lines = [
        " | ".join(map(str, row)) for row in (table.columns, ["---"] * table.shape[1], *table.itertuples(index=False))
    ]
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--part",
        required=True,
        choices=[
            "tests",
            "ties",
            "trends",
            "neighbours",
            "galleries",
            "kernels",
            "families",
            "brains",
            "encoding",
            "maps",
            "splits",
            "broken",
            "speed",
        ],
    )
    parser.add_argument(
        "--repetitions", type=int, help="default 1000 for tests, 2000 for trends and ties, 400 a world for intervals"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--dry", action="store_true", help="print only")
    given = parser.parse_args()
    repetitions = given.repetitions or {"tests": 1000, "trends": 2000, "ties": 2000}.get(given.part, 400)
    table = {
        "tests": lambda: errors_table(test_errors, repetitions, given.workers),
        "ties": lambda: ties_table(repetitions, given.workers),
        "trends": lambda: errors_table(trend_errors, repetitions, given.workers),
        "neighbours": lambda: coverage_table(neighbour_intervals, repetitions, given.workers),
        "galleries": lambda: galleries_table(repetitions, given.workers),
        "kernels": lambda: coverage_table(kernel_intervals, repetitions, given.workers),
        "families": lambda: families_table(repetitions, given.workers),
        "brains": lambda: brains_table(repetitions, given.workers),
        "encoding": lambda: encoding_coverage(repetitions, given.workers),
        "maps": lambda: maps_table(repetitions, given.workers),
        "splits": lambda: splits_table(repetitions, given.workers),
        "broken": lambda: broken_table(repetitions, given.workers),
        "speed": speed_table,
    }[given.part]()
    text = markdown(table) + (
        ""
        if given.part == "speed"
        else f"\n\n{repetitions} repetitions{'' if given.part in ('tests', 'trends') else ' a row'}."
    )
    print(text)
    if not given.dry:
        block = re.compile(rf"(<!-- {given.part} -->).*?(<!-- end -->)", re.DOTALL)
        DOCUMENT.write_text(block.sub(lambda found: f"{found[1]}\n\n{text}\n\n{found[2]}", DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
