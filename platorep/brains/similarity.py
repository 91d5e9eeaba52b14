"""Similarity of every layer of every model to the people of a brain, between their noise ceilings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from platorep.align.layers import ModelLayers, check_same_samples, full_precision
from platorep.align.prepared import geometry_of
from platorep.brains.ceilings import ceiling, compared, geometry
from platorep.brains.people import People, people_of
from platorep.core.clamp import EXACT, Clamp
from platorep.core.errors import DataError, FeatureError
from platorep.core.features import Features, is_matrix
from platorep.core.ranges import check_seed
from platorep.core.resources import DEFAULT, Resources, pick_device
from platorep.core.stored import FeatureSet
from platorep.core.version import __version__
from platorep.metrics.base import Geometry, Metric
from platorep.metrics.centred import squared_distances
from platorep.metrics.distances import RSA
from platorep.metrics.matrix_geometry import MatrixGeometry
from platorep.results.brains import BrainTable
from platorep.stats.ceilings import Ceiling, split_half
from platorep.stats.selection import relative_depths
from platorep.stats.two_factor import LEAST_ITEMS, two_factor


CATEGORY = "category"
"""Name of the control whose dissimilarity is 1 between samples of different categories and 0 within a category."""

Progress = Callable[[int, int, str], object]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How models are compared with brains.

    Args:
        clamp: clamp of the models' features.
        resamples: number of resamples of the items, for intervals.
        seed: seed of the resamples.
        resources: the device for matrix products, and the memory that a model's features may take.
    """

    clamp: Clamp = EXACT
    resamples: int = 500
    seed: int = 0
    resources: Resources = DEFAULT

    def __post_init__(self) -> None:
        check_seed("statistics.seed", self.seed)


class _Row(NamedTuple):
    """One layer of a model, or a control: the columns of the x side, and its geometry."""

    columns: dict[str, Any]
    geometry: Geometry


def is_brain(model: Features) -> bool:
    """Whether other models are compared with this one: it is a matrix, and not that of a model of pictures or texts."""
    return is_matrix(model) and model.spec.model.modality not in ("vision", "language")


