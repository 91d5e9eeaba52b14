"""Features that carry no information about the content of a sample, only about its time or length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from platorep.brains.encoding import block_folds, encode, site_ceilings
from platorep.core.errors import FeatureError
from platorep.core.version import __version__
from platorep.results.brains import BrainTable


def oasm(blocks: Sequence[object], width: float = 1.0) -> np.ndarray:
    """Orthogonal autocorrelated sequences, shape (n, n) float64: they encode only which samples were close in time.

    The identity matrix over samples is smoothed by a Gaussian over their order within each block; blocks stay
    orthogonal. If samples are assigned to folds at random, these features predict any slow drift; with folds of whole
    blocks they predict nothing.

    Args:
        blocks: one label per sample, with samples in the order of presentation.
        width: standard deviation of the Gaussian, in samples.

    Raises:
        FeatureError: the width is not positive.

    Source: Hadidi et al. 2025, doi:10.1101/2025.03.09.642245.
    """
    if not width > 0:
        raise FeatureError(f"the width of the Gaussian is {width:g}; expected more than 0.")
    code = np.unique(np.asarray([str(block) for block in blocks]), return_inverse=True)[1]
    place = np.arange(len(code))
    near = np.exp(-0.5 * ((place[:, None] - place[None, :]) / width) ** 2)
    return near * (code[:, None] == code[None, :])


def position(blocks: Sequence[object]) -> np.ndarray:
    """Position of each sample within its block, and the square of the position, shape (n, 2)."""
    counts: dict[object, int] = {}
    places = []
    for block in blocks:
        places.append(counts.get(block, 0))
        counts[block] = places[-1] + 1
    place = np.array(places, dtype=np.float64)
    return np.column_stack([place, place**2])


def one_hot(labels: Sequence[object]) -> np.ndarray:
    """Indicator variables of the labels, shape (n, distinct labels)."""
    code = np.unique(np.asarray([str(label) for label in labels]), return_inverse=True)[1]
    return np.eye(code.max() + 1)[code]


def lengths(captions: Sequence[str]) -> np.ndarray:
    """Numbers of words and characters of each caption, shape (n, 2)."""
    return np.array([[len(caption.split()), len(caption)] for caption in captions], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Responses of a brain's sites to the samples, in the order of presentation.

    Args:
        name: name of the brain.
        repetitions: shape (R, n, S); their mean is the target of the prediction.
        blocks: one label per sample: run, story or session.
        categories: one label per sample, for the control of that name.
        captions: one text per sample, for the control of caption lengths.
        dataset: name of the dataset.
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
    """Encoding scores of layers, with confounds as further rows, the score of shuffled pairs, and the sites' ceiling.

    The score is the mean over sites of the held-out correlation (`encoding.encode`). Every layer is reported; if you
    choose the best of them, its score is biased upwards.

    Args:
        layers: features of shape (n, d) by (model, layer). Give pixels and networks with random weights among them.
        sites: responses to predict.
        folds: number of folds, which consist of whole blocks.
        seed: seed of the permutation of samples for the column null_mean.
        progress: called after each row.

    Raises:
        FeatureError: shapes do not fit, or there are too few blocks.
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
