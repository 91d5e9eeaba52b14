"""`open_dataset`: pairs in a fixed order, checked, with what was left out named."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from PIL import Image

from platorep.core.errors import DataError, SpecError
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec
from platorep.core.text import is_unicode, visible
from platorep.data import digits, emoji, factors, folder, hub, stamps, synthetic
from platorep.data.captions import OPTION, transform
from platorep.data.pair import Pair, Report


log = logging.getLogger(__name__)

SOURCES: dict[str, Callable[[DatasetSpec, Report | None], tuple[DatasetSpec, Sequence[Pair]]]] = {
    "stamps": stamps.pairs,
    "emoji": emoji.pairs,
    "folder": folder.pairs,
    "hub": hub.pairs,
    "synthetic": synthetic.pairs,
    "digits": digits.pairs,
    "factors": factors.pairs,
}
"""Each source gives the spec with its revision settled, and all of its pairs in an order of its own."""

NAMED = 5
"""How many bad samples an error message names."""


@dataclass(frozen=True)
class PairedDataset:
    """Pictures and captions in a fixed order; can be sent to the workers of a DataLoader.

    `spec` has its revision settled, and its key names the features made from it. `samples` has the ids, captions and
    categories in order, and what was left out. `loaders` has one list of pictures a sample.
    """

    spec: DatasetSpec
    samples: Samples
    loaders: Sequence[Sequence[Callable[[], Image.Image]]]

    def __len__(self) -> int:
        return len(self.samples.ids)

    def picture(self, index: int, number: int = 0) -> Image.Image:
        """A picture of one sample, the first unless `number` says which, 8-bit RGB, decoded on each call.

        Raises:
            DataError: it could be read when the dataset was checked, and cannot be now.
        """
        try:
            return self.loaders[index][number]()
        except DataError as error:
            raise DataError(
                f"sample {self.samples.ids[index]!r} of {self.spec.name}: {error}. It was readable when the dataset "
                "was checked."
            ) from error


def open_dataset(
    spec: DatasetSpec, *, known: Callable[[DatasetSpec], Samples | None] | None = None, progress: Report | None = None
) -> PairedDataset:
    """Fetches, orders, selects and checks a dataset.

    The order is the source's own, or with `order_seed` the order of SHA-256 of seed and id: it is the same on every
    machine, a smaller `n` is a prefix of a larger, and a pair keeps its place when others come or go. Bad samples are
    those without an id, with an empty caption, with text that is not valid Unicode or with an unreadable picture, those
    whose pictures all equal an earlier sample's pixel by pixel, and where a category column is chosen those without a
    category. With `on_bad_sample="drop"` the next pairs in order take their place, so that n remains n.

    Args:
        spec: what to open; its revision may be open.
        known: given the spec with its revision settled, the samples that an earlier opening wrote, or None. They spare
            the check, which decodes every picture.
        progress: told of downloads in megabytes, and of pictures checked.

    Raises:
        DataError: bad samples under `on_bad_sample="error"`, fewer than n (or 2) good ones, ids that occur twice, or a
            source that no longer has the known samples.
        AssetError: the data cannot be fetched or is not the pinned one.
        UnknownNameError: no such config, split, column or option.
        SpecError: n below 2, or a source without what it needs.
    """
    if spec.n is not None and spec.n < 2:
        raise SpecError(f"dataset {spec.name!r}: n is {spec.n}; alignment needs at least 2 samples.")
    spec, pairs = _from_source(spec, progress)
    counts = Counter(pair.id for pair in pairs if pair.fault is None)
    if twice := [one for one, count in counts.items() if count > 1]:
        raise DataError(
            f"dataset {spec.name!r}: {len(twice)} ids occur more than once, first {twice[:NAMED]}. Choose an id column "
            "without repeats."
        )
    if known is not None and (samples := _known(spec, known)) is not None:
        return _with_known(spec, pairs, samples)
    kept, dropped = _select(spec, _ordered(spec, pairs), progress)
    ids = [pair.id for pair in kept]
    samples = Samples(
        ids=ids,
        captions=transform(ids, [list(pair.captions) for pair in kept], spec.options.get(OPTION, {})),
        categories=_categories(spec, kept),
        dropped=dropped,
        pictures=[len(pair.pictures) for pair in kept] if any(len(pair.pictures) > 1 for pair in kept) else None,
    )
    repeated = len(kept) - len({tuple(own) for own in samples.captions})
    log.info(
        "%s: %d pairs, %d dropped, %d with a caption that an earlier pair has",
        spec.name,
        len(kept),
        len(dropped),
        repeated,
    )
    return PairedDataset(spec, samples, [pair.pictures for pair in kept])


def _categories(spec: DatasetSpec, kept: Sequence[Pair]) -> list[str] | None:
    """The categories of the samples; None where not all have one, because a missing category is no class of its own."""
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
    """Stored samples of the spec, or those of the same pairs with their captions untouched, transformed now."""
    samples = known(spec)
    if samples is None and OPTION in spec.options:
        samples = known(spec.replace(options={name: value for name, value in spec.options.items() if name != OPTION}))
        if samples is not None:
            samples = replace(samples, captions=transform(samples.ids, samples.captions, spec.options[OPTION]))
    return samples


def _from_source(spec: DatasetSpec, progress: Report | None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """What the source has. What becomes of captions is no option of any source; what they say is checked before."""
    own = {name: value for name, value in spec.options.items() if name != OPTION}
    found, pairs = SOURCES[spec.source](spec.replace(options=own), progress)
    return found.replace(options=spec.options), pairs


def _with_known(spec: DatasetSpec, pairs: Sequence[Pair], samples: Samples) -> PairedDataset:
    by_id = {pair.id: pair.pictures for pair in pairs}
    if missing := [one for one in samples.ids if one not in by_id]:
        raise DataError(
            f"dataset {spec.name!r} no longer has {len(missing)} of its {len(samples.ids)} stored samples, first "
            f"{missing[:NAMED]}, under the same revision. Restore the source, or remove the dataset's folder under "
            "features/ and start again."
        )
    return PairedDataset(spec, samples, [by_id[one] for one in samples.ids])


def _ordered(spec: DatasetSpec, pairs: Sequence[Pair]) -> list[Pair]:
    if spec.order_seed is None:
        return list(pairs)
    return sorted(pairs, key=lambda pair: hashlib.sha256(f"{spec.order_seed}:{pair.id}".encode()).digest())


def _select(spec: DatasetSpec, pairs: list[Pair], progress: Report | None) -> tuple[list[Pair], list[dict[str, str]]]:
    """The first n good pairs, and the bad ones met on the way with their reasons."""
    wanted = len(pairs) if spec.n is None else spec.n
    if len(pairs) < max(wanted, 2):
        raise DataError(
            f"dataset {spec.name!r} has {len(pairs)} pairs; {max(wanted, 2)} are asked for. Lower n, or take a larger "
            "split."
        )
    kept: list[Pair] = []
    dropped: list[dict[str, str]] = []
    seen: dict[bytes, str] = {}
    start = 0
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while len(kept) < wanted and start < len(pairs):
            batch = pairs[start : start + wanted - len(kept)]
            start += len(batch)
            for pair, (digest, reason) in zip(batch, pool.map(_examine, batch), strict=True):
                if reason is None and (earlier := seen.setdefault(digest, pair.id)) != pair.id:
                    reason = f"picture is the same as that of {earlier!r}"
                if reason is None:
                    kept.append(pair)
                else:
                    dropped.append({"id": pair.id, "reason": reason})
                if progress is not None:
                    progress(len(kept) + len(dropped), wanted + len(dropped), "checking pictures")
            if dropped and spec.on_bad_sample == "error":
                raise DataError(
                    f"dataset {spec.name!r}: {_summary(dropped, len(batch))} "
                    "Mend them, or set dataset.on_bad_sample=drop to leave them out for every model alike."
                )
    if dropped:
        log.warning("%s: %s They are left out for every model alike.", spec.name, _summary(dropped, start))
    if len(kept) < (least := max(spec.n or 2, 2)):
        bad = _summary(dropped, start)
        raise DataError(
            f"dataset {spec.name!r} has {len(kept)} good pairs; {least} are asked for. {bad} Lower n or mend them."
        )
    return kept, dropped


def _examine(pair: Pair) -> tuple[bytes, str | None]:
    """Digest of the pictures' pixels, and what is wrong with the pair, if anything is."""
    if pair.fault is not None:
        return b"", pair.fault
    if not pair.captions:
        return b"", "caption is missing"
    for i, caption in enumerate(pair.captions):
        which = f"caption {i + 1} of {len(pair.captions)}" if len(pair.captions) > 1 else "caption"
        if not isinstance(caption, str):
            return b"", f"{which} is not text but {type(caption).__name__}"
        if not caption.strip():
            return b"", f"{which} is empty"
        if not is_unicode(caption):
            return b"", f"{which} is not valid Unicode"
    if not pair.pictures:
        return b"", "picture is missing"
    digests = b""
    for i, load in enumerate(pair.pictures):
        try:
            picture = load()
        except DataError as error:
            return b"", f"picture {i + 1} of {len(pair.pictures)}: {error}" if len(pair.pictures) > 1 else str(error)
        person = f"{picture.width}x{picture.height}".encode()[:16]
        digests += hashlib.blake2b(picture.tobytes(), digest_size=16, person=person).digest()
    return digests, None


def _summary(dropped: list[dict[str, str]], total: int) -> str:
    kinds = Counter(one["reason"].split(" (")[0].split(" '")[0] for one in dropped)
    counts = "; ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
    named = "; ".join(f"{visible(one['id'])}: {visible(one['reason'])}" for one in dropped[:NAMED])
    more = f"; and {len(dropped) - NAMED} more" if len(dropped) > NAMED else ""
    return f"{len(dropped)} of {total} samples are bad ({counts}): {named}{more}."
