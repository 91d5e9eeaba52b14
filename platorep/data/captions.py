"""Deliberate, recorded and seeded degradation of captions: cut, shuffled, replaced, or swapped between pictures.

`DatasetSpec.options["captions"]` is a mapping of these options, which are applied in this order to every caption:

    replace: 0.5   share of the words that are replaced by words drawn from all captions of the dataset
    shuffle: true  shuffles the words
    words: 5       keeps only the first words
    permute: 0.25  share of the items whose captions are swapped with other items
    seed: 0        seed of all draws
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from platorep.core.errors import SpecError, unknown_name
from platorep.core.ranges import LARGEST_SEED


OPTION = "captions"
DEFAULTS: dict[str, Any] = {"replace": 0.0, "shuffle": False, "words": None, "permute": 0.0, "seed": 0}


def transform(ids: Sequence[str], captions: list[list[str]], options: Mapping[str, Any]) -> list[list[str]]:
    """Applies `options` to the captions of a dataset.

    The draws for an item only depend on the seed and its id. Replacement words and the partners of permuted items are
    drawn from the given captions.

    Args:
        ids: ids of the items.
        captions: one list per item.
        options: see the module docstring.

    Raises:
        UnknownNameError: an option does not exist.
        SpecError: a value is out of range.
    """
    chosen = DEFAULTS | _checked(options)
    vocabulary = [word for item_captions in captions for caption in item_captions for word in caption.split()]
    changed = [
        [_words(caption, chosen, vocabulary, f"{item}#{i}") for i, caption in enumerate(item_captions)]
        for item, item_captions in zip(ids, captions, strict=True)
    ]
    return [changed[i] for i in mismatched(len(changed), chosen["permute"], chosen["seed"])]


def mismatched(n: int, share: float, seed: int) -> np.ndarray:
    """A permutation of n, int64, that assigns captions to items and mismatches a share of the pairs.

    round(share * n) items in a seeded order exchange their captions in one cycle, so each of them gets a wrong caption.
    A larger share mismatches all pairs of a smaller one. A single item cannot be mismatched: if rounding gives 1, the
    result is the identity.

    Raises:
        SpecError: the share is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise SpecError(f"share of mismatched pairs is {share!r}; expected a number in [0, 1].")
    moved = np.random.default_rng(seed).permutation(n)[: round(share * n)]
    order = np.arange(n)
    order[moved] = np.roll(moved, 1)
    return order


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(options, Mapping):
        raise SpecError(f"dataset.options.captions is {options!r}; expected words with values, such as {{words: 5}}.")
    for name, value in options.items():
        if name not in DEFAULTS:
            raise unknown_name("option of dataset.options.captions", name, DEFAULTS)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = {
            "replace": number and 0 <= value <= 1,
            "permute": number and 0 <= value <= 1,
            "shuffle": isinstance(value, bool),
            "words": value is None or (isinstance(value, int) and number and value >= 1),
            "seed": isinstance(value, int) and number and 0 <= value <= LARGEST_SEED,
        }[name]
        if not fits:
            expected = {
                "words": "a whole number of at least 1",
                "shuffle": "true or false",
                "seed": "a whole number from 0 to 2**63 - 1",
            }
            raise SpecError(
                f"dataset.options.captions.{name} is {value!r}; expected {expected.get(name, 'a share in [0, 1]')}."
            )
    return dict(options)


def _words(caption: str, chosen: Mapping[str, Any], vocabulary: Sequence[str], name: str) -> str:
    """One caption with words replaced, shuffled and cut; unchanged, including spaces, if none of these is requested."""
    if not (chosen["replace"] or chosen["shuffle"] or chosen["words"]):
        return caption
    words = caption.split()
    chance = random.Random(f"{chosen['seed']}:{name}")
    for place in chance.sample(range(len(words)), round(chosen["replace"] * len(words))):
        words[place] = chance.choice(vocabulary)
    if chosen["shuffle"]:
        chance.shuffle(words)
    return " ".join(words[: chosen["words"]])
