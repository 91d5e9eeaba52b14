"""`open_dataset`: checked pairs in a fixed order, with a list of omitted samples."""

from __future__ import annotations

import functools
import hashlib
import importlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.samples import Samples
from platorep.core.sounds import Sound
from platorep.core.specs import DatasetSpec
from platorep.core.text import is_unicode, visible
from platorep.data.captions import OPTION, transform
from platorep.data.pair import Pair, Report


log = logging.getLogger(__name__)

Source = Callable[[DatasetSpec, Report | None], tuple[DatasetSpec, Sequence[Pair]]]
"""A source: returns the spec with its revision resolved, and all of its pairs in a fixed order."""

Decoded = TypeVar("Decoded", Image.Image, Sound)

NAMED = 5
"""Largest number of bad samples that an error message lists."""


@dataclass(frozen=True)
class PairedDataset:
    """Pictures, captions and sounds in a fixed order. Can be pickled for the workers of a DataLoader.

    `spec` has a resolved revision, and its key identifies the features of the dataset. `samples` has the ordered ids,
    captions and categories, and the omitted samples. `loaders` has one list of pictures per sample, and `clips` one of
    sounds.
    """

    spec: DatasetSpec
    samples: Samples
    loaders: Sequence[Sequence[Callable[[], Image.Image]]]
    clips: Sequence[Sequence[Callable[[], Sound]]] = ()

    @classmethod
    def of(cls, spec: DatasetSpec, samples: Samples, pairs: Sequence[Pair]) -> PairedDataset:
        """The dataset of checked pairs."""
        return cls(spec, samples, [pair.pictures or [] for pair in pairs], [pair.sounds or [] for pair in pairs])

    def __len__(self) -> int:
        return len(self.samples.ids)

    def picture(self, index: int, number: int = 0) -> Image.Image:
        """Decodes a picture of one sample, by default the first, to 8-bit RGB.

        Raises:
            DataError: the picture was readable when the dataset was checked, but is not any more.
        """
        return self._decoded(index, self.loaders[index][number])

    def sound(self, index: int, number: int = 0) -> Sound:
        """Decodes a sound of one sample, by default the first, at its own rate.

        Raises:
            DataError: the sound was readable when the dataset was checked, but is not any more.
        """
        return self._decoded(index, self.clips[index][number])

    def _decoded(self, index: int, load: Callable[[], Decoded]) -> Decoded:
        try:
            return load()
        except DataError as error:
            raise DataError(
                f"sample {self.samples.ids[index]!r} of {self.spec.name}: {error}. It was readable when the dataset "
                "was checked."
            ) from error


def open_dataset(
    spec: DatasetSpec, *, known: Callable[[DatasetSpec], Samples | None] | None = None, progress: Report | None = None
) -> PairedDataset:
    """Fetches, orders, selects and checks a dataset.

    The order is that of the source or, with `order_seed`, that of the SHA-256 of seed and id. It is the same on every
    machine, the order of a smaller `n` is a prefix of that of a larger, and adding or removing pairs does not reorder
    the others. A sample is bad if it has no id, an empty caption, text that is not valid Unicode or an unreadable
    picture or sound, if all of its pictures or all of its sounds equal those of an earlier sample value by value, if it
    lacks what the others have, or if a category column is chosen and it has no category. With `on_bad_sample="drop"`,
    the next pairs in order replace bad samples.

    Args:
        spec: the dataset; its revision may be open.
        known: given the spec with its resolved revision, returns the samples stored by an earlier call, or None. Known
            samples are not checked again; the check decodes every picture and sound.
        progress: called with downloaded megabytes, and with the number of checked samples.

    Raises:
        DataError: there are bad samples and `on_bad_sample="error"`, fewer than n (or 2) good samples, or duplicate
            ids, or the source no longer has the known samples.
        AssetError: the data cannot be fetched or differ from the pinned data.
        UnknownNameError: a config, split, column or option does not exist.
        SpecError: n is below 2, or the source lacks a required setting.
    """
    if spec.n is not None and spec.n < 2:
        raise SpecError(f"dataset {spec.name!r}: n is {spec.n}; alignment needs at least 2 samples.")
    spec, pairs = _from_source(spec, progress)
    counts = Counter(pair.id for pair in pairs if pair.fault is None)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(
            f"dataset {spec.name!r}: {len(twice)} ids occur more than once, first {twice[:NAMED]}. Choose an id column "
            "without repeats."
        )
    if known is not None and (samples := _known(spec, known)) is not None:
        return _with_known(spec, pairs, samples)
    kept, dropped = _select(spec, _ordered(spec, pairs), progress)
    ids, categories = [pair.id for pair in kept], _categories(spec, kept)
    samples = Samples(
        ids=ids,
        captions=transform(ids, [list(pair.captions or []) for pair in kept], spec.options.get(OPTION, {}), categories),
        categories=categories,
        dropped=dropped,
        pictures=_numbers([pair.pictures for pair in kept], alike=1),
        sounds=_numbers([pair.sounds for pair in kept], alike=0),
    )
    repeated = len(kept) - len({tuple(captions) for captions in samples.captions})
    log.info(
        "%s: %d pairs, %d dropped, %d with a caption that an earlier pair has",
        spec.name,
        len(kept),
        len(dropped),
        repeated,
    )
    return PairedDataset.of(spec, samples, kept)


