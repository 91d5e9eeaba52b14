"""Batches packed to a budget of tokens and halved when memory runs out; worker processes decode pictures and sounds."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from platorep.core.errors import DataError, FeatureError, PlatorepError


log = logging.getLogger(__name__)

Result = TypeVar("Result")
"""What an encoder makes of a batch: features, or longer texts."""

CPU_TOKENS = 1024
"""Tokens per batch on a CPU (five pictures of 224 pixels). Larger batches exceed the cache and are a quarter slower."""

GPU_TOKENS = 65536
"""Largest number of tokens per batch on a GPU; larger batches are not faster."""

ENOUGH_TOKENS = 512
"""Least number of tokens that keeps the device busy, so that no texts of other lengths are added to the batch."""

BYTES_A_TOKEN = 1 << 20
"""Working memory per token when the budget of a GPU is estimated; sufficient for all models that fit."""


@dataclass
class Budget:
    """Largest number of tokens per batch, padding included. Reduced permanently when memory runs out."""

    tokens: int
    halvings: int = 0

    @classmethod
    def find(cls, tokens: int | None, device: torch.device) -> Budget:
        """The given budget, or that of the device: constant on a CPU, a power of two by free memory on a GPU."""
        if tokens is not None:
            return cls(tokens)
        if device.type != "cuda":
            return cls(CPU_TOKENS)
        free = torch.cuda.mem_get_info(device)[0] // BYTES_A_TOKEN
        return cls(min(GPU_TOKENS, 1 << max(10, int(free).bit_length() - 1)))

    def halve(self, below: int) -> None:
        """Limits the budget to half of `below` tokens, which did not fit."""
        self.tokens = max(1, below // 2)
        self.halvings += 1


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Packs indices into batches of at most `budget` tokens, padding included, the longest first.

    Indices are sorted by length. Because padding costs as much as text, a batch with `ENOUGH_TOKENS` ends before the
    first text that is shorter than nine tenths of its longest. The largest batches come first, so that memory runs out
    early or never. A text that is longer than the budget has its own batch. The result only depends on the arguments.
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
    encode: Callable[[Any], Result], batch: Any, tokens_each: int, budget: Budget
) -> Iterator[tuple[slice, Result]]:
    """Encodes a batch in parts that fit into the budget, which is halved when memory runs out.

    Args:
        encode: encodes a part of the batch.
        batch: any sliceable sequence.
        tokens_each: tokens of its longest item.
        budget: reduced in place when memory runs out.

    Yields:
        The position of each part in the batch, and its result.

    Raises:
        FeatureError: a single item does not fit.
    """
    low = 0
    while low < len(batch):
        size = max(1, min(len(batch) - low, budget.tokens // max(1, tokens_each)))
        part = slice(low, low + size)
        try:
            encoded = encode(batch[part])
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if size == 1:
                raise FeatureError(
                    f"one item of {tokens_each} tokens does not fit into memory ({str(error).splitlines()[0]}). "
                    "Use a smaller dtype, max_tokens, or another device."
                ) from error
            encoded = None
        if encoded is None:  # outside the handler, whose traceback keeps the memory of the failed batch
            budget.halve(size * tokens_each)
            log.warning("out of memory: batches of at most %d tokens from now on", budget.tokens)
            free_memory()
            continue
        yield part, encoded
        low += size


def _is_out_of_memory(error: RuntimeError) -> bool:
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "not enough memory" in str(error)
        or "can't allocate memory" in str(error)
    )


def free_memory() -> None:
    """Releases memory that is no longer referenced, including that of the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class _Files(Dataset):
    """Decodes and transforms files. A failure is returned as its message, without the traceback of the worker."""

    def __init__(self, read: Callable[..., Any], transform: Callable[[Any], Any]) -> None:
        self.read, self.transform = read, transform

    def __getitem__(self, which: tuple[int, int]) -> Any:
        try:
            return self.transform(self.read(*which))
        except PlatorepError as error:
            return str(error)


def _collate(parts: list[Any]) -> Any:
    """One tensor of pictures, a list of sounds, which have different lengths, or the first failure."""
    failure = next((part for part in parts if isinstance(part, str)), None)
    if failure is not None:
        return failure
    return torch.stack(parts) if isinstance(parts[0], torch.Tensor) else parts


def decoded_batches(
    read: Callable[..., Any],
    transform: Callable[[Any], Any],
    batches: Sequence[list[tuple[int, int]]],
    workers: int,
    *,
    pinned: bool,
) -> Generator[Any]:
    """Yields the pictures or sounds of every batch in order, decoded and transformed by worker processes.

    Args:
        read: `read(i, j)` returns picture or sound j of sample i.
        transform: converts it to the model's input.
        batches: the pictures or sounds of each batch, as (sample, number).
        workers: number of processes; 0 decodes in this process.
        pinned: whether to use page-locked memory, from which a GPU copies while it computes.

    Raises:
        DataError: a picture or sound cannot be read.
    """
    loader = DataLoader(
        _Files(read, transform),
        batch_sampler=batches,
        num_workers=min(workers, len(batches)),
        collate_fn=_collate,
        pin_memory=pinned,
        prefetch_factor=2 if workers and batches else None,
    )
    for batch in loader:
        if isinstance(batch, str):
            raise DataError(batch)
        yield batch


def default_workers(device: torch.device) -> int:
    """Default number of processes that decode files: half of the cores if the CPU computes, up to 16 with a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // 2) if device.type == "cpu" else min(16, cores)
