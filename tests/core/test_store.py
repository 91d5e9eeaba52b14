"""The store: whole or absent, resumable, and it refuses what does not fit."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file

from platorep.core.errors import FeatureError, StoreError, UnknownNameError
from platorep.core.samples import Samples, ids_digest
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.core.writer import FeatureWriter, shard_bounds


MODEL = ModelSpec(name="net", modality="vision", source="timm", id="net", revision="r1")
SPEC = ExtractSpec(model=MODEL, dataset=DatasetSpec(name="pairs", source="synthetic", revision="r1"))
N, DIMS = 10, (3, 5)


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "features")


@pytest.fixture
def samples():
    return Samples(ids=[f"s{i}" for i in range(N)], captions=[[f"caption {i}"] for i in range(N)])


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return {f"layer.{i}": torch.randn(N, dim, generator=generator) for i, dim in enumerate(DIMS)}


def fill(writer, features, indices=None, **scalars):
    for i in writer.missing() if indices is None else indices:
        start, stop = writer.bounds[i]
        writer.write(i, {k: v[start:stop] for k, v in features.items()}, {k: v[start:stop] for k, v in scalars.items()})


def complete(store, samples, features, spec=SPEC, rows=4):
    writer = FeatureWriter(store, spec, samples, rows)
    fill(writer, features, bits=list(range(N)))
    writer.finish({"parameters": 7})
    return store.open(spec)


@pytest.mark.parametrize("rows", [1, 3, 10, 99])
def test_what_was_written_is_read_whatever_the_shard_size(store, samples, features, rows):
    found = complete(store, samples, features, rows=rows)
    assert [(layer.name, layer.dim) for layer in found.layers] == [("layer.0", 3), ("layer.1", 5)]
    for i, (name, values) in enumerate(features.items()):
        assert torch.equal(found.load(i), values)
        assert torch.equal(found.load(name, rows=slice(2, 7)), values[2:7])
    assert (found.n, found.digest, found.scalars) == (N, samples.digest, {"parameters": 7})


def test_sample_scalars_come_back_in_dataset_order(store, samples, features):
    writer = FeatureWriter(store, SPEC, samples, 3)
    fill(writer, features, indices=[2, 0, 3, 1], bits=[float(i) for i in range(N)])
    assert writer.sample_scalars() == {"bits": [float(i) for i in range(N)]}


def test_restart_writes_only_the_missing_shards(store, samples, features):
    writer = FeatureWriter(store, SPEC, samples, 4)
    fill(writer, features, indices=[1])
    assert FeatureWriter(store, SPEC, samples, 4).missing() == [0, 2]


def test_no_manifest_means_not_complete(store, samples, features):
    writer = FeatureWriter(store, SPEC, samples, 4)
    fill(writer, features, indices=[0])
    assert not store.has(SPEC)
    with pytest.raises(StoreError, match=r"shards \[1, 2\] are not written yet"):
        writer.finish({})
    with pytest.raises(StoreError, match="no complete features at .* Run `platorep extract`"):
        store.open(SPEC)


def test_two_writers_leave_the_bytes_of_one(store, samples, features, tmp_path):
    alone = complete(FeatureStore(tmp_path / "other"), samples, features)
    one, two = FeatureWriter(store, SPEC, samples, 4), FeatureWriter(store, SPEC, samples, 4)
    for i in range(3):
        fill(one, features, [i], bits=list(range(N)))
        fill(two, features, [i], bits=list(range(N)))
    one.finish({"parameters": 7})
    two.finish({"parameters": 7})
    assert [s.sha256 for s in store.open(SPEC).shards] == [s.sha256 for s in alone.shards]


def test_no_temporary_file_stays_behind(store, samples, features):
    complete(store, samples, features)
    assert not [p for p in store.root.rglob("*") if p.name.endswith(".tmp")]


def test_what_a_kill_left_is_removed_after_a_day_and_not_before(store, samples, features):
    writer = FeatureWriter(store, SPEC, samples, 4)
    fill(writer, features)
    old, young = writer.path / ".shard.1.ab.tmp", writer.path / ".shard.2.cd.tmp"
    old.touch(), young.touch()
    os.utime(old, (0, 0))
    writer.finish({})
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused_with_layer_and_sample(store, samples, features, bad):
    features["layer.1"][5, 2] = bad
    with pytest.raises(FeatureError, match=r"net, layer layer.1: NaN or infinity for sample 's5' \(1 of 4 rows\)"):
        fill(FeatureWriter(store, SPEC, samples, 4), features)


def test_overflow_of_the_storage_dtype_is_named(store, samples, features):
    features["layer.0"][0, 0] = 1e6
    with pytest.raises(FeatureError, match="it overflows torch.float16"):
        fill(FeatureWriter(store, SPEC.replace(storage_dtype="float16"), samples, 4), features)


def test_wrong_number_of_rows_is_refused(store, samples, features):
    with pytest.raises(FeatureError, match=r"got shape \(3, 3\), expected \(4, width\)"):
        FeatureWriter(store, SPEC, samples, 4).write(0, {"layer.0": features["layer.0"][:3]})


def test_truncated_shard_is_found_on_opening(store, samples, features):
    found = complete(store, samples, features)
    file = found.path / found.shards[1].file
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(StoreError, match=rf"{file.name} has \d+ bytes, but its manifest says \d+ bytes"):
        store.open(SPEC)


def test_missing_shard_is_found_on_opening(store, samples, features):
    found = complete(store, samples, features)
    (found.path / found.shards[2].file).unlink()
    with pytest.raises(StoreError, match="is missing, but its manifest says"):
        store.open(SPEC)


def test_changed_bytes_are_found_by_verify_and_not_before(store, samples, features):
    found = complete(store, samples, features)
    found.verify()
    file = found.path / found.shards[0].file
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    changed = store.open(SPEC)
    with pytest.raises(StoreError, match="it changed after it was written"):
        changed.verify()


def test_damaged_manifest_is_named(store, samples, features):
    found = complete(store, samples, features)
    (found.path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest.json is damaged"):
        store.open(SPEC)


def test_manifest_of_another_spec_is_refused_with_the_fields_that_differ(store, samples, features):
    complete(store, samples, features)
    other = SPEC.replace(model=MODEL.replace(seed=9))
    store.dir(SPEC).rename(store.dir(other))
    with pytest.raises(StoreError, match=r"they differ in model.seed \(stored 0, asked 9\)"):
        store.open(other)


def test_unknown_layer_is_answered_with_the_known(store, samples, features):
    found = complete(store, samples, features)
    with pytest.raises(UnknownNameError, match="unknown layer of net 'layer.9'. Did you mean 'layer.1' or 'layer.0'"):
        found.load("layer.9")
    with pytest.raises(StoreError, match="net has 2 layers; got layer 2"):
        found.load(2)


def test_shards_with_other_layers_are_refused(store, samples, features):
    writer = FeatureWriter(store, SPEC, samples, 5)
    fill(writer, features, [0])
    fill(writer, {"other": features["layer.0"]}, [1])
    with pytest.raises(StoreError, match="holds other layers than the shards before it"):
        writer.finish({})


def test_shard_of_another_spec_under_our_name_is_written_again(store, samples, features):
    writer = FeatureWriter(store, SPEC, samples, 4)
    fill(writer, features)
    file = writer.path / "shard-00001-of-00003.safetensors"
    save_file({"layer.0": torch.zeros(4, 3)}, file, metadata={"platorep": '{"key": "other"}'})
    assert writer.missing() == [1]


def test_samples_that_changed_under_the_same_revision_are_refused(store, samples):
    store.write_samples(SPEC.dataset, samples)
    store.write_samples(SPEC.dataset, samples)
    with pytest.raises(StoreError, match="the source changed under the same revision"):
        store.write_samples(SPEC.dataset, Samples(samples.ids[:-1], samples.captions[:-1]))


def test_edited_samples_are_found(store, samples):
    path = store.write_samples(SPEC.dataset, samples)
    assert store.read_samples(path.parent) == samples
    values = json.loads(path.read_text())
    values["ids"][0] = "changed"
    path.write_text(json.dumps(values))
    with pytest.raises(StoreError, match="it was edited"):
        store.read_samples(path.parent)


def test_numbers_of_pictures_are_kept_and_samples_from_before_they_were_counted_are_read(store, samples):
    counted = Samples(samples.ids, samples.captions, pictures=[2] * N)
    path = store.write_samples(SPEC.dataset, counted)
    assert store.read_samples(path.parent) == counted
    values = json.loads(path.read_text())
    del values["pictures"]
    path.write_text(json.dumps(values))
    assert store.read_samples(path.parent) == samples


def test_digest_tells_apart_lists_that_join_to_the_same_text():
    assert ids_digest(["ab", "c"]) != ids_digest(["a", "bc"])
    assert ids_digest(["a", "b"]) != ids_digest(["b", "a"])


def test_find_and_remove(store, samples, features):
    complete(store, samples, features)
    complete(store, samples, features, SPEC.replace(model=MODEL.replace(name="other")))
    assert [one.name for one in store.find()] == ["net", "other"]
    assert [one.name for one in store.find("net--*")] == ["net"]
    store.remove(next(store.find("net--*")))
    assert [one.name for one in store.find()] == ["other"]


@pytest.mark.parametrize(
    ("n", "rows", "expected"), [(10, 4, [(0, 4), (4, 8), (8, 10)]), (4, 4, [(0, 4)]), (1, 9, [(0, 1)])]
)
def test_shard_bounds_cover_every_row_once(n, rows, expected):
    assert shard_bounds(n, rows) == expected


def test_feature_set_of_an_empty_folder(tmp_path):
    with pytest.raises(StoreError, match="no manifest.json"):
        FeatureSet(tmp_path)
