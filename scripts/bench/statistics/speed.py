"""Speed of the max-null compared with indexing by masks."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import torch
from runs import cosine

from platorep.metrics import registry
from platorep.metrics.knn import top_k
from platorep.stats.nulls import max_null, max_null_prepared


def speed_table() -> pd.DataFrame:
    """1,000 relabellings of models with 33 and 24 layers, n = 1,024, k = 10; adjacent layers share most neighbours."""
    rng = np.random.default_rng(0)
    n, k, table = 1024, 10, []
    for label, keep in (("alike layers", 0.95), ("layers that share nothing", 0.0)):
        sides = {}
        for name, count in (("x", 33), ("y", 24)):
            hidden, side = rng.normal(size=(n, 64)), []
            for _ in range(count):
                hidden = keep * hidden + (1 - keep**2) ** 0.5 * rng.normal(size=(n, 64))
                side.append(cosine(hidden))
            sides[name] = side
        graphs = {name: torch.stack([top_k(g.gram, k).indices for g in side]) for name, side in sides.items()}
        start = time.perf_counter()
        null = max_null(graphs, [("x", "y")], 1000, seed=0)
        fast = time.perf_counter() - start
        start = time.perf_counter()
        masked = [by_masks(graphs, order) for order in null.permutations.order[:2]]
        slow = (time.perf_counter() - start) / 2
        np.testing.assert_allclose(masked, null.null[0, :2])
        cka = registry.build("cka")
        prepared = {name: [cka.prepare(g) for g in side] for name, side in sides.items()}
        start = time.perf_counter()
        max_null_prepared(cka, prepared, [("x", "y")], 20, seed=0)
        kernel = (time.perf_counter() - start) / 21
        row = {"layers": label, "max_null, 1,000 draws": f"{fast:.1f} s", "per draw": f"{fast:.1f} ms"}
        table.append(
            row | {"by masked indexing, per draw": f"{1000 * slow:.0f} ms", "cka, per draw": f"{1000 * kernel:.0f} ms"}
        )
    return pd.DataFrame(table)


def by_masks(graphs: dict[str, torch.Tensor], order: np.ndarray) -> float:
    """One draw, a layer pair at a time, by indexing dense neighbour masks."""
    o = torch.from_numpy(order).long()
    n, k = graphs["x"].shape[1:]
    masks = {name: torch.zeros(len(g), n, n, dtype=torch.bool).scatter_(2, g, True) for name, g in graphs.items()}
    moved = [mask[o][:, o] for mask in masks["y"]]
    return max((a & b).sum().item() for a in masks["x"] for b in moved) / (n * k)
