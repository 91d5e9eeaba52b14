"""Colour (the paper's Figure 8): the shape of colour in pictures and in language, compared with CIELAB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from platorep.core.errors import SpecError
from platorep.core.specs import DatasetSpec, ModelSpec
from platorep.metrics.base import Geometry
from platorep.metrics.registry import build
from platorep.theory.colour_pixels import folder_pictures, palette, sample_pictures, tiles
from platorep.theory.geometry import align_shape, hue_order, rsa_tau, scale


def colour(
    *,
    pictures: str | Path | Mapping[str, Any] = "samples",
    models: Mapping[str, Mapping[str, Any]] | Iterable[ModelSpec] = (),
    pairs: int = 300_000,
    radius: int = 4,
    side: int = 32,
    levels: int = 6,
    least: int = 100,
    smoothing: float = 0.1,
    metric: bool = True,
    restarts: int = 100,
    layers: int = 4,
    k: int = 5,
    chroma: float = 15.0,
    permutations: int = 999,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Embeds colours by their co-occurrence in pictures and in text models, and compares each shape with CIELAB.

    The paper states: 300,000 pixel pairs within a radius of 4, dissimilarity max K_PMI - K_PMI, three-dimensional
    scaling with 1,000 starts, reflection allowed, the templates, four layers. It does not state the following, for
    which we chose defaults: 32-pixel thumbnails (the size of CIFAR-10), 6 levels for each of R, G, B, colours in at
    least 100 pairs, 0.1 pseudo-counts per pair, metric scaling. We use 100 starts.

    Args:
        pictures: "samples" (photographs inside scikit-image and scikit-learn), a folder, or the fields of a
            DatasetSpec.
        models: text models, as ModelSpecs or as a suite's mapping of names to fields (models of other modalities are
            left out).
        pairs: number of pixel pairs.
        radius: largest distance between the pixels of a pair, in pixels.
        side: side of the thumbnails in pixels.
        levels: cells along each colour axis.
        least: least number of pairs in which a colour must occur.
        smoothing: pseudo-counts per pair of colours, spread in proportion to P(a) P(b).
        metric: whether scaling is metric.
        restarts: number of random starts of the scaling; the best result is kept.
        layers: number of last layers of a text model that are concatenated.
        k: number of neighbours of mutual k-NN.
        chroma: CIELAB chroma above which a colour has a hue.
        permutations: number of permutations for each p-value.
        seed: seed of all random draws.

    Returns:
        points: panel, colour, its sRGB, its CIELAB (l, a, b), and its position x, y, z after alignment to CIELAB (in L,
            a, b).
        numbers: panel, colours, Procrustes residual, RSA Kendall tau with p, mutual k-NN and its chance, order of hues
            with p, stress. The first panel is CIELAB itself; "named colours" are scored on the same words as the text
            models.
    """
    from skimage.color import rgb2lab

    colours = palette(
        tiles(_pictures(pictures), side), pairs=pairs, radius=radius, levels=levels, least=least, seed=seed
    )
    pmi = colours.pmi(smoothing)
    shapes: list[tuple[str, np.ndarray, tuple[str, ...] | None, np.ndarray]]
    shapes = [("pictures", colours.rgb, None, pmi.max() - pmi)]
    specs = _text_models(models)
    if specs:
        from platorep.theory.colour_words import WORDS, named_colours, word_features

        for spec in specs:
            features = word_features(spec, layers=layers)
            shapes.append(
                (spec.name, named_colours(), WORDS, np.linalg.norm(features[:, None] - features[None], axis=-1))
            )
    labs = rgb2lab(colours.rgb[None])[0]
    points = [_points("CIELAB", colours.rgb, None, labs, labs)]
    numbers = []
    for name, rgb, words, dissimilarity in shapes:
        lab = rgb2lab(rgb[None])[0]
        scaled = scale(dissimilarity, restarts=restarts, seed=seed, metric=metric)
        fit = align_shape(scaled.coordinates, lab)
        points.append(_points(name, rgb, words, lab, fit.points))
        reference = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
        tau, p_tau = rsa_tau(dissimilarity, reference, permutations=permutations, seed=seed)
        hue, p_hue, hued = hue_order(scaled.coordinates, lab, chroma=chroma, permutations=permutations, seed=seed)
        row = {"panel": name, "colours": len(rgb), "stress": scaled.stress, "procrustes_residual": fit.residual}
        row |= {
            "procrustes_p": _procrustes_p(scaled.coordinates, lab, permutations, seed),
            "rsa_tau": tau,
            "rsa_p": p_tau,
        }
        row |= {"mutual_knn": _mutual_knn(scaled.coordinates, lab, k), "chance": k / (len(rgb) - 1), "k": k}
        numbers.append(row | {"hue_order": hue, "hue_p": p_hue, "hued": hued})
    return {"points": pd.concat(points, ignore_index=True), "numbers": pd.DataFrame(numbers)}


def run(out_dir: Path, **options: Any) -> list[Path]:
    """`colour` with its tables and figure written to `out_dir`/colour, as `platorep.theory.run("colour", ...)` does."""
    from platorep.theory.experiments import run as run_experiment

    return run_experiment("colour", out_dir, **options)


def _pictures(source: str | Path | Mapping[str, Any]) -> list[np.ndarray]:
    if isinstance(source, Mapping):
        from platorep.data.open import open_dataset

        dataset = open_dataset(DatasetSpec.from_dict(dict(source)))
        return [np.asarray(dataset.picture(i)) for i in range(len(dataset))]
    if str(source) == "samples":
        return sample_pictures()
    if not Path(source).is_dir():
        raise SpecError(f"pictures={str(source)!r} is not a folder. Give a folder, a dataset's fields, or samples.")
    return folder_pictures(Path(source))


def _text_models(models: Mapping[str, Mapping[str, Any]] | Iterable[ModelSpec]) -> list[ModelSpec]:
    if isinstance(models, Mapping):
        models = [ModelSpec.from_dict({"name": name, **fields}) for name, fields in models.items()]
    return [spec for spec in models if spec.modality == "language"]


def _points(
    panel: str, rgb: np.ndarray, words: tuple[str, ...] | None, lab: np.ndarray, placed: np.ndarray
) -> pd.DataFrame:
    frame = pd.DataFrame(np.hstack([rgb, lab, placed]), columns=["red", "green", "blue", "l", "a", "b", "x", "y", "z"])
    names = list(words) if words else [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (rgb * 255).round().astype(int)]
    frame.insert(0, "colour", names)
    frame.insert(0, "panel", panel)
    return frame


def _procrustes_p(points: np.ndarray, lab: np.ndarray, permutations: int, seed: int) -> float:
    observed = align_shape(points, lab).residual
    rng = np.random.default_rng(seed)
    below = sum(
        align_shape(points[rng.permutation(len(points))], lab).residual <= observed for _ in range(permutations)
    )
    return (1 + below) / (permutations + 1)


def _mutual_knn(points: np.ndarray, lab: np.ndarray, k: int) -> float:
    metric = build("mutual_knn", k=k, similarity="euclidean")
    x, y = (metric.prepare(Geometry(torch.from_numpy(p), "euclidean")) for p in (points, lab))
    return metric.score(x, y)
