"""The store: whole or absent, resumable, and it refuses what does not fit."""

import json
import os
import random

import pytest
import torch
from safetensors.torch import load_file, save_file

from platorep.core.errors import FeatureError, StoreError, UnknownNameError
from platorep.core.files import write_record
from platorep.core.samples import Samples, ids_digest
from platorep.core.store import FeatureStore
from platorep.core.stored import FeatureSet
from platorep.core.temporary import _machine
from platorep.core.writer import FeatureWriter, shard_bounds
from tests.core.conftest import MODEL, SPEC, N, complete, drawn, fill, flip


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


@pytest.mark.parametrize("damage", ["cut short", "missing", "emptied", "of zeros", "of another place", "of other rows"])
def test_a_damaged_shard_is_named_on_opening(store, samples, features, damage):
    found = complete(store, samples, features)
    file, other = (found.path / found.shards[i].file for i in (1, 0))
    size = file.stat().st_size
    if damage == "cut short":
        file.write_bytes(file.read_bytes()[:-8])
    elif damage == "missing":
        file.unlink()
    elif damage == "emptied":
        file.write_bytes(b"")
    elif damage == "of zeros":
        file.write_bytes(b"\0" * size)
    elif damage == "of another place":
        file.write_bytes(other.read_bytes())
    else:
        tensors = load_file(file)
        save_file({name: values[:-1] for name, values in tensors.items()}, file, metadata={"platorep": "{}"})
    with pytest.raises(StoreError, match=rf"{file.name} .*`platorep store repair` extracts damaged shards again"):
        store.open(SPEC)


def test_all_damaged_shards_are_named(store, samples, features):
    found = complete(store, samples, features, rows=1)
    for shard in found.shards[:7]:
        (found.path / shard.file).unlink()
    with pytest.raises(StoreError) as stopped:
        store.open(SPEC)
    assert str(stopped.value).count("is missing, but its manifest says") == 5
    assert "2 more shards are damaged" in str(stopped.value)


def test_swapped_shards_of_one_size_are_found_on_opening(store, samples, features):
    found = complete(store, samples, features)
    one, two = (found.path / found.shards[i].file for i in (0, 1))
    assert one.stat().st_size == two.stat().st_size
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second), two.write_bytes(first)
    with pytest.raises(StoreError, match=r"holds another rows than its manifest says: \(4, 8\), expected \(0, 4\)"):
        store.open(SPEC)


def test_a_changed_value_is_found_when_its_layer_is_read_and_the_other_layers_are_read_as_before(
    store, samples, features
):
    found = complete(store, samples, features)
    for place in (-1, -100, -160):
        flip(found.path / found.shards[1].file, place)
    opened = FeatureSet(found.path)
    outcomes = {}
    for name, values in features.items():
        try:
            outcomes[name] = torch.equal(opened.load(name), values)
        except StoreError as error:
            outcomes[name] = str(error)
    refused = {name: said for name, said in outcomes.items() if said is not True}
    assert refused
    for name, said in refused.items():
        assert f"{opened.shards[1].file}: the values of layer {name} are not those that were written" in str(said)


def test_rows_of_whole_shards_can_be_read_beside_a_damaged_one(store, samples, features):
    found = complete(store, samples, features)
    file = found.path / found.shards[1].file
    tensors = load_file(file)
    at = file.read_bytes().index(tensors["layer.0"].numpy().tobytes())
    flip(file, at)
    opened = FeatureSet(found.path)
    assert torch.equal(opened.load(0, rows=slice(0, 4)), features["layer.0"][:4])
    with pytest.raises(StoreError, match="are not those that were written"):
        opened.load(0, rows=slice(7, 8))


def test_a_layer_that_was_checked_is_checked_again_after_its_file_has_changed(store, samples, features):
    found = complete(store, samples, features)
    assert torch.equal(found.load(1), features["layer.1"])
    file = found.path / found.shards[0].file
    changed = file.read_bytes().replace(features["layer.1"][:4].numpy().tobytes(), b"\1" * 80)
    (found.path / "aside").write_bytes(changed)
    (found.path / "aside").rename(file)
    with pytest.raises(StoreError, match="are not those that were written"):
        found.load(1, rows=slice(0, 1))


