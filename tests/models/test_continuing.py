"""Continued texts: tokens that transformers would generate, draws from the model's probabilities, what is pooled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.core.errors import SpecError
from platorep.core.specs import GenerateSpec
from platorep.models import Text, TextRules, load, resolve
from platorep.models.continuing import _gumbel
from tests.small_models import LINES, bert, llama


RULES = GenerateSpec(tokens=6, temperature=0.0, seed=0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    encoder = load(resolve(llama(tmp_path_factory.mktemp("llama") / "model"), CPU), CPU)
    encoder.select("all")
    return encoder


def texts(encoder, rules=RULES, lines=LINES):
    tokens = encoder.tokenize([Text.of(line) for line in lines], TextRules("generated", generated=rules))
    return tokens, encoder.continued(tokens, rules)


def test_the_likeliest_tokens_are_those_that_transformers_generates(encoder):
    before, after = texts(encoder)
    banned = encoder.tokenizer.all_special_ids
    for short, long in zip(before, after, strict=True):
        made = encoder.part.whole.generate(
            torch.tensor([short.ids]), max_new_tokens=6, min_new_tokens=6, do_sample=False, suppress_tokens=banned
        )
        assert list(long.ids) == made[0].tolist()
        assert list(long.pooled) == [False] * len(short) + [True] * 6


def test_features_are_the_mean_states_of_the_new_tokens(encoder):
    _, after = texts(encoder)
    features = encoder.encode(after).features
    for i, text in enumerate(after):
        states = encoder.part.states(torch.tensor([text.ids]))
        assert torch.allclose(features[-2][i], states[-2][0, -6:].mean(dim=0), atol=1e-5)
        assert not torch.allclose(features[-2][i], states[-2][0].mean(dim=0), atol=1e-3)  # not of all tokens


def test_draws_depend_on_the_seed_and_the_text_and_on_no_other_text(encoder):
    warm = GenerateSpec(tokens=6, temperature=1.0, seed=0)
    together = [list(text.ids) for text in texts(encoder, warm)[1]]
    alone = [list(texts(encoder, warm, [line])[1][0].ids) for line in LINES]
    assert together == alone
    other = [list(text.ids) for text in texts(encoder, GenerateSpec(tokens=6, temperature=1.0, seed=1))[1]]
    assert all(a != b for a, b in zip(together, other, strict=True))
    cold = [list(text.ids) for text in texts(encoder)[1]]
    icy = [list(text.ids) for text in texts(encoder, GenerateSpec(tokens=6, temperature=1e-4, seed=3))[1]]
    assert cold == icy  # at a low temperature the likeliest token is drawn


def test_the_largest_of_noisy_logits_is_a_draw_from_their_softmax():
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    noise, draws = torch.Generator().manual_seed(0), 4000
    taken = torch.stack([(logits + _gumbel(4, noise)).argmax() for _ in range(draws)])
    shares = np.bincount(taken, minlength=4) / draws
    expected = logits.softmax(0).numpy()
    assert (np.abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / draws)).all()


def test_bits_are_those_of_the_caption_alone(encoder):
    before, after = texts(encoder)
    assert torch.allclose(encoder.encode(before).scalars["bits"], encoder.encode(after).scalars["bits"], rtol=1e-4)


def test_models_that_do_not_continue_texts_are_refused(tmp_path, encoder):
    reader = load(resolve(bert(tmp_path / "bert"), CPU), CPU)
    with pytest.raises(SpecError, match="span=generated needs a causal language model with output embeddings"):
        texts(reader)
    with pytest.raises(SpecError, match="generated.tokens=9 leaves no room for the text: the model takes 9 tokens"):
        encoder.tokenize([Text.of("tiger")], TextRules(max_tokens=9, generated=RULES.replace(tokens=9)))
