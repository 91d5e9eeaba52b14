"""Generated tokens: do prompts that ask to see or to hear move a language model towards models that do?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from platorep.core.errors import SpecError
from platorep.results.studies import StudyTable
from platorep.stats import items
from platorep.stats.direction import flipped_means
from platorep.stats.draws import against
from platorep.stats.intervals import OverlapTerms, linearised, overlap_terms
from platorep.stats.items import Bounds
from platorep.studies.layers import Inputs, bounded, columns_of, common_shares


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
        other = versions[BASE][y]
        graphs = {name: layers[x] for name, layers in versions.items() if x in layers}
        terms = {name: overlap_terms(graph, other, k) for name, graph in graphs.items()}
        shares = {name: common_shares(graph[:, :k].numpy(), other[:, :k].numpy()) for name, graph in graphs.items()}
        for name, share in shares.items():
            whole[name].append(share)
        interval = partial(_of_samples, terms)
        of_pair = _rows(shares, interval, differences, k, permutations, inputs.seed)
        rows += [columns_of(pair) | row for row in of_pair]
        if progress is not None:
            progress(number, len(inputs.pairs), f"{pair.x_model} × {pair.y_model}")
    means = {name: np.mean(shares, axis=0) for name, shares in whole.items() if len(shares) == len(inputs.pairs)}
    note = {"note": f"mean over {inputs.of_pairs()}, k = {k}"}
    interval = partial(_of_items, means)
    rows += [row | note for row in _rows(means, interval, differences, k, permutations, inputs.seed)]
    return StudyTable.of_rows(rows, study="generated", **inputs.common())


def _of_samples(terms: Mapping[str, OverlapTerms], first: str, second: str | None = None) -> Bounds:
    """A version's score, less that of a second one, with the interval for other samples."""
    bounds = linearised(terms[first], None if second is None else terms[second])
    return Bounds(bounds.estimate, bounds.low, bounds.high)


def _of_items(shares: Mapping[str, np.ndarray], first: str, second: str | None = None) -> Bounds:
    """The same with the interval over items in the same gallery."""
    return items.mean(shares[first] if second is None else shares[first] - shares[second])


def _rows(
    shares: Mapping[str, np.ndarray],
    interval: Callable[..., Bounds],
    differences: Sequence[tuple[str, str]],
    k: int,
    permutations: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Rows of every version and of every difference, from the share of common neighbours of every sample."""
    for name, share in shares.items():
        row = bounded(SCORE, interval(name)) | {"items": len(share), "null_mean": k / (len(share) - 1)}
        yield {"setting": name} | row
    for first, second in differences:
        if first in shares and second in shares:
            apart = shares[first] - shares[second]
            row = bounded(f"less {second}", interval(first, second)) | {"items": len(apart)}
            yield {"setting": first} | row | _null(apart, permutations, seed)


def _null(apart: np.ndarray, permutations: int, seed: int) -> dict[str, Any]:
    draws = flipped_means(apart, permutations, seed)
    return against(float(apart.mean()), draws, two_sided=True)._asdict()
