"""Experiment (g): the instruments. Size, power and interval coverage of every metric where the truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from platorep.metrics.base import Geometry, Metric
from platorep.metrics.registry import METRICS, build
from platorep.stats.intervals import blocks, jackknife, linearised, mutual_knn_leave_out, overlap_terms, query_bootstrap
from platorep.stats.relabel import relabel


class Setting(NamedTuple):
    """One cell: what varies, samples, neighbours, dimensions, and the share of each side's variance that is shared."""

    varied: str
    n: int
    k: int
    d: int
    signal: float


BASE = Setting("signal", 100, 10, 16, 0.2)
LEVEL = 0.05
RELABELLINGS = 19
"""One observed and 19 relabelled scores: rejecting when the observed is the largest is a test of exactly 5 %."""


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
    """Draws pairs of representations that share a known part, tests each, and counts.

    x = sqrt(signal) z A + sqrt(1 - signal) e with z (n, latent) and e (n, d) standard normal, A a random map with columns
    of length 1 on average; y has its own A and e and the same z. At signal 0 the two are independent and a test at the 5 %
    level should reject 5 % of the time (size); above it, as often as it can (power).

    Args:
        repetitions: pairs drawn a cell.
        signals: shared shares of variance, at the base cell (n = 100, k = 10, d = 16); 0 is the null.
        ns: numbers of samples; each also at signal 0.
        ks: neighbours, for metrics that have a k; likewise.
        ds: dimensions; likewise.
        latent: dimensions of what is shared.
        seed: of the draws; a cell's draws do not depend on the others.

    Returns:
        tests: metric, test (moments: one-sided normal test from the exact null moments; relabelling: the observed score
            against 19 relabelled ones), the cell, repetitions, rejected share with its binomial standard error.
        coverage: of nominal 95 % intervals, whose truth is the mean score over fresh pairs of the same cell.
    """
    tests, coverage = [], []
    for index, cell in enumerate(_cells(signals, ns, ks, ds)):
        rng = np.random.default_rng([seed, index])
        base = cell.varied == "signal" and cell.signal in (0.0, BASE.signal)
        rejected: dict[tuple[str, str], int] = {}
        spans: dict[str, list[tuple[float, float, float]]] = {}
        for _ in range(repetitions):
            x, y = draw(cell, latent, rng)
            for metric, test, reject in _decisions(cell, x, y, rng, every=base):
                rejected[metric, test] = rejected.get((metric, test), 0) + reject
            if cell.varied == "signal":
                for name, span in _intervals(cell, x, y):
                    spans.setdefault(name, []).append(span)
        for (metric, test), count in rejected.items():
            share = count / repetitions
            error = (share * (1 - share) / repetitions) ** 0.5
            tests.append({"metric": metric, "test": test, **cell._asdict(), "repetitions": repetitions, "rejected": share})
            tests[-1]["standard_error"] = error
        for name, found in spans.items():
            estimates, lows, highs = np.array(found).T
            truth = estimates.mean()
            row = {"interval": name, **cell._asdict(), "repetitions": repetitions, "truth": truth}
            coverage.append(row | {"covered": float(((lows <= truth) & (truth <= highs)).mean()), "width": float((highs - lows).mean())})
    return {"tests": pd.DataFrame(tests), "coverage": pd.DataFrame(coverage)}


def draw(cell: Setting, latent: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """One pair of representations, each (n, d) float32."""
    z = rng.normal(size=(cell.n, latent))
    sides = []
    for _ in range(2):
        shared = z @ rng.normal(size=(latent, cell.d)) / np.sqrt(latent)
        sides.append(np.sqrt(cell.signal) * shared + np.sqrt(1 - cell.signal) * rng.normal(size=(cell.n, cell.d)))
    return torch.tensor(sides[0], dtype=torch.float32), torch.tensor(sides[1], dtype=torch.float32)


def _cells(signals: tuple[float, ...], ns: tuple[int, ...], ks: tuple[int, ...], ds: tuple[int, ...]) -> Iterator[Setting]:
    yield from (BASE._replace(signal=s) for s in signals)
    for name, values in (("n", ns), ("k", ks), ("d", ds)):
        for value in values:
            for signal in (0.0, BASE.signal):
                yield BASE._replace(varied=name, signal=signal, **{name: value})


def _metrics(cell: Setting) -> Iterator[tuple[str, Metric]]:
    for name in METRICS:
        parameters: dict[str, Any] = {"k": min(cell.k, cell.n - 1)} if hasattr(build(name), "k") else {}
        if cell.varied == "k" and not parameters:
            continue
        yield name, build(name, **parameters)


def _decisions(
    cell: Setting, x: torch.Tensor, y: torch.Tensor, rng: np.random.Generator, *, every: bool
) -> Iterator[tuple[str, str, bool]]:
    """Each metric's verdicts: by closed form where there is one, by relabelling in the base cell or else."""
    geometries = Geometry(x), Geometry(y)
    orders = [torch.from_numpy(rng.permutation(cell.n)) for _ in range(RELABELLINGS)] if every else []
    for name, metric in _metrics(cell):
        if type(metric).null is Metric.null and not every:
            continue
        a, b = (metric.prepare(geometry) for geometry in geometries)
        score = metric.score(a, b)
        moments = metric.null([a], [b])
        if moments is not None:
            z = (score - moments.mean.item()) / moments.sd.item()
            yield name, "moments", bool(z > 1.6448536269514722)
        if every:
            null = metric.score_all([a], [relabel([b], order)[0] for order in orders])[0]
            yield name, "relabelling", bool((null < score).all())


def _intervals(cell: Setting, x: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Every interval that the library offers for one score."""
    a, b = Geometry(x), Geometry(y)
    first, second = a.neighbours(cell.k + 1), b.neighbours(cell.k + 1)
    terms = overlap_terms(first, second, cell.k)
    found = {
        "mutual_knn, query_bootstrap": query_bootstrap(terms, resamples=400),
        "mutual_knn, linearised": linearised(terms),
        "mutual_knn, jackknife": jackknife(terms.score, mutual_knn_leave_out(first, second, cell.k)),
    }
    metric = build("cka")
    left, right = metric.prepare(a), metric.prepare(b)
    parts = blocks(cell.n, min(64, cell.n))
    found["cka, jackknife"] = jackknife(metric.score(left, right), metric.leave_block_out([left], [right], parts)[:, 0, 0].numpy())
    for name, interval in found.items():
        yield name, (interval.estimate, interval.low, interval.high)