@full_precision()
def similarity(
    models: Sequence[Features],
    metrics: Sequence[Metric],
    *,
    categories: Sequence[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> BrainTable:
    """Scores of every layer of every model against every brain among the models, person by person.

    A brain is a model that is a matrix (`is_brain`). The score is the mean over the brain's people of the metric
    between the layer and the person's mean over sessions. Noise ceilings bound this score. `align` compares with the
    mean over people, which has less noise, and gives higher scores. Dissimilarities of a layer are those of
    `align`: with similarity=cosine, one minus the cosine of the clamped features. Brains are also scored as models
    against the other brains, by their means.

    Args:
        models: features and matrices of the same samples.
        metrics: metrics that need no features; others are refused.
        categories: one label per sample; adds the control `CATEGORY`, which a useful model should exceed.
        settings: how models are compared.
        progress: called after each model and metric.

    Returns:
        Rows of the experiments similarity (one per metric, layer or control, and region) and reliability (one per
        metric of RSA, region, and person with several sessions, and one for the people together).

    Raises:
        DataError: there is no brain among the models, or no metric, or the models have different samples.
        FeatureError: a metric needs features, or there are too few samples.

    Cost: one geometry per layer; for RSA also `two_factor` of all layers per region.
    """
    settings = settings or Settings()
    check_same_samples(models)
    brains = [model for model in models if isinstance(model, FeatureSet) and is_brain(model)]
    if not brains or not metrics:
        raise DataError(
            f"got {len(brains)} brains and {len(metrics)} metrics; expected a model of source=matrix and "
            "modality=brain, and a metric such as metric=rsa."
        )
    rows = {model.name: _layers(model, metrics, settings) for model in models}
    if categories is not None and len(set(categories)) > 1:
        rows[CATEGORY] = [_category(categories, metric.similarity) for metric in _by_similarity(metrics)]
    frames, total = [], len(brains) * len(metrics)
    for number, (brain, metric) in enumerate((brain, metric) for brain in brains for metric in metrics):
        if progress is not None:
            progress(number, total, f"{brain.name}, {metric.name}")
        against = [row for name, some in rows.items() if name != brain.name for row in some]
        against = [row for row in against if row.geometry.similarity == metric.similarity]
        for layer in range(len(brain.layers)):
            people = people_of(brain, layer)
            common = _common(brain, layer, metric, len(people.names), settings)
            scored = _scored(metric, against, people, settings)
            frames += [common | row.columns | values for row, values in zip(against, scored, strict=True)]
            frames += [common | values for values in _reliability(metric, people)]
    return BrainTable.of_rows(frames)


def _by_similarity(metrics: Sequence[Metric]) -> list[Metric]:
    return list({metric.similarity: metric for metric in metrics}.values())


def _layers(model: Features, metrics: Sequence[Metric], settings: Settings) -> list[_Row]:
    """The layers of a model under each similarity; those without geometry are left out."""
    depths, device = relative_depths(len(model.layers)), pick_device(settings.resources.device)
    layers = ModelLayers(model, clamp=settings.clamp, memory=settings.resources.memory, device=device)
    rows = []
    for index, geometries in layers.geometries(
        [metric.similarity for metric in _by_similarity(metrics)], concatenation=False
    ):
        columns = {"x_model": model.name, "x_key": model.key, "x_layer": index, "x_depth": depths[index]}
        columns["x_layer_name"] = model.layers[index].name
        rows += [_Row(columns, seen) for seen in map(_varying, geometries.values()) if seen is not None]
    return rows


def _varying(prepared: Geometry | FeatureError) -> Geometry | None:
    """The geometry, or None if all of its samples are alike."""
    try:
        layer: Geometry = geometry_of(prepared)
        layer.require_variation()
    except FeatureError:
        return None
    return layer


def _category(categories: Sequence[str], similarity: Any) -> _Row:
    code = np.unique(np.asarray(categories), return_inverse=True)[1]
    differ = torch.from_numpy((code[:, None] != code[None, :]).astype(np.float32))
    return _Row({"x_model": CATEGORY, "x_layer": 0}, MatrixGeometry(differ, similarity))


def _common(brain: FeatureSet, layer: int, metric: Metric, people: int, settings: Settings) -> dict[str, Any]:
    names = {"y_model": brain.name, "y_key": brain.key, "y_layer": layer, "y_layer_name": brain.layers[layer].name}
    counts = {"n_test": brain.n, "people": people, "seed": settings.seed}
    return (
        {"experiment": "similarity", "dataset": brain.dataset, "metric": metric.id, "version": __version__}
        | names
        | counts
    )


def _scored(metric: Metric, rows: Sequence[_Row], people: People, settings: Settings) -> list[dict[str, Any]]:
    """Score, interval and ceiling of every row."""
    means = people.means
    lines = ceiling(metric, means) if len(means) > 1 else Ceiling(np.nan, np.nan)
    common = {"lower": lines.lower, "upper": lines.upper}
    if isinstance(metric, RSA):
        return [common | values for values in _rsa(metric, rows, means, settings)]
    persons = [metric.prepare(geometry(metric, person)) for person in means]
    scores = []
    for row in rows:
        state = metric.prepare(row.geometry)
        null = metric.null([state], persons)
        chance = np.nan if null is None else null.mean.mean().item()
        scores.append(common | {"score": metric.score_all([state], persons).mean().item(), "chance": chance})
    return scores


def _rsa(metric: RSA, rows: Sequence[_Row], means: np.ndarray, settings: Settings) -> list[dict[str, Any]]:
    n = means.shape[1]
    if n < LEAST_ITEMS:
        raise FeatureError(f"similarity to brains needs at least {LEAST_ITEMS} samples; got {n}.")
    x = np.stack([squared_distances(row.geometry).double().cpu().numpy() for row in rows])
    inference = two_factor(
        compared(metric, x),
        compared(metric, means),
        metric.correlation,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    values = []
    for number in range(len(rows)):
        interval = inference.interval(number)
        row = {"score": interval.estimate, "low": interval.low, "high": interval.high, "chance": 0.0}
        note = "interval for other samples only: one person" if interval.conditional else ""
        values.append(row | {"p_value": inference.p_value(number), "note": note})
    return values


def _reliability(metric: Metric, people: People) -> list[dict[str, Any]]:
    """Split-half reliability of each person's sessions, and of the people's mean; only for RSA."""
    if not isinstance(metric, RSA):
        return []
    sets = {name: sessions for name, sessions in zip(people.names, people.sessions, strict=True) if len(sessions) > 1}
    if len(people.names) > 1:
        sets["all people"] = people.means
    rows = []
    for name, values in sets.items():
        upper = np.triu_indices(values.shape[1], 1)
        reliability = split_half(compared(metric, values)[:, upper[0], upper[1]], metric.correlation)
        common = {"experiment": "reliability", "x_model": name, "x_layer": 0, "chance": 0.0}
        rows += [
            common | {"map": "split half", "score": reliability.half},
            common | {"map": "Spearman-Brown", "score": reliability.whole},
        ]
    return rows
