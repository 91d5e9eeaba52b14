"""Damaged features are made again: the damaged shards alone, by `extract` and by `store repair`."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
import torch

from platorep.core.errors import SpecError, StoreError
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureStore
from platorep.core.verify import verify_store
from platorep.core.writer import FeatureWriter
from platorep.data import open_dataset
from platorep.extract import extract, is_whole
from platorep.extract.repair import repair
from platorep.models import resolve
from tests import small_models
from tests.core.conftest import MODEL, complete, drawn, flip
from tests.extract.conftest import CPU, resources, shard_bytes


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A spec, its pairs, and the bytes of an undisturbed extraction."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("job")
    pairs = open_dataset(DatasetSpec(name="synthetic", source="synthetic", n=23))
    spec = ExtractSpec(model=resolve(small_models.llama(root / "llama"), CPU), dataset=pairs.spec)
    store = FeatureStore(root / "features")
    store.write_samples(pairs.spec, pairs.samples)
    whole = shard_bytes(extract(spec, pairs, store, resources()))
    yield spec, pairs, whole, store.open(spec).scalars
    torch.set_num_threads(threads)


@pytest.fixture
def stored(job, tmp_path):
    """A store with a whole extraction, and its folder."""
    spec, pairs, *_ = job
    store = FeatureStore(tmp_path / "features")
    store.write_samples(pairs.spec, pairs.samples)
    return store, extract(spec, pairs, store, resources())


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*")}


@pytest.mark.parametrize("damage", ["missing", "cut short", "of zeros", "of another place"])
def test_extract_makes_again_the_shards_that_cannot_be_opened_and_no_others(job, stored, caplog, damage):
    spec, pairs, whole, scalars = job
    store, folder = stored
    bad, other = sorted(folder.glob("shard-*"))[1:3]
    before = times(folder)
    if damage == "missing":
        bad.unlink()
    else:
        raw = bad.read_bytes()
        bad.write_bytes(
            {"cut short": raw[:99], "of zeros": bytes(len(raw)), "of another place": other.read_bytes()}[damage]
        )
    assert not is_whole(store, spec)
    extract(spec, pairs, store, resources())
    assert bad.name in caplog.text
    assert shard_bytes(folder) == whole
    assert {name for name, when in times(folder).items() if before[name] != when} == {bad.name}
    assert store.open(spec).scalars == scalars


def test_extract_writes_a_damaged_manifest_anew_and_keeps_the_shards(job, stored):
    spec, pairs, _, scalars = job
    store, folder = stored
    before = times(folder)
    (folder / "manifest.json").write_text("{")
    extract(spec, pairs, store, resources())
    assert times(folder) == before
    assert store.open(spec).scalars == scalars


def test_a_value_that_changed_before_a_restart_is_made_again(job, stored):
    spec, pairs, whole, _ = job
    store, folder = stored
    (folder / "manifest.json").unlink()
    bad = sorted(folder.glob("shard-*"))[2]
    flip(bad)
    extract(spec, pairs, store, resources())
    assert shard_bytes(folder) == whole


@pytest.mark.parametrize("seed", range(6))
def test_repair_makes_whatever_was_damaged_again(job, stored, seed):
    spec, _, whole, scalars = job
    store, folder = stored
    chance = random.Random(seed)
    shards = sorted(folder.glob("shard-*"))
    bad = chance.sample(shards, chance.randint(1, len(shards)))
    for path in bad:
        if chance.random() < 0.3:
            path.unlink()
        else:
            flip(path, chance.randrange(path.stat().st_size), chance.randrange(8))
    before = times(folder)
    if chance.random() < 0.5:
        (folder.parent / "samples.json").unlink()
    (result,) = repair(store, resources(shard_rows=99))
    assert result == (folder, True, "mended")
    assert shard_bytes(folder) == whole
    assert {name for name, when in times(folder).items() if before.get(name) != when} == {path.name for path in bad}
    assert FeatureStore(store.root).open(spec).scalars == scalars
    assert [one.faults for one in verify_store(store)] == [[]]
    assert [one.text for one in repair(store, resources())] == ["whole"]


def test_repair_goes_on_after_what_it_cannot_mend_and_says_what_is_to_be_done(job, stored, tmp_path):
    store, folder = stored
    samples = Samples([f"s{i}" for i in range(10)], [["x"]] * 10)
    scans = DatasetSpec(name="scans", source="folder", id="imported")
    for name, source in (("lost", "timm"), ("brain", "imported")):
        model = MODEL.replace(name=name, source=source)
        complete(store, samples, drawn(0), ExtractSpec(model=model, dataset=scans))
    lost, brain = (next(store.root.glob(f"scans--*/{name}--*")) for name in ("lost", "brain"))
    (lost / "manifest.json").write_text("[]")
    flip(next(brain.glob("shard-*")))
    flip(sorted(folder.glob("shard-*"))[0])
    found = {result.path.name.split("--")[0]: result for result in repair(store, resources())}
    assert not found["lost"].whole
    assert "`platorep extract` with the original arguments writes it again" in found["lost"].text
    assert not (lost / "manifest.json").exists()
    assert "import its file again" in found["brain"].text
    assert found["llama"].text == "mended"


def test_repair_says_why_features_cannot_be_made_again(job, stored, tmp_path):
    store, _ = stored
    gone = MODEL.replace(name="gone", id="no_such_architecture", weights="random")
    spec = ExtractSpec(model=gone, dataset=job[1].spec)
    complete_on(store, job[1].samples, spec)
    (bad,) = store.find("gone")
    flip(next(bad.path.glob("shard-*")))
    (result,) = repair(store, resources(), "gone")
    assert not result.whole
    assert "cannot be extracted again: unknown timm architecture 'no_such_architecture'" in result.text


def complete_on(store, samples, spec):
    writer = FeatureWriter(store, spec, samples, 99)
    writer.write(0, {"layer": torch.ones(len(samples.ids), 2)})
    writer.finish({})


# overwriting ----------------------------------------------------------------------------------------------------------


def test_an_extraction_is_replaced_only_by_a_whole_one(job, stored, monkeypatch):
    spec, pairs, whole, _ = job
    store, folder = stored

    class Stopped(Exception):
        pass

    def stop(done, total, name):
        assert store.open(spec).n == 23  # the old ones are there all the time
        if done > 10:
            raise Stopped

    with pytest.raises(Stopped):
        extract(spec, pairs, store, resources(), renew=True, progress=stop)
    assert shard_bytes(folder) == whole
    seen = []
    extract(spec, pairs, store, resources(), renew=True, progress=lambda done, total, name: seen.append(total))
    assert set(seen) == {9}  # two shards of seven rows were there from the first time
    assert shard_bytes(folder) == whole
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_a_replacement_cannot_be_shared_out(job, stored):
    spec, pairs, *_ = job
    with pytest.raises(
        SpecError, match=r"overwrite=true replaces whole extractions .*\(shard=0/2\). Remove them first"
    ):
        extract(spec, pairs, stored[0], resources(shard=(0, 2)), renew=True)


# rows a shard ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_shares_with_different_numbers_of_rows_never_make_a_set_of_both(job, tmp_path, seed):
    """However runs with other shards are mixed and stopped, what is complete in the end has all rows, in order."""
    _, pairs, *_ = job
    pixels = ModelSpec(name="pixels", modality="vision", source="pixels", id="pixels-16x16")
    spec = ExtractSpec(model=resolve(pixels, CPU), dataset=pairs.spec)
    alone = FeatureStore(tmp_path / "alone")
    extract(spec, pairs, alone, resources())
    store = FeatureStore(tmp_path / "features")
    store.write_samples(pairs.spec, pairs.samples)
    chance = random.Random(seed)

    class Stopped(BaseException):
        pass

    def stop(done, total, name):
        if done >= last:
            raise Stopped

    for _ in range(6):
        share, last = chance.choice([(0, 2), (1, 2), (0, 3)]), chance.randint(1, 24)
        shares = resources(shard_rows=chance.choice([7, 6, 8, 3]), shard=share)
        with contextlib.suppress(Stopped):
            extract(spec, pairs, store, shares, progress=stop)
    extract(spec, pairs, store, resources(shard_rows=chance.choice([7, 6, 8, 3])))
    found = store.open(spec)
    assert found.content == alone.open(spec).content
    assert torch.equal(found.load(0), alone.open(spec).load(0))
    assert {path.name for path in found.path.glob("shard-*")} == {shard.file for shard in found.shards}
    assert [one.faults for one in verify_store(store)] == [[]]


def test_a_manifest_written_over_a_missing_shard_is_never_scored(job, stored):
    spec, *_ = job
    store, folder = stored
    values = json.loads((folder / "manifest.json").read_text())
    values["shards"], values["n"] = values["shards"][1:], 16
    (folder / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(StoreError, match="manifest.json is damaged"):
        store.open(spec)
