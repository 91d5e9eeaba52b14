"""Captions made worse on purpose, by a recorded and seeded amount: cut, shuffled, replaced, or given to other pictures.

`DatasetSpec.options["captions"]` is a mapping of these words, applied in this order, each to every caption of an item:

    replace: 0.5   share of the words that give way to words drawn from all captions of the dataset
    shuffle: true  words in a random order
    words: 5       the first words only
    permute: 0.25  share of the items whose captions go to another item
    seed: 0        of all of them
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from platorep.core.errors import SpecError, unknown_name


OPTION = "captions"
DEFAULTS: dict[str, Any] = {"replace": 0.0, "shuffle": False, "words": None, "permute": 0.0, "seed": 0}


def transform(ids: Sequence[str], captions: list[list[str]], options: Mapping[str, Any]) -> list[list[str]]:
    """The captions of a dataset as `options` leaves them, in the order of the ids.

    The draws for an item depend on the seed and its id only, so that a smaller dataset has the same captions;
    replacements come from the words of the captions given, and so does the partner of a permuted item.

    Args:
        ids: of the items.
        captions: one list an item.
        options: see the module.

    Raises:
        UnknownNameError: an option that does not exist.
        SpecError: a value outside its range.
    """
    chosen = DEFAULTS | _checked(options)
    vocabulary = [word for own in captions for caption in own for word in caption.split()]
    made = [
        [_words(caption, chosen, vocabulary, f"{one}#{i}") for i, caption in enumerate(own)]
        for one, own in zip(ids, captions, strict=True)
    ]
    return [made[i] for i in mismatched(len(made), chosen["permute"], chosen["seed"])]


def mismatched(n: int, share: float, seed: int) -> np.ndarray:
    """Which item's caption each item gets when a share of the pairs is broken: a permutation of n, int64.

    round(share * n) items in a seeded order pass their captions round in one cycle, so that each of them gets a wrong
    one; the others keep theirs. A larger share breaks the pairs of a smaller one and more. A single item cannot be
    mismatched: where rounding gives 1, nothing is.

    Raises:
        SpecError: a share outside [0, 1].
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
            "seed": isinstance(value, int) and number,
        }[name]
        if not fits:
            expected = {"words": "a whole number of at least 1", "shuffle": "true or false", "seed": "a whole number"}
            raise SpecError(
                f"dataset.options.captions.{name} is {value!r}; expected {expected.get(name, 'a share in [0, 1]')}."
            )
    return dict(options)


def _words(caption: str, chosen: Mapping[str, Any], vocabulary: Sequence[str], name: str) -> str:
    """One caption with words replaced, shuffled and cut; untouched, spaces and all, where none of it is asked for."""
    if not (chosen["replace"] or chosen["shuffle"] or chosen["words"]):
        return caption
    words = caption.split()
    chance = random.Random(f"{chosen['seed']}:{name}")
    for place in chance.sample(range(len(words)), round(chosen["replace"] * len(words))):
        words[place] = chance.choice(vocabulary)
    if chosen["shuffle"]:
        chance.shuffle(words)
    return " ".join(words[: chosen["words"]])