def _numbers(parts: Sequence[Sequence[Any] | None], alike: int) -> list[int] | None:
    """How many pictures or sounds every sample has; None if it is `alike` for all."""
    counts = [len(part or []) for part in parts]
    return None if all(count == alike for count in counts) else counts


def _categories(spec: DatasetSpec, kept: Sequence[Pair]) -> list[str] | None:
    """The categories of the samples; None unless all have one, because a missing category is not a class."""
    labels = [pair.category for pair in kept if pair.category is not None]
    if len(labels) == len(kept):
        return labels
    if labels:
        missing = [pair.id for pair in kept if pair.category is None]
        log.warning(
            "%s: %d of %d samples have no category, first %s: the dataset counts as one without categories. Fill them "
            "in, or set dataset.columns.category and dataset.on_bad_sample=drop to leave these samples out.",
            spec.name,
            len(missing),
            len(kept),
            missing[:NAMED],
        )
    return None


def _known(spec: DatasetSpec, known: Callable[[DatasetSpec], Samples | None]) -> Samples | None:
    """Stored samples of the spec; or those of the same pairs with original captions, with captions transformed now."""
    samples = known(spec)
    if samples is None and OPTION in spec.options:
        samples = known(spec.replace(options={name: value for name, value in spec.options.items() if name != OPTION}))
        if samples is not None:
            samples = replace(samples, captions=transform(samples.ids, samples.captions, spec.options[OPTION]))
    return samples


def settled(spec: DatasetSpec) -> DatasetSpec:
    """The spec with the current revision of its source. Does not check samples.

    Raises:
        AssetError, DataError: the source is not available.
    """
    return _from_source(spec, None)[0]


@functools.cache
def sources() -> list[str]:
    """Names of the sources: the modules of this package that have a function `pairs`.

    Read from the text, in less than a millisecond: importing them loads the libraries of every source, and a list of
    names would be one more file to change for a new source.
    """
    modules = sorted(Path(__file__).parent.glob("*.py"))
    return [module.stem for module in modules if "\ndef pairs(" in module.read_text(encoding="utf-8")]


def source_of(spec: DatasetSpec) -> Source:
    """The source of a dataset: the function `pairs` of the module of its name.

    Raises:
        UnknownNameError: there is no such source; the message has the nearest names.
    """
    if spec.source not in sources():
        raise unknown_name(f"source of dataset {spec.name}", spec.source, sources())
    return importlib.import_module(f"platorep.data.{spec.source}").pairs


