"""Experiment (g): the instruments. Size, power and interval coverage of every metric where the truth is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from platorep.metrics.base import Geometry, Metric
from platorep.metrics.registry import METRICS, build
from platorep.stats.calibration import skewed_p
from platorep.stats.intervals import blocks, jackknife, linearised, mutual_knn_leave_out, overlap_terms, query_bootstrap
from platorep.stats.relabel import relabel


class Setting(NamedTuple):
    """One cell: the varied setting, numbers of samples, neighbours and dimensions, and the shared variance."""

    varied: str
    n: int
    k: int
    d: int
    signal: float


BASE = Setting("signal", 100, 10, 16, 0.2)
LEVEL = 0.05
RELABELLINGS = 19
"""Number of relabelled scores: rejecting if the observed score exceeds all 19 is a test at exactly 5 %."""


def instruments(
    *,
    repetitions: int = 500,
    signals: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4),
    ns: tuple[int, ...] = (50, 200),
    ks: tuple[int, ...] = (2, 5, 20),
    ds: tuple[int, ...] = (4, 64),
    latent: int = 4,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Draws pairs of representations that share a known part, tests each pair, and counts rejections.

    x = sqrt(signal) z A + sqrt(1 - signal) e with z (n, latent) and e (n, d) standard normal, A a random map with
    columns of length 1 on average; y has its own A and e and the same z. At signal 0 the two are independent, and a
    test at the 5 % level should reject 5 % of the time (size); above 0 it should reject as often as possible (power).
    The maps A are drawn once for each d: they belong to the population, so that the interval of a cell has a single
    true value to cover.

    Args:
        repetitions: number of pairs per cell.
        signals: shared shares of variance, at the base cell (n = 100, k = 10, d = 16); 0 is the null.
        ns: further numbers of samples, each at signal 0 and at the base signal.
        ks: neighbours, for metrics that have a k; likewise.
        ds: dimensions; likewise.
        latent: number of shared dimensions.
        seed: seed of the draws; the draws of a cell do not depend on other cells.

    Returns:
        summary: one row per metric and test, one column per signal, at the base cell: the share rejected, which is the
            size at signal 0 and the power above it.
        tests: one row per metric, test and cell: metric, test (moments: the one-sided p-value that `align` gives, from
            the exact null moments; relabelling: the observed score against 19 relabelled ones, at the base cell),
            the cell, repetitions, rejected share with its binomial standard error.
        coverage: coverage of nominal 95 % intervals; the true value is the mean score over fresh pairs of the same
            cell.
    """
    tests, coverage = [], []
    for index, cell in enumerate(_cells(signals, ns, ks, ds)):
        rng = np.random.default_rng([seed, index])
        metrics, maps = _metrics(cell), shared_maps(latent, cell.d, seed)
        moments: dict[str, list[tuple[float, float]]] = {}
        largest: dict[str, list[bool]] = {}
        spans: dict[str, list[tuple[float, float, float]]] = {}
        for _ in range(repetitions):
            x, y = draw(cell, maps, rng)
            orders = (
                [torch.from_numpy(rng.permutation(cell.n)) for _ in range(RELABELLINGS)]
                if cell.varied == "signal"
                else []
            )
            for name, known, wins in _verdicts(metrics, x, y, orders):
                if known is not None:
                    moments.setdefault(name, []).append(known)
                if orders:
                    largest.setdefault(name, []).append(wins)
            if cell.varied == "signal":
                for name, span in _intervals(cell, x, y):
                    spans.setdefault(name, []).append(span)
        shares = {(name, "relabelling"): float(np.mean(values)) for name, values in largest.items()}
        shares |= {
            (name, "moments"): float(np.mean(skewed_p(*np.array(values).T) < LEVEL)) for name, values in moments.items()
        }
        for (metric, test), share in shares.items():
            error = (share * (1 - share) / repetitions) ** 0.5
            row = {"metric": metric, "test": test, **cell._asdict(), "repetitions": repetitions, "rejected": share}
            tests.append(row | {"standard_error": error})
        for name, values in spans.items():
            estimates, lows, highs = np.array(values).T
            truth = estimates.mean()
            row = {"interval": name, **cell._asdict(), "repetitions": repetitions, "truth": truth}
            coverage.append(
                row
                | {"covered": float(((lows <= truth) & (truth <= highs)).mean()), "width": float((highs - lows).mean())}
            )
    frame = pd.DataFrame(tests)
    return {"summary": _by_signal(frame), "tests": frame, "coverage": pd.DataFrame(coverage)}


