"""8- and 4-bit models as bitsandbytes makes them on a CPU: near the plain model, counted as it is, and marked."""

from __future__ import annotations

import pytest
import torch

from platorep.models import Text, TextRules, load, resolve
from tests import small_models
from tests.extract.conftest import run as run
from tests.extract.conftest import synthetic as synthetic


pytestmark = pytest.mark.quant

CPU = torch.device("cpu")
TEXTS = [Text.of("A Sumatran tiger."), Text.of("steel"), Text.of("A red square in the upper left.")]


@pytest.fixture
def llama(tmp_path):
    return resolve(small_models.llama(tmp_path / "llama", width=128), CPU)


def similarity(a, b):
    return min(torch.nn.functional.cosine_similarity(x, y).min().item() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("quantize", "least"), [("8bit", 0.999), ("4bit", 0.9)])
def test_features_are_near_those_of_the_plain_model_and_not_equal(quantize, least, llama):
    plain, rounded = load(llama, CPU), load(llama.replace(quantize=quantize), CPU)
    want, got = (one.encode(one.tokenize(TEXTS, TextRules())) for one in (plain, rounded))
    assert least < similarity(want.features, got.features)
    assert not torch.equal(want.features[-1], got.features[-1])
    torch.testing.assert_close(got.scalars["bits"], want.scalars["bits"], rtol=0.02, atol=0.0)
    assert rounded.facts["parameters"] == plain.facts["parameters"]  # packed weights are not half a model


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_features_do_not_depend_on_what_else_is_in_the_batch(quantize, llama):
    encoder = load(llama.replace(quantize=quantize), CPU)
    tokens = encoder.tokenize(TEXTS, TextRules())
    together = encoder.encode(tokens).features
    alone = [encoder.encode([one]).features for one in tokens]
    for layer, features in enumerate(together):
        torch.testing.assert_close(
            torch.cat([one[layer] for one in alone]), features, rtol=1e-2, atol=1e-2 * features.abs().max().item()
        )


def test_extraction_says_so_in_its_name_its_key_and_its_manifest(run, llama):
    plain, rounded = run(llama), run(llama.replace(quantize="4bit"))
    assert rounded.name == "llama-4bit"
    assert rounded.key != plain.key
    assert rounded.digest == plain.digest
    assert rounded.manifest["provenance"]["quantized"] == "4bit"
    assert plain.manifest["provenance"]["quantized"] is None
