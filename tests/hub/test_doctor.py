"""`platorep doctor` before a Hub: every model and dataset has its row, whatever the Hub answers; nothing is fetched."""

from __future__ import annotations

import json
import re
import struct

import pytest
from huggingface_hub import snapshot_download

from platorep.assets.examining import TRIES, examine_repository, token_state
from platorep.core.specs import ModelSpec
from platorep.models import examining, transformers_models
from platorep.models.examining import examine_model
from tests.hub.builder import GITATTRIBUTES


def weights(numbers: int) -> bytes:
    """A safetensors file of so many half-precision numbers, all of its bytes there."""
    header = json.dumps({"w": {"dtype": "F16", "shape": [numbers], "data_offsets": [0, 2 * numbers]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(2 * numbers)


def repository(model_type: str = "llama", numbers: int = 1000, **files: bytes) -> dict[str, bytes]:
    """A language model as far as its files' names and sizes tell; a name's dots are written as two underscores."""
    config = {"model_type": model_type, "architectures": ["SomeForCausalLM"]}
    usual = {"config.json": json.dumps(config).encode(), "model.safetensors": weights(numbers), "tokenizer.json": b"{}"}
    changed = {name.replace("__", "."): content for name, content in files.items()}
    return {name: content for name, content in {**GITATTRIBUTES, **usual, **changed}.items() if content is not None}


def language(id: str, **more) -> ModelSpec:
    return ModelSpec(name=id.rpartition("/")[2], modality="language", source="transformers", id=id, **more)


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were to be waited."""
    waited: list[float] = []
    monkeypatch.setattr("platorep.assets.patience.time.sleep", waited.append)
    return waited


def look(spec: ModelSpec, **more) -> examining.ModelFacts:
    return examine_model(spec, reachable=True, **more)


# models ---------------------------------------------------------------------------------------------------------------


def test_a_model_has_its_commit_its_sizes_and_its_tokenizer_and_nothing_is_fetched(hub):
    files = repository(numbers=5000, consolidated__safetensors=weights(9000), pytorch_model__bin=bytes(7000))
    served = hub.add("mistralai/Mistral-7B-v0.3", {**files, "original/model.safetensors": weights(4000)})
    facts = look(language("mistralai/Mistral-7B-v0.3"))
    assert (facts.found, facts.revision, facts.tokenizer) == ("yes", served.branches["main"], "tokenizer.json")
    assert facts.disk == len(weights(5000))  # copies in other formats are not fetched
    assert facts.parameters == 5000 + 9000  # as the Hub counts, which counts the copy as well
    assert not facts.estimated
    assert (facts.token, facts.note) == ("", "")
    assert not hub.asked("resolve|storage")


def test_a_branch_has_its_own_commit_and_a_wrong_one_is_answered_with_the_nearest(hub):
    served = hub.add("EleutherAI/pythia-160m", repository())
    tip = served.commit(repository(numbers=10), "step1000")
    assert look(language("EleutherAI/pythia-160m", revision="step1000")).revision == tip
    facts = look(language("EleutherAI/pythia-160m", revision="step1001"))
    assert facts.found == "no"
    assert facts.note.startswith("no branch, tag or commit 'step1001'; near: step1000")


@pytest.mark.parametrize(
    ("id", "note"),
    [
        ("nobody/nothing", "is not on the Hub, or it is private"),
        ("three/part/name", "'three/part/name' cannot be the name of a repository: expected owner/name"),
        ("a name with spaces", "cannot be the name of a repository"),
    ],
)
def test_a_name_that_leads_nowhere_is_a_row(hub, id, note):
    facts = look(language(id))
    assert facts.found == "no"
    assert note in facts.note


def test_gated_says_whether_access_was_granted(hub, monkeypatch):
    hub.add("google/gemma-2b", repository("gemma"), gated=True)
    hub.user("hf_stranger", "stranger")
    hub.user("hf_guest", "guest", "google/gemma-2b")

    facts = look(language("google/gemma-2b"))
    assert (facts.found, facts.token, facts.disk) == ("gated", "needed", len(weights(1000)))  # its page is public
    assert "Accept its terms on https://huggingface.co/google/gemma-2b, then log in" in facts.note
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    facts = look(language("google/gemma-2b"))
    assert (facts.found, facts.token) == ("gated", "needed")
    assert "The account of your token has no access: accept the terms" in facts.note
    monkeypatch.setenv("HF_TOKEN", "hf_guest")
    facts = look(language("google/gemma-2b"))
    assert (facts.found, facts.token, facts.note) == ("yes", "granted", "")


def test_a_branch_of_a_gated_repository_is_gated_too(hub):
    served = hub.add("google/gemma-2b", repository("gemma"), gated=True)
    served.commit(repository("gemma"), "float16")
    facts = look(language("google/gemma-2b", revision="float16"))
    assert (facts.found, facts.token, facts.revision) == ("gated", "needed", "float16")
    assert facts.parameters == 1000


def test_the_token_is_named_or_said_to_be_refused(hub, monkeypatch):
    assert token_state() == "none (HF_TOKEN, or `hf auth login`)"
    hub.user("hf_guest", "guest")
    monkeypatch.setenv("HF_TOKEN", "hf_guest")
    assert token_state() == "that of guest"
    monkeypatch.setenv("HF_TOKEN", "hf_revoked")
    assert token_state().startswith("one that the Hub does not accept")
    hub.add("a/b", repository())
    facts = look(language("a/b"))
    assert facts.found == "unknown"
    assert "does not accept the token that was sent" in facts.note


@pytest.mark.parametrize("fault", ["503", "429", "drop"])
def test_one_fault_is_waited_out_and_one_that_stays_is_a_row(hub, waits, fault):
    hub.add("a/b", repository())
    hub.add("a/c", repository())
    hub.fail(fault, "/a/b", seconds=1)
    assert look(language("a/b")).found == "yes"
    hub.fail(fault, "/a/b", times=-1, seconds=1)
    facts = look(language("a/b"))
    assert facts.found == "unknown"
    assert facts.note
    assert look(language("a/c")).found == "yes"
    assert len(hub.asked("GET /api/models/a/b")) == 2 + TRIES


def test_an_answer_that_nobody_expected_is_a_row(hub, monkeypatch):
    hub.add("a/b", repository())

    def nonsense(*_, **__):
        raise KeyError("siblings")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", nonsense)
    seen = examine_repository("a/b")
    assert seen.found == "unknown"
    assert "KeyError: 'siblings'" in seen.note


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ({"model__safetensors": None}, r"holds no weights \(model.safetensors or pytorch_model.bin\)"),
        ({"model__safetensors": None, "tf_model__h5": b"x"}, "; it has .h5$"),
        ({"config__json": None}, "no config.json, so it is not in transformers' format"),
        ({"tokenizer__json": None}, "it has no tokenizer's files"),
        ({"tokenizer__json": None, "vocab__json": b"{}"}, "it has no tokenizer's files"),
    ],
)
def test_a_repository_that_extract_could_not_use_is_not_there(hub, files, note):
    hub.add("a/b", repository(**files))
    facts = look(language("a/b"))
    assert facts.found == "no"
    assert re.search(note, facts.note)


@pytest.mark.parametrize(
    ("files", "tokenizer"),
    [
        ({"vocab__json": b"{}", "merges__txt": b""}, "vocab.json + merges.txt"),
        ({"vocab__txt": b""}, "vocab.txt"),
        ({"spm__model": b""}, "spm.model"),
    ],
)
def test_tokenizers_of_every_kind_are_named(hub, files, tokenizer):
    hub.add("a/b", repository(tokenizer__json=None, **files))
    assert look(language("a/b")).tokenizer == tokenizer


def test_a_tokenizer_model_alone_needs_two_libraries(hub, monkeypatch):
    """openlm-research/open_llama_*: tokenizer.model and pickles, no tokenizer.json."""
    files = repository(
        tokenizer__json=None, tokenizer__model=b"", model__safetensors=None, pytorch_model__bin=bytes(2000)
    )
    hub.add("openlm-research/open_llama_3b", files)
    facts = look(language("openlm-research/open_llama_3b", parameters=999))
    assert (facts.found, facts.tokenizer, facts.parameters, facts.disk) == ("yes", "tokenizer.model", 999, 2000)
    assert facts.note == "weights are pickles, of which tensors alone are read"
    monkeypatch.setattr(transformers_models, "_has", lambda package: package != "google.protobuf")
    facts = look(language("openlm-research/open_llama_3b"))
    assert facts.found == "no"
    assert "its tokenizer is tokenizer.model alone, which needs google.protobuf" in facts.note


def test_an_architecture_of_a_repositorys_own_is_refused_and_never_run(hub, tmp_path):
    mark = tmp_path / "it ran"
    code = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n".encode()
    config = {"model_type": "custom_llama", "auto_map": {"AutoModel": "modeling_custom.CustomModel"}}
    hub.add("a/custom", repository(config__json=json.dumps(config).encode(), modeling_custom__py=code))
    facts = look(language("a/custom"))
    assert facts.found == "no"
    assert "transformers has no architecture 'custom_llama'; the repository's own code is not run" in facts.note
    assert look(language("a/custom", trust_remote_code=True)).found == "yes"  # the user's own word
    assert not mark.exists()


def picture(id: str, source: str = "timm", **more) -> ModelSpec:
    return ModelSpec(name="v", modality="vision", source=source, id=id, **more)


def test_timm_models_are_looked_for_where_timms_registry_says(hub):
    for name in ("timm/resnet18.a1_in1k", "munehiro-k/cspnext_s.rsb_a1_in1k"):
        hub.add(name, {"model.safetensors": weights(100), "config.json": b"{}"})
    tagged = look(picture("resnet18.a1_in1k"))
    assert (tagged.found, tagged.weights_from) == ("yes", "hub: timm/resnet18.a1_in1k")
    assert look(picture("resnet18")).weights_from == "hub: timm/resnet18.a1_in1k"  # without a tag: timm's default
    elsewhere = look(picture("cspnext_s.rsb_a1_in1k"))
    assert (elsewhere.found, elsewhere.weights_from) == ("yes", "hub: munehiro-k/cspnext_s.rsb_a1_in1k")
    nowhere = look(picture("gcvit_tiny.in1k"))
    assert (nowhere.found, nowhere.weights_from) == ("no", "nowhere")
    assert "the weights 'gcvit_tiny.in1k' are in no Hub repository; timm names only https://" in nowhere.note
    unknown = look(picture("resnet18.no_such_tag"))
    assert unknown.found == "no"
    assert "timm does not know the weights 'resnet18.no_such_tag'" in unknown.note


def test_open_clip_tags_that_extract_takes_are_there(hub):
    hub.add(
        "timm/vit_base_patch32_clip_224.openai", {"open_clip_model.safetensors": weights(100), "config.json": b"{}"}
    )
    facts = look(picture("ViT-B-32/openai", "open_clip"))
    assert (facts.found, facts.weights_from) == ("yes", "hub: timm/vit_base_patch32_clip_224.openai")
    facts = look(picture("ViT-B-32/no_such_tag", "open_clip"))
    assert facts.found == "no"
    assert "open_clip has no weights no_such_tag of ViT-B-32" in facts.note
    hub.add("laion/CLIP-ViT-B-32", {"open_clip_pytorch_model.bin": b"x" * 50, "open_clip_config.json": b"{}"})
    assert look(picture("laion/CLIP-ViT-B-32", "open_clip")).disk == 50


def test_what_is_in_the_hubs_cache_is_here_with_and_without_the_hub(hub, monkeypatch):
    commit = hub.add("a/b", repository()).branches["main"]
    hub.add("a/half", repository())
    snapshot_download("a/b")
    snapshot_download("a/half", allow_patterns="*.json")
    assert look(language("a/b")).found == "here"
    assert look(language("a/half")).found == "yes"
    hub.stop()
    offline = examine_model(language("a/b"), reachable=False)
    assert (offline.found, offline.revision, offline.disk) == ("here", commit, len(weights(1000)))
    half = examine_model(language("a/half"), reachable=False)
    assert (half.found, half.note) == ("unknown", "its weights are not in the Hub's cache")
    nothing = examine_model(language("a/nothing", parameters=10**9, access="gated"), reachable=False)
    assert (nothing.found, nothing.note) == ("unknown", "nothing of it is in the Hub's cache")
    assert (nothing.disk, nothing.estimated, nothing.token) == (2 * 10**9, True, "needed")
