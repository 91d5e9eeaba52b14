"""Extraction end to end with small models: what is stored, and what stops it."""

from __future__ import annotations

import pytest
import torch

from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.specs import ModelSpec
from platorep.extract import batches
from platorep.extract.batches import Budget, encode_within, pack
from platorep.models import Text, TextRules, load
from platorep.models.base import Encoded
from tests import small_models
from tests.extract.conftest import CPU, Captions, tensors


def test_rows_are_the_samples_in_order_encoded_alone(run, tmp_path):
    features = run(small_models.bloom(tmp_path / "bloom"))
    encoder = load(features.spec.model, CPU)
    assert [layer.name for layer in features.layers] == list(encoder.layers)
    for row, own in enumerate(run.pairs.samples.captions):
        alone = encoder.encode(encoder.tokenize([Text.of(own[0])], TextRules())).features
        for layer, want in enumerate(alone):
            torch.testing.assert_close(features.load(layer)[row], want[0], rtol=1e-4, atol=1e-5)


def test_pictures_are_stored_in_order_with_ragged_widths(run):
    features = run(small_models.picture("test_efficientnet"), tokens=300)
    encoder = load(features.spec.model, CPU)
    assert len({layer.dim for layer in features.layers}) > 1
    for row in (0, 6, 7, 22):
        alone = encoder.encode(encoder.transform(run.pairs.picture(row)).unsqueeze(0)).features
        torch.testing.assert_close(features.load(-1)[row], alone[-1][0], rtol=1e-3, atol=1e-4)


def test_bits_per_byte_is_the_ratio_of_sums_and_the_released_one_the_mean_of_ratios(run, tmp_path):
    features = run(small_models.bloom(tmp_path / "bloom"))
    stored = tensors(features)
    bits, released, size = (stored[f"sample.{name}"] for name in ("bits", "bits_released", "bytes"))
    assert size.tolist() == [len(own[0].encode()) for own in run.pairs.samples.captions]
    assert features.scalars["bits_per_byte"] == pytest.approx((bits.sum() / size.sum()).item())
    assert features.scalars["bits_per_byte_released"] == pytest.approx((released / size).mean().item())
    assert features.scalars["bits_per_byte_released"] < features.scalars["bits_per_byte"]  # its first token is free
    assert 0 < features.scalars["bits_per_byte_standard_error"] < features.scalars["bits_per_byte"]


def test_standard_error_of_bits_per_byte_is_that_of_a_resampled_ratio(run, tmp_path):
    stored = tensors(features := run(small_models.bloom(tmp_path / "bloom")))
    draws = torch.randint(23, (4000, 23), generator=torch.Generator().manual_seed(0))
    ratios = stored["sample.bits"][draws].sum(1) / stored["sample.bytes"][draws].sum(1)
    assert features.scalars["bits_per_byte_standard_error"] == pytest.approx(ratios.std().item(), rel=0.15)


def test_manifest_says_how_it_was_made(run, tmp_path):
    made = run(small_models.llama(tmp_path / "llama")).manifest["provenance"]
    assert made["device"].startswith("cpu (")
    assert made["dtype"] == "float32"
    assert set(made["seconds"]) == {"loading", "computing", "writing"}
    assert made["tokens"] > 23
    assert made["tokens_per_second"] > 0
    assert made["peak_memory"] > 1e6
    assert run(small_models.picture()).manifest["provenance"]["pictures"] == 23


def test_complete_features_cost_nothing(run, tmp_path, monkeypatch):
    spec = small_models.llama(tmp_path / "llama")
    first = run(spec)
    monkeypatch.setattr("platorep.extract.engine.load", lambda *_: pytest.fail("the model was loaded again"))
    assert run(spec).path == first.path


def test_only_the_layers_asked_for_are_stored(run, tmp_path):
    spec = small_models.llama(tmp_path / "llama")
    everything, some = run(spec), run(spec, fields={"layers": "depth:0.0,1.0"})
    assert [layer.name for layer in some.layers] == ["embedding", "block.2.norm"]
    assert torch.equal(some.load(-1), everything.load(-1))


def test_several_captions_are_averaged_joined_or_multiply_the_items(run, tmp_path):
    spec = small_models.llama(tmp_path / "llama")
    captions = Captions([["A tiger.", "A wrench, of steel."], ["A red square."]])
    alone = run(
        spec,
        pairs=Captions([["A tiger."], ["A wrench, of steel."], ["A red square."], ["A tiger. A wrench, of steel."]]),
        store="alone",
    )
    mean = run(spec, pairs=captions, fields={"caption": "all", "combine": "mean_features"})
    joined = run(spec, pairs=captions, fields={"caption": "all", "combine": "concatenate_text"})
    many = run(spec, pairs=captions, fields={"caption": "all", "combine": "multiply_items"})
    second = run(spec, pairs=captions, fields={"caption": "0"})
    want = alone.load(-1)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(mean.load(-1), torch.stack([(want[0] + want[1]) / 2, want[2]]), **close)
    torch.testing.assert_close(joined.load(-1), torch.stack([want[3], want[2]]), **close)
    torch.testing.assert_close(many.load(-1), want[:3], **close)
    torch.testing.assert_close(second.load(-1), want[[0, 2]], **close)
    assert many.n == 3
    assert tensors(mean)["sample.bytes"].tolist() == [27.0, 13.0]


