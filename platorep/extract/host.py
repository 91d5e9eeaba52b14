"""Copies results from the device to the host, with one copy per batch, while the next batch is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from platorep.models.base import Encoded


def on_host(batches: Iterable[tuple[Any, Encoded]]) -> Iterator[tuple[Any, Encoded]]:
    """Yields batches with tensors on the host, delayed by one batch, so that a GPU does not wait for copies."""
    waiting = None
    for place, encoded in batches:
        coming = _Copy(place, encoded)
        if waiting is not None:
            yield waiting.done()
        waiting = coming
    if waiting is not None:
        yield waiting.done()


class _Copy:
    """A pending copy of all features and figures of one batch, concatenated in one tensor."""

    def __init__(self, place: Any, encoded: Encoded) -> None:
        self.place = place
        self.encoded: Encoded | None = encoded  # None once its parts are in `host`
        self.event: torch.cuda.Event | None = None
        if encoded.features[0].device.type == "cpu":
            return
        columns = [*encoded.features, *(value.unsqueeze(1) for value in encoded.scalars.values())]
        self.widths, self.names = [column.shape[1] for column in columns], list(encoded.scalars)
        whole = torch.cat(columns, dim=1)
        if whole.device.type == "cuda":
            self.host = torch.empty(whole.shape, pin_memory=True)
            self.host.copy_(whole, non_blocking=True)
            self.event = torch.cuda.Event()
            self.event.record()
        else:
            self.host = whole.cpu()
        self.encoded = None

    def done(self) -> tuple[Any, Encoded]:
        if self.encoded is not None:
            return self.place, self.encoded
        if self.event is not None:
            self.event.synchronize()
        parts = self.host.split(self.widths, dim=1)
        count = len(parts) - len(self.names)
        return self.place, Encoded(
            list(parts[:count]), {name: parts[count + i].squeeze(1) for i, name in enumerate(self.names)}
        )
