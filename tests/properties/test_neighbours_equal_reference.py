"""Fast neighbour metrics against their formulas, on inputs made to break them: ties, duplicates, n = k + 1.

Euclidean inputs are small integers, on which every product is exact: fast and slow must then agree tie by tie. Under
cosine, rounding decides between equally near samples, so that inputs are first checked to have none.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from platorep.metrics import reference
from platorep.metrics.base import Geometry
from platorep.metrics.reference.kernels import rows
from platorep.metrics.reference.neighbours import nearest
from platorep.metrics.registry import build


VARIANTS = [
    ("mutual_knn", {}),
    ("jaccard_knn", {}),
    ("cycle_knn", {}),
    ("cycle_knn", {"direction": "yx"}),
    ("lcs_knn", {}),
    ("lcs_knn", {"normalised": False}),
    ("edit_distance_knn", {}),
    ("edit_distance_knn", {"normalised": False}),
    ("rnx_area", {}),
]


@st.composite
def integer_features(draw) -> tuple[np.ndarray, np.ndarray, int]:
    n = draw(st.integers(4, 16))
    k = draw(st.sampled_from([1, 2, min(5, n - 1), min(6, n - 1)]))  # the reference's recursion is exponential in k
    sides = []
    for _ in range(2):
        made = np.random.default_rng(draw(st.integers(0, 10**6)))
        kind = draw(st.sampled_from(["grid", "duplicates", "line"]))
        d = draw(st.integers(1, 7))
        x = made.integers(-3, 4, size=(n, d))
        if kind == "duplicates":
            x = x[made.integers(0, max(2, n // 3), size=n)]
        elif kind == "line":
            x = np.arange(n)[:, None] * np.ones((1, d), dtype=int)
        assume((x != x[0]).any())
        sides.append(x.astype(np.float32))
    return sides[0], sides[1], k


def fast(name: str, x: np.ndarray, y: np.ndarray, dtype: torch.dtype = torch.float32, **params: object) -> float:
    metric = build(name, **params)
    metric.check(len(x))
    return metric.score(
        *(metric.prepare(Geometry(torch.from_numpy(side).to(dtype), metric.similarity)) for side in (x, y))
    )


@pytest.mark.parametrize(("name", "params"), VARIANTS)
@settings(max_examples=40, deadline=None)
@given(data=integer_features(), dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]))
def test_euclidean_with_ties_and_duplicates(name, params, data, dtype):
    x, y, k = data
    got = fast(name, x, y, dtype, k=k, similarity="euclidean", ties="first", **params)
    assert got == pytest.approx(getattr(reference, name)(x, y, k, similarity="euclidean", **params), abs=1e-12)


@pytest.mark.parametrize(("name", "params"), VARIANTS)
@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(4, 16),
    widths=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    k=st.integers(1, 6),
    seed=st.integers(0, 10**6),
)
def test_cosine_without_near_ties(name, params, n, widths, k, seed):
    assume(k < n)
    made = np.random.default_rng(seed)
    x, y = (made.normal(size=(n, d)).astype(np.float32) for d in widths)
    for side in (x, y):
        unit = rows(side)
        gaps = np.diff(np.sort(unit @ unit.T - 9 * np.eye(n), axis=1)[:, 1:], axis=1)
        assume(gaps.min() > 1e-5)
    assert fast(name, x, y, k=k, **params) == pytest.approx(getattr(reference, name)(x, y, k, **params), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(integer_features())
def test_neighbours_are_the_reference_s_in_order(data):
    x, _, k = data
    assert Geometry(torch.from_numpy(x), "euclidean").neighbours(k, "first").tolist() == nearest(x, k, "euclidean")


def test_all_samples_but_one_as_neighbours_always_agree():
    x, y = (torch.randn(9, 4).numpy() for _ in range(2))
    assert fast("mutual_knn", x, y, k=8) == fast("jaccard_knn", x, y, k=8) == 1
    assert fast("lcs_knn", x, y, k=8) < 1  # it sees the order


def test_released_order_of_arguments_matters_for_the_cycle():
    made = np.random.default_rng(5)
    x, y = made.normal(size=(60, 8)).astype(np.float32), made.normal(size=(60, 3)).astype(np.float32) ** 3
    there, back = (fast("cycle_knn", x, y, k=3, direction=way) for way in ("xy", "yx"))
    assert there != back
    assert back == fast("cycle_knn", y, x, k=3)
