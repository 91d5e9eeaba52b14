"""Type-I error of the tests of alignment and of trends."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import torch
from runs import cosine
from scipy import stats

from platorep.metrics import registry
from platorep.metrics.base import Geometry
from platorep.stats.calibration import calibrated, skewed_p
from platorep.stats.nulls import max_null, max_null_prepared
from platorep.stats.trends import trend
from tests.metrics.tied import KINDS, pair


PRH_FAMILIES = np.array(["bloom"] * 5 + ["openllama"] * 3 + ["llama"] * 4)
N_TEST, K_TEST, DRAWS = 80, 5, 99


def unrelated(rng: np.random.Generator, label: np.ndarray | None, count: int) -> list[Geometry]:
    """Layers of one model that share the latent of the model; with a label, every model also sees the classes."""
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
        if name == "cknna":
            drawn = max_null_prepared(metric, {"a": x, "b": y}, [("a", "b")], DRAWS, seed)
            out[f"{name}, {rule}: p"] = drawn.p[0]
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
                if f"{rule}: p" in draws:
                    row[f"{rule}: rejected by permutations"] = f"{100 * (draws[f'{rule}: p'] <= 0.05).mean():.1f} %"
                row[f"{rule}: score - chance"] = f"{gap.mean():+.4f} ({gap.mean() / gap.sem():+.1f} se)"
            rows.append(row)
    return pd.DataFrame(rows)


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