def test_no_rows_are_an_empty_layer(store, samples, features):
    assert complete(store, samples, features).load(0, rows=slice(3, 3)).shape == (0, 3)


def test_damaged_manifest_is_named(store, samples, features):
    found = complete(store, samples, features)
    (found.path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest.json is damaged"):
        store.open(SPEC)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"text"', "{}", "\xff", "[" * 100_000, "{", "", '{"schema": 3}'])
def test_a_manifest_of_another_shape_is_named(store, samples, features, text):
    found = complete(store, samples, features)
    (found.path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(StoreError, match=r"manifest.json (is damaged|has schema)"):
        store.open(SPEC)


def changes():
    """Ways to change a manifest, each with what is said of it once its checksum is right again."""
    return {
        "shards reversed": (lambda m: m["shards"].reverse(), r"has rows 8 to 10, expected rows from 0"),
        "shard dropped": (lambda m: m["shards"].pop(), "its shards hold 8 rows, it states 10"),
        "shard twice": (lambda m: m["shards"].insert(1, m["shards"][0]), "has rows 0 to 4, expected rows from 4"),
        "no shards": (lambda m: m.update(shards=[]), "its shards hold 0 rows"),
        "layers reversed": (lambda m: m["layers"].reverse(), "holds another layers"),
        "layer dropped": (lambda m: m["layers"].pop(), "2 checksums for 1 layers"),
        "no layers": (lambda m: m.update(layers=[]), "it has no layers"),
        "layer twice": (lambda m: m["layers"][1].update(name="layer.0"), "it has no layers, or one of them twice"),
        "n": (lambda m: m.update(n=9), "its shards hold 10 rows, it states 9"),
        "key": (lambda m: m.update(key="0" * 12), "its key is 000000000000, but its spec has the key"),
        "digest": (lambda m: m.update(sample_digest="0" * 64), "holds another sample digest"),
        "seed": (lambda m: m["spec"]["model"].update(seed=1), "but its spec has the key"),
        "width": (lambda m: m["layers"][0].update(dim=4), "holds another layers"),
        "dtype": (lambda m: m["layers"][0].update(dtype="F16"), "has width 3 and dtype F16"),
        "storage dtype": (lambda m: m["spec"].update(storage_dtype="float16"), "but its spec has the key"),
        "rows": (lambda m: m["shards"][0].update(stop=5), "has rows 4 to 8, expected rows from 5"),
        "size": (lambda m: m["shards"][0].update(bytes=5), "but its manifest says 5 bytes"),
        "checksum": (lambda m: m["shards"][0]["hashes"].reverse(), "holds another checksums"),
        "file outside": (lambda m: m["shards"][0].update(file="../../x.safetensors"), "is not the name of a shard"),
        "field missing": (lambda m: m.pop("shards"), "Manifest lacks shards"),
        "field of another type": (lambda m: m.update(n="10"), r"Manifest.n is '10' \(str\); expected int"),
        "field unknown": (lambda m: m.update(rows=10), "unknown field of Manifest 'rows'"),
    }


@pytest.mark.parametrize("change", changes())
def test_a_changed_manifest_is_found_by_its_checksum_and_by_what_it_says(store, samples, features, change):
    found = complete(store, samples, features)
    path, (apply, said) = found.path / "manifest.json", changes()[change]
    values = json.loads(path.read_text())
    apply(values)
    path.write_text(json.dumps(values))
    with pytest.raises(StoreError, match=r"manifest.json is damaged \(its contents do not match its checksum"):
        store.open(SPEC)
    del values["checksum"]
    write_record(path, values)
    with pytest.raises(StoreError, match=said):
        store.open(SPEC)


def leaves(value, place=()):
    """Places of everything that is no mapping in a manifest, but what no other file can confirm."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not place and name in ("scalars", "provenance", "checksum"):
                continue
            yield from leaves(inner, (*place, name))
    else:
        yield place
        if isinstance(value, list):
            for number, inner in enumerate(value):
                yield from leaves(inner, (*place, number))


def altered(value, chance):
    """Another value of the same kind, or None."""
    if chance.random() < 0.2:
        return None
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + chance.choice([-1, 1, 7])
    if isinstance(value, str):
        place = chance.randrange(len(value) + 1)
        return chance.choice([value[:place] + "x" + value[place + 1 :], value[::-1] + "x", ""])
    if isinstance(value, list) and value:
        return chance.choice([value[1:], value[:-1], value[::-1], [*value, value[0]]])
    return "x"


@pytest.mark.parametrize("seed", range(60))
def test_any_change_of_what_a_manifest_says_is_found_or_changes_nothing_but_a_label(store, samples, features, seed):
    """With the checksum of the changed manifest: spec, key, headers, bounds and samples must agree by themselves."""
    found, chance = complete(store, samples, features), random.Random(seed)
    path = found.path / "manifest.json"
    values = json.loads(path.read_text())
    *outer, last = chance.choice(list(leaves(values)))
    node = values
    for name in outer:
        node = node[name]
    before, node[last] = node[last], altered(node[last], chance)
    del values["checksum"]
    write_record(path, values)
    looked = FeatureStore(store.root)
    try:
        opened = looked.open(SPEC)
    except StoreError as error:
        said = str(error)
    else:
        said = None
    if said is not None:
        assert str(found.path) in said
        assert before != node[last]
    else:
        assert (opened.key, opened.n, opened.digest) == (found.key, found.n, found.digest)
        assert [layer.name for layer in opened.layers] == [layer.name for layer in found.layers]
        assert all(torch.equal(opened.load(name), tensor) for name, tensor in features.items())


def test_a_figure_changed_in_the_manifest_is_found(store, samples, features):
    path = complete(store, samples, features).path / "manifest.json"
    path.write_text(path.read_text().replace('"parameters": 7', '"parameters": 8'))
    with pytest.raises(StoreError, match="do not match its checksum"):
        store.open(SPEC)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if '"checksum"' not in line))
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
    file = sorted(writer.path.glob("shard-*"))[1]
    save_file({"layer.0": torch.zeros(4, 3)}, file, metadata={"platorep": '{"key": "other"}'})
    assert writer.absent() == [1]
    assert writer.missing() == [1]


def test_a_shard_that_changed_before_the_manifest_is_written_is_found(store, samples, features):
    writer = FeatureWriter(store, SPEC, samples, 4)
    fill(writer, features)
    file = sorted(writer.path.glob("shard-*"))[2]
    flip(file)
    assert writer.absent() == []
    with pytest.raises(StoreError, match=rf"{file.name} changed after being written. Run the same command again"):
        writer.finish({})
    assert writer.missing() == [2]
    assert writer.missing([0, 1]) == []
    fill(writer, features, bits=list(range(N)))
    writer.finish({})
    assert torch.equal(store.open(SPEC).load(0), features["layer.0"])


@pytest.mark.parametrize(("first", "second"), [(4, 3), (3, 4), (8, 9), (9, 8), (5, 9)])
def test_a_restart_with_other_shards_of_the_same_number_takes_none_of_the_old(store, samples, first, second):
    """Their names coincided once, where the number of shards is the same: rows were lost without a word."""
    stale, fresh = drawn(1), drawn(2)
    fill(FeatureWriter(store, SPEC, samples, first), stale, [0])
    found = complete(store, samples, fresh, rows=second)
    assert all(torch.equal(found.load(name), values) for name, values in fresh.items())
    assert {path.name for path in found.path.glob("shard-*")} == {shard.file for shard in found.shards}


@pytest.mark.parametrize("rows", [(4, 3), (3, 4)])
def test_two_writers_with_other_shards_at_once_leave_one_whole_set(store, samples, features, rows):
    one, two = (FeatureWriter(store, SPEC, samples, number) for number in rows)
    for i in range(4):
        fill(one, features, [i] if i < len(one.bounds) else [])
        fill(two, features, [i] if i < len(two.bounds) else [])
    one.finish({})
    first = store.open(SPEC)
    assert two.absent()  # the first to finish has removed what its manifest does not list
    fill(two, features)
    two.finish({})
    found = FeatureStore(store.root).open(SPEC)
    assert [shard.file for shard in found.shards] == [shard.file for shard in first.shards]
    assert {path.name for path in found.path.glob("shard-*")} == {shard.file for shard in found.shards}
    assert all(torch.equal(found.load(name), values) for name, values in features.items())


def test_a_writer_that_was_overtaken_leaves_no_shard_behind(store, samples, features):
    late = FeatureWriter(store, SPEC, samples, 3)
    found = complete(store, samples, features)
    fill(late, features, [0, 1])
    late.discard()
    assert {path.name for path in found.path.glob("shard-*")} == {shard.file for shard in found.shards}


@pytest.mark.parametrize("rows", [0, -1])
def test_shards_without_rows_are_refused(store, samples, rows):
    with pytest.raises(StoreError, match=f"shard_rows is {rows}; expected at least 1"):
        FeatureWriter(store, SPEC, samples, rows)


def test_the_content_is_that_of_the_values_whatever_the_shards(store, samples, features, tmp_path):
    contents = {
        rows: complete(FeatureStore(tmp_path / str(rows)), samples, features, rows=rows).content for rows in (1, 4, 99)
    }
    assert len(set(contents.values())) == 1
    features["layer.1"][9, 4] += 1
    assert complete(store, samples, features).content not in contents.values()


def test_samples_that_changed_under_the_same_revision_are_refused(store, samples):
    store.write_samples(SPEC.dataset, samples)
    store.write_samples(SPEC.dataset, samples)
    with pytest.raises(StoreError, match="the source changed under the same revision"):
        store.write_samples(SPEC.dataset, Samples(samples.ids[:-1], samples.captions[:-1]))


def test_what_a_kill_left_beside_whole_samples_is_removed_when_they_are_next_stored(store, samples):
    """A kill between the file's new name and the end of its temporary folder; `store import` writes it only once."""
    path = store.write_samples(SPEC.dataset, samples)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    left = path.parent / f".tmp-{_machine()}-{child}-{'0' * 8}"
    left.mkdir()
    alive = path.parent / f".tmp-{_machine()}-{os.getppid()}-{'0' * 8}"
    alive.mkdir()
    store.write_samples(SPEC.dataset, samples)
    assert not left.exists()
    assert alive.exists()


def test_edited_samples_are_found(store, samples):
    path = store.write_samples(SPEC.dataset, samples)
    assert store.read_samples(path.parent) == samples
    whole = path.read_text()
    for word in ("s0", "caption 3"):
        path.write_text(whole.replace(f'"{word}"', '"changed"'))
        with pytest.raises(StoreError, match=r"samples.json is damaged .* changed after it was written"):
            store.read_samples(path.parent)
    values = json.loads(whole.replace('"s0"', '"changed"'))
    del values["checksum"]
    write_record(path, values)
    with pytest.raises(StoreError, match="it was edited"):
        store.read_samples(path.parent)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ids", "s0"), ("ids", []), ("ids", [1, 2]), ("captions", None), ("captions", [["a"]]), ("captions", ["a"] * N),
        ("captions", [[1]] * N), ("categories", ["a"]), ("categories", "a"), ("dropped", None), ("dropped", [1]),
        ("pictures", [1]), ("pictures", ["1"] * N),
    ],
)  # fmt: skip
def test_samples_of_another_shape_are_named(store, samples, field, value):
    path = store.write_samples(SPEC.dataset, samples)
    values = {**json.loads(path.read_text()), field: value}
    del values["checksum"]
    write_record(path, values)
    with pytest.raises(StoreError, match=rf"samples.json is damaged \({field} "):
        store.read_samples(path.parent)


