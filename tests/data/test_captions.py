"""What becomes of captions: each dial does what it says, is seeded, and is part of the dataset's key."""

import numpy as np
import pytest

from platorep.core.errors import SpecError, UnknownNameError
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.data import open_dataset
from platorep.data.captions import mismatched, transform


IDS = [f"{i}" for i in range(40)]
CAPTIONS = [[f"{i}a {i}b  {i}c {i}d", f"{i}x {i}y"] for i in range(40)]


def changed(**options):
    return transform(IDS, CAPTIONS, options)


def test_no_option_changes_nothing_not_even_spaces():
    assert changed() == CAPTIONS
    assert changed(permute=0.0, seed=3) == CAPTIONS


def test_words_keeps_the_first_ones():
    assert changed(words=1)[7] == ["7a", "7x"]
    assert changed(words=3)[7] == ["7a 7b 7c", "7x 7y"]


def test_shuffle_keeps_the_words_and_changes_their_order():
    made = changed(shuffle=True)
    assert all(
        sorted(a.split()) == sorted(b.split())
        for own, was in zip(made, CAPTIONS, strict=True)
        for a, b in zip(own, was, strict=True)
    )
    assert sum(a.split() != b.split() for (a, _), (b, _) in zip(made, CAPTIONS, strict=True)) > 30


@pytest.mark.parametrize(("share", "kept"), [(0.0, 4), (0.5, 2), (1.0, 0)])
def test_replace_changes_its_share_of_the_words_for_words_of_the_dataset(share, kept):
    known = {word for own in CAPTIONS for caption in own for word in caption.split()}
    same = []
    for (made, _), (was, _) in zip(changed(replace=share), CAPTIONS, strict=True):
        assert set(made.split()) <= known
        same.append(sum(a == b for a, b in zip(made.split(), was.split(), strict=True)))
    assert kept <= np.mean(same) < kept + 0.2  # a word may be replaced by itself


def test_draws_depend_on_the_item_and_the_seed_and_not_on_the_other_items():
    assert transform(IDS[5:9], CAPTIONS[5:9], {"shuffle": True}) == changed(shuffle=True)[5:9]
    assert changed(shuffle=True, seed=1) != changed(shuffle=True)


@pytest.mark.parametrize("share", [0.05 * level for level in range(21)])
def test_exactly_the_share_of_pairs_is_broken(share):
    for seed in range(3):
        order = mismatched(40, share, seed)
        assert sorted(order) == list(range(40))
        assert (order != np.arange(40)).sum() == round(share * 40)


def test_a_larger_share_breaks_the_pairs_of_a_smaller_one():
    few, many = (set(np.flatnonzero(mismatched(40, share, 0) != np.arange(40))) for share in (0.25, 0.5))
    assert few < many


def test_a_single_pair_cannot_be_broken():
    assert (mismatched(10, 0.1, 0) == np.arange(10)).all()


def test_permute_gives_captions_to_other_items_and_keeps_them_whole():
    made = changed(permute=1.0)
    assert sorted(made) == sorted(CAPTIONS)
    assert all(a != b for a, b in zip(made, CAPTIONS, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": 0}, "captions.words is 0; expected a whole number of at least 1"),
        ({"permute": 1.5}, "captions.permute is 1.5; expected a share"),
        ({"replace": True}, "captions.replace is True; expected a share"),
        ({"shuffle": 1}, "captions.shuffle is 1; expected true or false"),
        ({"seed": "a"}, "captions.seed is 'a'; expected a whole number"),
        ({"seed": -1}, "captions.seed is -1; expected a whole number from 0 to"),
        ({"seed": 2**63}, "captions.seed is 9223372036854775808; expected a whole number"),
    ],
)
def test_values_outside_their_range_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        changed(**options)


def test_an_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="words"):
        changed(word=1)


def spec(**captions):
    return DatasetSpec(name="shapes", source="synthetic", n=24, options={"captions": captions} if captions else {})


def test_a_dataset_with_changed_captions_has_its_own_key_and_the_same_pictures():
    plain, cut = open_dataset(spec()), open_dataset(spec(words=2))
    assert plain.spec.key() != cut.spec.key()
    assert plain.samples.digest == cut.samples.digest
    assert [own[0] for own in cut.samples.captions] == [" ".join(own[0].split()[:2]) for own in plain.samples.captions]
    assert plain.picture(3).tobytes() == cut.picture(3).tobytes()


def test_stored_samples_of_the_untouched_dataset_spare_the_check_and_give_the_same_captions(tmp_path):
    store = FeatureStore(tmp_path)
    plain = open_dataset(spec())
    store.write_samples(plain.spec, plain.samples)
    asked = []

    def known(one):
        asked.append(one.key())
        return plain.samples if one.key() == plain.spec.key() else None

    fresh, spared = open_dataset(spec(words=2, permute=0.5)), open_dataset(spec(words=2, permute=0.5), known=known)
    assert fresh.samples == spared.samples
    assert asked == [fresh.spec.key(), plain.spec.key()]


def test_swap_exchanges_the_rarest_word_for_one_of_the_same_category():
    ids = ["a", "b", "c", "d", "e"]
    captions = [["A red apple."], ["A green pear."], ["A yellow banana."], ["The old truck"], ["The old tractor"]]
    categories = ["fruit", "fruit", "fruit", "vehicle", "vehicle"]
    made = transform(ids, captions, {"swap": True}, categories)
    rare = {"fruit": {"apple", "green", "banana", "yellow"}, "vehicle": {"truck", "tractor"}}
    for (was,), (now,), label in zip(captions, made, categories, strict=True):
        before, after = was.split(), now.split()
        different = [(a, b) for a, b in zip(before, after, strict=True) if a.lower() != b.lower()]
        assert len(different) == 1  # one word is wrong
        word = different[0][1].strip(".")
        assert word in rare[label]
        assert word not in was.lower()
    assert transform(ids, captions, {"swap": True}, categories) == made
    assert transform(ids, captions, {"swap": False}, categories) == captions


def test_swap_takes_a_word_of_any_category_where_the_own_has_no_other():
    made = transform(["a", "b"], [["A lion."], ["A spoon."]], {"swap": True}, ["animal", "thing"])
    assert made == [["A spoon."], ["A lion."]]
