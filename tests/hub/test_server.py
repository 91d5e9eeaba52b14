"""The loopback Hub answers the real clients as the Hub does; the other tests of this folder rely on it."""

from __future__ import annotations

from pathlib import Path

import datasets
import open_clip
import pytest
import timm
import torch
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from tests.hub import builder, builder_data, builder_vision


FILES = {"config.json": b"{}", "model.safetensors": b"\x02\0\0\0\0\0\0\0{}" + bytes(3000), "sub/notes.txt": b"notes"}


@pytest.fixture
def no_waiting(monkeypatch):
    """The client's waits between two tries take no time."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_files_come_by_branch_tag_and_commit_and_land_in_the_cache_under_their_hashes(hub, home):
    repository = hub.add("owner/model", FILES)
    first = repository.branches["main"]
    second = repository.commit({**FILES, "config.json": b"[]"}, "step1000")
    repository.tags["v1"] = first
    folder = snapshot_download("owner/model")
    assert folder.endswith(first)
    large = hf_hub_download("owner/model", "model.safetensors", revision="step1000")
    assert Path(large).read_bytes() == FILES["model.safetensors"]
    assert Path(hf_hub_download("owner/model", "config.json", revision=second)).read_bytes() == b"[]"
    assert HfApi().model_info("owner/model", revision="v1").sha == first
    assert {ref.name for ref in HfApi().list_repo_refs("owner/model").branches} == {"main", "step1000"}
    names = {len(path.name) for path in (home / "hub" / "models--owner--model" / "blobs").iterdir()}
    assert names == {40, 64}  # git's SHA-1 of small files, SHA-256 of large ones


def test_large_files_come_from_another_host_that_sees_no_token(hub):
    hub.add("owner/model", FILES, private=True)
    hub.user("secret", "someone", "owner/model")
    hf_hub_download("owner/model", "model.safetensors", token="secret")
    (asked,) = hub.asked("GET /storage/")
    assert asked.headers["host"].startswith("localhost:")
    assert "authorization" not in asked.headers


def test_what_does_not_exist_is_told_apart(hub):
    hub.add("owner/model", FILES)
    with pytest.raises(RepositoryNotFoundError):
        HfApi().model_info("owner/none")
    with pytest.raises(RevisionNotFoundError):
        HfApi().model_info("owner/model", revision="step1")
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("owner/model", "none.json")
    assert HfApi().file_exists("owner/model", "sub/notes.txt")
    assert [entry.path for entry in HfApi().list_repo_tree("owner/model", "sub")] == ["sub/notes.txt"]
    assert [entry.path for entry in HfApi().get_paths_info("owner/model", ["config.json", "none"])] == ["config.json"]


def test_gated_and_private_repositories_open_to_those_with_access(hub):
    hub.add("google/gemma", FILES, gated=True)
    hub.add("owner/private", FILES, private=True)
    hub.user("member", "a member", "google/gemma", "owner/private")
    hub.user("stranger", "a stranger")
    assert HfApi().model_info("google/gemma").gated == "manual"  # what it is called is public
    for token, status in ((False, 401), ("stranger", 403)):
        with pytest.raises(GatedRepoError) as refused:
            HfApi(token=token).model_info("google/gemma", revision="main")
        assert refused.value.response.status_code == status
        with pytest.raises(RepositoryNotFoundError):
            HfApi(token=token).model_info("owner/private")
    assert HfApi().whoami(token="member")["name"] == "a member"
    assert hf_hub_download("google/gemma", "config.json", token="member")
    assert hf_hub_download("owner/private", "config.json", token="member")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi().whoami(token="made up")
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi(token="made up").model_info("google/gemma")


def test_a_moved_repository_redirects(hub):
    hub.add("old/name", FILES)
    hub.move("old/name", "new/name")
    assert HfApi().model_info("old/name").id == "new/name"
    assert hf_hub_download("old/name", "model.safetensors")
    assert hf_hub_download("old/name", "config.json")


@pytest.mark.parametrize("kind", ["429", "503", "truncate"])
def test_the_client_gets_over_one_fault_of_a_file_by_itself(hub, no_waiting, monkeypatch, kind):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # what came before a cut is kept by whole chunks
    hub.add("owner/model", FILES)
    hub.fail(kind, "GET /storage" if kind == "truncate" else "HEAD .*model.safetensors", seconds=1)
    path = hf_hub_download("owner/model", "model.safetensors")
    assert Path(path).read_bytes() == FILES["model.safetensors"]
    if kind == "truncate":
        assert hub.asked("GET /storage")[1].headers["range"] == "bytes=1000-"


def test_the_client_does_not_get_over_a_reset_nor_see_a_flipped_byte(hub, no_waiting):
    hub.add("owner/model", FILES)
    hub.fail("reset", "GET /storage")
    with pytest.raises(Exception, match="(?i)reset"):
        hf_hub_download("owner/model", "model.safetensors")
    hub.fail("flip", "GET /storage")
    path = hf_hub_download("owner/model", "model.safetensors")
    assert Path(path).read_bytes() != FILES["model.safetensors"]


def test_a_stopped_hub_is_not_reachable_and_comes_back_at_its_port(hub, no_waiting):
    hub.add("owner/model", FILES)
    hf_hub_download("owner/model", "config.json")
    hub.stop()
    with pytest.raises(LocalEntryNotFoundError):
        hf_hub_download("owner/model", "sub/notes.txt")
    hub.start()
    assert hf_hub_download("owner/model", "sub/notes.txt")


@pytest.mark.parametrize(
    "layout",
    ["llama", "open_llama", "bloomz", "opt", "olmo", "gemma", "mistral", "mixtral", "llama3", "pythia"],
)
def test_transformers_loads_every_language_layout_whole(hub, layout):
    hub.add("owner/model", getattr(builder, layout)())
    model, told = AutoModelForCausalLM.from_pretrained("owner/model", output_loading_info=True)
    assert told["missing_keys"] == set()
    assert told["mismatched_keys"] == set()
    tokenizer = AutoTokenizer.from_pretrained("owner/model")
    logits = [model(**tokenizer(text, return_tensors="pt")).logits[0, -1] for text in ("A red tiger.", "An old map.")]
    assert tokenizer.is_fast
    assert not torch.allclose(*logits)


def test_the_other_clients_load_their_layouts(hub):
    hub.add("owner/encoder", builder.sentence_transformer())
    hub.add("timm/vit_tiny_patch16_224.augreg_in21k", builder_vision.timm_model("vit_tiny_patch16_224.augreg_in21k"))
    hub.add("laion/clip", builder_vision.open_clip_model())
    assert AutoModel.from_pretrained("owner/encoder").config.num_hidden_layers == 2
    assert timm.create_model("vit_tiny_patch16_224.augreg_in21k", pretrained=True).num_classes == 21843
    assert open_clip.create_model("hf-hub:laion/clip").visual.image_size == (32, 32)


def test_the_datasets_library_loads_its_layouts(hub):
    commit = builder_data.add_prh(hub, 6).branches["wit_1024"]
    with pytest.raises(FileNotFoundError, match="doesn't contain any data files"):
        datasets.load_dataset("minhuh/prh", split="train")  # main has no data
    by_branch = datasets.load_dataset("minhuh/prh", revision="wit_1024", split="train")
    assert by_branch[0]["text"][0] == "A red tiger, number 0."
    assert by_branch[0]["image"].size == (24, 24)
    assert len(datasets.load_dataset("minhuh/prh", revision=commit, split="train[:4]")) == 4
    hub.add("askoepke/wit_1m_recaptioned", builder_data.recaptioned(4), "dataset")
    assert len(datasets.load_dataset("askoepke/wit_1m_recaptioned", "wit_1024", split="train")) == 4
    hub.add("clip-benchmark/wds_vtab-dtd", builder_data.webdataset(tars=2), "dataset")
    labelled = datasets.load_dataset("clip-benchmark/wds_vtab-dtd", split="test")
    assert labelled[4]["cls"] == 1
    assert labelled[4]["webp"].size == (24, 24)