def shared_maps(latent: int, d: int, seed: int) -> np.ndarray:
    """Two random maps from the shared latent, shape (2, latent, d), with columns of length 1 on average."""
    return np.random.default_rng([seed, latent, d]).normal(size=(2, latent, d)) / np.sqrt(latent)


def draw(cell: Setting, maps: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """One pair of representations through `shared_maps`, each (n, d) float32."""
    z = rng.normal(size=(cell.n, maps.shape[1]))
    noise = rng.normal(size=(2, cell.n, cell.d))
    sides = np.sqrt(cell.signal) * (z @ maps) + np.sqrt(1 - cell.signal) * noise
    return torch.tensor(sides[0], dtype=torch.float32), torch.tensor(sides[1], dtype=torch.float32)


def _cells(
    signals: tuple[float, ...], ns: tuple[int, ...], ks: tuple[int, ...], ds: tuple[int, ...]
) -> Iterator[Setting]:
    yield from (BASE._replace(signal=s) for s in signals)
    for name, values in (("n", ns), ("k", ks), ("d", ds)):
        for value in values:
            for signal in (0.0, BASE.signal):
                yield BASE._replace(varied=name, signal=signal, **{name: value})


def _metrics(cell: Setting) -> list[tuple[str, Metric]]:
    """Every metric with the k of the cell; if k varies, only metrics that have a k."""
    metrics = []
    for name in METRICS:
        if name == "cka_finite":  # refuses layers of noise, which those without signal are
            continue
        parameters: dict[str, Any] = {"k": min(cell.k, cell.n - 2)} if build(name).neighbourhood else {}
        if cell.varied != "k" or parameters:
            metrics.append((name, build(name, **parameters)))
    return metrics


def _verdicts(
    metrics: Sequence[tuple[str, Metric]], x: torch.Tensor, y: torch.Tensor, orders: Sequence[torch.Tensor]
) -> Iterator[tuple[str, tuple[float, float] | None, bool]]:
    """For each metric, z and skewness from exact null moments, if known, and whether it exceeds all relabellings."""
    geometries = Geometry(x), Geometry(y)
    for name, metric in metrics:
        if type(metric).null is Metric.null and not orders:
            continue
        a, b = (metric.prepare(geometry) for geometry in geometries)
        score = metric.score(a, b)
        null, known = metric.null([a], [b]), None
        if null is not None:
            skewness = 0.0 if null.skewness is None else null.skewness.item()
            known = (score - null.mean.item()) / null.sd.item(), skewness
        others = metric.score_all([a], [relabel([b], order)[0] for order in orders]) if orders else torch.empty(1, 0)
        yield name, known, bool((others < score).all())


def _intervals(cell: Setting, x: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Every interval that the library offers for one score."""
    a, b = Geometry(x), Geometry(y)
    first, second = a.neighbours(cell.k + 1), b.neighbours(cell.k + 1)
    terms = overlap_terms(first, second, cell.k)
    intervals = {
        "mutual_knn, query_bootstrap": query_bootstrap(terms, resamples=400),
        "mutual_knn, linearised": linearised(terms),
        "mutual_knn, jackknife": jackknife(terms.score, mutual_knn_leave_out(first, second, cell.k)),
    }
    metric = build("cka")
    left, right = metric.prepare(a), metric.prepare(b)
    parts = blocks(cell.n, min(64, cell.n))
    if (left_out := metric.leave_block_out([left], [right], parts)) is not None:
        intervals["cka, jackknife"] = jackknife(metric.score(left, right), left_out[:, 0, 0].numpy())
    for name, interval in intervals.items():
        yield name, (interval.estimate, interval.low, interval.high)


def _by_signal(tests: pd.DataFrame) -> pd.DataFrame:
    """The rejected shares in the base cell, one column per signal."""
    base = tests[tests.varied == "signal"]
    wide = base.pivot(index=["metric", "test"], columns="signal", values="rejected")
    wide.columns = [f"signal {signal:g}" for signal in wide.columns]
    order = pd.MultiIndex.from_frame(base[["metric", "test"]].drop_duplicates())
    return wide.loc[order].sort_index(level="test", sort_remaining=False, kind="stable", ascending=False).reset_index()
