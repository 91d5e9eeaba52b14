"""Streams a dataset through an encoder, shard by shard, into the store."""

from __future__ import annotations

import logging
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import cast

import torch

from platorep.core.errors import SpecError, StoreError
from platorep.core.resources import Resources, pick_device
from platorep.core.specs import ExtractSpec
from platorep.core.store import FeatureStore
from platorep.core.writer import FeatureWriter
from platorep.extract.batches import Budget, default_workers, free_memory
from platorep.extract.encoding import Made, Pairs, file_shards, fitted, text_shards
from platorep.extract.items import Items, items_of
from platorep.models.base import PictureEncoder
from platorep.models.compiling import compiled_blocks
from platorep.models.sources import load
from platorep.stats.ratios import mean_of_ratios, ratio_of_sums


log = logging.getLogger(__name__)

Report = Callable[[int, int, str], None]


def extract(
    spec: ExtractSpec,
    dataset: Pairs,
    store: FeatureStore,
    resources: Resources,
    *,
    bits: bool = True,
    renew: bool = False,
    loaded: Callable[[], object] | None = None,
    progress: Report | None = None,
) -> Path:
    """Extracts the features of one model on one dataset, or the missing and damaged part of them.

    Shards are determined by the number of rows and `shard_rows`, and batches by the shard and the token budget. On a
    CPU, a resumed run, or several runs that share the shards, therefore write the same bytes. A run only writes the
    manifest if all shards are complete.

    Args:
        spec: the spec, with resolved model and dataset.
        dataset: the pairs.
        store: the store to write to.
        resources: device, token budget, workers, rows per shard, this run's share of the shards, and whether blocks of
            the model are compiled (which is faster on a GPU, and changes features only by rounding).
        bits: whether to measure bits per byte if the model supports it.
        renew: whether to extract complete features again. The new ones replace the old ones at the end.
        loaded: called when the model is on its device, so that the next model can be read from the disk.
        progress: called with rows done, rows to do, and the name of the model.

    Returns:
        The folder of the features. It has no manifest while shards of other runs are missing.

    Raises:
        DataError: a caption, picture or sound cannot be used, or the dataset has none.
        FeatureError: features are not finite, or an item does not fit into memory.
        SpecError, AssetError: the model cannot be loaded or compiled.
        DiskError: files cannot be written.

    Cost: forward passes of the model. Memory: the model, one batch, and the features of one shard.
    """
    if renew and resources.shard != (0, 1):
        raise SpecError(
            "overwrite=true replaces whole extractions and cannot be shared out "
            f"(shard={'/'.join(map(str, resources.shard))}). Remove them first with `platorep store rm`."
        )
    if not renew and store.has(spec):
        try:
            return store.open(spec).path
        except StoreError as error:
            log.warning("%s: %s Damaged parts are extracted again.", spec.model.name, error)
    items = items_of(spec, dataset.samples)
    writer = FeatureWriter(store, spec, items.samples, resources.shard_rows, renew=renew)
    return write_missing(writer, items, dataset, resources, bits=bits, loaded=loaded, progress=progress)


def is_whole(store: FeatureStore, spec: ExtractSpec) -> bool:
    """Whether an extraction is complete and can be opened."""
    if not store.has(spec):
        return False
    try:
        store.open(spec)
    except StoreError:
        return False
    return True


