"""Bits per byte by sliding windows, against a direct computation and against models whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from platorep.competence.bits import document_bits, own_prefix, windows
from platorep.core.errors import DataError, SpecError
from platorep.core.specs import ModelSpec
from platorep.extract.batches import Budget
from platorep.models import load, resolve
from platorep.models.language import LanguageEncoder
from tests import small_models


CPU = torch.device("cpu")
TEXTS = [
    "A Sumatran tiger walks through the wet grass of a zoo, and nobody is there to see it.",
    "Ein Bär im Schnee, naïve 猫.",
    "x",
    "An adjustable wrench, of steel. " * 5,
]


def opened(spec: ModelSpec) -> LanguageEncoder:
    return load(resolve(spec, CPU), CPU)


def measure(encoder, texts=TEXTS, *, context=24, stride=12, tokens=64, **more):
    return document_bits(encoder, texts, context=context, stride=stride, budget=Budget(tokens), **more)


def direct(encoder, text: str, context: int, stride: int, prefix: list[int]) -> float:
    """Bits of one text from the model's own logits, one window and one token at a time, without padding or batches."""
    ids = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
    done = bits = low = 0
    while done < len(ids):
        part = ids[low : low + context - 1]
        with torch.no_grad():
            logits = encoder.model(input_ids=torch.tensor([prefix + part])).logits[0].double()
        for at in range(done - low, len(part)):
            before = len(prefix) + at - 1
            bits -= (
                torch.log_softmax(logits[before], 0)[part[at]].item() / math.log(2)
                if before >= 0
                else -math.log2(logits.shape[1])
            )
        done, low = low + len(part), low + stride
    return bits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module", params=["llama", "bloom", "gemma"])
def encoder(request, folder):
    return opened(getattr(small_models, request.param)(folder / request.param))


@pytest.mark.parametrize(("context", "stride"), [(64, 32), (24, 23), (24, 1), (9, 4)])
@pytest.mark.parametrize("tokens", [1, 60, 100_000])
def test_bits_equal_a_direct_unbatched_computation_whatever_window_batch_and_padding(encoder, context, stride, tokens):
    expected = [direct(encoder, text, context, stride, [encoder.start]) for text in TEXTS]
    got = measure(encoder, context=context, stride=stride, tokens=tokens)
    assert got.bits == pytest.approx(expected, rel=1e-5, abs=1e-3)
    value, _ = got.per_byte()
    assert value == pytest.approx(sum(expected) / sum(len(text.encode()) for text in TEXTS), abs=1e-5)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 40])
@pytest.mark.parametrize("stride", [1, 3, 7])
@pytest.mark.parametrize("prefix", [(), (99,)])
def test_windows_score_every_token_once_and_after_enough_others(length, stride, prefix):
    seen = []
    for number, window in enumerate(windows(range(length), prefix, context=8, stride=stride)):
        assert len(window) <= 7 + len(prefix)
        own = [(token, at) for at, (token, scored) in enumerate(zip(window.ids, window.scored, strict=True)) if scored]
        assert own
        assert number == 0 or min(at for _, at in own) >= len(prefix) + 7 - stride
        seen += [token for token, _ in own]
    assert seen == list(range(length))


def test_uniform_over_bytes_costs_eight_bits_a_byte_with_and_without_a_start_token(folder):
    encoder = opened(small_models.uniform_over_bytes(folder / "uniform"))
    assert encoder.start is None
    for context, stride in ((2, 1), (10, 9), (64, 5)):
        value, error = measure(encoder, context=context, stride=stride).per_byte()
        assert value == pytest.approx(8, abs=1e-6)
        assert error == pytest.approx(0, abs=1e-6)


LETTERS = {"a": 0.5, "b": 0.25, "c": 0.2, "d": 0.05}


