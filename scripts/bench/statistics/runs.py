"""Repetitions over processes, and tables of rates and of coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import torch

from platorep.metrics.base import Geometry
from platorep.stats.intervals import (
    Interval,
)


def cosine(x: np.ndarray) -> Geometry:
    return Geometry(torch.from_numpy(x).float())


def run(function: Callable, jobs: list, workers: int) -> list:
    with ProcessPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, jobs, chunksize=10))


def errors_table(function: Callable, repetitions: int, workers: int) -> pd.DataFrame:
    rows = pd.DataFrame(run(function, list(range(repetitions)), workers))
    return pd.DataFrame({"test": rows.columns, "rejected at 5 %": [f"{100 * rate:.1f} %" for rate in rows.mean()]})


def coverage_table(function: Callable, worlds: Iterable[str], repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for world in worlds:
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
