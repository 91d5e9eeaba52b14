"""Parts on disk: of which features they are, whole with their per-sample file, or made again."""

from __future__ import annotations

import os
import random
import shutil
from itertools import product

import pandas as pd
import pytest
import torch
from pyarrow import parquet

from platorep.align import align
from platorep.align.parts import samples_path
from platorep.core.errors import StoreError
from platorep.core.files import read_parquet, table_facts
from platorep.core.samples import Samples
from platorep.core.store import FeatureStore
from platorep.core.stored import FeatureSet
from platorep.core.writer import FeatureWriter
from platorep.metrics.registry import parse
from platorep.results.tables import AlignmentTable
from tests.core.conftest import flip


METRICS = [parse("mutual_knn(k=5)"), parse("cka")]


@pytest.fixture
def models(model):
    return [model("a"), model("b"), model("c", modality="vision"), model("d", modality="vision")]


@pytest.fixture
def scored(models, tmp_path):
    """Scores the models under tmp_path/parts; returns the scoring function and the first table and bytes."""

    def score(**more):
        return align(list(product(models[:2], models[2:])), METRICS, out_dir=tmp_path / "parts", **more).frame

    frame = score()
    return score, frame, contents(tmp_path / "parts")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_parts_and_their_per_sample_files_say_what_they_were_made_from(models, scored, tmp_path):
    parts = [path for path in (tmp_path / "parts").iterdir() if ".samples." not in path.name]
    assert len(parts) == 8
    for path in parts:
        table, facts = AlignmentTable.read(path)
        x, y = (next(m for m in models if m.name == table.frame[f"{side}_model"].iloc[0]) for side in "xy")
        assert facts == {"part": path.name, "made_from": [x.content, y.content]}
        if "mutual_knn" in path.name:
            assert table_facts(read_parquet(samples_path(path))) == facts


def test_a_second_call_changes_nothing_and_reads_no_layer(scored, tmp_path, monkeypatch):
    score, frame, before = scored
    monkeypatch.setattr(FeatureSet, "load", None)
    pd.testing.assert_frame_equal(score(), frame, check_exact=True)
    assert contents(tmp_path / "parts") == before


@pytest.mark.parametrize("seed", range(24))
def test_any_damage_to_parts_leaves_the_scores_and_the_files_as_they_were(scored, tmp_path, seed, caplog):
    """Random damage to random files of parts: the next call gives the same table and the same bytes."""
    score, frame, before = scored
    chance = random.Random(seed)
    files = sorted((tmp_path / "parts").iterdir())
    for path in chance.sample(files, chance.randint(1, 4)):
        kind, other = chance.choice(["delete", "empty", "cut", "flip", "swap", "copy"]), chance.choice(files)
        if kind == "delete":
            path.unlink(missing_ok=True)
        elif not path.is_file() or not other.is_file() or not path.stat().st_size:
            continue
        elif kind == "empty":
            path.write_bytes(b"")
        elif kind == "cut":
            path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])
        elif kind == "flip":
            flip(path, chance.randrange(path.stat().st_size), chance.randrange(8))
        else:
            mine, theirs = path.read_bytes(), other.read_bytes()
            path.write_bytes(theirs)
            if kind == "swap":
                other.write_bytes(mine)
    pd.testing.assert_frame_equal(score(), frame, check_exact=True)
    changed = {name for name, raw in contents(tmp_path / "parts").items() if raw != before[name]}
    for name in changed:  # a bit that carries nothing may stay as it is
        assert read_parquet(tmp_path / "parts" / name).to_pydict()
    assert set(contents(tmp_path / "parts")) == set(before)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", range(0, 12, 2))
def test_a_kill_after_any_file_leaves_no_part_without_its_samples_in_the_end(models, scored, tmp_path, monkeypatch, at):
    score, frame, before = scored
    shutil.rmtree(tmp_path / "parts")
    real, done = os.replace, []

    def replace(source, target):
        if len(done) == at:
            raise Killed
        done.append(target)
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(Killed):
            score()
    assert len(contents(tmp_path / "parts")) == at
    pd.testing.assert_frame_equal(score(), frame, check_exact=True)
    assert contents(tmp_path / "parts") == before


def test_scores_are_made_again_when_the_features_under_their_key_are_others(models, scored, tmp_path, caplog):
    """A part of features that were damaged, and then mended, must not stay."""
    score, frame, before = scored
    a = models[0]
    right = [a.load(i).clone() for i in range(len(a.layers))]
    wrong = [values + 3.0 * torch.eye(*values.shape) for values in right]
    models[0] = rewritten(a, wrong)
    assert not score().score.equals(frame.score)
    assert caplog.text.count("is not of the features as they are now. Its scores are made again") == 4
    models[0] = rewritten(a, right)
    pd.testing.assert_frame_equal(score(), frame, check_exact=True)
    assert contents(tmp_path / "parts") == before


def rewritten(features, layers):
    """The same spec with other values, in the place of the features."""
    ids = [f"s{i}" for i in range(features.n)]
    store = FeatureStore(features.path.parents[1])
    writer = FeatureWriter(store, features.spec, Samples(ids, [[i] for i in ids]), 50, renew=True)
    for index, (start, stop) in enumerate(writer.bounds):
        named = zip(features.layers, layers, strict=True)
        writer.write(index, {layer.name: values[start:stop] for layer, values in named})
    return FeatureSet(writer.finish({}))


def test_features_that_were_damaged_are_refused_and_no_score_of_them_is_kept(models, scored, tmp_path):
    score, frame, _ = scored
    shutil.rmtree(tmp_path / "parts")
    flip(models[2].path / models[2].shards[1].file, -5, 6)
    with pytest.raises(StoreError, match=r"the values of layer .* are not those that were written"):
        score()
    assert not any("--c--" in path.name for path in (tmp_path / "parts").glob("*"))
    flip(models[2].path / models[2].shards[1].file, -5, 6)
    models[2] = FeatureSet(models[2].path)
    pd.testing.assert_frame_equal(score(), frame, check_exact=True)


def test_parts_of_an_earlier_version_are_read_and_one_warning_says_what_they_lack(models, scored, tmp_path, caplog):
    score, frame, _ = scored
    for path in (tmp_path / "parts").iterdir():
        table = read_parquet(path)
        metadata = {key: value for key, value in table.schema.metadata.items() if not key.startswith(b"platorep")}
        parquet.write_table(table.replace_schema_metadata(metadata), path)
    kept = contents(tmp_path / "parts")
    pd.testing.assert_frame_equal(score(), frame, check_exact=True)
    assert contents(tmp_path / "parts") == kept
    assert caplog.text.count("scores of an earlier version do not say which features they were made from") == 1


def test_a_part_without_all_its_rows_is_made_again_even_without_a_checksum(models, scored, tmp_path):
    score, frame, before = scored
    path = next(p for p in sorted((tmp_path / "parts").iterdir()) if ".samples." not in p.name)
    parquet.write_table(read_parquet(path).slice(0, 3).replace_schema_metadata({"pandas": "{}"}), path)
    pd.testing.assert_frame_equal(score(), frame, check_exact=True)
    assert contents(tmp_path / "parts") == before
