"""`store verify` reads every byte and names all damage; stores of earlier versions open and say what they lack."""

from __future__ import annotations

import json
import logging
import random
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from platorep.core import temporary
from platorep.core.errors import StoreError
from platorep.core.samples import Samples
from platorep.core.store import FeatureStore, replace, replacement, settle
from platorep.core.stored import FeatureSet
from platorep.core.verify import verify_store
from platorep.core.writer import FeatureWriter
from tests.core.conftest import MODEL, SPEC, complete, drawn, fill, flip


VERSION1 = Path(__file__).parent / "version1"


def faults(store, pattern="*"):
    return {result.path.name: [fault.text for fault in result.faults] for result in verify_store(store, pattern)}


# verify ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(store, samples, features):
    """Three extractions, in the order of their names."""
    return [complete(store, samples, features, SPEC.replace(model=MODEL.replace(name=name))) for name in "abc"]


def test_whole_features_have_no_faults(three, store):
    assert faults(store) == {one.path.name: [] for one in three}
    assert all(result.bytes == sum(shard.bytes for shard in three[0].shards) for result in verify_store(store))


def test_every_damaged_set_and_every_damaged_file_of_it_is_named(three, store):
    flip(three[0].path / three[0].shards[0].file)
    (three[0].path / three[0].shards[2].file).unlink()
    (three[2].path / "manifest.json").write_text("{")
    flip(three[2].path / three[2].shards[1].file, -20)
    found = faults(store)
    assert [len(found[one.path.name]) for one in three] == [2, 0, 2]
    assert "it changed after it was written" in found[three[0].path.name][0]
    assert "is missing, but its manifest says" in found[three[0].path.name][1]
    assert "manifest.json is damaged" in found[three[2].path.name][0]
    assert f"{three[2].shards[1].file}: the values of" in found[three[2].path.name][1]
    assert list(faults(store, "c")) == [three[2].path.name]


def test_features_in_a_folder_of_another_key_are_named(three, store):
    shutil.copytree(three[0].path, three[0].path.with_name("a--000000000000"))
    assert any("it was moved there" in text for text in faults(store)["a--000000000000"])
    assert faults(store)[three[0].path.name] == []


@pytest.mark.parametrize("change", ["ids", "fewer", "none", "damaged"])
def test_samples_that_are_not_those_of_the_features_are_named(three, store, samples, change):
    path = three[0].path.parent / "samples.json"
    path.unlink()
    if change == "ids":
        store.write_samples(SPEC.dataset, Samples(samples.ids[::-1], samples.captions))
    elif change == "fewer":
        store.write_samples(SPEC.dataset, Samples(samples.ids[:-1], samples.captions[:-1]))
    elif change == "damaged":
        path.write_text("[]")
    said = {"ids": "10 rows with digest", "fewer": "9 rows with digest", "none": "is missing", "damaged": "is damaged"}
    for texts in faults(store).values():
        assert len(texts) == 1
        assert said[change] in texts[0]


def test_rows_that_captions_multiply_are_verified_by_their_own_ids(store, features):
    spec = SPEC.replace(caption="all", combine="multiply_items")
    samples = Samples([f"s{i}" for i in range(5)], [["one", "two"]] * 5)
    store.write_samples(spec.dataset, samples)
    rows = Samples([f"s{i}#{j}" for i in range(5) for j in (0, 1)], [["x"]] * 10)
    writer = FeatureWriter(store, spec, rows, 4)
    fill(writer, features)
    writer.finish({})
    assert list(faults(store).values()) == [[]]


# replacement ----------------------------------------------------------------------------------------------------------


def test_what_replaces_features_is_made_beside_them_and_takes_their_place_at_the_end(store, samples, features):
    old, other = complete(store, samples, features), drawn(1)
    writer = FeatureWriter(store, SPEC, samples, 3, renew=True)
    fill(writer, other)
    assert all(torch.equal(FeatureStore(store.root).open(SPEC).load(name), values) for name, values in features.items())
    assert [one.path for one in store.find()] == [old.path]
    assert writer.finish({}) == old.path
    assert all(torch.equal(store.open(SPEC).load(name), values) for name, values in other.items())
    assert [path.name for path in old.path.parent.iterdir() if path.is_dir()] == [old.path.name]


def test_a_replacement_that_was_killed_goes_on_from_its_shards(store, samples, features):
    complete(store, samples, features)
    fill(FeatureWriter(store, SPEC, samples, 4, renew=True), features, [0, 2])
    assert FeatureWriter(store, SPEC, samples, 4, renew=True).missing() == [1]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("existing", [True, False])
def test_a_kill_at_any_step_of_a_replacement_leaves_the_old_or_the_new(
    store, samples, features, monkeypatch, at, existing
):
    """Each call that changes the disk is the last one once; whoever looks next finds one whole set."""
    if existing:
        complete(store, samples, features)
    writer = FeatureWriter(store, SPEC, samples, 3, renew=True)
    fill(writer, drawn(1))
    steps = 0

    def counted(real):
        def call(*args, **more):
            nonlocal steps
            if steps == at:
                raise Killed
            steps += 1
            return real(*args, **more)

        return call

    with monkeypatch.context() as patched:
        for place, name in (("os", "rename"), ("os", "replace"), ("shutil", "rmtree")):
            patched.setattr(f"{place}.{name}", counted(getattr(__import__(place), name)))
        try:
            writer.finish({})
        except Killed:
            pass
        else:
            assert at > 3  # the replacement has fewer steps: nothing was killed
    looked = FeatureStore(store.root)
    if not existing and not looked.has(SPEC):
        return  # killed before the new ones were complete
    found = looked.open(SPEC)
    values = {name: found.load(name) for name in features}
    assert any(all(torch.equal(values[name], of[name]) for name in of) for of in (features, drawn(1)))
    again = FeatureWriter(looked, SPEC, samples, 3, renew=True)
    fill(again, drawn(1))
    again.finish({})
    assert torch.equal(FeatureStore(store.root).open(SPEC).load(0), drawn(1)["layer.0"])
    assert [path.name for path in found.path.parent.iterdir() if path.is_dir()] == [found.path.name]


