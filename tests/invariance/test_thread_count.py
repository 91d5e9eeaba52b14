"""Whether one thread computes or several, the neighbours are the same on the tested inputs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from platorep.metrics.base import Geometry
from platorep.metrics.knn import neighbours


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("n", "d"), [(200, 32), (1024, 384), (600, 1000)])
def test_thread_count_changes_no_neighbour(n, d):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(d))
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        layer = Geometry(x)
        found += [layer.neighbours(10), neighbours(layer.x, 10, tile=(256, 512))]
    assert all(torch.equal(found[0], other) for other in found[1:])
