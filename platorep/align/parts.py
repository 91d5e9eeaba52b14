"""Parts on disk: one parquet file a (x model, y model, metric), named by everything that determines it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from platorep.align.prepared import Prepared, matrix, ties_of
from platorep.core.errors import StoreError
from platorep.core.features import Features
from platorep.core.files import read_parquet, slug, table_facts, write_parquet
from platorep.core.version import __version__
from platorep.metrics.base import Metric, NullMoments
from platorep.results.facts import facts
from platorep.results.tables import ALIGNMENT_COLUMNS, CONCATENATION, AlignmentTable
from platorep.stats.calibration import skewed_p
from platorep.stats.selection import relative_depths


log = logging.getLogger(__name__)

_unchecked: set[Path] = set()  # folders of which it was said that their parts cannot be checked

ALIGNMENT_VERSION = 1
"""Raised whenever the meaning of a score changes; part of every part's name."""


def part_path(out_dir: Path, x: Features, y: Features, metric: Metric, clip: str, concatenation: bool) -> Path:
    """Where the scores of a pair of models by a metric are kept."""
    body = [ALIGNMENT_VERSION, x.key, y.key, x.digest, metric.id, clip, concatenation]
    code = hashlib.sha256(json.dumps(body).encode()).hexdigest()[:12]
    return out_dir / f"{slug(x.name)}--{slug(y.name)}--{metric.name}--{code}.parquet"


def origin(path: Path, x: Features, y: Features) -> dict[str, object]:
    """What a part and its per-sample file say of themselves: their name, and the contents of the features."""
    return {"part": path.name, "made_from": [x.content, y.content]}


def read_part(path: Path, x: Features, y: Features, metric: Metric, concatenation: bool) -> AlignmentTable | None:
    """The scores in a part, or None where they are to be computed.

    They are computed where the part or its per-sample file is absent, damaged, of other models, or of features that had
    other values. Parts of earlier versions do not say which features they were computed from.
    """
    if not path.is_file():
        return None
    try:
        table, facts = AlignmentTable.read(path)
        per_sample = read_parquet(samples_path(path)) if metric.samplewise else None
    except (StoreError, FileNotFoundError) as error:
        log.warning("%s Its scores are made again.", getattr(error, "fault", f"{samples_path(path)} is missing."))
        return None
    stated = [facts] if per_sample is None else [facts, table_facts(per_sample)]
    rows = len(layer_indices(x, concatenation)) * len(layer_indices(y, concatenation))
    models = table.frame[["x_model", "x_key", "y_model", "y_key", "metric"]].drop_duplicates().to_numpy().tolist()
    fits = (
        models == [[x.name, x.key, y.name, y.key, metric.id]]
        and len(table.frame) == rows
        and (per_sample is None or len(per_sample) == x.n)
        and all(not entry or entry == origin(path, x, y) for entry in stated)
    )
    if not fits:
        log.warning("%s is not of the features as they are now. Its scores are made again.", path)
        return None
    if not facts and path.parent not in _unchecked:
        _unchecked.add(path.parent)
        log.warning("%s: scores of an earlier version do not say which features they were made from.", path.parent)
    return table


def samples_path(part: Path) -> Path:
    """Where the per-sample overlaps of a part's best layer pair are kept."""
    return part.with_name(part.name.removesuffix(".parquet") + ".samples.parquet")


class Scored(NamedTuple):
    """Scores of all layer pairs of one pair of models by one metric, with the layers that they come from."""

    x: Features
    y: Features
    xs: Prepared
    ys: Prepared
    scores: torch.Tensor  # (layers of x that take part, layers of y that do) float64
    null: NullMoments | None  # of the same shape


def layer_indices(features: Features, concatenation: bool) -> np.ndarray:
    """Layer indices in the order of prepared states: by depth, the concatenation last."""
    return np.array([*range(len(features.layers)), *([CONCATENATION] if concatenation else [])])


