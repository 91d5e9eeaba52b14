"""A kill at any moment loses at most the shard in flight, and two runs at once do no harm."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
import torch

from platorep.core.specs import DatasetSpec, ExtractSpec
from platorep.core.store import FeatureStore
from platorep.core.verify import verify_store
from platorep.data import open_dataset
from platorep.extract import extract
from platorep.models import resolve
from tests import small_models
from tests.extract.conftest import CPU, resources, shard_bytes


def extract_into(root, spec, pairs):
    FeatureStore(root).write_samples(pairs.spec, pairs.samples)
    extract(spec, pairs, FeatureStore(root), resources(shard_rows=4))


@pytest.fixture
def job(tmp_path):
    """A spec, its pairs, and a function that starts the extraction in a forked process.

    One thread everywhere: OpenMP's threads do not survive a fork, and bytes are the same for one number of threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pairs = open_dataset(DatasetSpec(name="synthetic", source="synthetic", n=60))
    spec = ExtractSpec(model=resolve(small_models.llama(tmp_path / "llama"), CPU), dataset=pairs.spec)

    def start(root):
        process = os.fork()
        if process == 0:
            try:
                extract_into(root, spec, pairs)
                os._exit(0)
            except BaseException:
                os._exit(1)
        return process

    extract_into(tmp_path / "undisturbed", spec, pairs)
    yield spec, pairs, start, FeatureStore(tmp_path / "undisturbed").open(spec)
    torch.set_num_threads(threads)


def test_killed_at_random_moments_and_started_again_gives_the_bytes_of_an_undisturbed_run(job, tmp_path):
    spec, pairs, start, undisturbed = job
    began = time.monotonic()
    extract_into(tmp_path / "timing", spec, pairs)
    usual = time.monotonic() - began
    chance = random.Random(0)
    root, kills = tmp_path / "killed", 0
    for _ in range(10):
        process = start(root)
        time.sleep(chance.uniform(0, usual))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        kills += os.WIFSIGNALED(status)
        folder = FeatureStore(root).dir(spec)
        if (folder / "manifest.json").is_file():
            FeatureStore(root).remove(FeatureStore(root).open(spec))
    extract_into(root, spec, pairs)
    features = FeatureStore(root).open(spec)
    assert [one.faults for one in verify_store(FeatureStore(features.path.parents[1]))] == [[]]
    assert kills >= 3
    assert shard_bytes(features.path) == shard_bytes(undisturbed.path)
    assert features.scalars == undisturbed.scalars


@pytest.mark.parametrize("lost", ["first shard", "manifest", "truncated shard"])
def test_what_is_missing_is_made_again_and_nothing_else(job, tmp_path, lost):
    spec, pairs, _, undisturbed = job
    root = tmp_path / "undisturbed"
    folder = FeatureStore(root).dir(spec)
    want, scalars = shard_bytes(folder), undisturbed.scalars
    (folder / "manifest.json").unlink()
    shards = sorted(folder.glob("shard-*"))
    if lost == "first shard":
        shards[0].unlink()
    if lost == "truncated shard":
        shards[3].write_bytes(shards[3].read_bytes()[:100])
    kept = {file: file.stat().st_mtime_ns for file in shards if file.is_file()}
    extract_into(root, spec, pairs)
    touched = [file for file, when in kept.items() if file.stat().st_mtime_ns != when]
    assert touched == ([shards[3]] if lost == "truncated shard" else [])
    assert shard_bytes(folder) == want
    assert FeatureStore(root).open(spec).scalars == scalars


def test_two_processes_at_once_do_no_harm(job, tmp_path):
    spec, _, start, undisturbed = job
    processes = [start(tmp_path / "both") for _ in range(2)]
    assert [os.waitpid(process, 0)[1] for process in processes] == [0, 0]
    features = FeatureStore(tmp_path / "both").open(spec)
    assert [one.faults for one in verify_store(FeatureStore(features.path.parents[1]))] == [[]]
    assert shard_bytes(features.path) == shard_bytes(undisturbed.path)
