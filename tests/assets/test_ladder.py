"""Where the content comes from when the first way is closed: another version by apt, the project's page, by hand."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest
from urllib3.util import retry

from platorep.assets import content_hash, fetch, origin, survey
from platorep.assets.https import PATIENCE, TRIES
from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import AssetSpec
from tests.assets.archives import FILES, deb_asset, fake_apt, make_deb, make_tar, wheel_asset
from tests.hub.server import Hub


OTHER = {**FILES, "pkg/data/a.txt": b"another alpha"}
PAGE = "/datasets/project/pkg/resolve/main/pkg-1.0.tar.gz"


def contents_of(tmp_path: Path, files: dict[str, bytes]) -> str:
    """The hash of the wanted members, as `contents` states it."""
    folder = tmp_path / f"tree-{hashlib.sha256(repr(files).encode()).hexdigest()[:8]}"
    for name, content in files.items():
        if name.startswith("pkg/data"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return content_hash(folder)


@pytest.fixture
def page():
    """The project's page, on the loopback address."""
    with Hub() as server:
        server.add("project/pkg", {"pkg-1.0.tar.gz": make_tar(FILES)}, "dataset")
        yield server


@pytest.fixture
def no_waiting(monkeypatch):
    """Seconds that were to be waited."""
    waited = []
    monkeypatch.setattr(retry.time, "sleep", waited.append)
    return waited


@pytest.fixture
def asset(tmp_path):
    """A Debian package, accepted in the versions 1.0 and 2.0, with its own release as a mirror at an address."""

    def make(url: str | None = None, archive: bytes | None = None, **changes) -> AssetSpec:
        deb = make_deb(tmp_path / "own" / "pkg.deb")
        made = deb_asset(deb, "pkg/data").replace(
            contents={"1.0": contents_of(tmp_path, FILES), "2.0": contents_of(tmp_path, OTHER)}
        )
        if url is not None:
            sha256 = hashlib.sha256(make_tar(FILES) if archive is None else archive).hexdigest()
            mirror = AssetSpec(source="url", id=url, sha256=sha256, members=("pkg/data/*.txt",))
            made = made.replace(mirrors=(mirror,))
        return made.replace(**changes)

    return make


def apt_with(tmp_path: Path, monkeypatch, files: dict[str, bytes], version: str) -> None:
    """An apt-get that knows one version only, which is not the pinned one."""
    make_deb(tmp_path / "shelf" / "pkg.deb", files, compression="gz")
    answer = f"""
if sys.argv[-1] != "pkg":
    sys.exit("E: Version '1:1.0-1' for 'pkg' was not found")
shutil.copy({str(tmp_path / "shelf" / "pkg.deb")!r}, "pkg_{version}_all.deb")
"""
    fake_apt(tmp_path, monkeypatch, answer)


