"""Models of the Hub by the real libraries: the features of the files that were asked for, or a sentence."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from transformers import AutoModelForCausalLM, AutoTokenizer

from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import ModelSpec
from platorep.models import Text, TextRules, ahead, evict, load, resolve
from tests.hub import builder, builder_vision
from tests.hub.builder_data import pictures
from tests.hub.conftest import go_offline, start_anew


CPU = torch.device("cpu")
TEXTS = ("A red tiger.", "An old map  with two spaces.")


def language(id: str, **more: object) -> ModelSpec:
    return ModelSpec(
        name=id.rpartition("/")[2], modality="language", source="transformers", id=id, dtype="float32", **more
    )


def vision(id: str, source: str = "timm", **more: object) -> ModelSpec:
    return ModelSpec(name="eye", modality="vision", source=source, id=id, dtype="float32", **more)


def features(spec: ModelSpec) -> list[np.ndarray]:
    """The pooled states of every layer, as a run would make them."""
    encoder = load(resolve(spec, CPU), CPU)
    if spec.modality == "language":
        batch = encoder.tokenize([Text.of(text) for text in TEXTS], TextRules())
    else:
        batch = torch.stack([encoder.transform(picture) for picture in pictures(2, side=32)])
    return [layer.numpy() for layer in encoder.encode(batch).features]


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


LAYOUTS = ["llama", "open_llama", "bloomz", "opt", "olmo", "gemma", "mistral", "mixtral", "llama3", "pythia"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_librarys_states_and_only_what_is_loaded_is_fetched(hub, layout):
    files = getattr(builder, layout)()
    hub.add("owner/model", files)
    got = features(language("owner/model"))
    kind = "safetensors" if any(name.endswith(".safetensors") for name in files) else "bin"
    weights = {name for name in files if name.endswith(kind)}
    unread = {name for name in files if name.endswith((".bin", ".safetensors", ".pth", ".pt", ".gguf"))} - weights
    asked = {name for name in files if hub.asked(f"{name}$")}
    assert asked >= weights
    assert not asked & unread
    assert {path.name for path in ahead.weight_files(resolve(language("owner/model"), CPU))} == weights
    model = AutoModelForCausalLM.from_pretrained("owner/model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained("owner/model")
    for row, text in enumerate(TEXTS):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        assert len(states) == len(got)
        for layer, state in zip(got, states, strict=True):
            np.testing.assert_allclose(layer[row], state[0].mean(0), rtol=1e-4, atol=1e-5)


def test_the_tokenizer_is_read_before_any_weight_is_fetched(hub):
    files = builder.llama()
    for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"):
        del files[name]
    hub.add("owner/model", files)
    with pytest.raises(SpecError, match="model: transformers .* cannot read its tokenizer"):
        features(language("owner/model"))
    assert not hub.asked("model-0")


def test_branches_of_training_steps_are_models_of_their_own(hub):
    repository = hub.add("EleutherAI/pythia-70m", builder.pythia(seed=0))
    for step in (1000, 2000):
        repository.commit(builder.pythia(seed=step), f"step{step}")
    found = {
        name: features(language("EleutherAI/pythia-70m", revision=name)) for name in (None, "step1000", "step2000")
    }
    assert not np.allclose(found["step1000"][-1], found["step2000"][-1])
    spec = resolve(language("EleutherAI/pythia-70m", revision="step1000"), CPU)
    assert (spec.revision, spec.branch) == (repository.branches["step1000"], "step1000")
    assert resolve(spec, CPU) == spec


# without a connection, faults, damage ---------------------------------------------------------------------------------


MODELS = {
    "open_llama": (lambda: language("openlm-research/open_llama_3b"), lambda: builder.open_llama()),
    "sharded": (lambda: language("huggyllama/llama-7b"), lambda: builder.llama()),
}


@pytest.fixture(params=MODELS)
def model(request, hub):
    spec, files = MODELS[request.param]
    hub.add(spec().id, files())
    return spec()


@pytest.mark.parametrize("how", ["stopped", "offline"])
def test_a_second_load_needs_no_hub(hub, model, monkeypatch, how):
    before = features(model)
    start_anew(monkeypatch)
    hub.stop() if how == "stopped" else go_offline(monkeypatch)
    hub.requests.clear()
    for one, other in zip(before, features(model), strict=True):
        np.testing.assert_array_equal(one, other)
    assert hub.requests == []


@pytest.mark.parametrize("fault", ["429", "503", "drop"])
@pytest.mark.parametrize(
    "what", ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "/tree/", "revision"]
)
def test_a_fault_of_a_file_that_need_not_be_there_gives_no_other_features(
    hub, no_waiting, monkeypatch, tmp_path, fault, what
):
    hub.add("openlm-research/open_llama_3b", builder.open_llama())
    hub.fail(fault, what)
    once = features(language("openlm-research/open_llama_3b"))
    assert not [fault for fault in hub.faults if fault.times]
    hub.add("openlm-research/open_llama_7b", builder.open_llama())
    for one, other in zip(once, features(language("openlm-research/open_llama_7b")), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("what", ["tokenizer_config.json", "pytorch_model.bin"])
def test_a_fault_that_stays_is_named_and_no_feature_is_made(hub, no_waiting, what):
    hub.add("openlm-research/open_llama_3b", builder.open_llama())
    hub.fail("503", what, times=-1)
    with pytest.raises(AssetError, match="'openlm-research/open_llama_3b' at revision .* answered 503 to 5 tries"):
        features(language("openlm-research/open_llama_3b"))


@pytest.mark.parametrize("fault", ["reset", "truncate", "flip"])
def test_a_spoilt_download_of_weights_gives_the_right_features(hub, model, no_waiting, fault):
    hub.fail(fault, "GET /storage", times=1)
    spoilt = features(model)
    whole = features(model.replace(id=model.id))
    for one, other in zip(spoilt, whole, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not [fault for fault in hub.faults if fault.times]


def test_evicted_weights_are_gone_and_are_fetched_again(hub, home, monkeypatch):
    model = language("openlm-research/open_llama_3b")
    hub.add(model.id, builder.open_llama())
    before = features(model)
    evict(resolve(model, CPU))
    assert not [path for path in (home / "hub").rglob("blobs/*")]
    start_anew(monkeypatch)
    for one, other in zip(before, features(model), strict=True):
        np.testing.assert_array_equal(one, other)


# what is refused ------------------------------------------------------------------------------------------------------


def changed(files: dict[str, bytes], **values: object) -> dict[str, bytes]:
    """A repository whose config.json has other values."""
    return {**files, "config.json": json.dumps({**json.loads(files["config.json"]), **values}).encode()}


def other_tensors(files: dict[str, bytes], change: Callable[[str], str | None]) -> dict[str, bytes]:
    """A repository whose safetensors file names its tensors otherwise, and lacks those that get no name."""
    state = load_tensors(files["model.safetensors"]).items()
    named = {change(name): tensor for name, tensor in state if change(name)}
    return {**files, "model.safetensors": builder.weight_file(named, "safetensors")}


INCOMPLETE = {
    "a tensor": (lambda name: None if "layers.1.attention.dense.weight" in name else name, "attention.dense.weight"),
    "a block": (lambda name: None if "layers.1." in name else name, "Of the 2 blocks .* it holds 1"),
    "its prefix": (lambda name: f"module.{name}", "take the prefix 'module.' off the names"),
}


@pytest.mark.parametrize(("change", "message"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_language_model_that_lacks_tensors_is_named_and_none_is_drawn_at_random(hub, change, message):
    files = {name: content for name, content in builder.pythia().items() if not name.endswith(".bin")}
    hub.add("EleutherAI/whole", files)
    assert np.isfinite(features(language("EleutherAI/whole"))[-1]).all()
    hub.add("EleutherAI/part", other_tensors(files, change))
    with pytest.raises(SpecError, match=f"part: the checkpoint lacks .*{message}"):
        features(language("EleutherAI/part"))


def test_a_vision_model_that_lacks_tensors_is_named_and_none_is_drawn_at_random(hub):
    from transformers import ViTConfig

    config = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, image_size=32)
    repositories = {
        vision("google/vit", "transformers"): builder_vision.transformers_vision("ViTModel", config),
        vision("test_vit2.r160_in1k"): builder_vision.timm_model("test_vit2.r160_in1k", bin=True),
        vision("laion/clip", "open_clip"): builder_vision.open_clip_model(),
    }
    for spec, files in repositories.items():
        file = next(name for name in files if name.endswith(".safetensors"))
        state = load_tensors(files[file])
        gone = next(name for name in state if re.search(r"1.*(fc1|c_fc|intermediate.dense).weight", name))
        del state[gone]
        id = f"timm/{spec.id}" if spec.source == "timm" else spec.id
        hub.add(id, {**files, file: builder.weight_file(state, "safetensors")})
        with pytest.raises(SpecError, match=re.escape(gone)):
            features(spec)


def bomb(mark: Path) -> bytes:
    """A pytorch_model.bin whose pickle touches a file when it is unpickled."""
    command = f"touch {mark}"
    pickle = b"cos\nsystem\n(S" + repr(command).encode() + b"\ntR."
    out = mark.with_suffix(".zip")
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/version", "3\n")
    return out.read_bytes()


def test_a_pickle_that_holds_a_program_is_not_unpickled(hub, tmp_path):
    mark = tmp_path / "it_ran"
    hub.add("owner/model", {**builder.open_llama(), "pytorch_model.bin": bomb(mark)})
    hub.add("timm/test_vit.r160_in1k", {"pytorch_model.bin": bomb(mark)})
    clip = builder_vision.open_clip_model(format="bin")
    hub.add("laion/clip", {**clip, "open_clip_pytorch_model.bin": bomb(mark)})
    for spec in (language("owner/model"), vision("test_vit.r160_in1k"), vision("laion/clip", "open_clip")):
        with pytest.raises((SpecError, AssetError), match=f"{spec.name}: .*(pickle|not executed)"):
            features(spec)
    assert not mark.exists()
    # the same file does run where it is unpickled: the bomb is none that could not go off
    torch.load(mark.with_suffix(".zip"), weights_only=False)
    assert mark.exists()


def test_code_of_a_repository_is_not_run(hub, tmp_path):
    mark = tmp_path / "it_ran"
    program = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nfrom transformers import LlamaConfig as C\n"
    files = changed(
        builder.llama(), model_type="own", auto_map={"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}
    )
    hub.add("owner/model", {**files, "code.py": program.encode()})
    with pytest.raises(SpecError, match="model: its config needs code from its repository, which is not run"):
        features(language("owner/model"))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": b"{}"}, "cannot read its config"),
        (
            lambda: {k: v for k, v in builder.open_llama().items() if k != "pytorch_model.bin"},
            "has no weights that transformers reads",
        ),
        (lambda: changed(builder.open_llama(), hidden_size=64), "has shape .* config.json asks for"),
        (lambda: {**builder.llama(), "tokenizer.json": b'{"cut": '}, "tokenizer.json is damaged"),
    ],
)  # fmt: skip
def test_repositories_that_cannot_be_run_are_a_sentence(hub, files, message):
    hub.add("owner/model", files() if callable(files) else files)
    with pytest.raises((SpecError, AssetError), match=f"model: .*{message}"):
        features(language("owner/model"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (language("google/gemma-2b"), "is gated. Accept its terms on https://.*/google/gemma-2b, then log in"),
        (language("owner/none"), "is not on the Hub, or it is private"),
        (language("owner/model", revision="0" * 40), "has no such revision"),
        (language("owner/model", revision="step7"), "has no such revision"),
        (language("owner/mo del"), "is not on the Hub.*Check the spelling"),
    ],
)
def test_what_cannot_be_had_is_a_sentence(hub, spec, message):
    hub.add("google/gemma-2b", builder.gemma(), gated=True)
    hub.add("owner/model", builder.llama())
    with pytest.raises(AssetError, match=message):
        features(spec)


def test_a_rejected_token_is_called_that(hub, monkeypatch):
    hub.add("owner/model", builder.llama())
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    with pytest.raises(AssetError, match="does not accept the token") as refused:
        features(language("owner/model"))
    assert "onnection" not in str(refused.value)


def test_a_gated_model_opens_to_a_token_with_access(hub, monkeypatch):
    hub.add("google/gemma-2b", builder.gemma(), gated=True)
    hub.user("hf_member", "a member", "google/gemma-2b")
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    assert len(features(language("google/gemma-2b"))) == 3


def test_vision_models_of_every_library_come_from_the_hub(hub, no_waiting):
    from transformers import ViTConfig

    config = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, image_size=32)
    hub.add("google/vit", builder_vision.transformers_vision("ViTModel", config))
    hub.add("timm/test_vit.r160_in1k", builder_vision.timm_model("test_vit.r160_in1k"))
    hub.add("timm/test_vit2.r160_in1k", builder_vision.timm_model("test_vit2.r160_in1k", safetensors=True))
    hub.add("laion/clip", builder_vision.open_clip_model(format="bin"))
    for spec in (
        vision("google/vit", "transformers"), vision("test_vit.r160_in1k"), vision("test_vit2.r160_in1k"),
        vision("laion/clip", "open_clip"),
    ):  # fmt: skip
        for fault in ("503", "flip"):
            hub.fail(fault, "GET /storage" if fault == "flip" else "/tree/")
        assert all(np.isfinite(layer).all() for layer in features(spec))
        assert not [fault for fault in hub.faults if fault.times]