def _from_source(spec: DatasetSpec, progress: Report | None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """The pairs of the source. The option of captions is checked first and is not passed to the source."""
    source_options = {name: value for name, value in spec.options.items() if name != OPTION}
    resolved, pairs = source_of(spec)(spec.replace(options=source_options), progress)
    return resolved.replace(options=spec.options), pairs


def _with_known(spec: DatasetSpec, pairs: Sequence[Pair], samples: Samples) -> PairedDataset:
    by_id = {pair.id: pair for pair in pairs}
    if missing := [name for name in samples.ids if name not in by_id]:
        raise DataError(
            f"dataset {spec.name!r} no longer has {len(missing)} of its {len(samples.ids)} stored samples, first "
            f"{missing[:NAMED]}, under the same revision. Restore the source, or remove the dataset's folder under "
            "features/ and start again."
        )
    return PairedDataset.of(spec, samples, [by_id[name] for name in samples.ids])


def _ordered(spec: DatasetSpec, pairs: Sequence[Pair]) -> list[Pair]:
    if spec.order_seed is None:
        return list(pairs)
    return sorted(pairs, key=lambda pair: hashlib.sha256(f"{spec.order_seed}:{pair.id}".encode()).digest())


def _select(spec: DatasetSpec, pairs: list[Pair], progress: Report | None) -> tuple[list[Pair], list[dict[str, str]]]:
    """The first n good pairs, and the bad ones before them with reasons."""
    wanted = len(pairs) if spec.n is None else spec.n
    if len(pairs) < max(wanted, 2):
        raise DataError(
            f"dataset {spec.name!r} has {len(pairs)} pairs; {max(wanted, 2)} are asked for. Lower n, or take a larger "
            "split."
        )
    kept: list[Pair] = []
    dropped: list[dict[str, str]] = []
    seen: dict[tuple[str, bytes], str] = {}
    start = 0
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while len(kept) < wanted and start < len(pairs):
            batch = pairs[start : start + wanted - len(kept)]
            start += len(batch)
            for pair, (digests, reason) in zip(batch, pool.map(_examine, batch), strict=True):
                for kind, digest in digests.items() if reason is None else ():
                    if (earlier := seen.setdefault((kind, digest), pair.id)) != pair.id:
                        reason = f"{kind} is the same as that of {earlier!r}"
                if reason is None:
                    kept.append(pair)
                else:
                    dropped.append({"id": pair.id, "reason": reason})
                if progress is not None:
                    progress(len(kept) + len(dropped), wanted + len(dropped), "checking samples")
            if dropped and spec.on_bad_sample == "error":
                raise DataError(
                    f"dataset {spec.name!r}: {_summary(dropped, len(batch))} "
                    "Fix them, or set dataset.on_bad_sample=drop to leave them out for every model alike."
                )
    if dropped:
        log.warning("%s: %s They are left out for every model alike.", spec.name, _summary(dropped, start))
    if len(kept) < (least := max(spec.n or 2, 2)):
        bad = _summary(dropped, start)
        raise DataError(
            f"dataset {spec.name!r} has {len(kept)} good pairs; {least} are asked for. {bad} Lower n, or fix them."
        )
    return kept, dropped


def _examine(pair: Pair) -> tuple[dict[str, bytes], str | None]:
    """Digests of the values of pictures and of sounds, and the fault of the pair, or None."""
    if pair.fault is not None:
        return {}, pair.fault
    if pair.captions is not None and (fault := _fault_of_captions(pair.captions)) is not None:
        return {}, fault
    digests: dict[str, bytes] = {}
    parts: tuple[tuple[str, Any], ...] = (("picture", pair.pictures), ("sound", pair.sounds))
    for kind, loaders in parts:
        if loaders is None:
            continue
        if not loaders:
            return {}, f"{kind} is missing"
        whole = b""
        for i, load in enumerate(loaders):
            try:
                whole += _digest(load())
            except DataError as error:
                return {}, f"{kind} {i + 1} of {len(loaders)}: {error}" if len(loaders) > 1 else str(error)
        digests[kind] = whole
    return digests, None


def _fault_of_captions(captions: Sequence[Any]) -> str | None:
    if not captions:
        return "caption is missing"
    for i, caption in enumerate(captions):
        which = f"caption {i + 1} of {len(captions)}" if len(captions) > 1 else "caption"
        if not isinstance(caption, str):
            return f"{which} is not text but {type(caption).__name__}"
        if not caption.strip():
            return f"{which} is empty"
        if not is_unicode(caption):
            return f"{which} is not valid Unicode"
    return None


def _digest(decoded: Image.Image | Sound) -> bytes:
    """Hash of the values and the shape of a picture or a sound."""
    if isinstance(decoded, Sound):
        shape, values = f"{decoded.rate}", decoded.samples.tobytes()
    else:
        shape, values = f"{decoded.width}x{decoded.height}", decoded.tobytes()
    return hashlib.blake2b(values, digest_size=16, person=shape.encode()[:16]).digest()


def _summary(dropped: list[dict[str, str]], total: int) -> str:
    kinds = Counter(sample["reason"].split(" (")[0].split(" '")[0] for sample in dropped)
    counts = "; ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
    named = "; ".join(f"{visible(sample['id'])}: {visible(sample['reason'])}" for sample in dropped[:NAMED])
    more = f"; and {len(dropped) - NAMED} more" if len(dropped) > NAMED else ""
    return f"{len(dropped)} of {total} samples are bad ({counts}): {named}{more}."