def hide_apt(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")


def test_another_version_of_the_package_with_the_same_members_is_the_same_asset(tmp_path, monkeypatch, asset, caplog):
    caplog.set_level(logging.INFO)
    apt_with(tmp_path, monkeypatch, FILES, "1.0-9ubuntu1")
    folder = fetch(asset())
    assert (folder / "pkg/data/a.txt").read_bytes() == b"alpha"
    assert origin(folder).version == "1.0"
    assert caplog.messages == ["pkg 1.0 is taken from apt (pkg_1.0-9ubuntu1_all.deb)"]
    hide_apt(monkeypatch)
    assert fetch(asset()) == folder  # from the cache, where an archive with the pinned hash would have put it


def test_another_accepted_version_is_told_apart(tmp_path, monkeypatch, asset, caplog):
    caplog.set_level(logging.INFO)
    apt_with(tmp_path, monkeypatch, OTHER, "2.0-1")
    folder = fetch(asset())
    assert (folder / "pkg/data/a.txt").read_bytes() == b"another alpha"
    assert (origin(folder).version, origin(folder).taken) == ("2.0", "apt")
    assert caplog.messages == ["pkg 2.0 is taken from apt (pkg_2.0-1_all.deb), because it has no 1.0"]
    only_first = asset().replace(contents=dict([next(iter(asset().contents.items()))]))
    with pytest.raises(AssetError, match=r"pkg_2.0-1_all.deb holds something else \([0-9a-f]{12}\) than 1.0"):
        fetch(only_first)


def test_a_version_that_nobody_knows_gives_way_to_the_projects_page(tmp_path, monkeypatch, asset, page, caplog):
    caplog.set_level(logging.INFO)
    apt_with(tmp_path, monkeypatch, {**FILES, "pkg/data/a.txt": b"unknown"}, "3.0-1")
    folder = fetch(asset(page.url + PAGE))
    assert (folder / "pkg/data/deep/b.txt").read_bytes() == b"beta"
    assert origin(folder).version == "1.0"
    (line,) = caplog.messages
    assert line.startswith(
        f"pkg 1.0 is taken from {page.url}{PAGE} (pkg-1.0.tar.gz), because apt: pkg_3.0-1_all.deb holds"
    )


def test_a_machine_without_apt_takes_the_projects_page(monkeypatch, asset, page, caplog):
    caplog.set_level(logging.INFO)
    hide_apt(monkeypatch)
    assert (fetch(asset(page.url + PAGE)) / "pkg/data/a.txt").read_bytes() == b"alpha"
    assert caplog.messages[0].endswith("because apt: there is no apt-get here")


@pytest.mark.parametrize("kind", ["truncate", "reset", "503", "429"])
def test_a_transfer_that_is_broken_or_put_off_goes_on(monkeypatch, asset, page, no_waiting, kind):
    content = {"pkg/data/big.bin": bytes(range(256)) * 4000}
    page.add("project/pkg", {"pkg-1.0.tar.gz": make_tar(content, "")}, "dataset")
    page.fail(kind, "GET .*tar.gz", times=2, seconds=3600)
    hide_apt(monkeypatch)
    mirror = AssetSpec(
        source="url",
        id=page.url + PAGE,
        sha256=hashlib.sha256(make_tar(content, "")).hexdigest(),
        members=("pkg/data",),
    )
    assert (fetch(mirror) / "pkg/data/big.bin").read_bytes() == content["pkg/data/big.bin"]
    ranges = [request.headers["range"] for request in page.asked("GET .*tar.gz") if "range" in request.headers]
    assert len(ranges) == (2 if kind in ("truncate", "reset") else 0)  # what had come was not asked for again
    assert all(seconds <= PATIENCE for seconds in no_waiting)
    assert (max(no_waiting, default=0) == PATIENCE) == (kind == "429")


@pytest.mark.parametrize("kind", ["503", "truncate"])
def test_a_page_that_stays_broken_is_given_up(monkeypatch, asset, page, no_waiting, kind):
    page.fail(kind, "GET .*tar.gz", times=-1)
    hide_apt(monkeypatch)
    with pytest.raises(AssetError, match="too many 503" if kind == "503" else f"broke off {TRIES} times"):
        fetch(asset(page.url + PAGE))
    assert len(page.asked("GET .*tar.gz")) == TRIES


def test_a_byte_that_flips_on_the_way_is_found_and_nothing_unpacked(monkeypatch, asset, page, cache):
    page.fail("flip", "GET .*tar.gz")
    hide_apt(monkeypatch)
    with pytest.raises(AssetError, match=r"pkg-1.0.tar.gz has SHA-256 .*, expected .*nothing was unpacked"):
        fetch(asset(page.url + PAGE))
    assert not (cache / "assets").exists()


def test_a_release_that_holds_something_else_is_refused_though_its_hash_is_pinned(monkeypatch, asset, page):
    other = make_tar({**FILES, "pkg/data/a.txt": b"renamed upstream"})
    page.add("project/pkg", {"pkg-1.0.tar.gz": other}, "dataset")
    hide_apt(monkeypatch)
    with pytest.raises(AssetError, match=r"pkg-1.0.tar.gz holds something else \([0-9a-f]{12}\) than 1.0 or 2.0"):
        fetch(asset(page.url + PAGE, archive=other))


def test_where_every_way_is_closed_each_is_named_with_what_to_do(monkeypatch, asset, page, cache):
    page.stop()
    hide_apt(monkeypatch)
    message = (
        rf"(?s)pkg=1:1.0-1 could not be fetched: apt: there is no apt-get here; {page.url}{PAGE}: cannot be reached "
        r"\(ConnectionError: .*refused.*\).\nCheck the connection. Or download pkg_1%3a1.0-1_\*.deb by hand and put it "
        "into "
    )
    with pytest.raises(AssetError, match=message):
        fetch(asset(page.url + PAGE))
    assert list(cache.glob(".tmp-*")) == []


def test_a_page_that_has_moved_away_is_quoted(monkeypatch, asset, page):
    hide_apt(monkeypatch)
    with pytest.raises(AssetError, match=r"gone.tar.gz: cannot be fetched \(404 Not Found\)"):
        fetch(asset(page.url + PAGE.replace("pkg-1.0", "gone")))


def test_any_accepted_version_may_be_put_there_by_hand(monkeypatch, asset, cache):
    hide_apt(monkeypatch)
    make_deb(cache / "downloads" / "pkg_2.0-7_all.deb", OTHER)
    assert origin(fetch(asset())).version == "2.0"


def test_wheels_have_mirrors_too(pip, page):
    _, calls = pip  # which has nothing
    mirror = AssetSpec(
        source="url", id=page.url + PAGE, sha256=hashlib.sha256(make_tar(FILES)).hexdigest(), members=("pkg/data",)
    )
    folder = fetch(wheel_asset("0" * 64, "pkg/data").replace(mirrors=(mirror,)))
    assert (folder / "pkg/data/a.txt").read_bytes() == b"alpha"
    assert len(calls.read_text().splitlines()) == 1


def test_a_mirror_needs_a_hash_and_a_source_that_can_be_fetched(monkeypatch, asset, page):
    hide_apt(monkeypatch)
    (mirror,) = asset(page.url + PAGE).mirrors
    with pytest.raises(SpecError, match="has no sha256. The file that was fetched has"):
        fetch(asset(mirrors=(mirror.replace(sha256=None),)))
    with pytest.raises(SpecError, match="a mirror of pkg=1:1.0-1 has source 'hub'; expected wheel, sdist, deb or url"):
        fetch(asset(mirrors=(mirror.replace(source="hub"),)))


def test_the_survey_names_the_way_that_would_be_taken(tmp_path, monkeypatch, asset, page, cache, pip):
    def madison(*versions: str) -> None:
        fake_apt(tmp_path, monkeypatch, "")
        lines = "\\n".join(f"pkg | {version} | somewhere" for version in versions)
        program = (tmp_path / "bin" / "apt-get").read_text().splitlines()[:2]
        (tmp_path / "bin" / "apt-cache").write_text("\n".join([*program, f'print("{lines}")']))
        (tmp_path / "bin" / "apt-cache").chmod(0o755)

    wanted = asset(page.url + PAGE)
    madison("2.0-1", "1:1.0-1")
    assert survey(wanted) == "apt: 1:1.0-1"
    madison("2.0-1")
    assert survey(wanted) == "apt: 2.0-1 instead of 1:1.0-1, to be checked when it is fetched"
    madison()
    assert survey(wanted).startswith("apt: not in apt's lists here")
    madison("2.0-1")
    with pytest.raises(AssetError, match="apt: apt has 2.0-1 of pkg, not 1:1.0-1"):
        survey(wanted.replace(contents={}, mirrors=()))
    hide_apt(monkeypatch)
    assert survey(wanted) == f"{page.url}{PAGE}: answers"
    assert not page.asked("GET")  # nothing was fetched
    make_deb(cache / "downloads" / "pkg_1%3a1.0-1_all.deb")
    assert survey(wanted) == f"{cache / 'downloads'}: put there by hand"
    fetch(wanted)
    assert survey(wanted) == "in the cache (version 1.0)"
    assert survey(wheel_asset("0" * 64)) == "pip: pip"
    parts = AssetSpec(source="parts", id="x", sha256="0" * 64, parts=(wheel_asset("0" * 64), wheel_asset("1" * 64)))
    assert survey(parts) == "pip: pip"
    page.stop()
    (cache / "downloads" / "pkg_1%3a1.0-1_all.deb").unlink()
    with pytest.raises(AssetError, match=r"apt: there is no apt-get here; http.*: ConnectionError"):
        survey(wanted.replace(members=("pkg",)))


@pytest.mark.parametrize("compression", ["gz", "xz", "bz2", ""])
def test_releases_in_every_usual_format_are_unpacked(monkeypatch, tmp_path, compression):
    path = tmp_path / f"pkg.tar{f'.{compression}' if compression else ''}"
    path.write_bytes(make_tar(FILES, compression))
    folder = fetch(AssetSpec(source="path", id=str(path), members=("*/a.txt",)))
    assert [file.name for file in folder.rglob("*.txt")] == ["a.txt"]


def test_a_release_cut_short_or_with_a_name_that_leads_out_is_refused(tmp_path):
    path = tmp_path / "pkg.tar.gz"
    path.write_bytes(make_tar({"pkg/data/a.txt": bytes(range(256)) * 99})[:-100])
    with pytest.raises(AssetError, match="cannot be read as .tar.gz"):
        fetch(AssetSpec(source="path", id=str(path), members=("*/a.txt",)))
    path.write_bytes(make_tar({"../evil.txt": b"x"}))
    with pytest.raises(AssetError, match="outside its folder"):
        fetch(AssetSpec(source="path", id=str(path), members=("*.txt",)))
    assert not list(tmp_path.rglob("evil.txt"))


def test_labels_of_an_asset_change_no_key(asset, page):
    bare = asset().replace(contents={})
    assert asset(page.url + PAGE).key() == bare.key()
