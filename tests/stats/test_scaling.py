from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from platorep.stats.scaling import plane


def test_mds_restores_points_of_the_plane_up_to_rotation():
    points = np.random.default_rng(0).normal(size=(10, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    made, how = plane(distances, "mds")
    assert how == "MDS"
    assert np.allclose(np.linalg.norm(made[:, None] - made, axis=-1), distances, atol=1e-3)
    assert np.array_equal(made, plane(distances, "mds")[0])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("umap") is None, reason="umap-learn, an extra, is not installed")
def test_umap_is_deterministic_and_keeps_two_groups_apart():
    groups = np.repeat([0, 1], 10)
    distances = np.where(groups[:, None] == groups, 0.3, 4.0) * (1 - np.eye(20))
    made, how = plane(distances, "umap")
    assert how == "UMAP"
    assert np.array_equal(made, plane(distances, "umap")[0])
    spread = max(made[groups == g].std() for g in (0, 1))
    assert np.linalg.norm(made[groups == 0].mean(0) - made[groups == 1].mean(0)) > spread
