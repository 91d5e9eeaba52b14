"""The samples nearest to a vector, beside numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.align.queries import nearest_samples
from platorep.core.clamp import Clamp
from platorep.core.errors import FeatureError
from platorep.core.features import ArrayFeatures
from platorep.results.tables import CONCATENATION


FREE = Clamp("none", 0.95)


@pytest.fixture
def model():
    chance = torch.Generator().manual_seed(0)
    return ArrayFeatures("m", [torch.randn(40, d, generator=chance) for d in (6, 9)])


@pytest.fixture
def query():
    chance = torch.Generator().manual_seed(1)
    return [torch.randn(d, generator=chance) for d in (6, 9)]


@pytest.mark.parametrize("layer", [0, 1, CONCATENATION])
@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_order_and_similarities_are_those_of_the_definition(model, query, layer, similarity):
    x, q = (torch.cat(list(parts), dim=-1) if layer < 0 else parts[layer] for parts in (model.tensors, query))
    x, q = x.double().numpy(), q.double().numpy()
    cosine = x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q)
    expected = cosine if similarity == "cosine" else -np.linalg.norm(x - q, axis=1)
    found = nearest_samples(model, query, layer, k=7, similarity=similarity, clamp=FREE, memory=10**9)
    assert found.rows == np.argsort(-expected)[:7].tolist()
    np.testing.assert_allclose(found.similarities, np.sort(expected)[::-1][:7])


def test_query_and_samples_are_clamped_at_the_samples_threshold(model, query):
    model.tensors[0][:2] *= 50
    clamp = Clamp("exact", 0.9)
    values = torch.cat([layer.abs().flatten() for layer in model.tensors]).sort().values
    threshold = values[int(0.9 * len(values))].item()
    big = [100 * part for part in query]
    found = nearest_samples(model, big, 0, k=40, clamp=clamp, memory=10**9)
    x, q = (part.clamp(-threshold, threshold).double().numpy() for part in (model.tensors[0], big[0]))
    expected = x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q)
    np.testing.assert_allclose(found.similarities, np.sort(expected)[::-1], atol=1e-6)
    without = nearest_samples(model, big, 0, k=40, clamp=FREE, memory=10**9)
    assert without.similarities != pytest.approx(found.similarities, abs=1e-3)


def test_a_sample_is_nearest_to_itself_and_of_equal_samples_the_first(model):
    model.tensors[0][9] = model.tensors[0][4]
    found = nearest_samples(model, [layer[9] for layer in model.tensors], 0, k=3, clamp=FREE, memory=10**9)
    assert found.rows[:2] == [4, 9]
    assert found.similarities[:2] == pytest.approx([1, 1])


def test_vectors_without_direction_and_without_numbers_are_refused(model, query):
    zero = [torch.zeros(6), query[1]]
    with pytest.raises(FeatureError, match="the vector of the query is zero, which has no direction"):
        nearest_samples(model, zero, 0, k=3, clamp=FREE, memory=10**9)
    assert nearest_samples(model, zero, 0, k=3, similarity="euclidean", clamp=FREE, memory=10**9).rows
    with pytest.raises(FeatureError, match="the features of the query are not finite"):
        nearest_samples(model, [query[0] / 0, query[1]], 0, k=3, clamp=FREE, memory=10**9)
    model.tensors[0][5] = 0
    with pytest.raises(FeatureError, match="the vector of sample 5 is zero"):
        nearest_samples(model, query, 0, k=3, clamp=FREE, memory=10**9)
