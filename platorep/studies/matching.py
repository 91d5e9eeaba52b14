"""Blind matching: recovering which category is which from similarities within each model alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from platorep.core.errors import DataError
from platorep.metrics.base import Geometry
from platorep.results.studies import StudyTable
from platorep.stats.assignment import agreement, match
from platorep.stats.draws import against
from platorep.stats.resampled import corrected_resampled
from platorep.studies.layers import Inputs, columns_of


ACCURACY, KERNELS = "share of categories matched", "correlation of the kernels"


def matching(
    inputs: Inputs,
    *,
    sizes: Sequence[int] = (3, 5, 10, 20),
    least: int = 8,
    draws: int = 10,
    permutations: int = 39,
    progress: Callable[[int, int, str], object] | None = None,
) -> StudyTable:
    """Matches the means of categories of two models without pairs, and counts those that are matched to themselves.

    A category's mean is that of its samples' (unit) features; the kernel is the cosine of the means less their mean.
    For every n, `draws` random sets of n categories are matched by `stats.assignment.match`. The null gives y's
    categories other names, the same for every set, and matches again; its mean is 1/n. The correlation of the two
    kernels over all categories stands beside, with the null of the same renamings.

    Args:
        inputs: inputs with categories.
        sizes: numbers of categories to match; those above the number of categories are left out.
        least: least number of samples of a category.
        draws: number of sets of categories for each n.
        permutations: number of renamings.
        progress: called after each pair of models.

    Returns:
        One row per pair and n, and one per pair for the kernels, followed by the means over all pairs.

    Raises:
        DataError: there are no categories, or too few with `least` samples.

    Cost: pairs times sizes times draws times (permutations + 1) matchings.
    """
    codes, names = pd.factorize(np.asarray(inputs.labels))
    large = np.flatnonzero(np.bincount(codes) >= least)
    sizes = sorted(n for n in sizes if 2 <= n <= len(large))
    if not sizes:
        raise DataError(
            f"{len(large)} of {len(names)} categories have {least} samples or more: too few to be matched. "
            "Lower recipe.study.least, or take another dataset."
        )
    kernels = inputs.layers(lambda geometry: _kernel(geometry, codes, large))
    rng = np.random.default_rng(inputs.seed)
    sets = {n: [rng.permutation(len(large))[:n] for _ in range(draws)] for n in sizes}
    renamed = [rng.permutation(len(large)) for _ in range(permutations)]
    rows, values = [], []
    for number, (_, pair) in enumerate(inputs.pairs.iterrows()):
        x, y = (kernels[pair[f"{side}_model"], pair[f"{side}_layer"]] for side in "xy")
        found = _matched(x, y, sets, renamed, inputs.seed)
        values.append(found)
        rows += [columns_of(pair) | row for row in _rows(found, len(large))]
        if progress is not None:
            progress(number + 1, len(inputs.pairs), f"{pair.x_model} × {pair.y_model}")
    means = {key: np.mean([found[key] for found in values], axis=0) for key in values[0]}
    note = f"mean over {inputs.of_pairs()}, {len(large)} categories of {least} samples or more"
    rows += [row | {"note": note} for row in _rows(means, len(large))]
    return StudyTable.of_rows(rows, study="matching", **inputs.common())


def _kernel(geometry: Geometry, codes: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Cosines of the categories' means less their mean, shape (categories, categories) float64."""
    x = geometry.x.cpu().numpy().astype(np.float64)
    means = np.stack([x[codes == code].mean(axis=0) for code in large])
    means -= means.mean(axis=0)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    means /= np.where(lengths > 0, lengths, 1)
    return means @ means.T


def _matched(
    x: np.ndarray, y: np.ndarray, sets: dict[int, list[np.ndarray]], renamed: list[np.ndarray], seed: int
) -> dict[int, np.ndarray]:
    """Accuracies by n, shape (1 + renamings, draws), the true names first; under 0 the kernels' correlations."""
    rng = np.random.default_rng(seed)
    names = [np.arange(len(x)), *renamed]
    found = {0: np.array([[agreement(x, y[np.ix_(order, order)])] for order in names])}
    for n, chosen in sets.items():
        rows = []
        for order in names:
            moved = y[np.ix_(order, order)]
            parts = ((x[np.ix_(part, part)], moved[np.ix_(part, part)]) for part in chosen)
            rows.append([np.mean(match(a, b, rng) == np.arange(n)) for a, b in parts])
        found[n] = np.array(rows)
    return found


def _rows(found: dict[int, np.ndarray], categories: int) -> Iterator[dict[str, Any]]:
    for n, table in found.items():
        observed, null = table[0], table[1:].mean(axis=1)
        row: dict[str, Any] = {"quantity": ACCURACY if n else KERNELS, "value": float(observed.mean())}
        row |= {"position": n or categories, "items": len(observed)}
        if len(observed) > 1 and n < categories:  # sets share categories, as splits share items
            spread = corrected_resampled(observed, n, categories - n)
            row |= {"low": max(0.0, float(spread.low)), "high": min(1.0, float(spread.high))}
        yield row | (against(row["value"], null)._asdict() if len(null) else {})