def rows(
    scored: Scored, metric: Metric, *, dataset: str, clip: str, concatenation: bool, backend: str
) -> dict[str, object]:
    """The table's columns for all layer pairs of one pair of models, x's layers outermost.

    p_value is the upper tail at z, the score standardised by its exact null moments, for one fixed layer pair: normal
    for neighbour overlaps, Pearson's type III law with the null's skewness for kernels. Permutations say more of the
    far tail. Layers that are left out have rows too, with missing scores.
    """
    down, across = (layer_indices(side, concatenation) for side in (scored.x, scored.y))

    def whole(part: torch.Tensor | None) -> np.ndarray:
        """Values of the layers that take part among those of all."""
        if part is None:
            return np.full(len(down) * len(across), np.nan)
        return matrix(part, scored.xs, scored.ys, down, across).numpy().ravel()

    score = whole(scored.scores)
    moments = scored.null or (None, None, None)
    mean, sd, skewness = (whole(moment) for moment in moments)
    columns: dict[str, object] = {
        "dataset": dataset,
        "n": scored.x.n,
        "metric": metric.id,
        "clip": clip,
        "dtype": "float32",
        "backend": backend,
        "version": __version__,
        "words": np.nan,
        "shuffle_share": np.nan,
        "shuffle_seed": np.nan,
        "score": score,
    }
    columns |= _side("x", scored.x, scored.xs, metric, down, lambda values: np.repeat(values, len(across)))
    columns |= _side("y", scored.y, scored.ys, metric, across, lambda values: np.tile(values, len(down)))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(sd > 0, (score - mean) / sd, np.nan)
        top = metric.bounds[1]
        corrected = (score - mean) / (top - mean) if np.isfinite(top) else np.full(len(score), np.nan)
    p = skewed_p(z, 0.0 if moments[2] is None else skewness)
    columns |= {"null_mean": mean, "null_sd": sd, "z": z, "p_value": p, "corrected": corrected}
    return {name: columns[name] for name in ALIGNMENT_COLUMNS}


def _side(
    side: str,
    features: Features,
    prepared: Prepared,
    metric: Metric,
    layers: np.ndarray,
    spread: Callable[[np.ndarray], np.ndarray],
) -> dict[str, object]:
    """The columns of one side's layers."""
    names = np.array([*(layer.name for layer in features.layers), "concatenation"], dtype=object)
    depths, tied = relative_depths(len(features.layers)), ties_of(prepared, metric)
    return {
        f"{side}_model": features.name,
        f"{side}_key": features.key,
        f"{side}_modality": features.spec.model.modality,
        f"{side}_family": features.spec.model.family,
        f"{side}_layer": spread(layers),
        f"{side}_layer_name": spread(names[layers]),
        f"{side}_depth": spread(np.where(layers == CONCATENATION, np.nan, depths[layers])),
        **{f"{side}_{name}": value for name, value in facts(features.spec.model).items()},
        f"{side}_tied": spread(np.array([tied.get(index, np.nan) for index in layers.tolist()])),
        f"{side}_left_out": spread(
            np.array([prepared.left_out.get(index, "") for index in layers.tolist()], dtype=object)
        ),
    }


def best_samples(scored: Scored, metric: Metric) -> tuple[int, int, torch.Tensor] | None:
    """The layers of the best pair and what each sample contributes to its score; None for a metric that is no mean.

    Where no layer takes part the contributions are missing, and the layers are the concatenations.
    """
    if not scored.scores.numel():
        return CONCATENATION, CONCATENATION, torch.full((scored.x.n,), torch.nan, dtype=torch.float64)
    i, j = divmod(int(scored.scores.argmax()), scored.scores.shape[1])
    overlap = metric.per_sample(scored.xs.states[i], scored.ys.states[j])
    return None if overlap is None else (scored.xs.indices[i], scored.ys.indices[j], overlap)


def tables(parts: Sequence[dict[str, Any]]) -> list[AlignmentTable]:
    """One table a part. The frames are cast together and cut apart: casting each costs more than scoring it."""
    sizes = [len(part["score"]) for part in parts]
    joined = {
        name: np.concatenate(
            [
                np.broadcast_to(np.asarray(part[name], dtype=object if kind == "string" else None), size)
                for part, size in zip(parts, sizes, strict=True)
            ]
        )
        for name, kind in ALIGNMENT_COLUMNS.items()
    }
    frame = AlignmentTable.from_frame(pd.DataFrame(joined)).frame
    ends = np.cumsum(sizes)
    return [
        AlignmentTable(frame.iloc[end - size : end].reset_index(drop=True))
        for size, end in zip(sizes, ends, strict=True)
    ]


def write_samples(
    path: Path, x_layer: int, y_layer: int, overlap: torch.Tensor, facts: Mapping[str, object] | None = None
) -> None:
    """What each sample contributes to the best layer pair's score: sample (place in the dataset's order), overlap."""
    frame = pd.DataFrame(
        {"sample": np.arange(len(overlap)), "overlap": overlap.numpy(), "x_layer": x_layer, "y_layer": y_layer}
    )
    write_parquet(path, pa.Table.from_pandas(frame, preserve_index=False), facts)
