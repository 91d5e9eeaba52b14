"""What a command leaves after another was killed, repeated with other settings, or given odd names."""

from __future__ import annotations

import contextlib
import os
import random
import shutil

import pytest
import torch

from platorep.commands.align import align_models
from platorep.commands.configuration import experiment
from platorep.commands.extract import extract_models
from platorep.commands.failures import raise_failures
from platorep.core import temporary
from platorep.core.errors import StoreError
from platorep.core.store import FeatureStore
from platorep.core.verify import verify_store
from tests.e2e.runs import configuration, contents, run


SMALL = (
    "suite=synthetic", "dataset=synthetic", "dataset.n=64", "compute.device=cpu", "compute.workers=0",
    'only="tfidf,pixels"', "statistics.permutations=19", "figure=[matrix]",
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def extract(root, *words):
    cfg = configuration(root, *SMALL, *words)
    raise_failures(extract_models(experiment(cfg)).failures)
    return experiment(cfg).store


@pytest.mark.parametrize(("first", "second"), [(8, 9), (9, 8), (7, 7)])
def test_a_restart_with_other_shards_loses_no_row(tmp_path, first, second):
    """Once, eight shards of eight rows and of nine had one name each, and four of the 64 rows were lost."""
    whole = {one.name: one.content for one in extract(tmp_path / "whole").find()}
    extract(tmp_path / "killed", f"compute.shard_rows={first}", "shard=0/2")
    store = extract(tmp_path / "killed", f"compute.shard_rows={second}")
    assert {one.name: one.content for one in store.find()} == whole
    assert [result.faults for result in verify_store(store)] == [[], []]


def test_the_scores_of_a_model_whose_settings_changed_are_those_of_the_present_settings(tmp_path):
    """Its name is the same: once, `plot` could not draw and the report ended in a traceback."""
    words = (*SMALL, 'only="tfidf,pixels,vit_random"')
    first = configuration(tmp_path, *words)
    second = configuration(tmp_path, *words, "+models.vit_random.seed=1")
    matrices = {}
    for name, cfg in (("first", first), ("second", second), ("first again", first)):
        run(cfg)
        matrices[name] = experiment(cfg).alignment.matrix()
    assert matrices["first"].equals(matrices["first again"])
    assert matrices["first"].pixels.equals(matrices["second"].pixels)
    assert not matrices["first"].vit_random.equals(matrices["second"].vit_random)


def test_overwriting_replaces_one_model_after_the_other(tmp_path, monkeypatch):
    """A kill while the first is made again once left nothing: every model had been removed before."""
    from platorep.core import writer

    run(configuration(tmp_path, *SMALL))
    before = contents(tmp_path)
    real, wrote = writer.write_shard, []

    def write(path, *args, **more):
        if len(wrote) == 1:  # the second model's first shard
            raise KeyboardInterrupt
        wrote.append(path)
        real(path, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(writer, "write_shard", write)
        with pytest.raises(KeyboardInterrupt):
            extract(tmp_path, "overwrite=true")
    assert len(wrote) == 1
    assert contents(tmp_path) == before
    extract(tmp_path, "overwrite=true")
    assert contents(tmp_path) == before


class Killed(BaseException):
    pass


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_overwriting_that_is_killed_anywhere_leaves_every_model_whole(tmp_path, monkeypatch, seed):
    """At every step there is a whole extraction of each model, and the next run ends with the bytes of one."""
    extract(tmp_path)
    before, chance = contents(tmp_path), random.Random(seed)
    store = FeatureStore(tmp_path / "features")
    names = sorted(features.name for features in store.find())

    def steps(last):
        """Runs until so many files have been renamed or removed; how many were."""
        done = 0

        def counted(real):
            def call(*args, **more):
                nonlocal done
                if done == last:
                    raise Killed
                done += 1
                return real(*args, **more)

            return call

        with monkeypatch.context() as patched:
            for place, name in ((os, "rename"), (os, "replace"), (shutil, "rmtree")):
                patched.setattr(place, name, counted(getattr(place, name)))
            with contextlib.suppress(Killed):
                extract(tmp_path, "overwrite=true")
        temporary._in_use.clear()  # as if the process that was killed had ended
        return done

    total = steps(None)
    assert contents(tmp_path) == before
    for _ in range(3):
        assert steps(at := chance.randrange(total)) == at
        looked = FeatureStore(tmp_path / "features")
        assert sorted(features.name for features in looked.find()) == names
        assert all(not result.faults for result in verify_store(looked))
    extract(tmp_path, "overwrite=true")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["org/pix", "my pixels", "p[ix]*", "пиксели"])
def test_a_model_of_any_name_is_found_again_by_every_stage(tmp_path, name):
    words = (
        *SMALL,
        'only="tfidf,other"',
        f'+models.other={{name: "{name}", modality: vision, source: pixels, id: "{name}"}}',
    )
    cfg = configuration(tmp_path, *words)
    run(cfg)
    completed = experiment(cfg)
    assert completed.alignment.matrix().columns.tolist() == [name]
    assert [one.name for one in completed.store.find(name)] == [name]


def test_damaged_features_stop_the_scores_and_leave_none_of_them(tmp_path):
    cfg = configuration(tmp_path, *SMALL)
    store = extract(tmp_path)
    shard = next(store.find("pixels")[0].path.glob("shard-*"))
    raw = bytearray(shard.read_bytes())
    raw[-7] ^= 64
    shard.write_bytes(raw)
    with pytest.raises(StoreError, match=r"pixels.*are not those that were written.*`platorep store repair`"):
        align_models(experiment(cfg))
    assert not list((tmp_path / "alignment").rglob("*.parquet"))
