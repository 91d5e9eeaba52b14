"""Debian packages: downloaded with apt-get as any user, taken apart without root."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest

from platorep.assets import content_hash, fetch
from platorep.assets import download as download_module
from platorep.core.errors import AssetError
from tests.assets.archives import FILES, deb_asset, fake_apt, make_deb


@pytest.mark.parametrize("compression", ["xz", "gz", ""])
def test_debian_package_is_unpacked_without_its_links(tmp_path, monkeypatch, compression):
    deb = tmp_path / "shelf" / "pkg.deb"
    sha = make_deb(deb, compression=compression, link=("./pkg/data/link.txt", "/etc/passwd"))
    fake_apt(tmp_path, monkeypatch, f'shutil.copy({str(deb)!r}, "pkg_1%3a1.0-1_all.deb")')
    folder = fetch(deb_asset(sha, "pkg/data"))
    assert sorted(p.name for p in folder.rglob("*") if p.suffix == ".txt") == ["a.txt", "b.txt"]
    assert (folder / "pkg/data/deep/b.txt").read_bytes() == b"beta"


@pytest.mark.skipif(
    shutil.which("dpkg-deb") is None,
    reason="dpkg-deb, which only packages compressed by zstd need, is part of Debian and Ubuntu: the test runs there, "
    "in CI too; elsewhere the refusal is tested below",
)
def test_debian_package_compressed_by_zstd_is_unpacked_by_dpkg(tmp_path, cache):
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: pkg\nVersion: 1:1.0-1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    )
    for name, raw in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(raw)
    (cache / "downloads").mkdir(parents=True)
    deb = cache / "downloads" / "pkg_1%3a1.0-1_all.deb"
    download_module.subprocess.run(
        ["dpkg-deb", "-Zzstd", "--build", "--root-owner-group", str(tree), str(deb)], check=True, capture_output=True
    )
    assert b"data.tar.zst" in deb.read_bytes()
    folder = fetch(deb_asset(content_hash(deb), "pkg/data"))
    assert (folder / "pkg/data/deep/b.txt").read_bytes() == b"beta"


def test_zstd_without_dpkg_is_explained(cache, monkeypatch):
    deb = cache / "downloads" / "pkg_1%3a1.0-1_all.deb"
    sha = make_deb(deb, compression="zst")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AssetError, match="compressed by zstd.*Install dpkg"):
        fetch(deb_asset(sha, "pkg/data"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"<html>not found</html>", "does not begin as an ar archive"),
        (b"!<arch>\n", "has no data.tar"),
        (b"!<arch>\n" + b"x" * 60, "has no data.tar"),
    ],
)
def test_file_that_is_no_debian_package_is_refused(cache, monkeypatch, raw, message):
    monkeypatch.setenv("PATH", "")
    deb = cache / "downloads" / "pkg_1%3a1.0-1_all.deb"
    deb.parent.mkdir(parents=True)
    deb.write_bytes(raw)
    with pytest.raises(AssetError, match=message):
        fetch(deb_asset(hashlib.sha256(raw).hexdigest()))


def test_truncated_archive_with_the_right_hash_is_refused(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    deb = cache / "downloads" / "pkg_1%3a1.0-1_all.deb"
    make_deb(deb, {"pkg/data/a.txt": os.urandom(5000)})
    deb.write_bytes(deb.read_bytes()[:-2000])
    with pytest.raises(AssetError, match="cannot be read as .deb"):
        fetch(deb_asset(content_hash(deb)))


def test_empty_package_lists_are_filled_in_a_folder_of_our_own(tmp_path, monkeypatch):
    deb = tmp_path / "shelf" / "pkg.deb"
    sha = make_deb(deb)
    text = f"""
lists = [a.partition("=")[2] for a in sys.argv if a.startswith("Dir::State::Lists=")]
if "update" in sys.argv:
    (pathlib.Path(lists[0]) / "Packages").write_text("pkg")
elif lists and (pathlib.Path(lists[0]) / "Packages").exists():
    shutil.copy({str(deb)!r}, "pkg_1%3a1.0-1_all.deb")
else:
    sys.exit("E: Unable to locate package pkg")
"""
    calls = fake_apt(tmp_path, monkeypatch, text)
    assert (fetch(deb_asset(sha, "pkg/data")) / "pkg/data/a.txt").is_file()
    kinds = [
        next(word for word in line.split() if word in ("download", "update")) for line in calls.read_text().splitlines()
    ]
    assert kinds == ["download", "update", "download"]
    assert "APT::Sandbox::User=root" in calls.read_text()


def test_apt_that_does_not_know_the_version_is_explained(tmp_path, monkeypatch):
    fake_apt(
        tmp_path,
        monkeypatch,
        "sys.exit(\"E: Version '1:1.0-1' for 'pkg' was not found\" if 'download' in sys.argv else 0)",
    )
    with pytest.raises(AssetError, match=r"(?s)was not found.*download pkg_1%3a1.0-1_\*.deb by hand"):
        fetch(deb_asset("0" * 64))


def test_machine_without_apt_is_told_to_download_by_hand(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        AssetError, match=r"(?s)no apt-get here.*download pkg_1%3a1.0-1_\*.deb by hand and put it into .*downloads"
    ):
        fetch(deb_asset("0" * 64))
