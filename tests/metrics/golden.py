"""The released code's scores and the features they are of, clipped as recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch


FOLDER = Path(__file__).parents[1] / "golden"
NAMES = ("correlated", "independent", "outlier_dims", "weak")


class Golden(NamedTuple):
    xs: list[torch.Tensor]
    ys: list[torch.Tensor]
    scores: dict[str, np.ndarray]


def golden(name: str, rule: str) -> Golden:
    record = json.loads((FOLDER / f"{name}.json").read_text())["scores"][rule]
    with np.load(FOLDER / f"{name}.npz") as arrays:
        x, y = (
            torch.from_numpy(arrays[side]).clamp(-record[f"clip_{side}"], record[f"clip_{side}"]) for side in ("x", "y")
        )
    return Golden(list(x.unbind(1)), list(y.unbind(1)), {metric: np.array(v) for metric, v in record["layers"].items()})


cases = pytest.mark.parametrize(("name", "rule"), [(name, rule) for name in NAMES for rule in ("exact", "approximate")])