def test_samples_without_numbers_of_pictures_are_read(store, samples):
    counted = Samples(samples.ids, samples.captions, pictures=[2] * N)
    path = store.write_samples(SPEC.dataset, counted)
    assert store.read_samples(path.parent) == counted
    values = json.loads(path.read_text())
    del values["pictures"], values["checksum"]
    write_record(path, values)
    assert store.read_samples(path.parent) == samples


def test_digest_tells_apart_lists_that_join_to_the_same_text():
    assert ids_digest(["ab", "c"]) != ids_digest(["a", "bc"])
    assert ids_digest(["a", "b"]) != ids_digest(["b", "a"])


NAMES = ["net", "my model", "org/model", "a[1]", "a*b", "模型", "модель", "-", "x" * 300, "a--b", "net--", ".."]


@pytest.mark.parametrize("name", NAMES)
def test_features_are_found_by_their_name_whatever_its_characters(store, samples, features, name):
    for number, other in enumerate(NAMES):
        spec = SPEC.replace(model=MODEL.replace(name=other, seed=number))
        complete(store, samples, features, spec)
    ours = SPEC.replace(model=MODEL.replace(name=name, seed=NAMES.index(name)))
    found, damaged = FeatureStore(store.root).named(name)
    assert ours.key() in [one.key for one in found]
    assert damaged == []
    assert [one.key for one in store.find(name) if one.name == name] == [ours.key()]
    assert [one.key for one in store.find(f"pairs/{name}") if one.name == name] == [ours.key()]
    assert store.open(ours).path.parent == store.dataset_dir(SPEC.dataset)


