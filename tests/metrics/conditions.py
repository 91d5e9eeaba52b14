"""Shared by the tests of kernel, CCA and distance metrics: features, transformations, scoring of raw features."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from platorep.metrics.base import Geometry, Metric


def score(metric: Metric, x: torch.Tensor, y: torch.Tensor) -> float:
    return metric.score(metric.prepare(Geometry(x, metric.similarity)), metric.prepare(Geometry(y, metric.similarity)))


def score_all(metric: Metric, xs: list[torch.Tensor], ys: list[torch.Tensor]) -> torch.Tensor:
    return metric.score_all(*([metric.prepare(Geometry(z, metric.similarity)) for z in side] for side in (xs, ys)))


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def related(seed: int, n: int = 40, width_x: int = 12, width_y: int = 17) -> tuple[torch.Tensor, torch.Tensor]:
    """Two layers that share part of their structure, away from the origin, with features of unequal scale."""
    shared = normal(seed, n, 6)
    scale_x, scale_y = (0.3 + normal(seed + i, w).abs() for i, w in ((3, width_x), (4, width_y)))
    x = (shared @ normal(seed + 1, 6, width_x) + normal(seed + 5, n, width_x)) * scale_x + 0.7
    y = (shared @ normal(seed + 2, 6, width_y) + normal(seed + 6, n, width_y)) * scale_y - 0.4
    return x, y


@st.composite
def layers(draw: st.DrawFn, least: int = 4, narrowest: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of layers with few samples, float32 or bfloat16; some with a constant column, equal rows or an offset."""
    n = draw(st.integers(least, least + 20))
    seed = draw(st.integers(0, 10_000))
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16]))
    pair = []
    for side in range(2):
        z = normal(seed + side, n, draw(st.integers(max(2, narrowest), narrowest + 20)))
        z = z + draw(st.sampled_from([0.0, 0.0, 4.0]))
        if draw(st.booleans()):
            z = torch.cat([z, torch.full((n, 1), 2.5)], dim=1)
        if draw(st.booleans()):
            z[draw(st.integers(0, n - 1))] = z[draw(st.integers(0, n - 1))]
        pair.append(z.to(dtype))
    return pair[0], pair[1]


def numpy(x: torch.Tensor) -> np.ndarray:
    return x.to(torch.float64).numpy()


def changed(what: str, x: torch.Tensor) -> torch.Tensor:
    """`x` after the transformation that an invariance names."""
    n, d = x.shape
    if what == "orthogonal":
        return x @ torch.linalg.qr(normal(90, d, d)).Q
    if what == "scaling":
        return 3.7 * x
    if what == "translation":
        return x + 2 * normal(91, d)
    if what == "invertible_linear":
        return x @ (normal(92, d, d) + 2 * torch.eye(d))
    return x * (0.2 + normal(93, n, 1).abs())


TRANSFORMATIONS = ("orthogonal", "scaling", "translation", "invertible_linear", "sample_scaling")


def check_declared(metric: Metric, scale: float = 1.0) -> None:
    """Each declared invariance holds on both sides; each undeclared one has a counter-example on one of them."""
    x, y = (scale * z for z in related(7, n=60))
    before = score(metric, x, y)
    for what in TRANSFORMATIONS:
        left, right = (
            abs(score(metric, changed(what, x), y) - before),
            abs(score(metric, x, changed(what, y)) - before),
        )
        if what in metric.invariances:
            assert max(left, right) < 2e-5, (
                f"{metric.id} declares {what}, but the score moves by {max(left, right):.2g}"
            )
        else:
            assert max(left, right) > 1e-3, (
                f"{metric.id} does not declare {what}, yet the score only moves by {max(left, right):.2g}"
            )
    swapped = abs(score(metric, y, x) - before)
    assert swapped < 1e-6 if metric.symmetric else swapped > 1e-6
    low, high = metric.bounds
    assert low - 1e-6 <= before <= high + 1e-6
