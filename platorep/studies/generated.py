"""Generated tokens: do prompts that ask to see or to hear move a language model towards models that do?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from platorep.core.errors import SpecError
from platorep.results.studies import StudyTable
from platorep.stats import items
from platorep.stats.direction import flipped_means
from platorep.stats.draws import against
from platorep.stats.intervals import OverlapTerms, linearised, overlap_terms
from platorep.studies.layers import Inputs, Layer, columns_of


SCORE = "mutual k-NN"
BASE = "no prompt"


def generated(
    inputs: Inputs,
    *,
    k: int = 10,
    contrasts: Sequence[Sequence[str]] = (),
    permutations: int = 999,
    progress: Callable[[int, int, str], object] | None = None,
) -> StudyTable:
    """Mutual k-NN of tokens generated after each prompt with pictures (or sounds), less that without a prompt.

    The experiment itself reads captions without a prompt, and its variants with one. Every version of a language model
    is compared with the same layers of the other side, on the same samples. Intervals are for other samples
    (`stats.intervals.linearised`, also of the paired difference). The null of a difference draws the signs of the
    samples' differences at random (versions that are exchangeable), two-sided.

    Args:
        inputs: with variants of the language models, one per prompt.
        k: number of neighbours.
        contrasts: pairs of variants, the first less the second.
        permutations: number of draws of signs.
        progress: called after each pair of models.

    Returns:
        One row per pair and version with its score, one per pair and difference, and the same of the mean over pairs of
        models, whose intervals are over items in the same gallery.

    Raises:
        SpecError: there is no variant, or a contrast names one that does not exist.
    """
    versions = {BASE: inputs.layers(lambda geometry: geometry.neighbours(k + 1).cpu())}
    for name, models in inputs.variants.items():
        versions[name] = inputs.layers(lambda geometry: geometry.neighbours(k + 1).cpu(), list(models.values()))
    differences = [(name, BASE) for name in inputs.variants] + [(pair[0], pair[-1]) for pair in contrasts]
    if not inputs.variants or any({*pair} - {*versions} for pair in differences):
        raise SpecError(
            f"the experiment compares versions of the language models: recipe.variants has "
            f"{', '.join(inputs.variants) or 'none'}, and recipe.study.contrasts names {list(map(list, contrasts))}."
        )
    rows: list[dict[str, Any]] = []
    whole: dict[str, list[np.ndarray]] = {name: [] for name in versions}
    for number, (_, pair) in enumerate(inputs.pairs.iterrows(), 1):
        x, y = ((pair[f"{side}_model"], pair[f"{side}_layer"]) for side in "xy")
        overlaps = _overlaps(versions, x, versions[BASE][y], k)
        for name, (_, shares) in overlaps.items():
            whole[name].append(shares)
        rows += [columns_of(pair) | row for row in _rows(overlaps, differences, permutations, inputs.seed)]
        if progress is not None:
            progress(number, len(inputs.pairs), f"{pair.x_model} × {pair.y_model}")
    means = {name: np.mean(shares, axis=0) for name, shares in whole.items() if len(shares) == len(inputs.pairs)}
    note = {"note": f"mean over {inputs.of_pairs()}, k = {k}"}
    rows += [row | note for row in _totals(means, differences, permutations, inputs.seed)]
    return StudyTable.of_rows(rows, study="generated", **inputs.common())


Overlaps = dict[str, tuple[OverlapTerms, np.ndarray]]
"""Version: the score as a sum over pairs of samples, and the share of common neighbours of every sample."""


def _overlaps(versions: dict[str, dict[Layer, torch.Tensor]], x: Layer, other: torch.Tensor, k: int) -> Overlaps:
    found = {}
    for name, graphs in versions.items():
        if x in graphs:
            common = (graphs[x][:, :k, None] == other[:, None, :k]).any(dim=2).double().mean(dim=1).numpy()
            found[name] = overlap_terms(graphs[x], other, k), common
    return found


def _rows(
    overlaps: Overlaps, differences: Sequence[tuple[str, str]], permutations: int, seed: int
) -> Iterator[dict[str, Any]]:
    for name, (terms, shares) in overlaps.items():
        bounds = linearised(terms)
        row = {"setting": name, "quantity": SCORE, "value": bounds.estimate, "low": bounds.low, "high": bounds.high}
        yield row | {"items": len(shares), "null_mean": terms.k / (len(shares) - 1)}
    for first, second in differences:
        if first in overlaps and second in overlaps:
            bounds = linearised(overlaps[first][0], overlaps[second][0])
            apart = overlaps[first][1] - overlaps[second][1]
            row = {"quantity": f"less {second}", "value": bounds.estimate, "low": bounds.low, "high": bounds.high}
            yield {"setting": first, "items": len(apart)} | row | _null(apart, permutations, seed)


def _totals(
    means: dict[str, np.ndarray], differences: Sequence[tuple[str, str]], permutations: int, seed: int
) -> Iterator[dict[str, Any]]:
    for name, shares in means.items():
        bounds = items.mean(shares)
        row = {"setting": name, "quantity": SCORE, "value": bounds.score, "low": bounds.low, "high": bounds.high}
        yield row | {"items": len(shares)}
    for first, second in differences:
        if first in means and second in means:
            apart = means[first] - means[second]
            bounds = items.mean(apart)
            row = {"quantity": f"less {second}", "value": bounds.score, "low": bounds.low, "high": bounds.high}
            yield {"setting": first, "items": len(apart)} | row | _null(apart, permutations, seed)


def _null(apart: np.ndarray, permutations: int, seed: int) -> dict[str, Any]:
    draws = flipped_means(apart, permutations, seed)
    return against(float(apart.mean()), draws, two_sided=True)._asdict()