def unigram(tokens: dict[str, float], pattern: str, *, adds_bos: bool) -> LanguageEncoder:
    """A model that gives every token its probability whatever came before: all embeddings are one vector."""
    vocabulary = {token: i for i, token in enumerate([*tokens, "<s>"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<s>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    made.decoder = decoders.Fuse()
    if adds_bos:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight[:] = torch.randn(16)
        state = model.model(input_ids=torch.tensor([[0]])).last_hidden_state[0, 0]
        target = torch.tensor([math.log(p) for p in tokens.values()] + [-1e4])
        model.lm_head.weight[:] = target[:, None] * state / state.dot(state)
    spec = ModelSpec(name="unigram", modality="language", source="transformers", id="unigram")
    return LanguageEncoder(spec, model, tokenizer, CPU)


def test_two_tokenizers_of_one_exact_model_give_the_same_bits_per_byte():
    """Letters, and pairs of letters, of one distribution; with a start token by the tokenizer and without."""
    pairs = {a + b: p * q for a, p in LETTERS.items() for b, q in LETTERS.items()}
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list(LETTERS), size=n, p=list(LETTERS.values()))) for n in (2, 30, 100)]
    expected = -sum(math.log2(LETTERS[letter]) for text in texts for letter in text) / sum(map(len, texts))
    for tokens, pattern in ((LETTERS, "."), (pairs, "..")):
        for adds_bos in (False, True):
            encoder = unigram(tokens, pattern, adds_bos=adds_bos)
            for context, stride in ((8, 4), (200, 100)):
                got = measure(encoder, texts, context=context, stride=stride)
                assert got.per_byte()[0] == pytest.approx(expected, abs=1e-5)
                assert got.lossy == 0


def test_released_convention_leaves_the_first_token_out_only_where_the_tokenizer_puts_no_start_token():
    texts = ["dab", "ab"]
    with_start, without = (measure(unigram(LETTERS, ".", adds_bos=bos), texts, released=True) for bos in (True, False))
    cost = {letter: -math.log2(p) for letter, p in LETTERS.items()}
    assert with_start.bits == pytest.approx([cost["d"] + cost["a"] + cost["b"], cost["a"] + cost["b"]], abs=1e-4)
    assert without.bits == pytest.approx([cost["a"] + cost["b"], cost["b"]], abs=1e-4)
    assert without.per_byte()[0] == pytest.approx(((cost["a"] + cost["b"]) / 3 + cost["b"] / 2) / 2, abs=1e-4)


def test_released_bits_equal_extraction_s_for_texts_that_fit_one_window(encoder):
    from platorep.models.base import Text, TextRules

    texts = ["A Sumatran tiger walks.", *TEXTS[1:3]]
    tokens = encoder.tokenize([Text.of(text) for text in texts], TextRules())
    expected = torch.cat([encoder.encode([one]).scalars["bits_released"] for one in tokens])
    limit = max(len(one) for one in tokens) + 1
    got = measure(encoder, texts, context=limit, stride=limit - 1, released=True)
    assert got.bits == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-3)
    assert own_prefix(encoder.tokenizer) == (
        (encoder.start,) if encoder.tokenizer("a")["input_ids"][0] == encoder.start else ()
    )


def test_bytes_are_utf8_and_the_error_is_over_documents(encoder):
    got = measure(encoder)
    assert got.bytes.tolist() == [len(text.encode()) for text in TEXTS]
    assert got.lossy == 0
    ratio, n = got.bits.sum() / got.bytes.sum(), len(TEXTS)
    leave_one_out = [(got.bits.sum() - b) / (got.bytes.sum() - s) for b, s in zip(got.bits, got.bytes, strict=True)]
    jackknife = math.sqrt((n - 1) / n * sum((value - ratio) ** 2 for value in leave_one_out))
    assert 0.3 < got.per_byte()[1] / jackknife < 3
    assert math.isnan(measure(encoder, TEXTS[:1]).per_byte()[1])


def test_texts_that_hold_a_special_token_s_name_are_scored_as_text(folder):
    encoder = opened(small_models.llama(folder / "special"))
    got = measure(encoder, ["one </s> two"], context=64, stride=32)
    assert got.tokens >= len("one ") + len("</s>")
    assert got.lossy == 0


def test_a_tokenizer_that_loses_text_is_named(caplog):
    got = measure(unigram(LETTERS, ".", adds_bos=True), ["abc", "abz"])
    assert got.lossy == 1
    assert "does not reproduce 1 of 2 documents" in caplog.text


def test_windows_that_cannot_be_are_refused(folder):
    encoder = opened(small_models.llama(folder / "short", context=32))
    with pytest.raises(
        SpecError, match=r"short takes 32 tokens; corpus\.context is 33\. Set corpus\.context=32 for all"
    ):
        measure(encoder, context=33)
    for stride in (0, 24):
        with pytest.raises(SpecError, match=r"expected 1 to corpus\.context - 1 = 23"):
            measure(encoder, stride=stride)
    with pytest.raises(DataError, match="document 1 .* gives no tokens"):
        measure(encoder, ["a", ""])