def test_find_matches_names_folders_and_datasets(store, samples, features):
    complete(store, samples, features)
    complete(store, samples, features, SPEC.replace(model=MODEL.replace(name="other net")))
    assert [one.name for one in store.find()] == ["net", "other net"]
    for pattern in ("net", "net--*", "n?t", "pairs/net", f"pairs--{SPEC.dataset.key()}/net--{SPEC.key()}", "[mn]et"):
        assert [one.name for one in store.find(pattern)] == ["net"], pattern
    for pattern in ("other net", "other-net", "pairs/other net", "*other*"):
        assert [one.name for one in store.find(pattern)] == ["other net"], pattern
    assert store.find("nothing") == store.find("other/net") == []


def test_removed_features_are_gone_and_the_others_stay(store, samples, features):
    complete(store, samples, features)
    complete(store, samples, features, SPEC.replace(model=MODEL.replace(name="other")))
    store.remove(store.find("net")[0])
    assert [one.name for one in store.find()] == ["other"]
    assert not store.dir(SPEC).exists()


def test_damaged_features_are_listed_beside_the_whole_ones_and_can_be_removed(store, samples, features):
    specs = [SPEC.replace(model=MODEL.replace(name=name)) for name in ("a", "b", "c")]
    paths = [complete(store, samples, features, spec).path for spec in specs]
    (paths[0] / "manifest.json").write_text("{")
    next(paths[2].glob("shard-*")).unlink()
    sets, damaged = store.scan()
    assert [one.name for one in sets] == ["b"]
    assert [one.path for one in damaged] == [paths[0], paths[2]]
    with pytest.raises(StoreError, match=r"(?s)2 extractions are damaged:\n.*manifest.json is damaged.*\n.*is missing"):
        store.find()
    assert store.find("b")
    assert [one.path for one in store.named("a")[1]] == [paths[0]]
    for one in damaged:
        store.remove(one)
    assert [one.name for one in store.find()] == ["b"]


