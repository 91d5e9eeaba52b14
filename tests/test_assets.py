from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from platorep.assets import cache_dir, content_hash, fetch, hub, resolve, resolve_revision
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
