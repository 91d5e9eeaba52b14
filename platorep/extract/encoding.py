"""Runs an encoder over the rows of shards: batches, repeated items, and rows with several texts, pictures or sounds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Protocol, cast

import torch

from platorep.core.errors import SpecError
from platorep.core.samples import Samples
from platorep.core.specs import ExtractSpec, GenerateSpec
from platorep.extract.batches import Budget, decoded_batches, encode_within, pack
from platorep.extract.host import on_host
from platorep.extract.items import Items
from platorep.models.base import Continues, Encoded, Encoder, PictureEncoder, SoundEncoder, TextEncoder, TextRules


Made = tuple[list[torch.Tensor], dict[str, list[float]], int]
"""Layers, per-sample figures, and number of tokens, pictures or sounds of a shard."""


class Pairs(Protocol):
    """The part of a dataset that extraction uses."""

    @property
    def samples(self) -> Samples: ...

    def picture(self, index: int, number: int = 0) -> Any:
        """One decoded picture of a sample."""
        ...

    def sound(self, index: int, number: int = 0) -> Any:
        """One decoded sound of a sample."""
        ...


def fitted(encoder: Encoder, items: Items) -> TextEncoder:
    """The encoder of texts, after it has seen all texts of the dataset: word counts learn from them."""
    reader = cast(TextEncoder, encoder)
    reader.fit([text.text for row_texts in items.of("language") for text in row_texts])
    return reader


def text_shards(
    encoder: TextEncoder, spec: ExtractSpec, items: Items, bounds: Sequence[tuple[int, int]], budget: Budget, bits: bool
) -> Generator[Made]:
    """Features of the texts of every range of rows.

    Args:
        encoder: fitted.
        spec: which tokens are pooled, and how overlong texts are handled.
        items: texts of all rows.
        bounds: ranges of rows, first and behind the last.
        budget: tokens of a batch.
        bits: whether to measure the bits of the texts if the model supports it.
    """
    rules = TextRules(spec.span, spec.max_tokens, spec.overlong, bits, spec.generated)
    for start, stop in bounds:
        texts, rows = _distinct(items.texts[start:stop])
        tokens = encoder.tokenize(texts, rules)
        if spec.generated is not None:
            tokens = _continued(encoder, tokens, spec.generated, budget)

        def parts(tokens: list[Any] = tokens) -> Iterator[tuple[list[int], Encoded]]:
            for batch in pack([len(text) for text in tokens], budget.tokens):
                longest = len(tokens[batch[0]])
                for part, encoded in encode_within(encoder.encode, [tokens[i] for i in batch], longest, budget):
                    yield batch[part], encoded

        layers, scalars = _gather(on_host(parts()), rows, len(texts))
        scalars |= {
            "tokens": [float(len(text)) for text in tokens],
            "truncated": [float(text.truncated) for text in tokens],
        }
        if "bits" in scalars:
            scalars["bytes"] = [float(text.bytes) for text in tokens]
        if any(len(row) > 1 for row in rows) or len(texts) < len(rows):
            scalars = {name: [sum(values[i] for i in row) for row in rows] for name, values in scalars.items()}
        yield layers, scalars, sum(len(text) for text in tokens)


def _continued(encoder: TextEncoder, tokens: list[Any], rules: GenerateSpec, budget: Budget) -> list[Any]:
    """All texts with the tokens that the model continues them with.

    Raises:
        SpecError: the model cannot continue a text.
    """
    if not isinstance(encoder, Continues):
        raise SpecError(
            f"{encoder.spec.name}: span=generated needs a causal language model, and models of source "
            f"{encoder.spec.source!r} do not continue texts. Leave it out (only=...), or pool the text (span=all)."
        )
    longer = list(tokens)
    for batch in pack([len(text) for text in tokens], budget.tokens):
        longest = len(tokens[batch[0]]) + rules.tokens
        encode = partial(encoder.continued, rules=rules)
        for part, made in encode_within(encode, [tokens[i] for i in batch], longest, budget):
            for i, text in zip(batch[part], made, strict=True):
                longer[i] = text
    return longer


def file_shards(
    encoder: PictureEncoder | SoundEncoder,
    dataset: Pairs,
    items: Items,
    bounds: Sequence[tuple[int, int]],
    budget: Budget,
    workers: int,
    device: torch.device,
) -> Generator[Made]:
    """Features of the pictures or sounds of every range of rows.

    Args:
        encoder: of pictures or sounds.
        dataset: decodes them.
        items: those of all rows.
        bounds: ranges of rows, first and behind the last.
        budget: tokens of a batch.
        workers: processes that decode; 0 decodes in this one.
        device: of the encoder.
    """
    modality = encoder.spec.modality
    size, encoded_rows = max(1, budget.tokens // encoder.tokens_each), items.of(modality)
    read: Callable[..., Any] = dataset.sound if modality == "sound" else dataset.picture
    shards = [_distinct(encoded_rows[start:stop]) for start, stop in bounds]
    batches = [[distinct[low : low + size] for low in range(0, len(distinct), size)] for distinct, _ in shards]
    every = [batch for some in batches for batch in some]
    with closing(decoded_batches(read, encoder.transform, every, workers, pinned=device.type == "cuda")) as decoded:
        for (distinct, rows), some in zip(shards, batches, strict=True):

            def parts(some: list[list[tuple[int, int]]] = some) -> Iterator[tuple[list[int], Encoded]]:
                done = 0
                for batch in some:
                    places = list(range(done, done + len(batch)))
                    for part, encoded in encode_within(encoder.encode, next(decoded), encoder.tokens_each, budget):
                        yield places[part], encoded
                    done += len(batch)

            layers, _ = _gather(on_host(parts()), rows, len(distinct))
            yield layers, {}, len(distinct)


def _distinct(rows: Sequence[list[Any]]) -> tuple[list[Any], list[list[int]]]:
    """Unique items of several rows in order of appearance, and for every row the indices of its items."""
    place = {item: i for i, item in enumerate(dict.fromkeys(item for row in rows for item in row))}
    return list(place), [[place[item] for item in row] for row in rows]


def _gather(
    parts: Iterator[tuple[list[int], Encoded]], rows: list[list[int]], count: int
) -> tuple[list[torch.Tensor], dict[str, list[float]]]:
    """Averages the features of the items of each row; returns layers (rows, width) and figures of all `count` items.

    The items are summed as they arrive, so many pictures per row need no more memory than one.
    """
    layers: list[torch.Tensor] = []
    scalars: dict[str, torch.Tensor] = {}
    within: list[list[int]] = [[] for _ in range(count)]  # the rows that contain each item
    for i, row in enumerate(rows):
        for item in row:
            within[item].append(i)
    share = torch.tensor([[len(row)] for row in rows])
    summed = bool((share > 1).any())
    for places, encoded in parts:
        if not layers:
            make = torch.zeros if summed else torch.empty
            layers = [make(len(rows), feature.shape[1]) for feature in encoded.features]
            scalars = {name: torch.empty(count) for name in encoded.scalars}
        at = torch.tensor([row for place in places for row in within[place]])
        repeated = (
            torch.tensor([i for i, place in enumerate(places) for _ in within[place]])
            if len(at) > len(places)
            else None
        )
        for layer, feature in zip(layers, encoded.features, strict=True):
            values = feature if repeated is None else feature[repeated]
            if summed:
                layer.index_add_(0, at, values)
            else:
                layer[at] = values
        for name, values in encoded.scalars.items():
            scalars[name][torch.tensor(places)] = values
    if summed:
        layers = [layer.div_(share) for layer in layers]
    return layers, {name: values.tolist() for name, values in scalars.items()}
