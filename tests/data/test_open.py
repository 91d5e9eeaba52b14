from __future__ import annotations

import logging
import multiprocessing

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from platorep.commands.pairs import config_dir
from platorep.core.errors import DataError, SpecError, UnknownNameError
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.data import open_dataset
from platorep.data import synthetic as synthetic_module
from platorep.data.open import source_of, sources


def synthetic(**more) -> DatasetSpec:
    return DatasetSpec(name="shapes", source="synthetic", **more)


# order and selection


def test_synthetic_pairs_are_the_same_on_every_opening_and_no_two_are_alike():
    a, b = open_dataset(synthetic(n=480)), open_dataset(synthetic(n=480))
    assert a.samples == b.samples
    assert all(a.picture(i).tobytes() == b.picture(i).tobytes() for i in range(0, 480, 37))
    assert len({tuple(c) for c in a.samples.captions}) == 480
    assert a.samples.categories[:3] == ["circle", "square", "triangle"]
    assert len(a) == 480


def test_synthetic_caption_names_the_colour_of_the_picture():
    data = open_dataset(synthetic(n=60))
    for i in range(60):
        pixels = np.asarray(data.picture(i)).astype(int)
        colourful = (pixels.max(-1) - pixels.min(-1) > 60).mean() > 0.005
        assert colourful == (not any(word in data.samples.captions[i][0] for word in ("black", "grey")))


def test_smaller_n_is_a_prefix_of_a_larger_one_under_a_seed():
    small, large = open_dataset(synthetic(n=20, order_seed=7)), open_dataset(synthetic(n=50, order_seed=7))
    assert large.samples.ids[:20] == small.samples.ids
    assert small.picture(3).tobytes() == large.picture(3).tobytes()


def test_seeds_give_other_orders_of_the_same_pairs():
    orders = [open_dataset(synthetic(order_seed=seed)).samples.ids for seed in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert open_dataset(synthetic(n=6, order_seed=0)).samples.ids == [
        "0175",
        "0423",
        "0378",
        "0439",
        "0286",
        "0127",
    ]  # on every machine


def test_revision_is_filled_and_a_wrong_one_is_refused():
    spec = open_dataset(synthetic(n=4)).spec
    assert spec.revision == "1"
    assert open_dataset(spec).spec == spec
    with pytest.raises(DataError, match="pinned to revision 0, but synthetic now has 1"):
        open_dataset(synthetic(n=4, revision="0"))


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [(481, DataError, "has 480 pairs; 481 are asked for"), (1, SpecError, "n is 1; alignment needs at least 2")],
)
def test_n_that_cannot_be_is_refused(n, error, message):
    with pytest.raises(error, match=message):
        open_dataset(synthetic(n=n))


def test_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(
        UnknownNameError, match="unknown option of dataset source 'synthetic' 'sed'. Did you mean 'seed'"
    ):
        open_dataset(synthetic(options={"sed": 1}))


def _third(data):
    return data.picture(3).tobytes()


def test_dataset_goes_to_other_processes(pictures):
    _, _, write = pictures
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for data in (open_dataset(write()), open_dataset(synthetic(n=8))):
            assert pool.apply(_third, [data]) == _third(data)


# bad samples


def spoil(root, rows):
    rows[1]["text"] = "  "
    rows[2]["text"] = None
    (root / "3.png").write_bytes(b"no picture")
    (root / "4.png").unlink()
    Image.open(root / "0.png").save(root / "5.png", compress_level=0)  # other bytes, same pixels


REASONS = {
    "1.png": "caption is empty",
    "2.png": "caption is missing",
    "3.png": "picture is unreadable",
    "4.png": "file cannot be read: No such file",
    "5.png": "picture is the same as that of '0.png'",
}


def test_bad_samples_are_refused_with_ids_reasons_counts_and_what_to_do(pictures):
    root, rows, write = pictures
    spoil(root, rows)
    with pytest.raises(DataError) as caught:
        open_dataset(write())
    message = str(caught.value)
    assert "5 of 8 samples are bad" in message
    assert "dataset.on_bad_sample=drop" in message
    for one, reason in REASONS.items():
        assert f"{one}: {reason}" in message


def test_many_bad_samples_are_counted_and_the_first_are_named(pictures):
    _, rows, write = pictures
    for row in rows[:7]:
        row["text"] = ""
    with pytest.raises(
        DataError,
        match=r"7 of 8 samples are bad \(7 x caption is empty\): 0.png: .*4.png: caption is empty; and 2 more",
    ):
        open_dataset(write())


