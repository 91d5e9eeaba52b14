"""Coverage of intervals for maps: other queries in the same gallery, and other samples over repeated splits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from runs import run
from scipy import stats

from platorep.maps.anchors import Anchors
from platorep.maps.linear import LinearMap, orthogonal
from platorep.maps.measures import DEPTHS, explained
from platorep.maps.relative import RelativeMap, normalised
from platorep.maps.retrieval import search
from platorep.maps.ridge import ridge
from platorep.maps.splits import broken_pairs, splits
from platorep.stats.items import Bounds, binomial_limits, mean, median, share
from platorep.stats.resampled import corrected_resampled


MAP_WORLDS = {"strong": (8, 1.4), "middling": (8, 3.0), "weak": (8, 6.0)}  # latent dimensions, noise
N_FIT, N_SEARCHED, WIDTH = 150, 180, 50


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
    others = similarities(map_, fresh_x, y[1:])  # its own answer replaces one of them
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
