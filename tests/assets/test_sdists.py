"""Source archives: found by the index of pip, fetched, taken apart, never built."""

from __future__ import annotations

import hashlib

import pytest

from platorep.assets import fetch, sdist
from platorep.core.errors import AssetError
from platorep.core.specs import AssetSpec
from tests.assets.archives import make_tar, program


ADDRESS = "https://files.example/ab/my_pkg-1.0.tar.gz"


def archive() -> bytes:
    return make_tar({"my_pkg-1.0/setup.py": b"raise SystemExit", "my_pkg-1.0/data/a.mat": b"alpha"})


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A pip that knows the links of some archives, and a network that has one of them."""
    calls = tmp_path / "calls.txt"
    said = "\\n".join(
        [
            "  Found link https://files.example/aa/my_pkg-1.0-py3-none-any.whl (from index), version: 1.0",
            "  Found link https://files.example/zz/my_pkg-1.0.1.tar.gz (from index), version: 1.0.1",
            f"  Found link {ADDRESS}#sha256=00 (from index) (requires-python:>=3.7), version: 1.0",
        ]
    )
    fake = program(
        tmp_path / "bin" / "pip", f'open({str(calls)!r}, "a").write(" ".join(sys.argv[1:]))\nprint("{said}")\n'
    )
    monkeypatch.setattr(sdist, "pip_command", lambda: [str(fake)])

    def download(address, folder, watch):
        assert address == ADDRESS
        (folder / "my_pkg-1.0.tar.gz").write_bytes(archive())
        return folder / "my_pkg-1.0.tar.gz"

    monkeypatch.setattr(sdist, "download_url", download)
    return calls


def asset(sha256: str, version: str = "1.0") -> AssetSpec:
    return AssetSpec(source="sdist", id=f"my-pkg=={version}", sha256=sha256, members=("*/a.mat",))


def test_the_archive_of_the_version_is_fetched_checked_and_taken_apart_without_its_build(index):
    folder = fetch(asset(hashlib.sha256(archive()).hexdigest()))
    assert [path.name for path in folder.rglob("*.mat")] == ["a.mat"]
    assert not list(folder.rglob("setup.py"))
    assert index.read_text().startswith("index versions my-pkg")  # pip is asked for links: `download` would build it


def test_archives_of_these_tests_hold_no_time():
    assert archive()[4:8] == bytes(4)  # where gzip writes it; with one, hashes of two seconds differ


def test_an_archive_of_another_hash_is_refused(index):
    with pytest.raises(AssetError, match="It is another file than the pinned one"):
        fetch(asset("0" * 64))


def test_a_version_that_no_index_has_is_named_and_one_put_there_by_hand_is_taken(index, cache):
    with pytest.raises(AssetError, match="pip does not know where my-pkg==2.0 is"):
        fetch(asset("0" * 64, "2.0"))
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "my_pkg-2.0.tar.gz").write_bytes(archive())
    assert list(fetch(asset(hashlib.sha256(archive()).hexdigest(), "2.0")).rglob("a.mat"))