def test_of_two_who_replace_at_once_the_second_finds_its_work_done(store, samples, features):
    found = complete(store, samples, features)
    writer = FeatureWriter(store, SPEC, samples, 3, renew=True)
    fill(writer, drawn(1))
    writer.finish({})
    replace(found.path)
    settle(found.path)
    assert torch.equal(store.open(SPEC).load(0), drawn(1)["layer.0"])
    assert not replacement(found.path).exists()


def test_removing_features_removes_what_waits_to_replace_them(store, samples, features):
    found = complete(store, samples, features)
    fill(FeatureWriter(store, SPEC, samples, 3, renew=True), features, [0])
    store.remove(found)
    assert [path.name for path in found.path.parent.iterdir()] == ["samples.json"]


def test_a_kill_while_features_are_removed_leaves_all_or_nothing_of_them(store, samples, features, monkeypatch):
    found = complete(store, samples, features)
    real = shutil.rmtree

    def killed(path, *args, **more):
        next(Path(path).rglob("shard-*")).unlink()
        raise Killed

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(Killed):
        store.remove(found)
    monkeypatch.setattr(shutil, "rmtree", real)
    assert not found.path.exists()
    temporary._in_use.clear()  # as if the process that was killed had ended
    FeatureStore(store.root).tidy()
    assert [path.name for path in found.path.parent.iterdir()] == ["samples.json"]


# random damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_any_damage_is_found_or_changes_no_value(store, samples, features, seed):
    """One random change to one random file: opening or reading says so, or every value is the one that was written."""
    found = complete(store, samples, features, rows=3)
    chance = random.Random(seed)
    files = sorted(path for path in found.path.parent.rglob("*") if path.is_file())
    path = chance.choice(files)
    raw = bytearray(path.read_bytes())
    kind = chance.choice(["flip", "cut", "empty", "zero", "append", "swap", "duplicate", "insert", "delete"])
    place = chance.randrange(len(raw))
    if kind == "flip":
        raw[place] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del raw[place:]
    elif kind == "empty":
        raw.clear()
    elif kind == "zero":
        raw[place : place + 16] = b"\0" * len(raw[place : place + 16])
    elif kind == "append":
        raw += b"\0"
    elif kind == "insert":
        raw.insert(place, 32)
    elif kind == "delete":
        path.unlink()
    else:
        other = chance.choice(files)
        if kind == "swap":
            raw, second = bytearray(other.read_bytes()), bytes(raw)
            other.write_bytes(second)
        else:
            raw = bytearray(other.read_bytes())
    if kind != "delete":
        path.write_bytes(raw)
    looked = FeatureStore(store.root)
    try:
        opened = looked.open(SPEC)
        values = {name: opened.load(name) for name in features}
        figures, ids = opened.scalars, looked.read_samples(opened.path.parent)
    except StoreError as error:
        said = str(error)
    else:
        said = None
    if said is not None:
        assert str(found.path.parent) in said
        assert not looked.has(SPEC) or any(result.faults for result in verify_store(looked))
    else:
        assert all(torch.equal(values[name], features[name]) for name in features)
        assert (figures, ids) == ({"parameters": 7}, samples)


# earlier versions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path):
    """Features that version 0.1.0 stored, before there were checksums of layers."""
    shutil.copytree(VERSION1, tmp_path / "old")
    return FeatureStore(tmp_path / "old" / "features")


def test_features_of_the_first_version_are_read_and_a_warning_says_what_cannot_be_checked(old, caplog):
    net, words = (old.find(name)[0] for name in ("vit_random", "tfidf"))
    assert (net.n, words.n, net.digest) == (24, 24, words.digest)
    shards = [load_file(path) for path in sorted(net.path.glob("shard-*"))]
    for layer in net.layers:
        assert torch.equal(net.load(layer.name), torch.cat([shard[layer.name] for shard in shards]))
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1  # once, not for every layer
    assert "vit_random on synthetic was stored by an earlier version without checksums of its layers" in warned[0]
    assert old.read_samples(net.path.parent).digest == net.digest


def test_the_first_version_s_features_are_whole_with_a_note_and_a_changed_byte_is_found(old):
    results = list(verify_store(old))
    assert [result.faults for result in results] == [[], []]
    assert all("stored by an earlier version" in result.notes[0] for result in results)
    flip(next(results[0].path.glob("shard-*")))
    assert "it changed after it was written" in next(verify_store(old)).faults[0].text


def test_the_content_of_the_first_version_s_features_changes_with_their_shards(old):
    (net,) = old.find("vit_random")
    values = json.loads((net.path / "manifest.json").read_text())
    values["shards"][0]["sha256"] = "0" * 64
    (net.path / "manifest.json").write_text(json.dumps(values))
    assert FeatureSet(net.path).content != net.content
