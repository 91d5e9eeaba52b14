"""Features of a query: those that extraction stores for a sample with the same text or picture."""

from __future__ import annotations

import pytest
import torch

from platorep.core.specs import ModelSpec
from platorep.extract.queries import Query, query_features
from tests.extract.conftest import resources
from tests.small_models import bert, llama, picture


TFIDF = ModelSpec(name="tfidf", modality="language", source="tfidf", id="tfidf")
PIXELS = ModelSpec(name="pixels", modality="vision", source="pixels", id="pixels-16x16")


def features_of(run, stored, query):
    return query_features(stored.spec, run.pairs.samples, query, resources())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": "Look: {caption} Yes.", "span": "caption"},
        {"max_tokens": 12, "layers": "0,-1"},
        {"storage_dtype": "float16"},
        {"caption": "all", "combine": "concatenate_text"},
    ],
    ids=["plain", "prompt", "cut", "half", "joined"],
)
def test_a_sample_s_caption_as_a_query_has_the_features_of_the_sample(run, tmp_path, fields):
    stored = run(llama(tmp_path / "llama"), fields=fields)
    found = features_of(run, stored, Query(run.pairs.samples.captions[4][0]))
    assert len(found) == len(stored.layers)
    for layer, vector in enumerate(found):
        torch.testing.assert_close(
            vector, stored.load(layer)[4], atol=1e-5, rtol=2e-3 if "storage_dtype" in fields else 1e-5
        )
        assert not torch.allclose(vector, stored.load(layer)[5], atol=1e-2)


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_pooling_is_that_of_the_extraction(run, tmp_path, pool):
    stored = run(bert(tmp_path / "bert", pool=pool))
    found = features_of(run, stored, Query(run.pairs.samples.captions[2][0]))
    torch.testing.assert_close(found[-1], stored.load(-1)[2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model", [picture(), picture(input_size=8), PIXELS], ids=["vit", "small", "pixels"])
def test_a_sample_s_picture_as_a_query_has_the_features_of_the_sample(run, model):
    stored = run(model)
    found = features_of(run, stored, Query("p.png", run.pairs.picture(7)))
    for layer, vector in enumerate(found):
        torch.testing.assert_close(vector, stored.load(layer)[7], atol=1e-5, rtol=1e-5)
    other = features_of(run, stored, Query("q.png", run.pairs.picture(8)))
    assert not torch.allclose(other[-1], found[-1], atol=1e-4)


def test_word_counts_are_fitted_on_the_samples_and_not_on_the_query(run):
    stored = run(TFIDF)
    caption = run.pairs.samples.captions[3][0]
    plain, longer = (features_of(run, stored, Query(text))[0] for text in (caption, f"{caption} zzyzx"))
    torch.testing.assert_close(plain, stored.load(0)[3], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(longer, plain)  # a word that no caption has counts for nothing
    assert not features_of(run, stored, Query("zzyzx"))[0].any()
