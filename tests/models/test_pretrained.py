"""From a checkpoint's files to an encoder: the right part of it, the tokenizer first, every failure a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sentencepiece
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    BartConfig,
    BartForConditionalGeneration,
    CLIPConfig,
    CLIPModel,
    Gemma3Config,
    LlavaConfig,
    Qwen2_5_VLConfig,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from platorep.core.errors import AssetError, SpecError
from platorep.models import Text, TextRules, fetching, load, resolve
from tests import small_models


CPU = torch.device("cpu")
TEXTS = ["A", "A Sumatran tiger.", "An adjustable wrench, of steel."]
SPECIALS = {"specials": ("<s>", "</s>", "<pad>"), "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION = {**SIZES, "image_size": 28, "patch_size": 14}


def saved(folder, model):
    return resolve(small_models._language(folder, model, small_models.byte_tokenizer(**SPECIALS)), CPU)


def check(spec, reading):
    """Features of a batch against the library's states of each text alone."""
    encoder = load(spec, CPU)
    tokens = encoder.tokenize([Text.of(text) for text in TEXTS], TextRules())
    got = encoder.encode(tokens)
    for i, text in enumerate(tokens):
        with torch.no_grad():
            states = reading(input_ids=torch.tensor([text.ids]), output_hidden_states=True).hidden_states
        assert len(states) == len(got.features)
        for layer, state in zip(got.features, states, strict=True):
            torch.testing.assert_close(layer[i], state[0].mean(0), rtol=1e-4, atol=1e-5)
    return encoder, got


# parts ----------------------------------------------------------------------------------------------------------------


def gemma3():
    text = {**SIZES, "vocab_size": 299, "num_key_value_heads": 1, "head_dim": 8}
    return Gemma3Config(text_config=text, vision_config=VISION, mm_tokens_per_image=4, image_token_index=298)


def qwen():
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    text = {**SIZES, "vocab_size": 299, "num_key_value_heads": 2, "rope_parameters": rope}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "out_hidden_size": 32}
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision)


def llava():
    text = {**SIZES, "vocab_size": 299, "model_type": "llama"}
    return LlavaConfig(
        text_config=text, vision_config={**VISION, "model_type": "clip_vision_model"}, image_token_index=298
    )


@pytest.mark.parametrize("config", [gemma3, qwen, llava])
def test_language_part_of_a_vision_language_model_is_read_and_scored(tmp_path, config):
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config()).eval()
    encoder, got = check(saved(tmp_path / "mine", model), model)
    assert encoder.causal
    assert encoder.facts["part"] == f"the language model of {type(model).__name__}"
    language = {id(p): p.numel() for m in (model.get_decoder(), model.get_output_embeddings()) for p in m.parameters()}
    assert encoder.facts["parameters"] == sum(language.values()) < sum(p.numel() for p in model.parameters())
    ids = encoder.tokenize([Text.of(TEXTS[2])], TextRules())[0].ids
    with torch.no_grad():
        logp = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1) / torch.tensor(2.0).log()
    released = -sum(logp[at - 1, ids[at]].item() for at in range(1, len(ids)))
    assert got.scalars["bits_released"][2].item() == pytest.approx(released, rel=1e-4)


