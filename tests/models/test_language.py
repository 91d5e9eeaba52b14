"""Language models: pooled states against transformers' own, and bits per byte against a direct computation."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from platorep.core.errors import DataError
from platorep.models import Text, TextRules, load, resolve
from platorep.models.language import LanguageEncoder
from tests import small_models


CPU = torch.device("cpu")
TEXTS = ["A", "A Sumatran tiger.", "An adjustable wrench, of steel.", "Ein Bär im Schnee, naïve 猫.", "A red square"]


@pytest.fixture(params=["llama", "bloom", "gemma", "bert"])
def spec(request, tmp_path):
    return resolve(getattr(small_models, request.param)(tmp_path / request.param), CPU)


def encoded(encoder, texts, **rules):
    return encoder.encode(encoder.tokenize([Text.of(text) for text in texts], TextRules(**rules)))


def reference(spec, texts, side):
    """Hidden states of a padded batch by transformers alone, averaged over the tokens that are no padding."""
    folder = spec.asset.id
    auto = AutoModel if spec.name == "bert" else AutoModelForCausalLM
    model, tokenizer = auto.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    batch = tokenizer(texts, padding="longest", padding_side=side, return_tensors="pt")
    more = {}
    if spec.name in ("llama", "gemma"):
        more["position_ids"] = (batch.attention_mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        out = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True, **more)
    weights = batch.attention_mask / batch.attention_mask.sum(1, keepdim=True)
    return [(hidden * weights.unsqueeze(-1)).sum(1) for hidden in out.hidden_states]


def test_states_are_those_of_transformers_with_padding_on_either_side(spec):
    got = encoded(load(spec, CPU), TEXTS)
    for side in (
        ("right",) if spec.name == "bert" else ("left", "right")
    ):  # BERT's absolute positions start at the padding
        want = reference(spec, TEXTS, side)
        assert len(got.features) == len(want)
        for ours, theirs in zip(got.features, want, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_padding_side_of_the_tokenizer_changes_nothing(spec):
    encoder = load(spec, CPU)
    encoder.tokenizer.padding_side = "right"
    right = encoded(encoder, TEXTS)
    encoder.tokenizer.padding_side = "left"
    left = encoded(encoder, TEXTS)
    assert all(torch.equal(a, b) for a, b in zip(right.features, left.features, strict=True))


def test_batch_composition_changes_nothing(spec):
    encoder = load(spec, CPU)
    together = encoded(encoder, TEXTS)
    for i, text in enumerate(TEXTS):
        alone = encoded(encoder, [text])
        for a, b in zip(alone.features, together.features, strict=True):
            torch.testing.assert_close(a[0], b[i], rtol=1e-4, atol=1e-5)
        for name, values in alone.scalars.items():
            torch.testing.assert_close(values[0], together.scalars[name][i], rtol=1e-4, atol=1e-4)


def test_last_layer_is_named_after_the_final_norm_where_there_is_one(tmp_path):
    names = {
        make: load(resolve(getattr(small_models, make)(tmp_path / make), CPU), CPU).layers for make in ("llama", "bert")
    }
    assert names["llama"] == ("embedding", "block.0", "block.1", "block.2.norm")
    assert names["bert"] == ("embedding", "block.0", "block.1")


def test_hooks_are_gone_after_encoding_and_after_an_error(tmp_path):
    encoder = load(resolve(small_models.llama(tmp_path / "llama"), CPU), CPU)

    def hooks():
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in encoder.model.modules())

    before = hooks()
    encoded(encoder, TEXTS)
    encoder.blocks[1].forward = None
    with pytest.raises(TypeError):
        encoded(encoder, TEXTS)
    assert hooks() == before


@pytest.mark.parametrize("pool", ["last", "max", "cls"])
def test_pools_are_those_of_one_text_alone(tmp_path, pool):
    spec = resolve(small_models.llama(tmp_path / "llama", pool=pool), CPU)
    got = encoded(load(spec, CPU), TEXTS).features[1]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(spec.asset.id), AutoTokenizer.from_pretrained(spec.asset.id)
    for i, text in enumerate(TEXTS):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[1][0]
        want = {"last": hidden[-1], "cls": hidden[0], "max": hidden.amax(0)}[pool]
        torch.testing.assert_close(got[i], want, rtol=1e-4, atol=1e-5)


def direct_bits(spec, text, *, start):
    """Bits of a text by one forward pass over it alone, and one over the start token where the tokenizer adds none."""
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(spec.asset.id).eval(),
        AutoTokenizer.from_pretrained(spec.asset.id),
    )
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        logp = model(ids).logits[0].log_softmax(-1)
        first = model(torch.tensor([[tokenizer.bos_token_id]])).logits[0, -1].log_softmax(-1)
    later = -sum(logp[t - 1, ids[0, t]].item() for t in range(1, ids.shape[1]))
    head = -first[ids[0, 0]].item() if start else 0.0
    return (later + head) / math.log(2), later / math.log(2)


@pytest.mark.parametrize("make", ["llama", "bloom", "gemma"])
def test_bits_are_those_of_a_direct_unbatched_computation(tmp_path, make, monkeypatch):
    monkeypatch.setattr("platorep.models.language.LOGITS_AT_ONCE", 300 * 4)  # several chunks of positions
    spec = resolve(getattr(small_models, make)(tmp_path / make), CPU)
    encoder = load(spec, CPU)
    assert encoder.facts["start_token"].startswith("bos ")
    tokens = encoder.tokenize([Text.of(text) for text in TEXTS], TextRules())
    got = encoder.encode(tokens).scalars
    for i, text in enumerate(TEXTS):
        bits, released = direct_bits(spec, text, start=make == "bloom")
        assert got["bits"][i].item() == pytest.approx(bits, rel=1e-4)
        assert got["bits_released"][i].item() == pytest.approx(released, rel=1e-4)
        assert tokens[i].bytes == len(text.encode())


def test_model_uniform_over_bytes_costs_eight_bits_a_byte(tmp_path):
    encoder = load(resolve(small_models.uniform_over_bytes(tmp_path / "bytes"), CPU), CPU)
    tokens = encoder.tokenize([Text.of(text) for text in TEXTS], TextRules())
    bits = encoder.encode(tokens).scalars["bits"]
    size = torch.tensor([float(len(text.encode())) for text in TEXTS])
    torch.testing.assert_close(bits / size, torch.full_like(bits, 8.0), rtol=1e-5, atol=0)
    assert "uniform" in encoder.facts["start_token"]


def test_bits_in_a_prompt_are_those_of_the_caption_given_what_precedes_it(tmp_path):
    spec = resolve(small_models.llama(tmp_path / "llama", context=128), CPU)
    encoder = load(spec, CPU)
    text = Text.of("tiger", "A Sumatran {caption}, of steel.")
    (tokens,) = encoder.tokenize([text], TextRules(span="caption"))
    words = encoder.tokenizer.convert_ids_to_tokens(tokens.ids)
    inside = "".join(word for word, own in zip(words, tokens.pooled, strict=True) if own)
    assert "tiger" in inside
    assert "steel" not in inside
    assert list(tokens.pooled) == list(tokens.scored)
    assert tokens.bytes == 5
    whole = direct_bits(spec, text.text, start=False)[0]
    assert 0 < encoder.encode([tokens]).scalars["bits"].item() < whole


def test_span_of_the_caption_pools_its_tokens_only(tmp_path):
    encoder = load(resolve(small_models.llama(tmp_path / "llama", context=128), CPU), CPU)
    tokens = encoder.tokenize([Text.of("tiger", "A Sumatran {caption}, of steel.")], TextRules(span="caption"))
    everything = encoder.tokenize([Text.of("tiger", "A Sumatran {caption}, of steel.")], TextRules())
    assert sum(tokens[0].pooled) < len(tokens[0].ids) == sum(everything[0].pooled)
    assert not torch.allclose(encoder.encode(tokens).features[2], encoder.encode(everything).features[2])


def test_no_probability_is_measured_when_not_wanted(tmp_path, monkeypatch):
    encoder = load(resolve(small_models.llama(tmp_path / "llama"), CPU), CPU)
    monkeypatch.setattr(LanguageEncoder, "_logits", lambda *_: pytest.fail("logits were computed"))
    assert encoded(encoder, TEXTS, bits=False).scalars == {}


def test_overlong_text_is_cut_with_a_mark_or_refused(tmp_path):
    encoder = load(resolve(small_models.llama(tmp_path / "llama", context=16), CPU), CPU)
    texts = [Text.of("A"), Text.of("A Sumatran tiger. " * 20)]
    made = encoder.tokenize(texts, TextRules())
    assert [one.truncated for one in made] == [False, True]
    assert len(made[1]) == 16
    assert 0 < made[1].bytes < len(texts[1].text)
    encoder.encode(made)
    with pytest.raises(DataError, match=r"has \d+ tokens; the model takes 16.*overlong=truncate"):
        encoder.tokenize(texts, TextRules(overlong="error"))


def test_max_tokens_keeps_the_end_token_of_an_encoder(tmp_path):
    encoder = load(resolve(small_models.bert(tmp_path / "bert"), CPU), CPU)
    (tokens,) = encoder.tokenize([Text.of("A Sumatran tiger. " * 9)], TextRules(max_tokens=7))
    assert len(tokens) == 7
    assert (tokens.ids[0], tokens.ids[-1]) == (2, 3)


def test_text_without_tokens_is_refused(tmp_path):
    encoder = load(resolve(small_models.bert(tmp_path / "bert"), CPU), CPU)
    with pytest.raises(DataError, match="gives no tokens"):
        encoder.tokenize([Text.of(" ")], TextRules())


def test_random_twin_has_the_architecture_and_other_weights_that_the_seed_fixes(tmp_path):
    trained = small_models.llama(tmp_path / "llama")
    made = [
        encoded(load(resolve(trained.replace(weights=w, seed=seed), CPU), CPU), TEXTS).features[-1]
        for w, seed in [("pretrained", 0), ("random", 0), ("random", 0), ("random", 1)]
    ]
    assert torch.equal(made[1], made[2])
    assert not torch.allclose(made[0], made[1])
    assert not torch.allclose(made[1], made[3])
