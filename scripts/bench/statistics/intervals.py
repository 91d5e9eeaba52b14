"""Coverage of intervals for metrics, for queries in a gallery, and of the family bootstrap of a trend."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from runs import cosine, run
from scipy import stats

from platorep.metrics import registry
from platorep.metrics.knn import neighbours
from platorep.stats.intervals import (
    Interval,
    blocks,
    jackknife,
    linearised,
    mutual_knn_leave_out,
    overlap_terms,
    query_bootstrap,
)
from platorep.stats.queries import query_scores
from platorep.stats.trends import trend


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
