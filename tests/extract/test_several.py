"""Several captions and several pictures an item: what becomes one row, under which id, the same for every modality."""

from __future__ import annotations

import pytest
import torch

from platorep.core.errors import DataError, SpecError
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.extract.items import items_of
from tests import small_models
from tests.extract.conftest import Views, tensors


CLOSE = {"rtol": 1e-4, "atol": 1e-5}
SHOWN = [[0, 1, 2], [3], [4, 5]]
CAPTIONS = [["A tiger.", "A cat."], ["A wrench."], ["A red square.", "A square."]]


@pytest.fixture
def views(run):
    return Views(run.pairs, SHOWN, CAPTIONS)


@pytest.fixture
def alone(run):
    """Features of the pictures one by one."""
    return run(small_models.picture(), store="alone").load(-1)


def rows(**fields):
    spec = ExtractSpec(
        model=ModelSpec(name="m", modality="vision", source="pixels", id="x"),
        dataset=DatasetSpec(name="d", source="folder"),
        **fields,
    )
    return items_of(spec, Samples(["s0", "s1", "s2"], CAPTIONS, ["a", "b", "c"], pictures=[3, 1, 2]))


@pytest.mark.parametrize("shard_rows", [1, 2, 7])
def test_several_pictures_are_averaged_chosen_or_multiply_the_items(run, views, alone, shard_rows):
    def seen(**fields):
        return run(
            small_models.picture(), pairs=views, fields=fields, shard_rows=shard_rows, store=f"store{len(fields)}"
        ).load(-1)

    torch.testing.assert_close(
        seen(picture="all"), torch.stack([alone[:3].mean(0), alone[3], alone[4:6].mean(0)]), **CLOSE
    )
    torch.testing.assert_close(seen(), alone[[0, 3, 4]], **CLOSE)
    torch.testing.assert_close(seen(picture="all", combine="multiply_items"), alone[:6], **CLOSE)


def test_an_index_chooses_a_picture(run, alone):
    views = Views(run.pairs, [[0, 1], [2, 3]], [["a"], ["b"]])
    torch.testing.assert_close(
        run(small_models.picture(), pairs=views, fields={"picture": "1"}).load(-1), alone[[1, 3]], **CLOSE
    )


def test_mean_over_pictures_does_not_depend_on_batches_workers_or_shards(run, views):
    fields = {"picture": "all", "layers": "last"}
    plain = run(small_models.picture("test_efficientnet"), pairs=views, fields=fields).load(-1)
    for i, settings in enumerate([{"tokens": 1}, {"tokens": 300, "workers": 1}, {"shard_rows": 1}]):
        again = run(
            small_models.picture("test_efficientnet"), pairs=views, fields=fields, store=f"again{i}", **settings
        ).load(-1)
        torch.testing.assert_close(again, plain, rtol=1e-3, atol=1e-4)


def test_ids_of_multiplied_items_name_caption_and_picture():
    both = rows(caption="all", picture="all", combine="multiply_items")
    assert both.samples.ids[:6] == ["s0#0.0", "s0#0.1", "s0#0.2", "s0#1.0", "s0#1.1", "s0#1.2"]
    assert both.samples.ids[6:] == ["s1#0.0", "s2#0.0", "s2#0.1", "s2#1.0", "s2#1.1"]
    assert [own[0].text for own in both.texts[2:4]] == ["A tiger.", "A cat."]
    assert both.pictures[2:4] == [[(0, 2)], [(0, 0)]]
    assert both.samples.captions[3] == ["A cat."]
    assert both.samples.categories == ["a"] * 6 + ["b"] + ["c"] * 4
    assert rows(caption="all", combine="multiply_items").samples.ids == ["s0#0", "s0#1", "s1#0", "s2#0", "s2#1"]
    pictures = rows(picture="all", combine="multiply_items").samples
    assert pictures.ids == ["s0#.0", "s0#.1", "s0#.2", "s1#.0", "s2#.0", "s2#.1"]
    assert pictures.captions[1] == CAPTIONS[0]  # all of a sample's captions are still those of its rows


@pytest.mark.parametrize(
    "fields",
    [
        {"picture": "all", "combine": "multiply_items"},
        {"caption": "all", "combine": "multiply_items"},
        {"caption": "all", "picture": "all", "combine": "multiply_items"},
        {"caption": "all", "picture": "all"},
    ],
)
def test_language_and_vision_have_the_same_digest_under_one_setting_and_another_under_any_other(
    run, views, tmp_path, fields
):
    read = run(small_models.llama(tmp_path / "llama"), pairs=views, fields=fields)
    seen = run(small_models.picture(), pairs=views, fields=fields)
    assert (read.digest, read.n) == (seen.digest, seen.n)
    if "combine" in fields:
        other = (
            {"caption": "all", "combine": "multiply_items"}
            if fields["combine"] != "multiply_items" or "picture" in fields
            else {}
        )
        assert run(small_models.picture(), pairs=views, fields=other).digest != read.digest


def test_all_captions_with_all_pictures_repeat_the_features_of_each(run, views, alone, tmp_path):
    fields = {"caption": "all", "picture": "all", "combine": "multiply_items"}
    seen = run(small_models.picture(), pairs=views, fields=fields)
    torch.testing.assert_close(seen.load(-1), alone[[0, 1, 2, 0, 1, 2, 3, 4, 5, 4, 5]], **CLOSE)
    assert seen.manifest["provenance"]["pictures"] == 6  # each was computed once
    read = run(small_models.llama(tmp_path / "llama"), pairs=views, fields=fields)
    captions = run(
        small_models.llama(tmp_path / "llama"), pairs=views, fields={"caption": "all", "combine": "multiply_items"}
    )
    torch.testing.assert_close(read.load(-1), captions.load(-1)[[0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 4]], **CLOSE)
    bits = tensors(captions)["sample.bits"]
    torch.testing.assert_close(
        tensors(read)["sample.bits"], bits[[0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 4]], rtol=1e-4, atol=1e-4
    )


def test_captions_may_be_averaged_while_pictures_are_too(run, views, alone, tmp_path):
    fields = {"caption": "all", "picture": "all", "combine": "mean_features"}
    torch.testing.assert_close(
        run(small_models.picture(), pairs=views, fields=fields).load(-1)[0], alone[:3].mean(0), **CLOSE
    )
    captions = run(small_models.llama(tmp_path / "llama"), pairs=views, fields={"caption": "all"}).load(-1)
    assert torch.equal(run(small_models.llama(tmp_path / "llama"), pairs=views, fields=fields).load(-1), captions)


def test_pictures_cannot_be_joined_as_texts_but_one_picture_stands_beside_joined_captions():
    with pytest.raises(
        SpecError,
        match=r"several pictures per item, which cannot be joined. Use combine=mean_features or multiply_items",
    ):
        rows(caption="all", picture="all", combine="concatenate_text")
    joined = rows(caption="all", combine="concatenate_text")
    assert [own[0].text for own in joined.texts] == ["A tiger. A cat.", "A wrench.", "A red square. A square."]
    assert joined.pictures == [[(0, 0)], [(1, 0)], [(2, 0)]]


def test_picture_that_does_not_exist_is_refused():
    with pytest.raises(
        DataError, match=r"sample 's1' has 1 pictures; picture=1 does not exist. Use picture=first or all"
    ):
        rows(picture="1")
    for which in ("last", "-1"):
        with pytest.raises(SpecError, match=f"picture is {which!r}; expected first, all or an index from 0"):
            rows(picture=which)
