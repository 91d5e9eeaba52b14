"""The scores that the paper's released code gives for the same features; see the note on each in the files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from platorep.core.clamp import Clamp
from platorep.metrics.base import Geometry
from platorep.metrics.preprocess import clip, clip_threshold
from platorep.metrics.registry import build


HERE = Path(__file__).parent
NAMES = ["correlated", "weak", "outlier_dims", "independent"]
NEIGHBOUR = ["mutual_knn", "cycle_knn", "lcs_knn", "edit_distance_knn"]


@pytest.fixture(params=NAMES, scope="module")
def name(request) -> str:
    return request.param


@pytest.fixture(params=["exact", "approximate"], scope="module")
def rule(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def golden(name: str, rule: str) -> dict:
    return json.loads((HERE / f"{name}.json").read_text())["scores"][rule]


@pytest.fixture(scope="module")
def geometries(name: str, rule: str, golden: dict) -> dict[str, list[Geometry]]:
    """Layers of x and of y, clipped by our threshold; the concatenation last."""
    found = {}
    with np.load(HERE / f"{name}.npz") as file:
        for side in ("x", "y"):
            layers = list(torch.from_numpy(file[side]).unbind(dim=1))
            threshold = clip_threshold(layers, len(layers[0]), Clamp(rule))
            assert threshold == pytest.approx(golden[f"clip_{side}"], rel=1e-6)
            layers = [clip(layer, threshold) for layer in layers]
            made = [Geometry(layer) for layer in layers]
            joined = Geometry.concatenation(
                sum(one.products() for one in made), lambda layers=layers: torch.cat(layers, dim=1)
            )
            found[side] = [*made, joined]
    return found


@pytest.mark.parametrize("k", [5, 10])
@pytest.mark.parametrize("metric", NEIGHBOUR)
def test_neighbour_metrics_agree_with_the_released_code(metric, k, geometries, golden):
    ours = build(metric, k=k, **({"normalised": False} if metric == "lcs_knn" else {}))
    x, y = ([ours.prepare(one) for one in geometries[side][:-1]] for side in "xy")
    assert ours.score_all(x, y).numpy() == pytest.approx(np.array(golden["layers"][f"{metric}@k={k}"]), abs=1e-6)


def test_best_pair_with_the_concatenation_agrees_with_the_released_code(geometries, golden):
    metric = build("mutual_knn", k=10)
    x, y = ([metric.prepare(one) for one in geometries[side]] for side in "xy")
    scores = metric.score_all(x, y).roll((1, 1), (0, 1))  # the released code looks at the concatenation first
    i, j = divmod(int(scores.argmax()), scores.shape[1])
    best = golden["best_with_concat"]["mutual_knn"]
    assert scores[i, j].item() == pytest.approx(best["score"], abs=1e-6)
    assert [i - 1, j - 1] == best["indices"]