def test_dropped_samples_are_recorded_with_reasons_and_logged(pictures, caplog):
    root, rows, write = pictures
    spoil(root, rows)
    with caplog.at_level(logging.WARNING):
        data = open_dataset(write(on_bad_sample="drop"))
    assert data.samples.ids == ["0.png", "6.png", "7.png"]
    assert [one["id"] for one in data.samples.dropped] == list(REASONS)
    assert all(one["reason"].startswith(REASONS[one["id"]]) for one in data.samples.dropped)
    assert "5 of 8 samples are bad" in caplog.text


def test_dropped_samples_are_replaced_by_the_next_so_that_n_remains_n(pictures):
    root, rows, write = pictures
    spoil(root, rows)
    data = open_dataset(write(on_bad_sample="drop", n=3))
    assert data.samples.ids == ["0.png", "6.png", "7.png"]
    with pytest.raises(DataError, match="has 3 good pairs; 4 are asked for. 5 of 8 samples are bad"):
        open_dataset(write(on_bad_sample="drop", n=4))


def test_only_the_samples_asked_for_are_judged(pictures):
    root, _, write = pictures
    (root / "7.png").write_bytes(b"no picture")
    assert len(open_dataset(write(n=7))) == 7


def test_same_caption_for_different_pictures_is_no_fault(pictures):
    _, rows, write = pictures
    for row in rows:
        row["text"] = "a frog"
    assert len(open_dataset(write())) == 8


def test_one_bad_caption_among_several_is_named(pictures):
    _, rows, write = pictures
    rows[0]["text"] = ["one", "two"]
    assert open_dataset(write()).samples.captions[0] == ["one", "two"]
    rows[0]["text"] = ["one", ""]
    with pytest.raises(DataError, match="0.png: caption 2 of 2 is empty"):
        open_dataset(write())
    rows[0]["text"] = {"en": "one"}
    with pytest.raises(DataError, match="0.png: caption is not text but dict"):
        open_dataset(write())


def test_ids_that_occur_twice_are_refused(pictures):
    _, rows, write = pictures
    for row in rows:
        row["number"] = "same"
    with pytest.raises(
        DataError, match="1 ids occur more than once, first .'same'.. Choose an id column without repeats"
    ):
        open_dataset(write(columns={"id": "number"}))


def test_picture_that_goes_bad_later_is_named(pictures):
    root, _, write = pictures
    data = open_dataset(write())
    (root / "2.png").unlink()
    with pytest.raises(
        DataError, match="sample '2.png' of mine: file cannot be read.*It was readable when the dataset was checked"
    ):
        data.picture(2)


# what is known is not checked again


def test_stored_samples_spare_the_check_and_keep_what_was_dropped(pictures, tmp_path, monkeypatch):
    root, rows, write = pictures
    spoil(root, rows)
    spec = write(on_bad_sample="drop")
    store = FeatureStore(tmp_path / "features")
    first = open_dataset(spec, known=lambda one: None)
    store.write_samples(first.spec, first.samples)

    def no_check(*args):
        raise AssertionError("the pictures were checked again")

    monkeypatch.setattr("platorep.data.open._select", no_check)
    again = open_dataset(spec, known=lambda one: store.read_samples(store.dataset_dir(one)))
    assert again.samples == first.samples
    assert again.spec == first.spec
    assert again.picture(1).tobytes() == first.picture(1).tobytes()


def test_stored_samples_that_the_source_lost_are_named():
    first = open_dataset(synthetic(n=8))
    first.samples.ids[3] = "lost"
    with pytest.raises(DataError, match="no longer has 1 of its 8 stored samples, first .'lost'."):
        open_dataset(synthetic(n=8), known=lambda one: first.samples)


def test_a_source_is_a_module_that_has_pairs():
    assert {"folder", "hub", "synthetic"} <= set(sources())
    assert not {"open", "pair", "pictures"} & set(sources())
    assert source_of(synthetic()) is synthetic_module.pairs


def test_every_source_has_a_dataset():
    files = (config_dir() / "dataset").glob("*.yaml")
    assert {OmegaConf.load(file).source for file in files} == set(sources())


@pytest.mark.parametrize("name", ["syntetic", "pair", "open", "../data/hub", ""])
def test_other_modules_are_no_source(name):
    with pytest.raises(UnknownNameError, match=f"source of dataset shapes '{name}'"):
        open_dataset(synthetic().replace(source=name))
