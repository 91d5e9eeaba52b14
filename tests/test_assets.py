from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from platorep.assets import cache_dir, content_hash, fetch, resolve
from platorep.core.errors import AssetError, SpecError
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
