"""A run that was stopped, shared out or short of memory leaves the bytes of a run that was not."""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platorep.align import align
from platorep.core.resources import Resources
from platorep.metrics.base import Metric
from platorep.metrics.registry import METRICS, build


def small(name: str) -> Metric:
    """The metric with parameters that fit 60 samples."""
    if build(name).neighbourhood:
        return build(name, k=6)
    return build(name, components=4) if name in ("svcca", "pwcca") else build(name)


@pytest.fixture
def models(model):
    return [model(name, depth, n=60) for name, depth in (("a", 2), ("b", 3), ("c", 1), ("d", 2))]


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_restarts_and_shards_leave_the_bytes_of_one_run(models, tmp_path_factory, data):
    """A run of which any parts are lost, made again in any number of shards and with any memory."""
    metrics = [small(name) for name in METRICS]
    folder: Path = tmp_path_factory.mktemp("parts")

    def digests() -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}

    align(list(product(models[:2], models[2:])), metrics, out_dir=folder)
    before = digests()
    lost = data.draw(st.sets(st.sampled_from(sorted(name for name in before if "samples" not in name)), min_size=1))
    for name in lost:
        (folder / name).unlink()
    shards = data.draw(st.integers(1, 4))
    memory = data.draw(st.sampled_from([1, 1 << 30]))
    for shard in data.draw(st.permutations(range(shards))):
        align(
            list(product(models[:2], models[2:])),
            metrics,
            out_dir=folder,
            resources=Resources(shard=(shard, shards), memory=memory),
        )
    assert digests() == before
