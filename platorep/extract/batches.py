"""Batches by tokens: packed to a budget, halved when memory runs out, and fed by worker processes where they are pictures."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from platorep.core.errors import DataError, FeatureError, PlatorepError
from platorep.models.base import Encoded


log = logging.getLogger(__name__)

CPU_TOKENS = 1024
"""Tokens a batch on a CPU (five pictures of 224 pixels): larger ones leave the cache and lose a quarter of the speed."""

GPU_TOKENS = 65536
"""Most tokens a batch on a GPU: larger ones no longer gain speed."""

ENOUGH_TOKENS = 512
"""Tokens from which on a batch keeps the device busy, and need not be filled with texts of another length."""

BYTES_A_TOKEN = 1 << 20
"""Working memory allowed a token when a GPU's budget is guessed; generous for every model that fits at all."""


@dataclass
class Budget:
    """How many tokens, padding included, one batch may have. Falls when memory runs out and stays there."""

    tokens: int
    halvings: int = 0

    @classmethod
    def find(cls, tokens: int | None, device: torch.device) -> Budget:
        """The given budget, or the device's: a constant on a CPU, a power of two by free memory on a GPU."""
        if tokens is not None:
            return cls(tokens)
        if device.type != "cuda":
            return cls(CPU_TOKENS)
        free = torch.cuda.mem_get_info(device)[0] // BYTES_A_TOKEN
        return cls(min(GPU_TOKENS, 1 << max(10, int(free).bit_length() - 1)))

    def halve(self, below: int) -> None:
        """After `below` tokens did not fit: at most half of them from now on."""
        self.tokens = max(1, below // 2)
        self.halvings += 1


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices packed into batches of at most `budget` tokens, padding included; longest first.

    Sorted by length, and a batch ends early, once it has `ENOUGH_TOKENS`, where lengths fall below nine tenths of its
    longest: padding costs as much as text. The largest batches come first, so that memory runs out early or never. A text
    longer than the budget is a batch of its own. The result depends on the arguments only.
    """
    batches: list[list[int]] = []
    longest = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        full = longest * (len(batches[-1]) + 1) > budget if batches else True
        ragged = lengths[i] < 0.9 * longest and longest * len(batches[-1]) >= ENOUGH_TOKENS if batches else True
        if full or ragged:
            batches.append([])
            longest = max(1, lengths[i])
        batches[-1].append(i)
    return batches


def encode_within(
    encode: Callable[[Any], Encoded], batch: Any, tokens_each: int, budget: Budget
) -> Iterator[tuple[slice, Encoded]]:
    """Encodes a batch in parts that fit the budget; out of memory halves the budget and goes on.

    Args:
        encode: takes a part of the batch.
        batch: anything with a length that can be sliced.
        tokens_each: tokens of its longest item.
        budget: lowered in place when memory runs out.

    Yields:
        Every part's place in the batch, and its result.

    Raises:
        FeatureError: a single item does not fit.
    """
    low = 0
    while low < len(batch):
        size = max(1, min(len(batch) - low, budget.tokens // max(1, tokens_each)))
        part = slice(low, low + size)
        try:
            made = encode(batch[part])
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if size == 1:
                raise FeatureError(
                    f"one item of {tokens_each} tokens does not fit into memory ({str(error).splitlines()[0]}). "
                    "Use a smaller dtype, max_tokens, or another device."
                ) from error
            made = None
        if made is None:  # outside the handler, whose traceback holds on to the failed batch's memory
            budget.halve(size * tokens_each)
            log.warning("out of memory: batches of at most %d tokens from now on", budget.tokens)
            free_memory()
            continue
        yield part, made
        low += size


def _is_out_of_memory(error: RuntimeError) -> bool:
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "not enough memory" in str(error)
        or "can't allocate memory" in str(error)
    )


def free_memory() -> None:
    """Gives back what is no longer referenced, to the GPU too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class _Pictures(Dataset):
    """Decoded and transformed pictures; a failure travels as its message, so that it arrives without a worker's traceback."""

    def __init__(self, dataset: Any, transform: Callable[[Any], torch.Tensor]) -> None:
        self.dataset, self.transform = dataset, transform

    def __getitem__(self, which: tuple[int, int]) -> torch.Tensor | str:
        try:
            return self.transform(self.dataset.picture(*which))
        except PlatorepError as error:
            return str(error)

    def __len__(self) -> int:
        return len(self.dataset.samples.ids)


def _stack(parts: list[torch.Tensor | str]) -> torch.Tensor | str:
    return next((part for part in parts if isinstance(part, str)), None) or torch.stack(parts)  # type: ignore[arg-type]


def picture_batches(
    dataset: Any,
    transform: Callable[[Any], torch.Tensor],
    batches: Sequence[list[tuple[int, int]]],
    workers: int,
    *,
    pinned: bool,
) -> Generator[torch.Tensor]:
    """The pictures of every batch, decoded and transformed by worker processes, in order.

    Args:
        dataset: `picture(i, j)` gives picture j of sample i, 8-bit RGB.
        transform: from a picture to a tensor.
        batches: the pictures of each batch, as (sample, number).
        workers: processes; 0 decodes here.
        pinned: whether to put batches into page-locked memory, from which a GPU copies while it computes.

    Raises:
        DataError: a picture cannot be read.
    """
    loader = DataLoader(
        _Pictures(dataset, transform),
        batch_sampler=batches,
        num_workers=min(workers, len(batches)),
        collate_fn=_stack,
        pin_memory=pinned,
        prefetch_factor=2 if workers and batches else None,
    )
    for batch in loader:
        if isinstance(batch, str):
            raise DataError(batch)
        yield batch


def default_workers(device: torch.device) -> int:
    """Processes that decode pictures: half the cores beside a computing CPU, up to 16 beside a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // 2) if device.type == "cpu" else min(16, cores)
