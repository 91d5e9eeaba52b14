"""Type-I errors and coverage of the experiments of follow-up papers, in worlds whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from runs import cosine, run
from scipy import stats
from scipy.spatial import cKDTree

from platorep.metrics import registry
from platorep.stats import intervals, items
from platorep.stats.assignment import agreement, match
from platorep.stats.categories import relabelled_items
from platorep.stats.dimension import Dimension, maximum_likelihood, two_nn
from platorep.stats.direction import cycles, flipped_means
from platorep.stats.draws import against
from platorep.stats.extrapolation import predict
from platorep.stats.mantel import mantel
from platorep.stats.negatives import nearer, relabelled_nearer
from platorep.stats.permutations import Permutations


N, K, DRAWS = 80, 5, 99


def study_errors(seed: int) -> dict[str, float]:
    """Whether each test rejects at 5 % where its null holds."""
    out = {name: test(np.random.default_rng([20 + number, seed])) for number, (name, test) in enumerate(TESTS.items())}
    return {name: float(p <= 0.05) for name, p in out.items()}


def _graph(x: np.ndarray) -> np.ndarray:
    return cosine(x).neighbours(K).numpy()


def _coarse(rng: np.random.Generator) -> float:
    """Two models that share 16 categories and nothing within them."""
    codes = np.repeat(np.arange(16), N // 16)
    x, y = (_graph(rng.normal(size=(16, 20))[codes] + 0.5 * rng.normal(size=(N, 20))) for _ in "xy")
    every = np.arange(N)
    orders = Permutations.draw(N, DRAWS, int(rng.integers(2**31)), codes).order
    observed = relabelled_items(x, y, every, every[None])[0]
    return against(observed, relabelled_items(x, y, every, orders)).p_value


def _copies(rng: np.random.Generator) -> np.ndarray:
    """Differences of the two ways of cycles between two noisy views of one latent."""
    latent = rng.normal(size=(N, 6))
    ways = cycles(*(_graph(latent + 0.7 * rng.normal(size=latent.shape)) for _ in "xy"))
    return ways.back_through_x.astype(float) - ways.back_through_y


def _direction(rng: np.random.Generator) -> float:
    differences = _copies(rng)
    null = flipped_means(differences, DRAWS, int(rng.integers(2**31)))
    return against(float(differences.mean()), null, two_sided=True).p_value


def _negatives(rng: np.random.Generator) -> float:
    """Pictures that have nothing to do with either caption."""
    true, wrong, picture = (_graph(rng.normal(size=(N, 8))) for _ in range(3))
    orders = Permutations.draw(N, DRAWS, int(rng.integers(2**31))).order
    return against(nearer(true, wrong, picture).mean(), relabelled_nearer(true, wrong, picture, orders)).p_value


def _kernels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.corrcoef(rng.normal(size=(5, 12))) for _ in "xy")  # type: ignore[return-value]


def _matching(rng: np.random.Generator) -> float:
    """The kernels' agreement of unrelated categories under renamings, as beside the accuracy."""
    x, y = _kernels(rng)
    orders = [rng.permutation(5) for _ in range(DRAWS)]
    return against(agreement(x, y), np.array([agreement(x, y[np.ix_(o, o)]) for o in orders])).p_value


def _matched(rng: np.random.Generator) -> float:
    """The share of categories that are matched to themselves, over 8 sets of 5 of unrelated ones."""
    kernels = [_kernels(rng) for _ in range(8)]

    def share(order: np.ndarray) -> float:
        pairs = ((x, y[np.ix_(order, order)]) for x, y in kernels)
        return float(np.mean([np.mean(match(a, b, rng) == np.arange(5)) for a, b in pairs]))

    return against(share(np.arange(5)), np.array([share(rng.permutation(5)) for _ in range(39)])).p_value


