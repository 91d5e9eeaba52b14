"""The data for the page's script, as JSON with large arrays in base64: little-endian uint16, row by row."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from PIL import Image

from platorep.figures import style
from platorep.report import sounds
from platorep.report.anatomy import Anatomy
from platorep.report.material import TESTED, Run
from platorep.results.labels import metric_label
from platorep.results.tables import CONCATENATION


MOST_SAMPLES = 2048
"""Largest number of samples in the explorer, the first of the dataset. A page of 1,024 stays below 15 MB."""

THUMBNAIL = 128
"""Longest side of a thumbnail in pixels."""

STEPS = 65535
"""Number of levels of a packed score, whose error is at most half a level of the metric's range."""


def payload(run: Run, anatomies: Mapping[str, Anatomy]) -> dict[str, Any]:
    """Everything that the page's script needs, as plain JSON values; the same inputs give the same bytes."""
    shown = min(len(run.samples.ids), MOST_SAMPLES)
    return {
        "models": [_model(run, name) for name in run.models],
        "metrics": [_metric(run, metric.id) for metric in run.scored],
        "pairs": _pairs(run),
        "heat": [matplotlib.colors.to_hex(matplotlib.colormaps[style.HEAT](i / 16)) for i in range(17)],
        "explorer": {
            "total": len(run.samples.ids),
            "ids": run.samples.ids[:shown],
            "captions": run.samples.captions[:shown],
            "categories": None if run.samples.categories is None else run.samples.categories[:shown],
            "pictures": [thumbnail(_picture(run, i)) for i in range(shown)],
            "sounds": _players(run, shown),
            "k": next(iter(next(iter(anatomies.values())).graphs.values())).shape[1],
            "metric": (run.neighbour_metric or run.scored[0]).id,
            "graphs": {
                name: {str(i): pack(g.numpy()) for i, g in sorted(anatomy.graphs.items())}
                for name, anatomy in anatomies.items()
            },
        },
    }


def _picture(run: Run, sample: int) -> Image.Image:
    """The first picture of a sample, or the waveform of its first sound, or a blank picture."""
    if run.samples.pictures is None or run.samples.pictures[sample]:
        return run.picture(sample)
    return sounds.blank() if run.sound is None or not run.samples.sounds else sounds.waveform(run.sound(sample))


def _players(run: Run, shown: int) -> list[str] | None:
    """The first sound of every sample in the explorer; None in datasets without sounds."""
    if run.sound is None or run.samples.sounds is None:
        return None
    return [sounds.player(run.sound(i)) for i in range(shown)]


def wanted_layers(run: Run) -> dict[str, set[int]]:
    """Layers of each model in the explorer: the last layer, and those that the protocol chose with any partner."""
    metric = (run.neighbour_metric or run.scored[0]).id
    pairs = run.pairs[run.pairs.metric == metric]
    layers = {name: {len(run.by_name[name].layers) - 1} for name in run.models}
    for row in pairs.itertuples():
        layers[row.x_model].add(int(row.x_layer))
        layers[row.y_model].add(int(row.y_layer))
    return layers


def _model(run: Run, name: str) -> dict[str, Any]:
    features = run.by_name[name]
    return {"name": name, "modality": features.spec.model.modality, "layers": [layer.name for layer in features.layers]}


def _metric(run: Run, metric: str) -> dict[str, Any]:
    scores = run.alignment.frame[run.alignment.frame.metric == metric].score
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)
    return {"id": metric, "label": metric_label(metric), "low": low, "high": high}


def _pairs(run: Run) -> list[dict[str, Any]]:
    place = {name: i for i, name in enumerate(run.models)}
    ranges = {metric.id: _metric(run, metric.id) for metric in run.scored}
    number = {metric: i for i, metric in enumerate(ranges)}
    scored = {key: part for key, part in run.alignment.frame.groupby(["metric", "x_model", "y_model"], sort=False)}
    pairs = []
    for row in run.pairs.to_dict("records"):
        pair: dict[str, Any] = {"metric": number[row["metric"]], "x": place[row["x_model"]], "y": place[row["y_model"]]}
        pair |= {"score": plain(row["score"]), "xl": int(row["x_layer"]), "yl": int(row["y_layer"])}
        pair |= {name: plain(row[name]) for name in TESTED}
        part = scored.get((row["metric"], row["x_model"], row["y_model"]))
        if part is not None:
            pair |= grid(part, ranges[row["metric"]])
        pairs.append(pair)
    return pairs


def grid(part: pd.DataFrame, scale: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of all layer pairs of two models: rows are layers of x, the concatenation last; level 0 is no score.

    Levels 1 to `STEPS` run from the metric's lowest score to its highest.
    """
    table = part.pivot(index="x_layer", columns="y_layer", values="score")
    order = [sorted(axis, key=lambda i: (i == CONCATENATION, i)) for axis in (table.index, table.columns)]
    values = table.loc[order[0], order[1]].to_numpy(dtype=float)
    span = scale["high"] - scale["low"] or 1.0
    levels = np.where(np.isnan(values), 0, 1 + np.round((np.nan_to_num(values) - scale["low"]) / span * (STEPS - 1)))
    return {"rows": [int(i) for i in order[0]], "columns": [int(i) for i in order[1]], "grid": pack(levels)}


def pack(values: np.ndarray) -> str:
    """Whole numbers below 65,536 as base64 of little-endian uint16, row by row."""
    return base64.b64encode(np.ascontiguousarray(values).astype("<u2").tobytes()).decode()


def plain(value: Any) -> float | None:
    """A number with 6 significant digits, None if it is missing."""
    return None if value is None or pd.isna(value) or not math.isfinite(value) else float(f"{value:.6g}")


def thumbnail(picture: Image.Image) -> str:
    """A WebP picture of at most `THUMBNAIL` pixels a side, as base64."""
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=70, method=4)
    return base64.b64encode(buffer.getvalue()).decode()


def script_safe(value: Any) -> str:
    """JSON that is safe in a script element whatever texts it contains: "<", ">" and "&" are escaped."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})
