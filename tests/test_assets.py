from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest

from platorep.assets import cache_dir, content_hash, derived, fetch, resolve
from platorep.core.errors import AssetError, DiskError, SpecError
from platorep.core.specs import AssetSpec
from tests.assets.archives import make_wheel


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# paths


def path_asset(path: Path, sha256: str | None = None, *members: str) -> AssetSpec:
    return AssetSpec(source="path", id=str(path), sha256=sha256, members=members)


def test_path_is_given_as_it_is_and_resolved_to_its_content(tmp_path):
    file = tmp_path / "one.bin"
    file.write_bytes(b"one")
    assert fetch(path_asset(file)) == file
    assert resolve(path_asset(file)).sha256 == hashlib.sha256(b"one").hexdigest()
    assert fetch(resolve(path_asset(file))) == file
    file.write_bytes(b"two")
    with pytest.raises(
        AssetError, match=f"{hashlib.sha256(b'two').hexdigest()}, expected {hashlib.sha256(b'one').hexdigest()}"
    ):
        fetch(path_asset(file, hashlib.sha256(b"one").hexdigest()))


def test_path_to_an_archive_gives_its_members(tmp_path):
    wheel = tmp_path / "mine.whl"
    make_wheel(wheel)
    assert (fetch(path_asset(wheel, None, "pkg/data")) / "pkg/data/a.txt").read_bytes() == b"alpha"


def test_path_that_does_not_exist_is_explained(tmp_path):
    with pytest.raises(AssetError, match="does not exist .source=path.. Check the spelling"):
        fetch(path_asset(tmp_path / "nothing"))


def test_content_hash_of_a_folder_sees_contents_and_names_and_not_order_or_hidden_files(tmp_path):
    def folder(name: str, files: dict[str, str]) -> str:
        for file, text in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(text)
        return content_hash(tmp_path / name)

    base = folder("a", {"x.txt": "1", "d/y.txt": "2"})
    assert folder("b", {"d/y.txt": "2", "x.txt": "1", ".cache/z": "3"}) == base
    assert folder("c", {"x.txt": "2", "d/y.txt": "1"}) != base
    assert folder("d", {"x.txt": "1", "y.txt": "2"}) != base
    assert folder("e", {"x.txt": "1", "d/y.txt": "2", "z.txt": ""}) != base


def test_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("PLATOREP_CACHE")
    assert cache_dir().name == "platorep"


def test_a_file_in_parts_is_joined_in_order_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    pieces = [tmp_path / "one", tmp_path / "two"]
    for piece, content in zip(pieces, (b"first ", b"second"), strict=True):
        piece.mkdir()
        (piece / "data").write_bytes(content)
    parts = tuple(AssetSpec(source="path", id=str(piece), members=("data",)) for piece in pieces)
    whole = AssetSpec(source="parts", id="model.gguf", sha256=hashlib.sha256(b"first second").hexdigest(), parts=parts)
    assert (fetch(whole) / "model.gguf").read_bytes() == b"first second"
    with pytest.raises(AssetError, match="The parts are not those of the pinned file, or not in order"):
        fetch(whole.replace(sha256="0" * 64))
    with pytest.raises(SpecError, match="needs a sha256 of the joined file"):
        fetch(whole.replace(sha256=None))


# made from assets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def copies():
    """Makes or finds a derived folder, and notes how often it was made."""
    made = []

    def make(folder):
        made.append(folder)
        (folder / "deep").mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "deep" / "weights").write_bytes(bytes(1000))

    return lambda: derived("dequantized/abc", make), made


def test_a_derived_folder_is_made_once(copies, tmp_path):
    get, made = copies
    assert get() == get() == tmp_path / "cache" / "dequantized" / "abc"
    assert len(made) == 1
    assert list((tmp_path / "cache").glob(".tmp-*")) == []


@pytest.mark.parametrize("damage", ["flipped bit", "missing file", "no hashes"])
def test_a_derived_folder_that_changed_is_named_and_made_again(copies, caplog, damage):
    """One flipped bit of a de-quantised model gave other features under the same key."""
    get, made = copies
    weights = get() / "deep" / "weights"
    if damage == "flipped bit":
        weights.write_bytes(bytes(500) + b"\1" + bytes(499))
    elif damage == "missing file":
        weights.unlink()
    else:
        (get() / ".contents.json").unlink()
    assert (get() / "deep" / "weights").read_bytes() == bytes(1000)
    assert len(made) == 2
    assert caplog.text.count("It is created again.") == 1
    assert str(weights.parents[1]) in caplog.text


def test_a_kill_while_a_derived_folder_is_made_leaves_nothing_after_the_next_time(copies, tmp_path):
    get, made = copies
    child = os.fork()
    if child == 0:

        def stop(folder):
            (folder / "half").write_bytes(bytes(10))
            os.kill(os.getpid(), signal.SIGKILL)

        derived("dequantized/abc", stop)
    os.waitpid(child, 0)
    assert len(list((tmp_path / "cache").glob(".tmp-*"))) == 1
    get()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["dequantized"]
    assert len(made) == 1


def test_a_full_disk_is_named_while_a_derived_folder_is_made(copies, tmp_path):
    def full(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match=rf"^{tmp_path}/cache: no space is left on its disk"):
        derived("dequantized/abc", full)