def t5(kind):
    sizes = {"d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 2, "num_decoder_layers": 1, "num_heads": 4}
    return kind(T5Config(vocab_size=299, **sizes))


def bart():
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    config = BartConfig(
        vocab_size=299, d_model=32, encoder_layers=2, decoder_layers=1, max_position_embeddings=64, **heads
    )
    return BartForConditionalGeneration(config)


@pytest.mark.parametrize("make", [lambda: t5(T5ForConditionalGeneration), lambda: t5(T5EncoderModel), bart])
def test_of_an_encoder_decoder_the_encoder_is_read(tmp_path, make):
    torch.manual_seed(0)
    model = make().eval()
    encoder, got = check(saved(tmp_path / "mine", model), model.get_encoder())
    assert (len(encoder.layers), encoder.causal, got.scalars) == (3, False, {})
    assert encoder.facts["parameters"] <= sum(p.numel() for p in model.get_encoder().parameters())


def test_text_tower_of_a_dual_encoder_is_read(tmp_path):
    torch.manual_seed(0)
    config = CLIPConfig(text_config={**SIZES, "vocab_size": 299, "eos_token_id": 1}, vision_config=VISION)
    model = CLIPModel(config).eval()
    encoder, _ = check(saved(tmp_path / "clip", model), model.text_model)
    assert encoder.facts["part"] == "the language model of CLIPModel"


# files ----------------------------------------------------------------------------------------------------------------


def test_tokenizer_is_read_before_weights_are_fetched(tmp_path, monkeypatch):
    """From the Hub: a repository's small files come first, and a model without a tokenizer costs no weights."""
    source = Path(small_models.llama(tmp_path / "hub").asset.id)
    asked = []

    def snapshot(repo, commit, members):
        asked.append(tuple(members))
        return source

    monkeypatch.setattr(fetching, "snapshot", snapshot)
    spec = small_models.llama(tmp_path / "other").replace(
        id="user/llama", asset=None, revision="a" * 40, dtype="float32", pool="mean"
    )
    load(spec, CPU)
    assert list(dict.fromkeys(asked)) == [fetching.SMALL_FILES, fetching.WEIGHT_FILES[0]]
    asked.clear()
    for file in source.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(SpecError, match=r"llama: transformers .* cannot read its tokenizer|no fast version"):
        load(spec.replace(name="llama"), CPU)
    assert asked == [fetching.SMALL_FILES]


def test_pickled_weights_are_asked_for_where_there_are_no_others(tmp_path, monkeypatch):
    source = Path(small_models.llama(tmp_path / "hub").asset.id)
    (source / "model.safetensors").unlink()
    asked = []

    def snapshot(repo, commit, members):
        asked.append(tuple(members))
        return source

    monkeypatch.setattr(fetching, "snapshot", snapshot)
    spec = small_models.llama(tmp_path / "other").replace(
        id="user/llama", asset=None, revision="a" * 40, dtype="float32", pool="mean"
    )
    with pytest.raises(
        AssetError, match="other: user/llama has no weights that transformers reads: none of model.safetensors"
    ):
        load(spec, CPU)
    assert list(dict.fromkeys(asked)) == [fetching.SMALL_FILES, *fetching.WEIGHT_FILES]


def test_tokenizer_of_which_there_is_only_a_sentencepiece_model_is_read(tmp_path):
    """OpenLLaMA's repositories hold tokenizer.model and pytorch_model.bin."""
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(small_models.LINES * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines), model_prefix=str(tmp_path / "spm"), vocab_size=120, model_type="bpe", byte_fallback=False,
        character_coverage=1.0, add_dummy_prefix=True, normalization_rule_name="identity", minloglevel=2,
        remove_extra_whitespaces=False,
    )  # fmt: skip
    spec = small_models.llama(tmp_path / "open_llama")
    folder = Path(spec.asset.id)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    shutil.copy(tmp_path / "spm.model", folder / "tokenizer.model")
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"add_bos_token": True}))
    encoder = load(resolve(spec, CPU), CPU)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    for text in ["A Sumatran tiger.", "An adjustable wrench, of steel.", "Ein Bär im Schnee, naïve 猫."]:
        (tokens,) = encoder.tokenize([Text.of(text)], TextRules())
        assert list(tokens.ids) == [reference.bos_id(), *reference.encode(text)]
    encoder.encode([tokens])


def test_code_of_a_repository_is_not_run(tmp_path):
    spec = small_models.llama(tmp_path / "llama")
    folder = Path(spec.asset.id)
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    message = r"llama: its config needs code from its repository, which is not run.*models.llama.trust_remote_code=true"
    with pytest.raises(SpecError, match=message):
        load(resolve(spec, CPU), CPU)
    assert not (tmp_path / "ran").exists()


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickled_code_is_not_run(tmp_path):
    spec = small_models.llama(tmp_path / "llama")
    (Path(spec.asset.id) / "model.safetensors").unlink()
    torch.save({"model.norm.weight": _Bomb(tmp_path / "ran")}, Path(spec.asset.id) / "pytorch_model.bin")
    with pytest.raises(
        AssetError, match="llama: its weights are a pickle that holds more than tensors. None of it was run"
    ):
        load(resolve(spec, CPU), CPU)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_damaged_file_is_named(tmp_path, name):
    spec = small_models.llama(tmp_path / "llama")
    file = Path(spec.asset.id) / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(AssetError, match=f"llama: .*{name} is damaged .*Delete that file"):
        load(resolve(spec, CPU), CPU)


def test_missing_weights_and_unknown_architectures_are_sentences(tmp_path):
    spec = small_models.llama(tmp_path / "llama")
    (Path(spec.asset.id) / "model.safetensors").unlink()
    with pytest.raises(SpecError, match="llama: transformers .* cannot read its weights in .*no file named"):
        load(resolve(spec, CPU), CPU)
    (Path(spec.asset.id) / "config.json").write_text('{"model_type": "unheard_of"}')
    with pytest.raises(SpecError, match="llama: transformers .* cannot read its config in .*unheard_of"):
        load(resolve(spec, CPU), CPU)


def test_plain_models_have_no_parts(tmp_path):
    encoder = load(resolve(small_models.llama(tmp_path / "llama"), CPU), CPU)
    assert "part" not in encoder.facts
    assert encoder.facts["parameters"] == sum(
        p.numel() for p in AutoModelForCausalLM.from_pretrained(tmp_path / "llama").parameters()
    )
