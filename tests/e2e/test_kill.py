"""A run that is killed at any moment and started again ends with the bytes of one that was left alone."""

import random

import pytest
import torch

from tests.e2e.runs import configuration, contents, run, run_and_kill


SMALL = (
    "suite=synthetic",
    "dataset=synthetic",
    "dataset.n=48",
    "compute.shard_rows=8",
    "compute.workers=0",
    "compute.device=cpu",
)
KILLS = 8


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked child must not inherit a pool of threads that it does not have
    yield
    torch.set_num_threads(before)


def test_a_run_killed_at_random_points_ends_with_the_same_bytes(tmp_path, one_thread):
    undisturbed = configuration(tmp_path / "undisturbed", *SMALL)
    import time

    start = time.monotonic()
    assert run_and_kill(undisturbed, after=120)
    seconds = time.monotonic() - start
    chance = random.Random(0)
    disturbed = configuration(tmp_path / "disturbed", *SMALL)
    kills = 0
    while kills < KILLS and not run_and_kill(disturbed, after=chance.uniform(0, seconds)):
        kills += 1
    run(disturbed)
    expected, got = contents(tmp_path / "undisturbed"), contents(tmp_path / "disturbed")
    assert kills > 0
    leftovers = [name for name in got if name.endswith(".tmp")]
    assert set(got) - set(leftovers) == set(expected)
    assert [name for name in expected if got[name] != expected[name]] == []
