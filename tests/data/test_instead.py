"""Pairs that cannot be had: versions of the stamps that are told apart, and the dataset that is taken instead."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path

import pytest
from PIL import Image

from platorep.core.errors import AssetError, DataError
from platorep.core.specs import AssetSpec, DatasetSpec
from platorep.data import open_dataset, stamps
from platorep.data.instead import pairs_at_hand
from tests.assets.archives import make_deb
from tests.assets.test_ladder import make_tar


PACKAGE, RELEASE = "usr/share/tuxpaint/stamps", "tuxpaint-stamps-1/stamps"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")  # no apt-get
    return tmp_path / "cache"


def png(colour: str, **options) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, "PNG", **options)
    return out.getvalue()


def stamp_files(
    root: str, *, lark: str = "A lark.", level: int = 6, translation: str = "Une alouette"
) -> dict[str, bytes]:
    return {
        f"{root}/animals/lark.png": png("red", compress_level=level),
        f"{root}/animals/lark.txt": f"{lark}\nfr.utf8={translation}.\n".encode(),
        f"{root}/clothes/hat.png": png("purple", compress_level=level),
        f"{root}/clothes/hat.txt": b"A hat.\n",
        f"{root}/symbols/a.png": png("black"),
        f"{root}/symbols/a.txt": f"The letter A, {translation}.\n".encode(),
    }


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def spec(tmp_path):
    """Stamps in the versions 1 and 2, of which the second names the lark otherwise."""
    digests = {
        version: stamps.digest(unpacked(tmp_path / version, stamp_files(PACKAGE, lark=lark)))
        for version, lark in (("1", "A lark."), ("2", "A skylark."))
    }
    sha256 = make_deb(tmp_path / "own.deb", stamp_files(PACKAGE))
    members = (f"{PACKAGE}/*.png", f"{PACKAGE}/*.txt")
    asset = AssetSpec(source="deb", id="stamps=1-1", sha256=sha256, members=members, contents=digests)
    return DatasetSpec(name="stamps", source="stamps", assets=(asset,), instead="other")


def by_hand(cache: Path, version: str, **changes) -> None:
    make_deb(cache / "downloads" / f"stamps_{version}_all.deb", stamp_files(PACKAGE, **changes), compression="gz")


# versions of the stamps


def test_the_hash_of_the_pairs_sees_names_captions_and_pixels_and_nothing_else(tmp_path):
    def digest(name: str, root: str = PACKAGE, **changes) -> str:
        return stamps.digest(unpacked(tmp_path / name, stamp_files(root, **changes)))

    base = digest("base")
    assert digest("recompressed", level=0) == base
    assert digest("translated", translation="Eine Lerche") == base
    assert digest("release", RELEASE) == base  # the layout of the project's own release
    assert digest("caption", lark="A bird.") != base
    (unpacked(tmp_path / "pixel", stamp_files(PACKAGE)) / PACKAGE / "clothes/hat.png").write_bytes(png("violet"))
    assert stamps.digest(tmp_path / "pixel") != base
    (unpacked(tmp_path / "renamed", stamp_files(PACKAGE)) / PACKAGE / "clothes/hat.txt").rename(
        tmp_path / "renamed" / PACKAGE / "clothes/cap.txt"
    )
    assert stamps.digest(tmp_path / "renamed") != base


def test_a_damaged_picture_or_no_stamps_at_all_close_the_way_and_stop_nothing_else(tmp_path):
    files = {**stamp_files(PACKAGE), f"{PACKAGE}/clothes/hat.png": b"damaged"}
    with pytest.raises(AssetError, match="it holds no stamps that can be read: picture is unreadable"):
        stamps.digest(unpacked(tmp_path / "damaged", files))
    with pytest.raises(AssetError, match="not a package of Tux Paint's stamps"):
        stamps.digest(unpacked(tmp_path / "empty", {"a/b.txt": b""}))


def test_a_rebuilt_package_with_the_same_pairs_is_the_same_dataset(spec, cache):
    by_hand(cache, "1-9", level=0, translation="Eine Lerche")
    data = open_dataset(spec)
    assert data.spec.revision == spec.assets[0].sha256[:12]
    assert data.samples.captions == [["A lark."], ["A hat."]]


def test_the_projects_release_is_the_same_dataset(spec, cache, tmp_path):
    archive = make_tar(stamp_files(RELEASE, level=9))
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "stamps-1.tar.gz").write_bytes(archive)
    mirror = AssetSpec(
        source="url",
        id="http://127.0.0.1:1/stamps-1.tar.gz",
        sha256=hashlib.sha256(archive).hexdigest(),
        members=("*/stamps/*.png", "*/stamps/*.txt"),
    )
    data = open_dataset(spec.replace(assets=(spec.assets[0].replace(mirrors=(mirror,)),)))
    assert data.spec.key() == spec.replace(revision=spec.assets[0].sha256[:12]).key()
    assert data.samples.ids == ["animals/lark", "clothes/hat"]


def test_another_version_has_a_revision_of_its_own_and_a_pinned_one_refuses_it(spec, cache, caplog):
    by_hand(cache, "2-1", lark="A skylark.")
    data = open_dataset(spec)
    second = spec.assets[0].contents["2"]
    assert data.spec.revision == second[:12]
    assert data.samples.captions[0] == ["A skylark."]
    assert "these are the pairs of version 2" in caplog.text
    assert open_dataset(spec.replace(revision=second[:12])).spec.key() == data.spec.key()
    with pytest.raises(AssetError, match="holds something else .* than 1"):
        open_dataset(spec.replace(revision=spec.assets[0].sha256[:12]))
    with pytest.raises(DataError, match=f"pinned to revision abc, but stamps now has {second[:12]}"):
        open_dataset(spec.replace(revision="abc"))


# another dataset instead


OTHER = DatasetSpec(name="other", source="synthetic")


def settled(spec: DatasetSpec, *stored: str, fetching: bool = True) -> DatasetSpec:
    return pairs_at_hand(spec, {"other": OTHER}.__getitem__, stored=lambda one: one.name in stored, fetching=fetching)


def test_pairs_that_can_be_had_are_taken(spec, cache):
    by_hand(cache, "1-1")
    assert settled(spec) == spec


def test_where_every_way_is_closed_the_other_dataset_is_taken_and_one_line_says_why(spec, caplog):
    caplog.set_level(logging.INFO)
    asked = spec.replace(n=20, order_seed=3)
    assert settled(asked) == OTHER.replace(n=20, order_seed=3)
    (line,) = caplog.messages
    assert line == (
        "other is taken instead of stamps (dataset.instead=null forbids it): stamps=1-1 could not be fetched: "
        "apt: there is no apt-get here."
    )


def test_a_dataset_without_another_is_an_error_where_it_is_opened(spec):
    alone = spec.replace(instead=None)
    assert settled(alone) == alone
    with pytest.raises(AssetError, match="no apt-get here"):
        open_dataset(alone)


def test_what_a_run_has_stored_decides_for_all_of_its_stages(spec, caplog):
    assert settled(spec, "stamps") == spec  # though it could not be fetched again
    assert settled(spec, "other", fetching=False).name == "other"
    assert settled(spec, fetching=False) == spec  # nothing is stored: the command says so of what was asked for
    assert settled(spec, "stamps", "other", fetching=False) == spec
    assert caplog.messages == []
