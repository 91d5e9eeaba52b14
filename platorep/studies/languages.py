"""Languages: captions and voices in many languages, scored against pictures and against each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from platorep.align.layers import ModelLayers, full_precision
from platorep.align.prepared import geometry_of
from platorep.core.errors import DataError
from platorep.core.features import Features
from platorep.core.resources import pick_device
from platorep.metrics.base import Geometry
from platorep.results.studies import StudyTable
from platorep.stats.intervals import linearised, overlap_terms
from platorep.stats.nulls import max_null
from platorep.studies.layers import Inputs, geometry_of_rows


WORDS = {"sound": "speech", "language": "captions", "vision": "pictures"}
"""What models of a modality take, in the order in which the two sides of a quantity are named."""

LAST, EVERY = "last layer", "every layer"
"""Settings: the last layers of both models, and every layer of a model that hears against the last of one that sees."""


class _Side(NamedTuple):
    """One model on the samples in one language, or on the pictures, with the geometry of its layers."""

    model: str
    modality: str
    language: str
    dataset: str
    layers: dict[int, Geometry]

    @property
    def last(self) -> int:
        return max(self.layers)


def languages(
    inputs: Inputs,
    *,
    k: int = 10,
    permutations: int = 199,
    least: int = 50,
    progress: Callable[[int, int, str], object] | None = None,
) -> StudyTable:
    """Mutual k-NN of last layers between captions and voices in every language, and the pictures.

    Compared are models of different modalities, and each model of captions or voices with itself in another language.
    The samples of a pair are those that both have: captions without a translation and stamps without a voice are left
    out, so that n differs. Layers are clamped by the threshold of all samples of their model. Beside the last layers,
    every layer of models that hear is scored against the last of those that see.

    Intervals are for other samples (`stats.intervals.linearised`). The null permutes the samples of one side.

    Args:
        inputs: with variants of the dataset in other languages, of captions and of voices. The language of a dataset is
            its option `language`, English without one.
        k: neighbours.
        permutations: of the samples.
        least: samples that a pair must share.
        progress: called after each pair.

    Raises:
        DataError: two sides share fewer than `least` samples.

    Cost: pairs times (n^2 d for the neighbours + permutations n k).
    """
    sides = list(_sides(inputs))
    plan = [(x, y) for x, y in itertools.combinations(sides, 2) if _compared(x, y)]
    shared = _Shared(inputs, k, permutations, least)
    rows: list[dict[str, Any]] = []
    for number, (x, y) in enumerate(plan, 1):
        rows += [_columns(x, y) | row for row in _rows(x, y, shared)]
        if progress is not None:
            progress(number, len(plan), f"{x.model} {x.language} × {y.model} {y.language}".strip())
    table = StudyTable.of_rows(rows, study="languages", **inputs.common())
    totals = StudyTable.of_rows(_totals(table), study="languages", **inputs.common())
    return StudyTable.concatenate([table, totals])


@full_precision()
def _sides(inputs: Inputs) -> Iterator[_Side]:
    """All models on all versions of the dataset: voices, then captions, then pictures."""
    everywhere = [*inputs.models, *(model for variant in inputs.variants.values() for model in variant.values())]
    device = pick_device(inputs.resources.device)
    for modality in WORDS:
        for features in (features for features in everywhere if features.spec.model.modality == modality):
            layers = ModelLayers(features, clamp=inputs.clamp, memory=inputs.resources.memory, device=device)
            made = layers.geometries([inputs.similarity], concatenation=False)
            kept = range(len(features.layers)) if modality == "sound" else [len(features.layers) - 1]
            geometries = {index: geometry_of(layer[inputs.similarity]) for index, layer in made if index in kept}
            yield _Side(features.name, modality, _language(features), features.dataset, geometries)


def _language(features: Features) -> str:
    if features.spec.model.modality == "vision":
        return ""
    return str(features.spec.dataset.options.get("language", "en"))


def _compared(x: _Side, y: _Side) -> bool:
    if x.modality != y.modality:
        return True
    return x.model == y.model and x.language != y.language


class _Shared:
    """Neighbours of two sides among the samples that both have, each graph made once."""

    def __init__(self, inputs: Inputs, k: int, permutations: int, least: int) -> None:
        self.k, self.permutations, self.least, self.seed = k, permutations, least, inputs.seed
        self.rows = {name: {sample: row for row, sample in enumerate(ids)} for name, ids in inputs.ids.items()}
        self.graphs: dict[tuple[str, str, str, int, str], torch.Tensor] = {}

    def graph(self, side: _Side, layer: int, other: _Side) -> torch.Tensor:
        """The k + 1 nearest neighbours in one layer of a side, shape (n, k + 1), in the order of its samples' names."""
        names = sorted(self.rows[side.dataset].keys() & self.rows[other.dataset].keys())
        if len(names) < self.least:
            raise DataError(
                f"{side.dataset} and {other.dataset} share {len(names)} samples; expected {self.least} or more. Leave "
                "one of the languages out, or lower recipe.study.least."
            )
        key = (side.model, side.language, side.dataset, layer, other.dataset)
        if key not in self.graphs:
            places = torch.tensor([self.rows[side.dataset][name] for name in names])
            self.graphs[key] = geometry_of_rows(side.layers[layer], places).neighbours(self.k + 1).cpu()
        return self.graphs[key]


def _rows(x: _Side, y: _Side, shared: _Shared) -> Iterator[dict[str, Any]]:
    pairs = [(LAST, x.last)]
    if x.modality == "sound" and y.modality == "vision" and len(x.layers) > 1:
        pairs += [(EVERY, layer) for layer in sorted(x.layers)]
    for setting, layer in pairs:
        a, b = shared.graph(x, layer, y), shared.graph(y, y.last, x)
        bounds = linearised(overlap_terms(a, b, shared.k))
        graphs = {"x": a[None, :, : shared.k], "y": b[None, :, : shared.k]}
        tested = max_null(graphs, [("x", "y")], shared.permutations, shared.seed)
        low, high = np.quantile(tested.null[0], [0.025, 0.975])
        yield {
            "setting": setting,
            "x_layer": layer,
            "y_layer": y.last,
            "position": layer / x.last if x.last else 1.0,
            "value": bounds.estimate,
            "low": bounds.low,
            "high": bounds.high,
            "null_mean": float(tested.null[0].mean()),
            "null_low": float(low),
            "null_high": float(high),
            "p_value": float(tested.p[0]),
            "items": len(a),
            "permutations": shared.permutations,
        }


def _columns(x: _Side, y: _Side) -> dict[str, Any]:
    return {
        "x_model": x.model,
        "y_model": y.model,
        "x_language": x.language,
        "y_language": y.language,
        "quantity": f"{WORDS[x.modality]} and {WORDS[y.modality]}",
    }


def _totals(table: StudyTable) -> Sequence[dict[str, Any]]:
    """The mean score of every two models over languages."""
    last = table.frame[table.frame.setting == LAST]
    return [
        {
            "quantity": f"mean over languages of {quantity}, {x_model} and {y_model}",
            "setting": LAST,
            "value": float(rows.value.mean()),
            "items": len(rows),
        }
        for (quantity, x_model, y_model), rows in last.groupby(["quantity", "x_model", "y_model"], sort=False)
    ]
