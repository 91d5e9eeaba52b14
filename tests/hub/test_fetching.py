"""Revisions and files from the Hub through faults, damage and lost connections: the right bytes or a sentence."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants, snapshot_download

from platorep.assets import fetch, hub, patience, resolve, resolve_revision
from platorep.assets.hub import known_commit, listing, snapshot
from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import AssetSpec
from tests.hub.conftest import go_offline, start_anew


FILES = {
    "config.json": b'{"a": 1}',
    "tokenizer_config.json": b"{}",
    "sub/notes.txt": b"notes",
    "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + bytes(range(256)) * 20,
}


@pytest.fixture
def repository(hub):
    return hub.add("owner/model", FILES)


@pytest.fixture
def waits(monkeypatch):
    """Time stands still: the seconds that would have been waited."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def blob(file: Path) -> Path:
    return file.parent / os.readlink(file)


def spoil(file: Path) -> None:
    """Flips one bit of a cached file."""
    content = bytearray(blob(file).read_bytes())
    content[len(content) // 2] ^= 1
    blob(file).write_bytes(content)


# what is fetched ------------------------------------------------------------------------------------------------------


def test_the_named_members_come_at_the_commit_and_the_listing_names_all(repository):
    first = repository.branches["main"]
    repository.commit({"config.json": b'{"a": 2}'}, "main")
    assert resolve_revision("owner/model") == repository.branches["main"] != first
    folder = snapshot("owner/model", first, ("*.json", "sub"))
    assert contents(folder) == {name: FILES[name] for name in FILES if name != "model.safetensors"}
    assert listing("owner/model", first) == sorted(FILES)
    assert contents(snapshot("owner/model", first)) == FILES
    asset = resolve(AssetSpec(source="hub", id="owner/model", members=("config.json",)))
    assert asset.id == f"owner/model@{repository.branches['main']}"
    assert (fetch(asset) / "config.json").read_bytes() == b'{"a": 2}'


def test_an_asset_on_the_hub_is_checked_against_its_own_sha256(repository):
    digest = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    asset = AssetSpec(source="hub", id="owner/model", sha256=digest, members=("model.safetensors",))
    assert (fetch(asset) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    with pytest.raises(AssetError, match=f"has SHA-256 {digest}, expected {'0' * 64}"):
        fetch(asset.replace(sha256="0" * 64))
    with pytest.raises(SpecError, match="needs exactly one member"):
        fetch(asset.replace(members=()))


def test_what_is_fetched_is_not_asked_for_again(hub, repository):
    commit = resolve_revision("owner/model")
    snapshot("owner/model", commit, ("*.json",))
    hub.requests.clear()
    snapshot("owner/model", commit, ("*.json",))
    assert hub.requests == []
    snapshot("owner/model", commit, ("none.bin",))
    assert hub.requests == []  # the list says that there is none
    snapshot("owner/model", commit)
    names = {request.path.rpartition("/")[2] for request in hub.requests}
    assert names == {commit, "notes.txt", "model.safetensors"}


def test_branches_and_tags_mean_their_commits(repository):
    repository.tags["v1"] = repository.branches["main"]
    step = repository.commit({"config.json": b'{"a": 3}'}, "step1000")
    assert resolve_revision("owner/model", "step1000") == step
    assert resolve_revision("owner/model", "v1") == repository.branches["main"]
    assert resolve_revision("owner/model", "a" * 40) == "a" * 40


def test_a_moved_repository_is_followed(hub, repository):
    hub.move("owner/model", "new/place")
    commit = resolve_revision("owner/model")
    assert contents(snapshot("owner/model", commit)) == FILES


# without a connection -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "offline"])
@pytest.mark.parametrize("revision", [None, "step1000"])
def test_a_second_run_needs_no_hub(hub, repository, monkeypatch, caplog, how, revision):
    repository.commit(FILES, "step1000")
    commit = resolve_revision("owner/model", revision)
    snapshot("owner/model", commit, ("*.json",))
    start_anew(monkeypatch)
    hub.stop() if how == "stopped" else go_offline(monkeypatch)
    assert resolve_revision("owner/model", revision) == commit
    assert (f"taking commit {commit} from the cache" in caplog.text) == (how == "stopped")
    assert set(contents(snapshot("owner/model", commit, ("*.json",)))) == {"config.json", "tokenizer_config.json"}
    with pytest.raises(AssetError, match="model 'owner/model' at revision .*hf download owner/model"):
        snapshot("owner/model", commit, ("*.json", "*.safetensors"))
    with pytest.raises(AssetError, match="owner/other.*hf download owner/other"):
        resolve_revision("owner/other")


def test_the_hubs_own_download_is_enough_and_a_part_of_it_is_not(hub, repository, monkeypatch):
    """What the messages advise: `hf download` elsewhere, and its cache folder brought here."""
    repository.commit({**FILES, "README.md": b"another commit"}, "step1000")
    snapshot_download("owner/model")
    snapshot_download("owner/model", revision="step1000", allow_patterns=["*.json"])
    go_offline(monkeypatch)
    assert contents(snapshot("owner/model", resolve_revision("owner/model"))) == FILES
    step = resolve_revision("owner/model", "step1000")
    with pytest.raises(AssetError, match="not in the cache .*HF_HUB_OFFLINE"):
        snapshot("owner/model", step)


def test_a_cache_that_does_not_say_what_belongs_to_it_is_not_trusted(hub, repository, home, monkeypatch):
    """Other programs fetch single files: a tokenizer without its config would give other features."""
    commit = resolve_revision("owner/model")
    snapshot("owner/model", commit, ("config.json",))
    (lists,) = (path.parent for path in (home / "hub" / "models--owner--model").rglob(f"{commit}.json"))
    shutil.rmtree(lists)  # as clients leave it that fetch single files
    monkeypatch.setattr("huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE", {})
    hub.stop()
    with pytest.raises(AssetError, match="could not be fetched from the Hub .*hf download owner/model"):
        snapshot("owner/model", commit, ("*.json",))
    hub.start()
    assert set(contents(snapshot("owner/model", commit, ("*.json",)))) == {"config.json", "tokenizer_config.json"}


def test_the_commit_of_a_branch_is_known_from_the_hub_or_the_cache_or_not_at_all(hub, repository, monkeypatch):
    old = repository.commit(FILES, "step")
    assert resolve_revision("owner/model", "step") == old
    new = repository.commit({"config.json": b'{"a": 4}'}, "step")
    assert resolve_revision("owner/model", "step") == old  # a run is about one commit
    assert known_commit("owner/model", "step") == old
    start_anew(monkeypatch)
    assert known_commit("owner/model", "step") == new
    hub.stop()
    start_anew(monkeypatch)
    assert known_commit("owner/model", "step") == old  # what this machine was told last
    assert known_commit("owner/model", "v9") is None
    hub.start()
    repository.tags["v9"] = new
    assert known_commit("owner/model", "v9") is None  # not asked twice
    assert resolve_revision("owner/model", "v9") == new
    hub.stop()
    assert known_commit("owner/model", "a" * 40) == "a" * 40


# faults ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["429", "503", "drop"])
def test_one_fault_of_the_repositorys_page_is_waited_out(hub, repository, waits, caplog, fault):
    hub.fail(fault, "GET /api/models/owner/model$", seconds=7)
    assert resolve_revision("owner/model") == repository.branches["main"]
    assert waits == [7.0 if fault == "429" else 1.0]
    assert "trying again in" in caplog.text


def test_a_hub_that_stays_busy_is_given_up_and_named_after_five_tries(hub, repository, waits):
    hub.fail("503", "GET /api/models/owner/model$", times=-1)
    with pytest.raises(
        AssetError, match="'owner/model' at revision 'main' could not be fetched: .* answered 503 to 5 tries"
    ):
        resolve_revision("owner/model")
    assert waits == [1, 2, 4, 8]
    assert len(hub.asked("GET /api/models/owner/model$")) == 5


def test_a_hub_that_stays_busy_does_not_stop_what_is_in_the_cache(hub, repository, waits, monkeypatch):
    commit = resolve_revision("owner/model")
    start_anew(monkeypatch)
    hub.fail("503", "/api/", times=-1)
    assert resolve_revision("owner/model") == commit


def test_a_wait_longer_than_the_limit_is_a_refusal(hub, repository, waits):
    commit = repository.branches["main"]
    hub.fail("429", "/owner/model", times=-1, seconds=3600)
    for request in (lambda: resolve_revision("owner/model"), lambda: snapshot("owner/model", commit)):
        with pytest.raises(AssetError, match="answered 429 .* asks to wait 3600 s, more than the 120 s"):
            request()
    assert waits == []


@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_a_broken_download_goes_on_where_it_stopped(hub, repository, waits, monkeypatch, fault):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.fail(fault, "GET /storage", times=2)
    folder = snapshot("owner/model", repository.branches["main"])
    assert contents(folder) == FILES
    first, *others = hub.asked("GET /storage")
    assert "range" not in first.headers
    assert [request.headers["range"] for request in others] == ["bytes=2000-", "bytes=3000-"]


def test_a_body_that_stops_is_taken_up_again(hub, repository, waits, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.fail("slow", "GET /storage", seconds=0.6)
    assert contents(snapshot("owner/model", repository.branches["main"])) == FILES
    assert [request.headers.get("range") for request in hub.asked("GET /storage")] == [None, "bytes=2000-"]


@pytest.mark.parametrize("fault", ["429", "503", "drop"])
@pytest.mark.parametrize("what", ["/tree/", "HEAD .*model.safetensors", "GET /storage", "tokenizer_config"])
def test_one_fault_anywhere_still_gives_every_file(hub, repository, waits, fault, what):
    """A 503 on a file that need not be there once gave features without it."""
    hub.fail(fault, what, seconds=0)
    assert contents(snapshot("owner/model", repository.branches["main"])) == FILES


@pytest.mark.parametrize("what", ["/tree/", "tokenizer_config", "GET /storage"])
def test_a_fault_that_stays_gives_no_folder_at_all(hub, repository, waits, what):
    hub.fail("503", what, times=-1)
    with pytest.raises(AssetError, match="model 'owner/model' at revision .* answered 503"):
        snapshot("owner/model", repository.branches["main"])
    hub.faults.clear()
    assert contents(snapshot("owner/model", repository.branches["main"])) == FILES


# damage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_byte_that_flips_on_the_way_is_found_and_the_file_fetched_again(hub, repository, caplog, name):
    hub.fail("flip", "GET /storage" if name == "model.safetensors" else f"GET .*{name}")
    assert contents(snapshot("owner/model", repository.branches["main"])) == FILES
    assert f"{name} is damaged and is fetched again" in caplog.text


def test_bytes_that_always_flip_are_an_error_and_stay_in_no_cache(hub, repository, home):
    hub.fail("flip", "GET /storage", times=-1)
    with pytest.raises(AssetError, match=r"model.safetensors came twice with other bytes than the Hub says"):
        snapshot("owner/model", repository.branches["main"])
    assert not [path for path in (home / "hub").rglob("*") if path.is_file() and path.stat().st_size > 5000]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_damaged_in_the_cache_is_fetched_again_or_named(hub, repository, monkeypatch, name):
    commit = repository.branches["main"]
    folder = snapshot("owner/model", commit)
    start_anew(monkeypatch)
    spoil(folder / name)
    assert contents(snapshot("owner/model", commit)) == FILES
    start_anew(monkeypatch)
    spoil(folder / name)
    hub.stop()
    with pytest.raises(
        AssetError, match=f"{name} in the cache was damaged and has been removed, and could not be fetched"
    ):
        snapshot("owner/model", commit)
    hub.start()
    assert contents(snapshot("owner/model", commit)) == FILES


def test_a_disk_without_links_keeps_copies_whose_small_files_and_sizes_are_checked(hub, repository, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.are_symlinks_supported", lambda folder=None: False)
    folder = snapshot("owner/model", repository.branches["main"])
    assert not (folder / "config.json").is_symlink()
    assert contents(folder) == FILES
    with open(folder / "model.safetensors", "ab") as file:
        file.write(b"more")
    assert contents(snapshot("owner/model", repository.branches["main"])) == FILES


def test_files_are_hashed_once_in_a_process_unless_they_change(repository, monkeypatch):
    hashed = []
    original = hub.sha256_file
    monkeypatch.setattr(hub, "sha256_file", lambda path: hashed.append(path) or original(path))
    commit = repository.branches["main"]
    folder = snapshot("owner/model", commit)
    snapshot("owner/model", commit)
    assert len(hashed) == 1
    os.utime(folder / "model.safetensors", ns=(1, 1))
    snapshot("owner/model", commit)
    assert len(hashed) == 2


# refusals -------------------------------------------------------------------------------------------------------------


def test_refusals_are_told_apart_in_a_sentence_each(hub, repository, monkeypatch):
    hub.add("google/gemma", FILES, gated=True)
    hub.user("stranger", "a stranger")
    commit = resolve_revision("google/gemma")  # which is public
    cases = [
        ("owner/none", None, "is not on the Hub, or it is private and you are not logged in"),
        ("owner/model", "step1", "has no such revision. Look at its branches and tags at https://.*/owner/model"),
        ("owner/model/deep", None, "is not on the Hub.*Check the spelling: owner/name"),
        ("google/gemma", "main", "is gated. Accept its terms on https://.*/google/gemma, then log in"),
    ]
    for repo, revision, message in cases:
        with pytest.raises(AssetError, match=message):
            resolve_revision(repo, revision)
    with pytest.raises(AssetError, match="is gated. Accept its terms"):
        snapshot("google/gemma", commit)
    with pytest.raises(AssetError, match="'owner/model' at revision .*has no such revision"):
        snapshot("owner/model", "a" * 40)
    monkeypatch.setenv("HF_TOKEN", "stranger")
    with pytest.raises(AssetError, match="The account of your token has no access: accept the terms on https"):
        snapshot("google/gemma", commit)
    monkeypatch.setenv("HF_TOKEN", "made-up")
    for request in (lambda: resolve_revision("owner/model"), lambda: snapshot("google/gemma", commit)):
        with pytest.raises(AssetError, match="does not accept the token .* mistyped, expired or revoked") as refused:
            request()
        assert "connection" not in str(refused.value)


def test_access_that_was_granted_is_used(hub, monkeypatch):
    hub.add("google/gemma", FILES, gated=True)
    hub.user("member", "a member", "google/gemma")
    monkeypatch.setenv("HF_TOKEN", "member")
    assert contents(snapshot("google/gemma", resolve_revision("google/gemma", "main"))) == FILES


def test_a_full_disk_is_a_sentence(repository, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(AssetError, match="does not fit on the disk of the Hub's cache .*HF_HOME.*evict=true"):
        snapshot("owner/model", repository.branches["main"])


def test_the_limits_are_what_the_messages_say():
    assert (patience.TRIES, patience.FIRST_WAIT, patience.LONGEST_WAIT) == (5, 1.0, 120.0)