def test_multiplied_items_repeat_their_picture_and_share_the_digest_of_the_captions(run, tmp_path):
    captions = Captions([["A tiger.", "A wrench."], ["A red square."]])
    captions.picture = run.pairs.picture
    fields = {"caption": "all", "combine": "multiply_items"}
    seen = run(small_models.picture(), pairs=captions, fields=fields)
    read = run(small_models.llama(tmp_path / "llama"), pairs=captions, fields=fields)
    assert seen.digest == read.digest
    assert torch.equal(seen.load(-1)[0], seen.load(-1)[1])
    assert not torch.equal(seen.load(-1)[0], seen.load(-1)[2])


def test_caption_that_does_not_exist_is_refused(run, tmp_path):
    spec = small_models.llama(tmp_path / "llama")
    with pytest.raises(DataError, match="sample 's1' has 1 captions; caption=1 does not exist"):
        run(spec, pairs=Captions([["a", "b"], ["c"]]), fields={"caption": "1"})
    with pytest.raises(SpecError, match="expected first, all or an index"):
        run(spec, pairs=Captions([["a"]]), fields={"caption": "second"})


def test_prompt_surrounds_the_caption(run, tmp_path):
    spec = small_models.llama(tmp_path / "llama", context=128)
    with_prompt = run(spec, fields={"prompt": "An image with the caption '{caption}'."})
    spanned = run(spec, fields={"prompt": "An image with the caption '{caption}'.", "span": "caption"})
    plain = run(spec)
    assert not torch.allclose(with_prompt.load(-1), plain.load(-1))
    assert not torch.allclose(with_prompt.load(-1), spanned.load(-1))
    assert torch.equal(tensors(spanned)["sample.bytes"], tensors(plain)["sample.bytes"])


def test_overlong_captions_are_counted(run, tmp_path):
    spec = small_models.llama(tmp_path / "llama", context=32)
    pairs = Captions([["A"], ["A tiger. " * 30], ["A wrench."]])
    assert run(spec, pairs=pairs).scalars["truncated"] == 1
    with pytest.raises(DataError, match="overlong=truncate"):
        run(spec, pairs=pairs, fields={"overlong": "error"})


def test_unreadable_picture_stops_with_its_own_words_from_a_worker_too(run):
    class Broken(Captions):
        def picture(self, index, number):
            raise DataError(f"sample s{index} cannot be read")

    for workers in (0, 1):
        with pytest.raises(DataError, match=r"^sample s0 cannot be read$"):
            run(small_models.picture(), pairs=Broken([["a"]] * 3), workers=workers)


def test_features_that_are_not_finite_name_the_sample(run, tmp_path):
    spec = small_models.llama(tmp_path / "llama", weight_noise=1e39)
    with pytest.raises(FeatureError, match=r"llama, layer .*NaN or infinity for sample '"):
        run(spec)


def test_tfidf_and_pixels_extract_without_any_asset(run):
    words = run(ModelSpec(name="tfidf", modality="language", source="tfidf", id="tfidf"))
    pixels = run(ModelSpec(name="pixels", modality="vision", source="pixels", id="pixels-16x16"))
    assert words.n == pixels.n == 23
    assert words.digest == pixels.digest


def test_model_is_freed_after_use(run, tmp_path, monkeypatch):
    import gc
    import weakref

    kept = []

    def remember(spec, device):
        encoder = load(spec, device)
        kept.append(weakref.ref(encoder.model))
        return encoder

    monkeypatch.setattr("platorep.extract.engine.load", remember)
    run(small_models.llama(tmp_path / "llama"))
    run(small_models.picture())
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


def test_progress_reaches_the_number_of_rows(run, tmp_path):
    calls = []
    run(small_models.llama(tmp_path / "llama"), progress=lambda *args: calls.append(args[:2]))
    assert calls == [(7, 23), (14, 23), (21, 23), (23, 23)]


# packing and budgets


@pytest.mark.parametrize("budget", [1, 10, 64, 5000])
def test_packing_keeps_the_budget_covers_all_and_pads_little(budget):
    generator = torch.Generator().manual_seed(0)
    lengths = (torch.randn(500, generator=generator).exp() * 18).long().clamp(1, 400).tolist()
    made = pack(lengths, budget)
    assert sorted(i for batch in made for i in batch) == list(range(500))
    for batch in made:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget
    if budget == 5000:
        slots = sum(max(lengths[i] for i in batch) * len(batch) for batch in made)
        assert slots < 1.1 * sum(lengths)


def test_out_of_memory_halves_until_it_fits_and_loses_nothing():
    seen = []

    def encode(part):
        if len(part) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        seen.extend(part)
        return Encoded([torch.tensor(part).float().unsqueeze(1)], {})

    budget = Budget(1000)
    parts = list(encode_within(encode, list(range(17)), 10, budget))
    assert seen == list(range(17))
    assert [i for place, _ in parts for i in range(17)[place]] == seen
    assert budget.tokens <= 40
    assert budget.halvings == 3


def test_one_item_that_does_not_fit_is_refused_and_other_errors_pass():
    def encode(_part):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(FeatureError, match="one item of 10 tokens does not fit into memory"):
        list(encode_within(encode, [1, 2], 10, Budget(100)))
    with pytest.raises(RuntimeError, match="shape"):
        list(encode_within(lambda _: (_ for _ in ()).throw(RuntimeError("shape")), [1], 1, Budget(1)))


def test_budget_is_a_constant_on_a_cpu_and_can_be_given():
    assert Budget.find(None, CPU).tokens == batches.CPU_TOKENS
    assert Budget.find(77, CPU).tokens == 77


def test_extract_writes_nothing_when_a_caption_stops_it(run, tmp_path):
    spec = small_models.llama(tmp_path / "llama", context=16)
    with pytest.raises(DataError):
        run(spec, pairs=Captions([["A tiger. " * 30]]), fields={"overlong": "error"})
    assert not list((tmp_path / "store").rglob("manifest.json"))
