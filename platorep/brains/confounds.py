"""Features that know nothing of what a sample shows, only when it came or how long it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from platorep.brains.encoding import block_folds, encode, site_ceilings
from platorep.core.errors import FeatureError
from platorep.core.version import __version__
from platorep.results.brains import BrainTable


def oasm(blocks: Sequence[object], width: float = 1.0) -> np.ndarray:
    """Orthogonal autocorrelated sequences: which samples came close in time, and nothing else; shape (n, n) float64.

    An identity matrix over samples, smoothed by a Gaussian over their order within each block; blocks stay orthogonal.
    With samples assigned to folds at random it predicts any slow drift; with folds of whole blocks it predicts nothing.

    Args:
        blocks: one label a sample, samples in the order of presentation.
        width: standard deviation of the Gaussian, in samples.

    Raises:
        FeatureError: a width that is not positive.

    Source: Hadidi et al. 2025, doi:10.1101/2025.03.09.642245.
    """
    if not width > 0:
        raise FeatureError(f"the width of the Gaussian is {width:g}; expected more than 0.")
    code = np.unique(np.asarray([str(block) for block in blocks]), return_inverse=True)[1]
    place = np.arange(len(code))
    near = np.exp(-0.5 * ((place[:, None] - place[None, :]) / width) ** 2)
    return near * (code[:, None] == code[None, :])


def position(blocks: Sequence[object]) -> np.ndarray:
    """Place of each sample within its block, and its square, shape (n, 2)."""
    counts: dict[object, int] = {}
    places = []
    for block in blocks:
        places.append(counts.get(block, 0))
        counts[block] = places[-1] + 1
    place = np.array(places, dtype=np.float64)
    return np.column_stack([place, place**2])


def one_hot(labels: Sequence[object]) -> np.ndarray:
    """Indicators of the labels, shape (n, distinct labels)."""
    code = np.unique(np.asarray([str(label) for label in labels]), return_inverse=True)[1]
    return np.eye(code.max() + 1)[code]


def lengths(captions: Sequence[str]) -> np.ndarray:
    """Words and characters of each caption, shape (n, 2)."""
    return np.array([[len(caption.split()), len(caption)] for caption in captions], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Responses of a brain's sites to the samples, in the order of presentation.

    Args:
        name: of the brain.
        repetitions: shape (R, n, S); the mean over repetitions is what is predicted.
        blocks: one label a sample: run, story or session.
        categories: one label a sample, for the control of that name.
        captions: one text a sample, for the control of their lengths.
        dataset: name of the data.
    """

    name: str
    repetitions: np.ndarray
    blocks: Sequence[object]
    categories: Sequence[str] | None = None
    captions: Sequence[str] | None = None
    dataset: str = "memory"


def encoding_table(
    layers: dict[tuple[str, str], np.ndarray], sites: Sites, *, folds: int = 5, seed: int = 0,
    progress: Callable[[int, int, str], object] | None = None,
) -> BrainTable:  # fmt: skip
    """Encoding scores of layers, with the confounds as rows, the score of shuffled pairs, and the sites' ceiling.

    The score is the mean over sites of the held-out correlation (`encoding.encode`), over all layers alike: choosing
    the best of them is the reader's choice and lifts it.

    Args:
        layers: features of shape (n, d) by (model, layer). Give pixels and networks with random weights among them.
        sites: what is predicted.
        folds: of whole blocks.
        seed: of the permutation of samples for the column null_mean.
        progress: called after each row.

    Raises:
        FeatureError: shapes that do not fit, or too few blocks.
    """
    repetitions = np.asarray(sites.repetitions, dtype=np.float64)
    responses, split = repetitions.mean(axis=0), block_folds(sites.blocks, folds)
    controls = {("OASM", ""): oasm(sites.blocks), ("position", ""): position(sites.blocks)}
    if sites.categories is not None:
        controls["category", ""] = one_hot(sites.categories)
    if sites.captions is not None:
        controls["caption length", ""] = lengths(sites.captions)
    top = np.nan if len(repetitions) < 2 else float(site_ceilings(repetitions).mean())
    shuffled = np.random.default_rng(seed).permutation(len(responses))
    rows, everything = [], {**layers, **controls}
    depth: dict[str, int] = {}
    for number, ((model, layer), x) in enumerate(everything.items()):
        if progress is not None:
            progress(number, len(everything), model)
        encoding, null = encode(x, responses, split), encode(np.asarray(x)[shuffled], responses, split)
        interval = encoding.interval()
        depth[model] = depth.get(model, -1) + 1
        row = {"x_model": model, "x_layer": depth[model], "x_layer_name": layer, "score": interval.estimate}
        row |= {"low": interval.low, "high": interval.high, "null_mean": float(np.nanmean(null.correlations))}
        freedom, explained = encoding.freedom.mean(), np.nanmean(encoding.explained)
        rows.append(row | {"note": f"effective degrees of freedom {freedom:.1f}, R2 {explained:.3f}"})
    n = len(responses)
    common = {"experiment": "encoding", "dataset": sites.dataset, "y_model": sites.name, "y_layer": 0, "seed": seed}
    common |= {"direction": "x to y", "map": "ridge", "metric": "pearson", "chance": 0.0, "upper": top, "people": 1}
    common |= {
        "n_fit": n - n / folds,
        "n_test": n,
        "version": __version__,
        "x_key": "",
        "y_key": "",
        "y_layer_name": "",
    }
    return BrainTable.of_rows(common | row for row in rows)