def _unrelated_matrices(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    good = rng.normal(size=(2, 10))  # how well each model agrees with any other, on either dataset
    a, b = (g[:, None] + g + 0.1 * np.abs(rng.normal(size=(10, 10))) for g in good)
    return a + a.T, b + b.T


def _consistency(rng: np.random.Generator) -> float:
    return mantel(*_unrelated_matrices(rng), symmetric=True, permutations=DRAWS, seed=int(rng.integers(2**31))).p


def _families(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Old and new families of 4 models on one line, with a deviation of each family and of each model."""
    codes = np.repeat(np.arange(12), 4)
    x = 0.5 * rng.normal(size=12)[codes] + 0.4 * rng.normal(size=48)
    y = 0.5 * x + 0.1 * rng.normal(size=12)[codes] + 0.1 * rng.normal(size=48)
    return x, y, codes, codes < 6


def _extrapolation(rng: np.random.Generator) -> float:
    return predict(*_families(rng), resamples=20, seed=int(rng.integers(2**31))).p


def _imbalance(rng: np.random.Generator) -> float:
    """Gaussian p of the exact z of the information imbalance of two unrelated layers of 6 latents."""
    metric = registry.build("information_imbalance", direction="yx")
    x, y = (
        metric.prepare(cosine(rng.normal(size=(N, 6)) @ rng.normal(size=(6, 16)) + rng.normal(size=(N, 16))))
        for _ in "xy"
    )
    return float(stats.norm.sf(metric.score(x, y) / metric.null([x], [y]).sd.item()))


def _finite(rng: np.random.Generator) -> float:
    """Gaussian p of the exact z of CKA for finite features, unrelated layers of 6 latents."""
    metric = registry.build("cka_finite")
    x, y = (
        metric.prepare(cosine(rng.normal(size=(N, 6)) @ rng.normal(size=(6, 16)) + 0.5 * rng.normal(size=(N, 16))))
        for _ in "xy"
    )
    return float(stats.norm.sf(metric.score(x, y) / metric.null([x], [y]).sd.item()))


TESTS: dict[str, Callable[[np.random.Generator], float]] = {
    "coarse: same items beyond the category": _coarse,
    "direction: asymmetry of two views of one latent": _direction,
    "negatives: own caption nearer, unrelated pictures": _negatives,
    "matching: agreement of unrelated kernels": _matching,
    "matching: share matched, 39 renamings": _matched,
    "consistency: unrelated matrices of 10 models": _consistency,
    "extrapolation: new families on the old line": _extrapolation,
    "information_imbalance: Gaussian p of the exact z": _imbalance,
    "cka_finite: Gaussian p of the exact z": _finite,
}


def study_intervals(seed: int) -> dict[str, tuple[float, float, float]]:
    """Value and ends of each interval; the truth is the mean value over repetitions."""
    rng = np.random.default_rng([40, seed])
    out = {"direction: asymmetry, over samples": tuple(items.mean(_copies(rng)))}
    found = mantel(*_unrelated_matrices(rng), symmetric=True, permutations=9)
    out["consistency: jackknife over 10 models"] = (found.value, found.low, found.high)
    latent = rng.normal(size=(256, 6))
    maps = np.random.default_rng(0).normal(size=(2, 6, 16))
    x, y = (cosine(latent @ m + noise * rng.normal(size=(256, 16))) for m, noise in zip(maps, (0.5, 2), strict=True))
    parts = intervals.blocks(256, 64)
    for name, metric in (
        ("information_imbalance: 64 blocks", registry.build("information_imbalance")),
        ("cka_finite: 64 blocks", registry.build("cka_finite")),
    ):
        a, b = metric.prepare(x), metric.prepare(y)
        bounds = intervals.jackknife(metric.score(a, b), metric.leave_block_out([a], [b], parts)[:, 0, 0].numpy())
        out[name] = (bounds.estimate, bounds.low, bounds.high)
    sphere = rng.normal(size=(500, 6))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    distances, near = cKDTree(sphere).query(sphere, 11)
    for name, estimate in (("TwoNN", two_nn), ("maximum likelihood, k = 10", maximum_likelihood)):
        size: Dimension = estimate(near[:, 1:], distances[:, 1:])
        out[f"intrinsic dimension of a 5-sphere: {name}"] = tuple(size)
    return out  # type: ignore[return-value]


def intervals_table(repetitions: int, workers: int) -> pd.DataFrame:
    found = run(study_intervals, list(range(repetitions)), workers)
    table = []
    for name in found[0]:
        values, low, high = np.array([one[name] for one in found]).T
        truth = values.mean()
        covers = 100 * ((low <= truth) & (truth <= high)).mean()
        row = {"interval": name, "value": f"{truth:.3f}", "sd of the value": f"{values.std(ddof=1):.4f}"}
        table.append(row | {"mean width": f"{(high - low).mean():.4f}", "covers, fresh samples": f"{covers:.1f} %"})
    return pd.DataFrame(table)
