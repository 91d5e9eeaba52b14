"""Word vectors and TF-IDF."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from platorep.core.errors import DataError, SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import Text, TextRules, load, resolve


CPU = torch.device("cpu")
WORDS = ["the", "tiger", "wrench", "don't"]


def glove(folder, rows=4):
    vectors = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    np.save(folder / "vectors.npy", vectors)
    pd.DataFrame({"index": WORDS}).to_parquet(folder / "words.parquet")
    asset = AssetSpec(source="path", id=str(folder))
    return vectors, ModelSpec(name="glove", modality="language", source="static", id="glove", asset=asset)


def encode(encoder, texts):
    encoder.fit(texts)
    return encoder.encode(encoder.tokenize([Text.of(text) for text in texts], TextRules())).features[0]


def test_features_are_means_of_the_known_words(tmp_path):
    vectors, spec = glove(tmp_path)
    got = encode(load(resolve(spec, CPU), CPU), ["The tiger!", "WRENCH, wrench and tiger", "don't"])
    want = np.stack([vectors[[0, 1]].mean(0), vectors[[2, 2, 1]].mean(0), vectors[3]])
    assert np.allclose(got.numpy(), want)


def test_caption_without_known_word_gets_the_mean_vector_and_is_counted(tmp_path, caplog):
    vectors, spec = glove(tmp_path)
    encoder = load(resolve(spec, CPU), CPU)
    got = encode(encoder, ["the", "猫"])
    assert np.allclose(got[1].numpy(), vectors.mean(0))
    assert encoder.facts["captions_without_known_word"] == 1
    assert "1 captions have no known word" in caplog.text


def test_words_that_do_not_fit_the_vectors_are_refused(tmp_path):
    _, spec = glove(tmp_path, rows=5)
    with pytest.raises(SpecError, match=r"4 words do not fit vectors of shape \(5, 3\)"):
        load(resolve(spec, CPU), CPU)


def test_tfidf_is_scikit_learns():
    spec = resolve(ModelSpec(name="tfidf", modality="language", source="tfidf", id="tfidf"), CPU)
    got = encode(load(spec, CPU), ["a tiger", "a wrench", "a tiger"])
    assert got.shape == (3, 3)
    torch.testing.assert_close(got.norm(dim=1), torch.ones(3))
    assert torch.equal(got[0], got[2])
    assert 0 < got[0] @ got[1] < 1


def test_tfidf_of_letters_compares_words_of_one_spelling():
    spec = ModelSpec(name="letters", modality="language", source="tfidf", id="tfidf-letters")
    encoder = load(resolve(spec, CPU), CPU)
    got = encode(encoder, ["une alouette", "la alouettes", "un marteau"])
    assert encoder.layers == ("letters",)
    assert got[0] @ got[1] > 5 * (got[0] @ got[2])
    words = encode(load(resolve(spec.replace(id="tfidf"), CPU), CPU), ["une alouette", "la alouettes"])
    assert words[0] @ words[1] == 0


def test_tfidf_refuses_a_caption_without_words():
    encoder = load(resolve(ModelSpec(name="tfidf", modality="language", source="tfidf", id="tfidf"), CPU), CPU)
    with pytest.raises(DataError, match=r"1 captions have no word, such as '\?!'"):
        encoder.fit(["a tiger", "?!"])