def write_missing(
    writer: FeatureWriter,
    items: Items,
    dataset: Pairs,
    resources: Resources,
    *,
    bits: bool = True,
    loaded: Callable[[], object] | None = None,
    progress: Report | None = None,
) -> Path:
    """Writes absent and damaged shards of this run, and the manifest if all shards are complete; see `extract`."""
    spec, (share, shares) = writer.spec, resources.shard
    missing = writer.missing(range(share, len(writer.bounds), shares))
    if not missing and writer.absent():
        return writer.final
    device = pick_device(resources.device)
    clock = _Clock(device)
    with clock("loading"):
        encoder = load(spec.model, device)
        encoder.select(spec.layers)
    if loaded is not None:
        loaded()
    budget = Budget.find(resources.tokens, device)
    bounds = [writer.bounds[index] for index in missing]
    try:
        blocks = compiled_blocks(encoder, device) if resources.compile else nullcontext(False)
        with clock("computing"), blocks as compiled:
            if spec.model.modality == "language":
                shards = text_shards(fitted(encoder, items), spec, items, bounds, budget, bits)
            else:
                workers = default_workers(device) if resources.workers is None else resources.workers
                shards = file_shards(cast(PictureEncoder, encoder), dataset, items, bounds, budget, workers, device)
            with closing(shards):  # ends the workers at once if interrupted
                counted = _write_all(writer, missing, encoder.layers, shards, clock, progress)
        facts = dict(encoder.facts)
    except KeyboardInterrupt:
        there = len(writer.bounds) - len(writer.absent())
        log.warning("%s: %d of %d shards are finished.", spec.model.name, there, len(writer.bounds))
        raise
    finally:
        del encoder
        free_memory()
    if writer.absent():
        writer.discard()
        return writer.final
    unit = {"language": "tokens", "sound": "sounds"}.get(spec.model.modality, "pictures")
    return writer.finish(
        facts | _figures(writer.sample_scalars()),
        device=clock.device_name(),
        dtype=spec.model.dtype,
        quantized=spec.model.quantize,
        compiled=compiled,
        seconds=clock.seconds,
        **{unit: counted, f"{unit}_per_second": counted / max(clock.seconds["computing"], 1e-9)},
        batch_tokens=budget.tokens,
        out_of_memory=budget.halvings,
        peak_memory=clock.peak_memory(),
    )


def _write_all(
    writer: FeatureWriter,
    indices: Sequence[int],
    layers: Sequence[str],
    shards: Iterator[Made],
    clock: _Clock,
    progress: Report | None,
) -> int:
    """Writes shards as they arrive; returns the number of their tokens, pictures or sounds."""
    todo, done, counted = sum(stop - start for start, stop in (writer.bounds[i] for i in indices)), 0, 0
    for index, (features, scalars, count) in zip(indices, shards, strict=True):
        with clock("writing"):
            writer.write(index, dict(zip(layers, features, strict=True)), scalars)
        done, counted = done + len(features[0]), counted + count
        if progress is not None:
            progress(done, todo, "")
    return counted


def _figures(scalars: dict[str, list[float]]) -> dict[str, float | int]:
    """Computes figures of the model from those of its samples.

    `bits_per_byte` is total bits over total UTF-8 bytes, where every token is scored, with the standard error of a
    ratio of sums over samples. `bits_per_byte_released` follows the paper's released code: the mean over samples of
    their ratios, where the first token is only scored if the tokenizer adds a start token.
    """
    totals: dict[str, float | int] = {}
    if "truncated" in scalars:
        totals["truncated"] = int(sum(scalars["truncated"]))
    if "bits" in scalars:
        figures = {
            "bits_per_byte": ratio_of_sums(scalars["bits"], scalars["bytes"]),
            "bits_per_byte_released": mean_of_ratios(scalars["bits_released"], scalars["bytes"]),
        }
        for name, (value, error) in figures.items():
            totals[name] = value
            if math.isfinite(error):
                totals[f"{name}_standard_error"] = error
    return totals


class _Clock:
    """Seconds by kind of work, without the time of nested work; and the peak memory of the device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = {"loading": 0.0, "computing": 0.0, "writing": 0.0}
        self.inner = 0.0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @contextmanager
    def __call__(self, kind: str) -> Iterator[None]:
        outer, self.inner, start = self.inner, 0.0, time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - start
            self.seconds[kind] += passed - self.inner
            self.inner = outer + passed

    def device_name(self) -> str:
        return (
            torch.cuda.get_device_name(self.device)
            if self.device.type == "cuda"
            else f"{self.device} ({torch.get_num_threads()} threads)"
        )

    def peak_memory(self) -> int:
        """Peak bytes allocated on the GPU, or resident in this process since its start."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
