"""Deliberate, recorded and seeded degradation of captions: cut, shuffled, replaced, or swapped between pictures.

`DatasetSpec.options["captions"]` is a mapping of these options, which are applied in this order to every caption:

    replace: 0.5   share of the words that are replaced by words drawn from all captions of the dataset
    shuffle: true  shuffles the words
    words: 5       keeps only the first words
    swap: true     exchanges the rarest word for the rarest one of another caption of the same category: a wrong caption
    permute: 0.25  share of the items whose captions are swapped with other items
    seed: 0        seed of all draws
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from platorep.core.errors import SpecError, unknown_name
from platorep.core.ranges import LARGEST_SEED


OPTION = "captions"
DEFAULTS: dict[str, Any] = {"replace": 0.0, "shuffle": False, "words": None, "swap": False, "permute": 0.0, "seed": 0}


def transform(
    ids: Sequence[str],
    captions: list[list[str]],
    options: Mapping[str, Any],
    categories: Sequence[str] | None = None,
) -> list[list[str]]:
    """Applies `options` to the captions of a dataset.

    The draws for an item only depend on the seed and its id. Replacement words and the partners of permuted items are
    drawn from the given captions.

    Args:
        ids: ids of the items.
        captions: one list per item.
        options: see the module docstring.
        categories: one label per item, for swap; None is one category.

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
    if chosen["swap"]:
        changed = _swapped(ids, changed, categories or [""] * len(ids), chosen["seed"])
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


def _swapped(ids: Sequence[str], captions: list[list[str]], categories: Sequence[str], seed: int) -> list[list[str]]:
    """Every caption with its rarest word exchanged for the rarest one of another caption of its category.

    Rarity is the number of captions that have the word, without case and punctuation; of equally rare words the
    longest, then the first. A category without another word takes one of any caption.
    """
    counts = Counter(word for texts in captions for text in texts for word in {_bare(w) for w in text.split()})
    rare = [[_rarest(text.split(), counts) for text in texts] for texts in captions]
    members: dict[str, list[str]] = {}
    for label, words in zip(categories, rare, strict=True):
        members.setdefault(label, []).extend(word for _, word in words)
    everything = [word for words in members.values() for word in words]
    made = []
    for item, label, texts, words in zip(ids, categories, captions, rare, strict=True):
        row = []
        for number, (text, (place, _)) in enumerate(zip(texts, words, strict=True)):
            parts = text.split()
            known = {_bare(part) for part in parts}
            others = [w for w in members[label] if w not in known] or [w for w in everything if w not in known]
            if others and parts:
                word = random.Random(f"{seed}:{item}#{number}").choice(others)
                parts[place] = parts[place].lower().replace(_bare(parts[place]), word) if _bare(parts[place]) else word
            row.append(" ".join(parts))
        made.append(row)
    return made


def _rarest(words: Sequence[str], counts: Counter[str]) -> tuple[int, str]:
    """Place of the rarest word, and the word without case and punctuation; (0, "") of no words."""
    bare = [_bare(word) for word in words]
    places = sorted(range(len(bare)), key=lambda i: (not bare[i], counts[bare[i]], -len(bare[i]), i))
    return (places[0], bare[places[0]]) if places else (0, "")


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"'()[]").lower()


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
            "swap": isinstance(value, bool),
            "words": value is None or (isinstance(value, int) and number and value >= 1),
            "seed": isinstance(value, int) and number and 0 <= value <= LARGEST_SEED,
        }[name]
        if not fits:
            expected = {"words": "a whole number of at least 1", "seed": "a whole number from 0 to 2**63 - 1"}
            expected |= dict.fromkeys(("shuffle", "swap"), "true or false")
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