def test_each_extraction_is_opened_once_and_again_when_it_has_changed(store, samples, features, monkeypatch):
    complete(store, samples, features)
    complete(store, samples, features, SPEC.replace(model=MODEL.replace(name="other")))
    store, opened = FeatureStore(store.root), []
    plain = FeatureSet.__init__
    monkeypatch.setattr(FeatureSet, "__init__", lambda self, path: opened.append(path.name) or plain(self, path))
    for _ in range(3):
        assert len(store.find()) == 2
        store.named("net")
        store.open(SPEC)
    assert sorted(opened) == sorted({path.parent.name for path in store.root.glob("*/*/manifest.json")})
    (store.dir(SPEC) / "manifest.json").touch()
    store.find()
    assert opened.count(store.dir(SPEC).name) == 2


@pytest.mark.parametrize(
    ("n", "rows", "expected"), [(10, 4, [(0, 4), (4, 8), (8, 10)]), (4, 4, [(0, 4)]), (1, 9, [(0, 1)])]
)
def test_shard_bounds_cover_every_row_once(n, rows, expected):
    assert shard_bounds(n, rows) == expected


def test_feature_set_of_an_empty_folder(tmp_path):
    with pytest.raises(StoreError, match="no manifest.json"):
        FeatureSet(tmp_path)
